//! The watchdog: a test that waits for what never comes ends, and says which it was.
//!
//! Deliberately absent: a maximum for a whole test. Progress begins the wait anew.

use std::io::Write;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// How long any one wait may take. Far beyond what a loaded machine needs, so that it tells a hang
/// and not a slow day.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Ends the process unless it is dropped in time, or told that there is progress. Once it is made
/// it allocates nothing.
pub struct Watchdog(Arc<Watched>);

#[derive(Default)]
struct Watched {
    state: Mutex<State>,
    change: Condvar,
}

#[derive(Default)]
struct State {
    is_up: bool,
    has_progress: bool,
    is_over: bool,
}

impl Watched {
    fn set(&self, set: impl FnOnce(&mut State)) {
        set(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.change.notify_all();
    }

    /// Waits until `is_it`. False: it was not, for the whole of [`PATIENCE`].
    fn wait_until(&self, is_it: impl Fn(&State) -> bool) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.change.wait_timeout_while(state, PATIENCE, |state| !is_it(state));
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }
}

impl Watchdog {
    /// Watches `what`.
    #[must_use]
    pub fn new(what: impl Into<String>) -> Self {
        let watched = Arc::<Watched>::default();
        let (seen, what) = (watched.clone(), what.into());
        let watch = move || {
            seen.set(|state| state.is_up = true);
            let mut is_over = false;
            while !is_over {
                if !seen.wait_until(|state| state.has_progress || state.is_over) {
                    give_up(&format!("WATCHDOG: {what} made no progress for {PATIENCE:?}"));
                }
                seen.set(|state| (state.has_progress, is_over) = (false, state.is_over));
            }
        };
        let thread = std::thread::Builder::new().name(String::from("watchdog"));
        thread.spawn(watch).expect("a thread can be started");
        watched.wait_until(|state| state.is_up);
        Self(watched)
    }

    /// Watches the test that runs on this thread.
    #[must_use]
    pub fn of_this_test() -> Self {
        let thread = std::thread::current();
        Self::new(thread.name().unwrap_or("a test without a name"))
    }

    /// There is progress: the wait begins anew.
    pub fn pat(&self) {
        self.0.set(|state| state.has_progress = true);
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.0.set(|state| state.is_over = true);
    }
}

/// Ends the process, with a word that the test harness does not capture.
pub(crate) fn give_up(word: &str) -> ! {
    // Nobody is left to tell if that fails.
    let _result = writeln!(std::io::stderr(), "{word}");
    std::process::abort();
}
