use super::*;

/// Feeds `input` in pieces of every size; the outcome must not depend on it.
fn check(input: &[u8], expected: Result<(), PeerIncompatible>) {
    for piece in 1..=input.len() {
        let mut received = Received::new();
        let outcome =
            input.chunks(piece).try_for_each(|piece| received.handle_input(piece).map(drop));
        assert_eq!(outcome, expected.map_err(Error::from), "{input:x?} by {piece}");
    }
}

fn with(at: usize, byte: u8) -> [u8; GREETING_LEN] {
    let mut greeting = encode(0);
    greeting[at] = byte;
    greeting
}

#[test]
fn our_greeting_is_libzmqs() {
    let mut expected = vec![0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 1];
    expected.extend(b"NULL");
    expected.resize(64, 0);
    assert_eq!(encode(0), *expected);
    expected[8] = 6;
    assert_eq!(encode(5), *expected);
    check(&expected, Ok(()));
}

#[test]
fn padding_as_server_and_filler_mean_nothing() {
    for at in (1..9).chain(32..64) {
        check(&with(at, 0xaa), Ok(()));
    }
}

#[test]
fn each_flaw_is_seen_at_its_byte() {
    check(&[0xfe], Err(PeerIncompatible::Signature));
    check(b"GET / HTTP/1.1\r\n", Err(PeerIncompatible::Signature));
    // ZMTP 1.0: the size and flags of a long identity frame, and of a short one.
    check(&[0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x00], Err(PeerIncompatible::Signature));
    check(&[0x01, 0x00], Err(PeerIncompatible::Signature));
    for revision in 0..3 {
        check(&with(10, revision)[..11], Err(PeerIncompatible::Version { revision }));
    }
    for name in [b"PLAIN\0", b"CURVE\0", b"NULLX\0", b"null\0\0", b"NUL\0\0\0", b"NULL\0X"] {
        let mut greeting = encode(0);
        greeting[12..18].copy_from_slice(name);
        let mechanism = *greeting[12..].first_chunk().unwrap();
        check(&greeting[..32], Err(PeerIncompatible::Mechanism { mechanism }));
        check(&greeting[..31], Ok(()));
    }
}

#[test]
fn the_lower_minor_version_is_spoken() {
    for (major, minor, expected) in [(3, 0, 0), (3, 1, 1), (3, 2, 1), (4, 0, 1), (255, 9, 1)] {
        let mut greeting = with(10, major);
        greeting[11] = minor;
        let mut received = Received::new();
        assert_eq!(received.handle_input(&greeting), Ok(64));
        assert_eq!(received.minor(), expected, "{major}.{minor}");
    }
}

#[test]
fn what_follows_the_greeting_is_left_alone() {
    let mut received = Received::new();
    let mut input = encode(0).to_vec();
    input.extend([0x04, 0x05]);
    assert_eq!(received.handle_input(&input), Ok(64));
    assert_eq!(received.handle_input(&input), Ok(0));
}
