//! Slots: the owners of all operations that have not ended, found by token.
//!
//! A slot is filled when an operation starts and emptied by its last completion; its generation
//! moves on then, so that a token which is still around finds nothing. Empty slots are reused,
//! last out first in.
//!
//! Deliberately absent: shrinking. There are as many slots as operations ever lived at once.

use std::mem;
use std::os::fd::RawFd;

use crate::op::Operation;
use crate::ring::token::{GENERATION_BITS, Token};

/// An operation that has not ended.
pub(crate) struct Live {
    pub(crate) owner: u32,
    /// Kept open by the owner until the last completion.
    pub(crate) fd: RawFd,
    pub(crate) operation: Operation,
    /// The kernel has it, or will at the next submission.
    pub(crate) is_armed: bool,
    pub(crate) is_cancelled: bool,
    /// A receive that has brought something since it was armed.
    pub(crate) is_fed: bool,
}

impl Live {
    pub(crate) fn new(owner: u32, fd: RawFd, operation: Operation) -> Self {
        Self { owner, fd, operation, is_armed: true, is_cancelled: false, is_fed: false }
    }
}

#[derive(Default)]
pub(crate) struct Slots {
    slots: Vec<Slot>,
    free: Vec<u32>,
}

struct Slot {
    generation: u32,
    live: Option<Live>,
}

impl Slots {
    /// No operation, and memory for so many.
    pub(crate) fn with_capacity(count: usize) -> Self {
        Self { slots: Vec::with_capacity(count), free: Vec::with_capacity(count) }
    }

    /// Puts an operation into an empty slot.
    #[inline]
    pub(crate) fn insert(&mut self, live: Live) -> Token {
        let kind = live.operation.kind();
        let index = self.free.pop().unwrap_or_else(|| self.grow());
        let slot = &mut self.slots[index as usize];
        debug_assert!(slot.live.is_none(), "a free slot is empty");
        slot.live = Some(live);
        Token::new(kind, slot.generation, index)
    }

    #[cold]
    fn grow(&mut self) -> u32 {
        let index = u32::try_from(self.slots.len()).expect("memory ends before the indexes do");
        self.slots.push(Slot { generation: 0, live: None });
        // Whichever ends, its slot has a place among the free ones.
        self.free.reserve(self.slots.len());
        index
    }

    /// The operation that `token` names, unless it has ended. The token's kind does not matter.
    #[inline]
    pub(crate) fn get_mut(&mut self, token: Token) -> Option<&mut Live> {
        let slot = self.slots.get_mut(token.slot() as usize)?;
        if slot.generation == token.generation() { slot.live.as_mut() } else { None }
    }

    /// Empties the slot of an operation that has ended.
    #[inline]
    pub(crate) fn remove(&mut self, token: Token) -> Option<Live> {
        let slot = self.slots.get_mut(token.slot() as usize)?;
        if slot.generation != token.generation() {
            return None;
        }
        let live = slot.live.take()?;
        slot.generation = (slot.generation + 1) % (1 << GENERATION_BITS);
        self.free.push(token.slot());
        Some(live)
    }

    /// How many operations the kernel has.
    pub(crate) fn armed(&self) -> usize {
        self.slots.iter().filter_map(|slot| slot.live.as_ref()).filter(|live| live.is_armed).count()
    }

    /// Marks every operation, so that none is armed again.
    pub(crate) fn mark_all_cancelled(&mut self) {
        for live in self.slots.iter_mut().filter_map(|slot| slot.live.as_mut()) {
            live.is_cancelled = true;
        }
    }

    /// Gives up all memory that the kernel may still use, for ever.
    pub(crate) fn leak(&mut self) {
        mem::forget(mem::take(&mut self.slots));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::token::Kind;

    fn live(owner: u32) -> Live {
        Live::new(owner, -1, Operation::Writable)
    }

    #[test]
    fn a_reused_slot_does_not_answer_to_its_old_token() {
        let mut slots = Slots::default();
        let old = slots.insert(live(1));
        assert!(slots.remove(old).is_some());
        let new = slots.insert(live(2));
        assert_eq!((new.slot(), new.kind()), (old.slot(), Kind::Writable));
        assert!(slots.get_mut(old).is_none() && slots.remove(old).is_none());
        assert_eq!(slots.get_mut(new).map(|live| live.owner), Some(2));
    }

    #[test]
    fn generations_wrap_where_the_token_does() {
        let mut slots = Slots::default();
        slots.grow();
        slots.slots[0] = Slot { generation: (1 << GENERATION_BITS) - 1, live: Some(live(1)) };
        let last = Token::new(Kind::Writable, (1 << GENERATION_BITS) - 1, 0);
        assert!(slots.remove(last).is_some());
        let first = slots.insert(live(2));
        assert_eq!(first.generation(), 0);
        assert!(slots.get_mut(first).is_some());
    }

    #[test]
    fn a_token_beyond_the_last_slot_names_nothing() {
        let mut slots = Slots::default();
        let token = Token::new(Kind::Cancel, 0, u32::MAX);
        assert!(slots.get_mut(token).is_none() && slots.remove(token).is_none());
    }
}
