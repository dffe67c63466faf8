//! Timers: deadlines, earliest first.
//!
//! A heap of deadlines with a key each. Deadlines that are equal expire in the order in which they
//! were set.
//!
//! Deliberately absent: a clock, which the caller brings, and cancelling. The key of a timer that
//! is no longer wanted carries a generation, is ignored by whoever it is meant for, and is dropped
//! once it is the next, or swept out with others when there are many.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

/// The instant that is so far from now. `None`, which is never: the clock does not reach there.
#[must_use]
pub fn deadline_after(time: Duration) -> Option<Instant> {
    Instant::now().checked_add(time)
}

/// Deadlines and what is due at each.
#[derive(Clone, Debug)]
pub struct Timers<K> {
    heap: BinaryHeap<Timer<K>>,
    inserted: u64,
}

impl<K> Timers<K> {
    /// No deadline.
    #[must_use]
    pub const fn new() -> Self {
        Self { heap: BinaryHeap::new(), inserted: 0 }
    }

    /// `key` is due at `deadline`.
    pub fn insert(&mut self, deadline: Instant, key: K) {
        self.heap.push(Timer { deadline, sequence: self.inserted, key });
        self.inserted += 1;
    }

    /// How many deadlines there are, wanted or not.
    #[must_use]
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }

    /// Drops the deadlines of keys that are no longer wanted.
    pub fn retain(&mut self, mut is_wanted: impl FnMut(&K) -> bool) {
        self.heap.retain(|timer| is_wanted(&timer.key));
    }

    /// Drops the next deadlines, as far as their keys are no longer wanted.
    pub fn drop_next(&mut self, mut is_wanted: impl FnMut(&K) -> bool) {
        while self.heap.peek().is_some_and(|timer| !is_wanted(&timer.key)) {
            self.heap.pop();
        }
    }

    /// When the next key is due.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.heap.peek().map(|timer| timer.deadline)
    }

    /// The earliest key that is due at `now`, once.
    pub fn poll_expired(&mut self, now: Instant) -> Option<K> {
        if self.next_deadline()? > now {
            return None;
        }
        self.heap.pop().map(|timer| timer.key)
    }
}

impl<K> Default for Timers<K> {
    fn default() -> Self {
        Self::new()
    }
}

#[derive(Clone, Debug)]
struct Timer<K> {
    deadline: Instant,
    /// Tells equal deadlines apart.
    sequence: u64,
    key: K,
}

impl<K> Ord for Timer<K> {
    /// The earliest is the greatest, since the heap gives that first.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.deadline, other.sequence).cmp(&(self.deadline, self.sequence))
    }
}

impl<K> PartialOrd for Timer<K> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<K> Eq for Timer<K> {}

impl<K> PartialEq for Timer<K> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_beyond_the_clock_is_never() {
        assert_eq!(deadline_after(Duration::MAX), None);
        assert!(deadline_after(Duration::from_secs(1)) > Some(Instant::now()));
    }

    #[test]
    fn what_is_no_longer_wanted_is_dropped_and_the_rest_keeps_its_order() {
        let (mut timers, now) = (Timers::new(), Instant::now());
        [5, 1, 4, 1, 3].iter().for_each(|&at| timers.insert(now + Duration::from_secs(at), at));
        timers.retain(|&at| at != 1);
        assert_eq!((timers.len(), timers.is_empty()), (3, false));
        let end = now + Duration::from_secs(9);
        assert_eq!([(); 4].map(|()| timers.poll_expired(end)), [Some(3), Some(4), Some(5), None]);
    }

    #[test]
    fn what_is_next_and_no_longer_wanted_is_dropped_up_to_the_first_that_is() {
        let (mut timers, now) = (Timers::new(), Instant::now());
        [4, 2, 3, 1].iter().for_each(|&at| timers.insert(now + Duration::from_secs(at), at));
        timers.drop_next(|&at| at == 3);
        assert_eq!((timers.len(), timers.next_deadline()), (2, Some(now + Duration::from_secs(3))));
        timers.drop_next(|_| false);
        assert_eq!(timers.next_deadline(), None);
    }

    #[test]
    fn the_earliest_expires_first_and_equals_in_their_order() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut timers = Timers::new();
        for (ms, key) in [(30, 'd'), (10, 'a'), (20, 'b'), (20, 'c')] {
            timers.insert(at(ms), key);
        }
        assert_eq!(timers.next_deadline(), Some(at(10)));
        assert_eq!(timers.poll_expired(at(9)), None);
        let due: String = std::iter::from_fn(|| timers.poll_expired(at(20))).collect();
        assert_eq!(due, "abc");
        assert_eq!(timers.next_deadline(), Some(at(30)));
        assert_eq!(timers.poll_expired(at(30)), Some('d'));
        assert_eq!(timers.next_deadline(), None);
    }
}
