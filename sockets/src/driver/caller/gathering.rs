//! What a caller-driven context has sent and the kernel has not got yet, and when it leaves.
//!
//! A burst gathers, so that it costs few system calls. What a publisher sends gathers even if it is
//! alone: a system call for each subscriber would make `send` cost what its subscribers do.
//!
//! Invariant: what has gathered is looked at whenever it may have doubled, so that it leaves with a
//! `send` that finds it old, and a message costs no look at the clock.
//!
//! Deliberately absent: a timer. Nobody but the caller could serve it.

use std::cell::Cell;
use std::ops::Range;
use std::time::{Duration, Instant};

/// Bytes that gather for a peer before they leave without being asked to: what one segment of TCP
/// carries over loopback, whose MTU is 64 KiB. A few bytes more cost another segment, a fifth of
/// the throughput at 64 bytes a message and two fifths at 1 KiB.
const GATHER_SIZE: usize = 64 * 1024 - 53;
/// Frames of so many bytes gather for longer: a receiver is soon done with the few that a segment
/// carries, and each time that it sleeps it has to be woken. Smaller ones would leave the caches
/// meanwhile, and larger ones are sent from where they lie.
pub(super) const LARGE_SIZES: Range<usize> = 4 * 1024..32 * 1024;
/// What they count, as a divisor; and what is published, of which each of many subscribers gets a
/// part: the parts are to be worth a send each.
const SHARE: usize = 16;
/// A message this long after the last flush is a lone one, and leaves at once.
const LONE_AFTER: Duration = Duration::from_micros(20);
/// What has gathered for so long is old, and leaves with the `send` that finds it so.
const OLD_AFTER: Duration = Duration::from_millis(1);

/// What leaves now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Leaving {
    Nothing,
    /// A message that nothing waits before.
    Lone,
    All,
}

/// What counts are bytes, fewer of frames that gather longer.
#[derive(Debug, Default)]
pub(super) struct Gathering {
    /// What will have gathered at the next look at the latest; 0 if nothing has.
    bound: Cell<usize>,
    /// What is left until then. 0 if nothing has gathered, and never otherwise.
    room: Cell<usize>,
    /// What the message counts that is being written.
    begun: Cell<usize>,
    /// When the first of it was sent; if nothing has gathered, when something left last.
    since: Cell<Option<Instant>>,
}

impl Gathering {
    pub(super) fn is_empty(&self) -> bool {
        self.room.get() == 0
    }

    /// Grows with each message until all leave.
    pub(super) fn len(&self) -> usize {
        self.bound.get() - self.room.get()
    }

    /// Adds a frame. If that ends a message that has to be looked at, answers what that counts.
    #[inline]
    pub(super) fn add(&self, len: usize, is_published: bool, has_more: bool) -> Option<usize> {
        let len = if is_published { len.div_ceil(SHARE) } else { len };
        let message = self.begun.replace(0) + len;
        if has_more {
            self.begun.set(message);
            return None;
        }
        let room = self.room.get();
        if 2 * message > room {
            return Some(message);
        }
        self.room.set(room - message);
        None
    }

    /// Adds a frame of [`LARGE_SIZES`], or a larger one.
    pub(super) fn add_large(
        &self,
        len: usize,
        is_published: bool,
        has_more: bool,
    ) -> Option<usize> {
        let is_shared = is_published || LARGE_SIZES.contains(&len);
        self.add(len, is_shared, has_more)
    }

    /// Adds a message that has to be looked at, if it does not leave.
    pub(super) fn look(&self, message: usize, may_be_lone: bool, is_answer: bool) -> Leaving {
        self.look_at(Instant::now(), message, may_be_lone, is_answer)
    }

    fn look_at(&self, now: Instant, message: usize, may_be_lone: bool, is_answer: bool) -> Leaving {
        let len = self.len() + message;
        if len + message > GATHER_SIZE {
            return Leaving::All;
        }
        let is_since = |time: Duration| self.since.get().is_none_or(|at| now - at >= time);
        if self.is_empty() {
            if may_be_lone && (is_answer || is_since(LONE_AFTER)) {
                return Leaving::Lone;
            }
            self.since.set(Some(now));
        } else if is_since(OLD_AFTER) {
            return Leaving::All;
        }
        self.bound.set(GATHER_SIZE.min(2 * len));
        self.room.set(self.bound.get() - len);
        Leaving::Nothing
    }

    /// Adds what cannot leave yet, even if that is nothing.
    pub(super) fn keep(&self, message: usize) {
        self.bound.set(self.len() + message.max(1) + 1);
        self.room.set(1);
    }

    /// All of it is on its way. Answers whether that was anything.
    pub(super) fn clear(&self) -> bool {
        self.bound.set(0);
        self.room.replace(0) > 0
    }

    /// What was here has left.
    pub(super) fn note_left(&self) {
        self.since.set(Some(Instant::now()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUBLISHED: bool = false;
    const TO_ONE: bool = true;
    const LEN: usize = 100;

    /// Looks at a message that is no answer.
    fn look(gathering: &Gathering, now: Instant, may_be_lone: bool) -> Leaving {
        gathering.look_at(now, LEN, may_be_lone, false)
    }

    #[test]
    fn a_message_to_one_peer_is_a_lone_one_after_a_pause_and_as_an_answer() {
        let (gathering, now) = (Gathering::default(), Instant::now());
        assert_eq!(look(&gathering, now, TO_ONE), Leaving::Lone);
        gathering.since.set(Some(now));
        assert_eq!(look(&gathering, now + LONE_AFTER, TO_ONE), Leaving::Lone);
        assert_eq!(gathering.look_at(now, LEN, TO_ONE, true), Leaving::Lone);
        assert_eq!(look(&gathering, now, TO_ONE), Leaving::Nothing);
        assert_eq!(gathering.look_at(now + LONE_AFTER, LEN, TO_ONE, true), Leaving::Nothing);
    }

    #[test]
    fn what_is_published_is_no_lone_message() {
        let (gathering, now) = (Gathering::default(), Instant::now());
        assert_eq!(gathering.look_at(now, LEN, PUBLISHED, true), Leaving::Nothing);
        assert_eq!(gathering.len(), LEN);
    }

    #[test]
    fn what_has_gathered_leaves_with_the_message_that_finds_it_old() {
        let (gathering, now) = (Gathering::default(), Instant::now());
        assert_eq!(look(&gathering, now, PUBLISHED), Leaving::Nothing);
        assert_eq!(gathering.add(LEN, false, false), Some(LEN));
        assert_eq!(look(&gathering, now + OLD_AFTER, PUBLISHED), Leaving::All);
    }

    #[test]
    fn messages_gather_while_one_more_like_them_fits_and_are_looked_at_when_they_have_doubled() {
        let (gathering, now) = (Gathering::default(), Instant::now());
        let mut looked_at = Vec::new();
        for count in 1.. {
            let Some(message) = gathering.add(LEN, false, false) else { continue };
            looked_at.push(count);
            if gathering.look_at(now, message, PUBLISHED, false) == Leaving::All {
                break;
            }
        }
        assert_eq!(looked_at, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, GATHER_SIZE / LEN]);
    }

    #[test]
    fn frames_count_with_the_last_one_of_their_message() {
        let gathering = Gathering::default();
        assert_eq!(gathering.add(LEN, false, true), None);
        assert!(gathering.is_empty());
        assert_eq!(gathering.add(LEN, false, false), Some(2 * LEN));
    }

    #[test]
    fn what_cannot_leave_yet_always_makes_more_of_it() {
        let (gathering, mut len) = (Gathering::default(), 0);
        for message in [0, LEN, 0, 0] {
            gathering.keep(message);
            assert!(gathering.len() > len && !gathering.is_empty());
            len = gathering.len();
        }
        assert!(gathering.clear() && !gathering.clear());
        assert_eq!(gathering.len(), 0);
    }
}
