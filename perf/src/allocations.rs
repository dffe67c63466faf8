//! A global allocator that counts, for the row "allocations per message in the steady state".
//!
//! Counting is off until a worker turns it on between two points of its run, on every thread of
//! the process.
//!
//! Deliberately absent: C and C++ allocations. libzmq calls `malloc` behind this allocator's back,
//! so its count says nothing and is not reported.
#![allow(
    unsafe_code,
    reason = "`GlobalAlloc` is an unsafe trait; every call is handed to `System`"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

#[global_allocator]
static COUNTING: Counting = Counting;

static IS_ON: AtomicBool = AtomicBool::new(false);
static COUNT: AtomicU64 = AtomicU64::new(0);

/// Starts counting from zero.
pub(crate) fn start() {
    COUNT.store(0, Relaxed);
    IS_ON.store(true, Relaxed);
}

/// Stops counting.
pub(crate) fn stop() {
    IS_ON.store(false, Relaxed);
}

/// Allocations and reallocations between [`start`] and [`stop`].
pub(crate) fn counted() -> u64 {
    COUNT.load(Relaxed)
}

struct Counting;

fn count() {
    if IS_ON.load(Relaxed) {
        COUNT.fetch_add(1, Relaxed);
    }
}

// SAFETY: every method forwards its arguments unchanged to `System`, which upholds the contract.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise about `layout` is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: `place` came from `System` with this `layout`, by the caller's promise.
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise about `layout` is passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: `place` came from `System` with this `layout`, by the caller's promise.
        unsafe { System.realloc(place, layout, size) }
    }
}
