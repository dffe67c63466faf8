//! The watchdog: a test that waits for what never comes ends, and says which it was.

use std::io::Write;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

/// How long any one wait may take. Far beyond what a loaded machine needs, so that it tells a hang
/// and not a slow day.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Ends the process unless it is dropped in time, or told that there is progress.
pub struct Watchdog {
    progress: Sender<()>,
}

impl Watchdog {
    /// Watches `what`.
    #[must_use]
    pub fn new(what: impl Into<String>) -> Self {
        let (progress, heard) = channel();
        let what = what.into();
        let watch = move || {
            loop {
                match heard.recv_timeout(PATIENCE) {
                    Ok(()) => {}
                    Err(RecvTimeoutError::Disconnected) => return,
                    Err(RecvTimeoutError::Timeout) => {
                        give_up(&format!("WATCHDOG: {what} made no progress for {PATIENCE:?}"));
                    }
                }
            }
        };
        let thread = std::thread::Builder::new().name(String::from("watchdog"));
        thread.spawn(watch).expect("a thread can be started");
        Self { progress }
    }

    /// Watches the test that runs on this thread.
    #[must_use]
    pub fn of_this_test() -> Self {
        let thread = std::thread::current();
        Self::new(thread.name().unwrap_or("a test without a name"))
    }

    /// There is progress: the wait begins anew.
    pub fn pat(&self) {
        // It listens for as long as `self` lives.
        let _result = self.progress.send(());
    }
}

/// Ends the process, with a word that the test harness does not capture.
pub(crate) fn give_up(word: &str) -> ! {
    // Nobody is left to tell if that fails.
    let _result = writeln!(std::io::stderr(), "{word}");
    std::process::abort();
}
