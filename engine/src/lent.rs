//! What one thread owns and lends to another, for moments: a lock that the owner need not wait for.
//!
//! The borrower never waits: it borrows only what is free. An owner that finds the thing lent
//! leaves a mark, and the borrower, once it has given the thing back, learns that it is awaited and
//! tells the owner. Between each mark and look stands a fence, and a model fails without either.
//!
//! Deliberately absent: how the owner is told. That is an [inbox](crate::inbox)'s business.

use crate::sync::{AtomicBool, Mutex, MutexGuard, Ordering, fence, lock, try_lock};

/// See the [module](self).
#[derive(Debug)]
pub struct Lent<T> {
    thing: Mutex<T>,
    is_awaited: AtomicBool,
}

impl<T> Lent<T> {
    /// A thing that nobody has.
    pub fn new(thing: T) -> Self {
        Self { thing: Mutex::new(thing), is_awaited: AtomicBool::new(false) }
    }

    /// For the owner: waits while the thing is lent.
    pub fn take(&self) -> MutexGuard<'_, T> {
        lock(&self.thing)
    }

    /// For the owner. `None`: the thing is lent, and the borrower will learn that it is awaited.
    pub fn try_take(&self) -> Option<MutexGuard<'_, T>> {
        try_lock(&self.thing).or_else(|| {
            self.is_awaited.store(true, Ordering::Relaxed);
            // Pairs with the fence in `borrow`: we see the thing free, or the mark is seen.
            fence(Ordering::SeqCst);
            try_lock(&self.thing)
        })
    }

    /// For the borrower: uses the thing, if it is free. Answers what `f` did, and whether the owner
    /// awaits the thing and must be told that it is free.
    pub fn borrow<R>(&self, f: impl FnOnce(&mut T) -> R) -> Option<(R, bool)> {
        let mut thing = try_lock(&self.thing)?;
        let answer = f(&mut thing);
        drop(thing);
        // Pairs with the fence in `try_take`.
        fence(Ordering::SeqCst);
        let is_awaited = self.is_awaited.load(Ordering::Relaxed)
            && self.is_awaited.swap(false, Ordering::Relaxed);
        Some((answer, is_awaited))
    }
}

#[cfg(all(test, loom))]
mod model;
#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_not_lent() {
        let lent = Lent::new(1);
        let mut taken = lent.take();
        *taken += 1;
        assert_eq!(lent.borrow(|_| ()), None);
        drop(taken);
        assert_eq!(lent.borrow(|thing| *thing), Some((2, false)));
    }

    #[test]
    fn the_borrower_learns_once_that_the_owner_awaits_the_thing() {
        let lent = Lent::new(());
        assert_eq!(lent.borrow(|()| assert!(lent.try_take().is_none())), Some(((), true)));
        assert_eq!(lent.borrow(|()| ()), Some(((), false)));
    }
}
