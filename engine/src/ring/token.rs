//! Tokens: the 64 bits that tie a completion back to the operation that asked for it.
//!
//! The kernel hands `user_data` back untouched, so it must name the operation and its owner.
//! A slot index alone is not enough: a slot is reused while a late completion of its former owner
//! may still be in flight. The generation tells the two apart.
//!
//! Deliberately absent: pointers. A stale token is recognised without being dereferenced.

/// Names one operation of one reactor, from its start to its last completion.
///
/// ```text
///  63      56 55                  32 31                   0
/// +----------+----------------------+----------------------+
/// |   kind   |      generation      |         slot         |
/// +----------+----------------------+----------------------+
/// ```
///
/// A token of an operation that has ended is stale: nothing that is done with it has any effect.
/// It can be mistaken for a new one only after its slot was reused 2²⁴ times.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Token(u64);

impl Token {
    /// Packs the parts. The generation wraps at [`GENERATION_BITS`].
    pub(crate) fn new(kind: Kind, generation: u32, slot: u32) -> Self {
        let generation = u64::from(generation) & mask(GENERATION_BITS);
        Self((u64::from(kind as u8) << KIND_SHIFT) | (generation << SLOT_BITS) | u64::from(slot))
    }

    /// Parses what the kernel returned. `None`: no operation of ours has this kind.
    pub(crate) fn parse(user_data: u64) -> Option<Self> {
        let kind = (user_data >> KIND_SHIFT) as u8;
        (usize::from(kind) < Kind::ALL.len()).then_some(Self(user_data))
    }

    /// The same slot and generation, for an operation of another kind.
    pub(crate) fn with_kind(self, kind: Kind) -> Self {
        Self::new(kind, self.generation(), self.slot())
    }

    pub(crate) fn kind(self) -> Kind {
        Kind::ALL[(self.0 >> KIND_SHIFT) as usize]
    }

    pub(crate) fn generation(self) -> u32 {
        ((self.0 >> SLOT_BITS) & mask(GENERATION_BITS)) as u32
    }

    pub(crate) fn slot(self) -> u32 {
        (self.0 & mask(SLOT_BITS)) as u32
    }

    /// The value for `sqe.user_data`.
    pub(crate) fn user_data(self) -> u64 {
        self.0
    }
}

/// What the operation was.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub(crate) enum Kind {
    Accept,
    Connect,
    Receive,
    Send,
    Writable,
    Wake,
    Cancel,
}

impl Kind {
    const ALL: [Self; 7] = [
        Self::Accept,
        Self::Connect,
        Self::Receive,
        Self::Send,
        Self::Writable,
        Self::Wake,
        Self::Cancel,
    ];
}

const fn mask(bits: u32) -> u64 {
    (1 << bits) - 1
}

const SLOT_BITS: u32 = 32;
/// Generations count modulo two to this power.
pub(crate) const GENERATION_BITS: u32 = 24;
const KIND_BITS: u32 = 8;
const KIND_SHIFT: u32 = SLOT_BITS + GENERATION_BITS;

// The parts fill the word exactly, and every kind finds itself in `ALL`.
const _: () = assert!(SLOT_BITS + GENERATION_BITS + KIND_BITS == u64::BITS);
const _: () = {
    let mut index = 0;
    while index < Kind::ALL.len() {
        assert!(Kind::ALL[index] as usize == index);
        index += 1;
    }
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_survive_the_round_trip() {
        for kind in Kind::ALL {
            for (generation, slot) in [(0, 0), (1, u32::MAX), ((1 << 24) - 1, 7)] {
                let token = Token::parse(Token::new(kind, generation, slot).user_data()).unwrap();
                assert_eq!(
                    (token.kind(), token.generation(), token.slot()),
                    (kind, generation, slot)
                );
            }
        }
    }

    #[test]
    fn generation_wraps_and_leaves_the_kind_alone() {
        let token = Token::new(Kind::Receive, 1 << 24, 3);
        assert_eq!((token.kind(), token.generation()), (Kind::Receive, 0));
    }

    #[test]
    fn unknown_kind_is_refused() {
        assert_eq!(Token::parse(u64::MAX), None);
    }
}
