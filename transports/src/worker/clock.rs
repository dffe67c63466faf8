//! The clock: what a worker takes for now. In tests it stands still once it was set.
//!
//! Deliberately absent: waiting. How long the kernel is waited for, the kernel's clock says.

use std::time::{Duration, Instant};

/// See the [module](self).
#[derive(Default)]
pub(super) struct Clock {
    #[cfg(test)]
    pub(super) set: Option<Instant>,
}

impl Clock {
    pub(super) fn now(&self) -> Instant {
        #[cfg(test)]
        if let Some(set) = self.set {
            return set;
        }
        Instant::now()
    }

    /// The instant that is so far from now. `None`, which is never: the clock does not reach there.
    pub(super) fn after(&self, time: Duration) -> Option<Instant> {
        self.now().checked_add(time)
    }
}
