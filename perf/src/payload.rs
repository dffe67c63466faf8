//! What the measured messages contain.
//!
//! ```text
//!  0        4          8                16            size
//! +--------+----------+----------------+- - - - - - - +
//! | topic  | sequence | time due (ns)  | padding      |      data
//! +--------+----------+----------------+- - - - - - - +
//! | 0xFF   mark       |                                      a mark
//! +--------+----------+
//! ```
//!
//! The topic is big-endian, so that a prefix subscription to its four bytes matches exactly it.
//! Topics end below `0xFF00_0000`; a first byte of 0xFF tells a mark, and every subscriber
//! subscribes to that prefix too. Sequences from [`WARM_UP`] on are sent before measuring starts.
//!
//! Deliberately absent: a checksum. That bodies arrive as they were sent is asserted by `tests`.

/// First byte of every mark, and the prefix under which subscribers ask for marks.
pub(crate) const MARK_PREFIX: [u8; 1] = [0xFF];
/// Sequences with this bit are not measured.
pub(crate) const WARM_UP: u32 = 1 << 31;
/// The smallest body that holds a topic.
pub(crate) const SIZE_MIN: usize = 4;
/// The smallest body that holds topic, sequence and time.
pub(crate) const STAMPED_SIZE_MIN: usize = 16;
/// The topic nobody but the stalled subscriber asks for, with `--stalled-elsewhere`.
pub(crate) const TOPIC_ELSEWHERE: u32 = 0xFE00_0000;

/// A message that steers the receiver.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub(crate) enum Mark {
    /// The sender is there; sent until everyone has seen one.
    Hello = 1,
    /// What follows is measured.
    Begin = 2,
    /// Nothing follows.
    End = 3,
}

impl Mark {
    /// The bytes of this mark.
    pub(crate) fn bytes(self) -> [u8; 8] {
        [MARK_PREFIX[0], self as u8, 0, 0, 0, 0, 0, 0]
    }

    /// Tells a mark from data.
    #[inline]
    pub(crate) fn parse(body: &[u8]) -> Option<Self> {
        if body.first() != Some(&MARK_PREFIX[0]) {
            return None;
        }
        match body.get(1) {
            Some(1) => Some(Self::Hello),
            Some(2) => Some(Self::Begin),
            Some(3) => Some(Self::End),
            _ => None,
        }
    }
}

/// Writes a topic at the start of `body`.
#[inline]
pub(crate) fn write_topic(body: &mut [u8], topic: u32) {
    body[..4].copy_from_slice(&topic.to_be_bytes());
}

/// Writes sequence and due time behind the topic.
#[inline]
pub(crate) fn write_stamp(body: &mut [u8], sequence: u32, due: u64) {
    body[4..8].copy_from_slice(&sequence.to_le_bytes());
    body[8..16].copy_from_slice(&due.to_le_bytes());
}

/// Reads sequence and due time. `None`: the body is too short, so it is none of ours.
#[inline]
pub(crate) fn read_stamp(body: &[u8]) -> Option<(u32, u64)> {
    let sequence = u32::from_le_bytes(body.get(4..8)?.try_into().ok()?);
    let due = u64::from_le_bytes(body.get(8..16)?.try_into().ok()?);
    Some((sequence, due))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_survive_the_round_trip_and_data_is_no_mark() {
        for mark in [Mark::Hello, Mark::Begin, Mark::End] {
            assert_eq!(Mark::parse(&mark.bytes()), Some(mark));
        }
        let mut body = [0; 16];
        write_topic(&mut body, TOPIC_ELSEWHERE);
        assert_eq!(Mark::parse(&body), None);
        assert_eq!(Mark::parse(&[]), None);
    }

    #[test]
    fn stamps_survive_the_round_trip() {
        let mut body = [0; STAMPED_SIZE_MIN];
        write_stamp(&mut body, 7 | WARM_UP, u64::MAX - 1);
        assert_eq!(read_stamp(&body), Some((7 | WARM_UP, u64::MAX - 1)));
        assert_eq!(read_stamp(&body[..15]), None);
    }
}
