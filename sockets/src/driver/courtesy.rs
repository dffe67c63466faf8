//! Courtesy: letting others run on a core before going to sleep on it.
//!
//! Where an application thread and its I/O thread share a core, each mostly waits for what the
//! other does next. If the one yields, the other does it at once, and neither has to sleep and be
//! woken. Where nobody waits for the core, a yield is a short system call. Where strangers do, it
//! costs the rest of their turn: a thread that has met them does not yield for a while.
//!
//! Deliberately absent: spinning.

use std::cell::Cell;
use std::thread;
use std::time::{Duration, Instant};

/// A yield of up to this long was well spent.
const SHORT: Duration = Duration::from_micros(500);
/// How long a thread does not yield after a long one; twice as long with each in a row.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(10);

thread_local! {
    static COURTESY: Courtesy = const { Courtesy::new() };
}

/// Lets others run on the calling thread's core, unless that has lately taken long.
pub(super) fn yield_core() {
    COURTESY.with(|courtesy| {
        let start = Instant::now();
        if courtesy.is_due(start) {
            thread::yield_now();
            courtesy.note(start, Instant::now());
        }
    });
}

/// What a thread remembers of its yields.
struct Courtesy {
    again_at: Cell<Option<Instant>>,
    pause: Cell<Duration>,
}

impl Courtesy {
    const fn new() -> Self {
        Self { again_at: Cell::new(None), pause: Cell::new(PAUSE_MIN) }
    }

    fn is_due(&self, now: Instant) -> bool {
        self.again_at.get().is_none_or(|at| now >= at)
    }

    fn note(&self, start: Instant, end: Instant) {
        if end - start <= SHORT {
            self.again_at.set(None);
            return self.pause.set(PAUSE_MIN);
        }
        let pause = self.pause.get();
        self.again_at.set(Some(end + pause));
        self.pause.set((pause * 2).min(PAUSE_MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_does_not_yield_for_a_while_after_a_long_yield() {
        let (courtesy, start) = (Courtesy::new(), Instant::now());
        assert!(courtesy.is_due(start));
        courtesy.note(start, start + SHORT);
        assert!(courtesy.is_due(start));
        courtesy.note(start, start + SHORT * 2);
        let end = start + SHORT * 2 + PAUSE_MIN;
        assert!(!courtesy.is_due(end - SHORT));
        assert!(courtesy.is_due(end));
    }

    #[test]
    fn the_while_doubles_with_each_long_yield_in_a_row_up_to_a_bound() {
        let (courtesy, mut now) = (Courtesy::new(), Instant::now());
        for times in [1, 2, 4, 8, 16, 32, 64, 100, 100] {
            courtesy.note(now, now + SHORT * 2);
            now += SHORT * 2 + PAUSE_MIN * times;
            assert!(courtesy.is_due(now) && !courtesy.is_due(now - SHORT));
        }
        courtesy.note(now, now);
        courtesy.note(now, now + SHORT * 2);
        assert!(courtesy.is_due(now + SHORT * 2 + PAUSE_MIN));
    }
}
