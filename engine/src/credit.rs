//! Credit: how a high-water mark is kept between the two ends of a pipe.
//!
//! The writer counts the messages it wrote, the reader those it took, and the reader tells the
//! writer in steps of half the mark. A writer found full therefore stays full until a whole step
//! was taken: a slow reader loses long runs and not every second message (libzmq's `pipe.cpp`).
//!
//! Deliberately absent: a queue. Credit bounds a log, it does not know one.

use crate::sync::{Arc, AtomicU64, Ordering, fence};

/// What the two ends share.
#[derive(Debug)]
struct Grants {
    /// Messages the reader has granted since the beginning; only grows.
    granted: AtomicU64,
    /// Messages of which the writer wants to be told once they are granted: it found itself full.
    wanted: AtomicU64,
}

/// The writer has room, as far as it knows.
const NOTHING: u64 = u64::MAX;

/// The two ends of a pipe with a high-water mark in messages. 0 is no mark.
#[must_use]
pub fn credit(mark: usize) -> (Allowance, Consumption) {
    let grants = Arc::new(Grants { granted: AtomicU64::new(0), wanted: AtomicU64::new(NOTHING) });
    let mark = mark as u64;
    let limit = if mark == 0 { u64::MAX } else { mark };
    let step = if mark == 0 { u64::MAX } else { mark.div_ceil(2) };
    let allowance = Allowance { grants: grants.clone(), limit, written: 0, granted: 0 };
    (allowance, Consumption { grants, step, taken: 0, granted: 0 })
}

/// The writer's end.
#[derive(Debug)]
pub struct Allowance {
    grants: Arc<Grants>,
    limit: u64,
    written: u64,
    /// Grants as of the last look.
    granted: u64,
}

impl Allowance {
    /// Messages that may be written now.
    #[inline]
    #[must_use]
    pub fn room(&mut self) -> u64 {
        if self.written - self.granted >= self.limit {
            self.look();
        }
        self.limit.saturating_sub(self.written - self.granted)
    }

    /// The mark; of no mark, the greatest number.
    #[must_use]
    pub fn mark(&self) -> u64 {
        self.limit
    }

    /// Raises the mark by so many messages; by 0, which is no mark, for good.
    pub fn raise(&mut self, by: usize) {
        self.limit = if by == 0 { u64::MAX } else { self.limit.saturating_add(by as u64) };
    }

    /// Counts written messages. The caller had room for the first of them; those beyond the mark
    /// delay the next.
    #[inline]
    pub fn write(&mut self, messages: u64) {
        self.written += messages;
    }

    /// Makes room for as much as the mark again, as if all that is written had been granted. The
    /// grants are looked at once that is used up.
    pub fn overdraw(&mut self) {
        self.granted = self.written;
    }

    /// Looks for grants, and without enough of them asks to be told. True: there is room now.
    #[must_use]
    pub fn want(&mut self) -> bool {
        let needed = (self.written + 1).saturating_sub(self.limit);
        self.grants.wanted.store(needed, Ordering::Relaxed);
        // Pairs with the fence in `Consumption::take`: the grant is seen, or the wish is.
        fence(Ordering::SeqCst);
        self.room() > 0
    }

    /// Messages written and not yet granted, as of the last look.
    #[must_use]
    pub fn queued(&mut self) -> u64 {
        self.look();
        self.written - self.granted
    }

    /// Messages written since the beginning.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.written
    }

    #[cold]
    fn look(&mut self) {
        // Acquire: pairs with the release in `Consumption::take`.
        self.granted = self.grants.granted.load(Ordering::Acquire);
    }
}

/// The reader's end.
#[derive(Debug)]
pub struct Consumption {
    grants: Arc<Grants>,
    step: u64,
    taken: u64,
    granted: u64,
}

impl Consumption {
    /// Counts messages as taken. True: the writer waits and must be told.
    #[inline]
    #[must_use]
    pub fn take(&mut self, messages: u64) -> bool {
        self.taken += messages;
        self.taken - self.granted >= self.step && self.grant()
    }

    /// Messages taken since the beginning.
    #[must_use]
    pub fn taken(&self) -> u64 {
        self.taken
    }

    #[cold]
    fn grant(&mut self) -> bool {
        self.granted = self.taken - self.taken % self.step;
        self.grants.granted.store(self.granted, Ordering::Release);
        // Pairs with the fence in `Allowance::want`.
        fence(Ordering::SeqCst);
        let wanted = self.grants.wanted.load(Ordering::Relaxed);
        let (done, relaxed) = (NOTHING, Ordering::Relaxed);
        // A wish that has just replaced this one was made in view of this grant.
        wanted <= self.granted
            && self.grants.wanted.compare_exchange(wanted, done, relaxed, relaxed).is_ok()
    }
}

#[cfg(all(test, loom))]
mod model;
#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_full_pipe_takes_nothing_before_half_was_read() {
        let (mut allowance, mut consumption) = credit(10);
        assert_eq!(allowance.room(), 10);
        allowance.write(10);
        assert_eq!(allowance.room(), 0);
        assert!(!consumption.take(4));
        assert_eq!(allowance.room(), 0);
        assert!(!consumption.take(3));
        assert_eq!(allowance.room(), 5);
    }

    #[test]
    fn a_waiting_writer_is_told_once_per_wish() {
        let (mut allowance, mut consumption) = credit(1);
        allowance.write(1);
        assert!(!allowance.want());
        assert!(consumption.take(1));
        allowance.write(1);
        assert!(!consumption.take(1));
    }

    #[test]
    fn a_writer_beyond_its_mark_is_told_once_it_has_room() {
        let (mut allowance, mut consumption) = credit(10);
        allowance.write(25);
        assert!(!allowance.want());
        assert!(!consumption.take(5) && !consumption.take(5) && !consumption.take(5));
        assert_eq!(allowance.room(), 0);
        assert!(consumption.take(5));
        assert_eq!(allowance.room(), 5);
    }

    #[test]
    fn who_overdraws_has_room_for_the_mark_again_and_then_for_what_was_granted() {
        let (mut allowance, mut consumption) = credit(10);
        allowance.write(10);
        allowance.overdraw();
        assert_eq!(allowance.room(), 10);
        allowance.write(10);
        assert_eq!(allowance.room(), 0);
        assert!(!consumption.take(15));
        assert_eq!(allowance.room(), 5);
    }

    #[test]
    fn no_mark_is_no_limit() {
        let (mut allowance, mut consumption) = credit(0);
        allowance.write(1 << 40);
        assert!(allowance.room() > 0);
        assert!(!consumption.take(1 << 40));
    }
}
