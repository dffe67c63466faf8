//! What a caller-driven context has sent and the kernel has not got yet, and when it leaves.
//!
//! A burst gathers, so that it costs few system calls. What a publisher sends gathers even if it is
//! alone: a system call for each subscriber would make `send` cost what its subscribers do.
//!
//! Invariant: what has gathered is looked at with its second message, its fourth, eighth and so on,
//! and then with every 256th, so that it leaves with a `send` that finds it old, and few messages
//! cost a look at the clock.
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
/// What such frames count, as a divisor of their bytes.
const LARGE_SHARE: usize = 16;
/// What published frames count, likewise. Each of many subscribers gets a part of what gathers, and
/// the parts are to be worth a send each.
const PUBLISHED_SHARE: usize = 32;
/// What has gathered for so long is old, and leaves with the `send` that finds it so.
const OLD_AFTER: Duration = Duration::from_millis(1);
/// The most messages from one look to the next.
const STEP_MAX: u32 = 256;

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
    /// What has gathered; 0 if nothing has.
    len: Cell<usize>,
    /// Messages that are not looked at before the next one that is.
    until_look: Cell<u32>,
    /// Messages from the last look to the next; 0 if nothing has gathered.
    step: Cell<u32>,
    /// What the message counts that is being written.
    begun: Cell<usize>,
    /// When the first message was sent of what has gathered.
    begun_at: Cell<Option<Instant>>,
}

impl Gathering {
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Grows with each message until all leave.
    pub(super) fn len(&self) -> usize {
        self.len.get()
    }

    /// Adds a frame. If that ends a message that has to be looked at, answers what that counts.
    #[inline]
    pub(super) fn add(&self, len: usize, is_published: bool, has_more: bool) -> Option<usize> {
        let share = if is_published { PUBLISHED_SHARE } else { 1 };
        self.add_counted(len.div_ceil(share), has_more)
    }

    #[inline]
    fn add_counted(&self, len: usize, has_more: bool) -> Option<usize> {
        let message = self.begun.replace(0) + len;
        if has_more {
            self.begun.set(message);
            return None;
        }
        let (len, until_look) = (self.len.get(), self.until_look.get());
        if until_look == 0 || len + 2 * message > GATHER_SIZE {
            return Some(message);
        }
        self.len.set(len + message);
        self.until_look.set(until_look - 1);
        None
    }

    /// Adds a frame of [`LARGE_SIZES`], or a larger one.
    #[cold]
    pub(super) fn add_large(
        &self,
        len: usize,
        is_published: bool,
        has_more: bool,
    ) -> Option<usize> {
        let share = match len {
            _ if is_published => PUBLISHED_SHARE,
            _ if LARGE_SIZES.contains(&len) => LARGE_SHARE,
            _ => 1,
        };
        self.add_counted(len.div_ceil(share), has_more)
    }

    /// Adds a message that has to be looked at, if it does not leave; `is_lone` tells whether it
    /// leaves if nothing waits before it.
    pub(super) fn look(&self, message: usize, is_lone: impl FnOnce() -> bool) -> Leaving {
        let len = self.len() + message;
        if len + message > GATHER_SIZE {
            return Leaving::All;
        }
        if self.is_empty() {
            if is_lone() {
                return Leaving::Lone;
            }
            self.begun_at.set(Some(Instant::now()));
        } else if self.begun_at.get().is_none_or(|at| at.elapsed() >= OLD_AFTER) {
            return Leaving::All;
        }
        let step = STEP_MAX.min(2 * self.step.get()).max(1);
        self.step.set(step);
        self.until_look.set(step - 1);
        self.len.set(len);
        Leaving::Nothing
    }

    /// Adds what cannot leave yet, even if that is nothing.
    pub(super) fn keep(&self, message: usize) {
        self.len.set(self.len() + message.max(1));
    }

    /// All of it is on its way. Answers whether that was anything.
    pub(super) fn clear(&self) -> bool {
        self.until_look.set(0);
        self.step.set(0);
        self.len.replace(0) > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEN: usize = 100;

    /// Sends messages of one frame to one peer, none of them old, until all leave: the first, and
    /// others like each other. Answers which were looked at.
    fn looks(first: usize, len: usize) -> Vec<usize> {
        let gathering = Gathering::default();
        let mut looks = Vec::new();
        for count in 1.. {
            let len = if count == 1 { first } else { len };
            let Some(message) = gathering.add(len, false, false) else { continue };
            looks.push(count);
            if gathering.look(message, || false) == Leaving::All {
                break;
            }
            gathering.begun_at.set(Some(Instant::now() + Duration::from_secs(3600)));
        }
        looks
    }

    #[test]
    fn a_lone_message_is_one_that_nothing_waits_before() {
        let gathering = Gathering::default();
        assert_eq!(gathering.look(LEN, || true), Leaving::Lone);
        assert_eq!(gathering.look(LEN, || false), Leaving::Nothing);
        assert_eq!(gathering.len(), LEN);
        gathering.begun_at.set(Some(Instant::now() + Duration::from_secs(3600)));
        assert_eq!(gathering.look(LEN, || unreachable!("one waits")), Leaving::Nothing);
        assert_eq!(gathering.len(), 2 * LEN);
    }

    #[test]
    fn what_has_gathered_leaves_with_the_message_that_finds_it_old() {
        let gathering = Gathering::default();
        assert_eq!(gathering.look(LEN, || false), Leaving::Nothing);
        gathering.begun_at.set(Instant::now().checked_sub(OLD_AFTER));
        assert_eq!(gathering.add(LEN, false, false), Some(LEN));
        assert_eq!(gathering.look(LEN, || false), Leaving::All);
    }

    #[test]
    fn messages_gather_while_one_more_like_them_fits() {
        for len in [1000, 5000, 20_000] {
            assert_eq!(looks(len, len).last(), Some(&(GATHER_SIZE / len)));
        }
        for len in [GATHER_SIZE / 2 + 1, GATHER_SIZE, usize::MAX / 4] {
            assert_eq!(looks(len, 1), [1]);
        }
    }

    #[test]
    fn they_are_looked_at_when_they_have_doubled_and_then_every_256_of_them() {
        for first in [40, 20_000] {
            let looks = looks(first, 40);
            assert_eq!(looks[..9], [1, 2, 4, 8, 16, 32, 64, 128, 256]);
            let last = 1 + (GATHER_SIZE - first) / 40;
            let next: Vec<_> = (2..).map(|step| 256 * step).take_while(|at| *at < last).collect();
            assert_eq!(looks[9..], [&next[..], &[last]].concat());
        }
    }

    #[test]
    fn what_is_published_and_frames_of_4_to_32_kib_count_a_fraction() {
        for (len, is_published, counted) in [
            (32, true, 1),
            (33, true, 2),
            (4 * 1024, false, 256),
            (32 * 1024 - 1, true, 1024),
            (32 * 1024, false, 32 * 1024),
            (32 * 1024, true, 1024),
        ] {
            let gathering = Gathering::default();
            let added = if len < LARGE_SIZES.start {
                gathering.add(len, is_published, false)
            } else {
                gathering.add_large(len, is_published, false)
            };
            assert_eq!(added, Some(counted), "{len}");
        }
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
