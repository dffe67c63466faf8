//! A global allocator that notices being called, and by whom.
//!
//! Deliberately absent: a count. The first call is one too many.
#![allow(
    unsafe_code,
    reason = "`GlobalAlloc` is an unsafe trait; every call is handed to `System`"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::backtrace::Backtrace;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

#[global_allocator]
static NOTICING: Noticing = Noticing;

static IS_ON: AtomicBool = AtomicBool::new(false);
static FIRST: Mutex<Option<Backtrace>> = Mutex::new(None);

/// Notices from now on.
pub(crate) fn start() {
    IS_ON.store(true, SeqCst);
}

/// Notices no more. Answers where memory was asked for first since [`start`].
pub(crate) fn stop() -> Option<Backtrace> {
    let was_called = !IS_ON.swap(false, SeqCst);
    // Whoever called is about to say where.
    while was_called && FIRST.lock().unwrap().is_none() {
        std::thread::yield_now();
    }
    FIRST.lock().unwrap().take()
}

struct Noticing;

fn notice() {
    // Off, for saying where allocates.
    if IS_ON.load(SeqCst) && !is_test_harness() && IS_ON.swap(false, SeqCst) {
        let place = Backtrace::force_capture();
        *FIRST.lock().unwrap() = Some(place);
    }
}

/// The process's first thread only waits for the threads that tests run on.
fn is_test_harness() -> bool {
    rustix::thread::gettid() == rustix::process::getpid()
}

// SAFETY: every method forwards its arguments unchanged to `System`, which upholds the contract.
unsafe impl GlobalAlloc for Noticing {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        notice();
        // SAFETY: the caller's promise about `layout` is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: `place` came from `System` with this `layout`, by the caller's promise.
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        notice();
        // SAFETY: the caller's promise about `layout` is passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        notice();
        // SAFETY: `place` came from `System` with this `layout`, by the caller's promise.
        unsafe { System.realloc(place, layout, size) }
    }
}
