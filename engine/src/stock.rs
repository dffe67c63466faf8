//! Stocks: what is used again instead of being freed, so that a steady state asks no allocator.
//!
//! A stock found empty makes several more: a peak that is a little above all before it finds some.
//! The list's own memory is there before anything is put back.
//!
//! Deliberately absent: giving memory back. What is unused is bounded by `kept_max`.

use crate::sync::{Mutex, lock};

/// Things made at first: two for each direction of both ends of a pair that lives in one context,
/// which may all turn over at once, and some more.
const BATCH_FIRST: usize = 12;

/// Equal things that are unused. Any thread takes, any thread puts back.
pub(crate) struct Stock<T> {
    things: Mutex<Things<T>>,
    kept_max: usize,
    batch: usize,
}

struct Things<T> {
    unused: Vec<T>,
    /// How many were ever made, `kept_max` at most. As many have room in `unused`.
    made: usize,
}

impl<T> Stock<T> {
    /// An empty stock that keeps at most `kept_max` unused things. Behind a few it makes `batch` at
    /// once, with the lock held.
    pub(crate) fn new(kept_max: usize, batch: usize) -> Self {
        Self { things: Mutex::new(Things { unused: Vec::new(), made: 0 }), kept_max, batch }
    }

    /// An unused thing, or a new one.
    pub(crate) fn take(&self, make: impl FnMut() -> T) -> T {
        let mut things = lock(&self.things);
        match things.unused.pop() {
            Some(thing) => thing,
            None => self.make_more(&mut things, make),
        }
    }

    #[cold]
    fn make_more(&self, things: &mut Things<T>, mut make: impl FnMut() -> T) -> T {
        let batch = if things.made == 0 { BATCH_FIRST } else { self.batch };
        let kept = if cfg!(loom) { 1 } else { batch }.min(self.kept_max - things.made);
        things.made += kept;
        things.unused.reserve_exact(things.made);
        things.unused.extend((1..kept).map(|_| make()));
        make()
    }

    /// Takes back what nobody uses. What is too much is freed.
    pub(crate) fn put(&self, thing: T) {
        let mut things = lock(&self.things);
        if things.unused.len() < things.made {
            return things.unused.push(thing);
        }
        // It may take a while to be freed.
        drop(things);
        drop(thing);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// Takes `count` things at once and puts them back. Answers how many had to be made.
    fn peak(stock: &Stock<()>, count: usize) -> usize {
        let mut made = 0;
        let taken: Vec<_> = (0..count).map(|_| stock.take(|| made += 1)).collect();
        taken.into_iter().for_each(|thing| stock.put(thing));
        made
    }

    #[test]
    fn a_peak_makes_room_for_one_that_is_higher() {
        let stock = Stock::new(1000, 20);
        let made = [1, 12, 13, 32, 33, 52, 53].map(|count| peak(&stock, count));
        assert_eq!(made, [12, 0, 20, 0, 20, 0, 20]);
    }

    #[test]
    fn what_is_too_much_is_not_kept() {
        let stock = Stock::new(4, 20);
        assert_eq!(peak(&stock, 100), 100, "none is made that is not kept");
        assert_eq!(lock(&stock.things).unused.len(), 4);
        assert_eq!(peak(&stock, 4), 0);
    }
}
