//! The one door to atomics, locks and shared ownership: std's, or loom's when a model runs.
//!
//! Everything in this crate that two threads touch goes through here, so that `--cfg loom` turns
//! the same source into a model. Order between threads comes from fences between relaxed accesses
//! where a store must be seen before a load, because loom models those and does not model
//! sequentially consistent accesses.
//!
//! `--cfg instrumented` is for the thread sanitizer, which knows no fences and sees only code that
//! was built with it. Of std's mutex that is all but the waiting, so nobody waits then: who finds a
//! mutex locked tries again. Counts are acquired by a load instead of a fence.
//!
//! Deliberately absent: poisoning. A panic under one of our locks leaves plain data behind.

pub(crate) mod barrier;

#[cfg(loom)]
pub(crate) use loom::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence},
};
#[cfg(loom)]
pub use loom::sync::{Mutex, MutexGuard};
#[cfg(not(loom))]
pub(crate) use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence},
};
#[cfg(not(loom))]
pub use std::sync::{Mutex, MutexGuard};

use std::ops::Range;
use std::sync::{PoisonError, TryLockError};

/// What a model watches in place of memory that it cannot see: one cell per byte. Outside of
/// models it is nothing.
pub(crate) struct Shadow {
    #[cfg(loom)]
    cells: Box<[loom::cell::UnsafeCell<()>]>,
}

impl Shadow {
    #[cfg(loom)]
    pub(crate) fn new(len: usize) -> Self {
        Self { cells: (0..len).map(|_| loom::cell::UnsafeCell::new(())).collect() }
    }

    /// The bytes in `range` are read. A model fails if a write is not ordered before or behind.
    #[cfg(loom)]
    pub(crate) fn read(&self, range: Range<usize>) {
        self.cells[range].iter().for_each(|cell| cell.with(|_| ()));
    }

    /// The bytes in `range` are written. As above, and other writes count too.
    #[cfg(loom)]
    pub(crate) fn write(&self, range: Range<usize>) {
        self.cells[range].iter().for_each(|cell| cell.with_mut(|_| ()));
    }

    #[cfg(not(loom))]
    pub(crate) const fn new(_len: usize) -> Self {
        Self {}
    }

    #[cfg(not(loom))]
    #[inline(always)]
    pub(crate) const fn read(&self, _range: Range<usize>) {}

    #[cfg(not(loom))]
    #[inline(always)]
    pub(crate) const fn write(&self, _range: Range<usize>) {}
}

/// Locks, whether or not an earlier holder panicked.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    while cfg!(instrumented) {
        if let Some(guard) = try_lock(mutex) {
            return guard;
        }
        std::thread::yield_now();
    }
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// As [`lock`], if nobody holds it.
pub(crate) fn try_lock<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    match mutex.try_lock() {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

/// For who has just taken `count` to zero: what the others did before they took their part comes
/// before what follows.
#[inline]
pub(crate) fn acquire(count: &AtomicUsize) {
    if cfg!(instrumented) {
        count.load(Ordering::Acquire);
    } else {
        fence(Ordering::Acquire);
    }
}

#[cfg(all(test, loom))]
pub(crate) mod model;
