//! A wish: how a thread that waits for what several others bring closer is told of it, once.
//!
//! It wishes and looks once more; they look for a wish behind all that they do. Between each pair
//! of store and load stands a fence, and a model deadlocks without either of them.
//!
//! Deliberately absent: what is wished for, and the way to tell. See [`credit`](crate::credit) for
//! two threads of which one waits for a certain number.

use crate::sync::{AtomicBool, Ordering, fence};

/// Whether somebody waits.
#[derive(Debug)]
pub struct Wish {
    is_made: AtomicBool,
}

impl Default for Wish {
    fn default() -> Self {
        Self { is_made: AtomicBool::new(false) }
    }
}

impl Wish {
    /// Called by who waits, before it looks once more.
    pub fn make(&self) {
        self.is_made.store(true, Ordering::Relaxed);
        // Pairs with the fence in `take`: what was brought is seen, or the wish is.
        fence(Ordering::SeqCst);
    }

    /// Called behind what may be waited for. True: tell who waits.
    #[must_use]
    pub fn take(&self) -> bool {
        // Pairs with the fence in `make`.
        fence(Ordering::SeqCst);
        let relaxed = Ordering::Relaxed;
        self.is_made.load(relaxed)
            && self.is_made.compare_exchange(true, false, relaxed, relaxed).is_ok()
    }
}

#[cfg(all(test, loom))]
mod model;
