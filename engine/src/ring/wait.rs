//! How long a turn waits, and how: not at all, in the kernel, spinning, or one after the other.
//!
//! With `DEFER_TASKRUN` completions are posted only while this thread is inside an enter, and the
//! kernel raises a flag in shared memory when an enter would bring some. Spinning therefore reads
//! two words and enters only when the flag is up. Submitting and sleeping are two calls, because a
//! signal during one call that does both is reported as success; the second is left out when the
//! first brought something.
//!
//! Deliberately absent: waiting for more than one completion. Without a minimal wait one wake-up
//! would not end it.

use std::hint;
use std::time::{Duration, Instant};

use super::Ring;
use crate::error::Error;
use crate::timer::deadline_after;

/// How long [`turn`](crate::Reactor::turn) waits when nothing has completed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Wait {
    /// Not at all. No system call is made when there is nothing to submit and nothing has come.
    No,
    /// Sleep in the kernel, until the instant if there is one.
    Until(Option<Instant>),
    /// Keep the core and look, until the instant if there is one. Signals do not end it.
    Spin(Option<Instant>),
    /// Spin for a while first, then sleep.
    SpinThenBlock {
        /// How long to spin.
        spin: Duration,
        /// When to give up altogether.
        until: Option<Instant>,
    },
}

/// The kernel's clock overflows by times that ours can still tell. A turn may return early.
const SLEEP_MAX: Duration = Duration::from_secs(3600);
/// Looks between two readings of the clock: a look is a pause instruction, the clock 10 to 25 ns.
const LOOKS_PER_CLOCK: u32 = 64;

impl Ring {
    /// Submits what was pushed and waits until something has completed or the wait is over.
    pub(crate) fn enter(&mut self, wait: Wait) -> Result<(), Error> {
        if self.has_unsubmitted() || self.needs_enter() {
            self.submit()?;
        }
        // What the kernel would not take yet is tried again in the next turn, not slept upon.
        if self.has_completions() || self.has_unsubmitted() {
            return Ok(());
        }
        match wait {
            Wait::No => Ok(()),
            Wait::Until(until) => self.block(until),
            Wait::Spin(until) => self.spin(until).map(drop),
            Wait::SpinThenBlock { spin, until } => {
                let spun = deadline_after(spin).into_iter().chain(until).min();
                if self.spin(spun)? { Ok(()) } else { self.block(until) }
            }
        }
    }

    fn block(&self, until: Option<Instant>) -> Result<(), Error> {
        let Some(until) = until else { return self.wait(None) };
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() { Ok(()) } else { self.wait(Some(left.min(SLEEP_MAX))) }
    }

    /// Whether something completed before the instant.
    fn spin(&mut self, until: Option<Instant>) -> Result<bool, Error> {
        loop {
            for _ in 0..LOOKS_PER_CLOCK {
                if self.needs_enter() {
                    self.submit()?;
                }
                if self.has_completions() {
                    return Ok(true);
                }
                hint::spin_loop();
            }
            if until.is_some_and(|until| Instant::now() >= until) {
                return Ok(false);
            }
        }
    }
}
