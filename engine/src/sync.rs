//! The one door to atomics, locks and shared ownership: std's, or loom's when a model runs.
//!
//! Everything in this crate that two threads touch goes through here, so that `--cfg loom` turns
//! the same source into a model. Order between threads comes from fences between relaxed accesses
//! where a store must be seen before a load, because loom models those and does not model
//! sequentially consistent accesses.
//!
//! Deliberately absent: poisoning. A panic under one of our locks leaves plain data behind.

#[cfg(loom)]
pub(crate) use loom::sync::{
    Arc, Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence},
};
#[cfg(not(loom))]
pub(crate) use std::sync::{
    Arc, Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence},
};

use std::sync::PoisonError;

/// Locks, whether or not an earlier holder panicked.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
