//! Bodies that tell where they are wrong.
//!
//! Deliberately absent: the lengths that matter. Tests choose them.

/// `len` bytes that differ from place to place and from seed to seed.
#[must_use]
pub fn body(seed: usize, len: usize) -> Vec<u8> {
    let mut state = (seed as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

/// Fails if a body is another one, without printing a megabyte.
#[track_caller]
pub fn assert_same(found: &[u8], expected: &[u8], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}: length");
    let different = found.iter().zip(expected).position(|(a, b)| a != b);
    assert_eq!(different, None, "{what}: first different byte");
}

/// A body that carries a number.
#[must_use]
pub fn number(value: u64) -> [u8; 8] {
    value.to_be_bytes()
}

/// The number in the first eight bytes of a body.
#[must_use]
#[track_caller]
pub fn number_in(bytes: &[u8]) -> u64 {
    u64::from_be_bytes(bytes[..8].try_into().expect("eight bytes"))
}
