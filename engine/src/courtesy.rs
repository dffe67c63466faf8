//! Courtesy: letting others run on a core before going to sleep on it.
//!
//! Where an application thread and its I/O thread share a core, each mostly waits for what the
//! other does next. If the one yields, the other does it at once, and neither has to sleep and be
//! woken. Where nobody waits for the core, a yield is a short system call. Where strangers do, it
//! costs the rest of their turn: a thread that has met them does not yield for a while. Who they
//! were is told by what was done meanwhile, and after a short yield does not matter.
//!
//! While much flows, an I/O thread does not interrupt who has woken it on its own core either: it
//! would find the beginning of what is being written. It runs when that is done. A thread that
//! shares its core with nobody notices nothing of all this.
//!
//! Who waits for an answer yields again and again for a while ([`Patience`]): an answer that comes
//! by then costs no sleep, and its sender nobody's wake-up.
//!
//! Deliberately absent: spinning, which keeps a core from others.

use std::cell::Cell;
use std::thread;
use std::time::{Duration, Instant};

use crate::ring::scheduling::Scheduling;

/// A yield of up to this long was well spent.
const SHORT: Duration = Duration::from_micros(500);
/// How long a thread does not yield after a long one; twice as long with each in a row.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(10);

thread_local! {
    static COURTESY: Courtesy = const { Courtesy::new() };
}

/// Lets others run on the calling thread's core, unless strangers have lately done so for long.
/// After a long yield, `has_gained` answers whether it served the caller.
pub fn yield_core(has_gained: impl FnOnce() -> bool) {
    COURTESY.with(|courtesy| {
        let start = Instant::now();
        if courtesy.is_due(start) {
            thread::yield_now();
            courtesy.note(start, Instant::now(), has_gained);
        }
    });
}

/// For so long an answer is looked out for: some two to five wake-ups.
const PATIENCE: Duration = Duration::from_micros(50);
/// So many waits at most follow a look-out in vain before the next one.
const SKIPS_MAX: u32 = 64;

/// How one waiter's look-outs went.
#[derive(Debug, Default)]
pub struct Patience {
    /// Waits before the next look-out.
    skips: u32,
    /// As many as there were after the last one that was in vain.
    skipped: u32,
}

impl Patience {
    /// Lets others run on the calling thread's core until `has_come` answers, for 50 µs at most and
    /// not beyond `until`; not at all for some waits after that was in vain, or where strangers
    /// have lately run for long. Whether it answered.
    pub fn look_out(&mut self, until: Option<Instant>, has_come: impl Fn() -> bool) -> bool {
        if self.skips > 0 {
            self.skips -= 1;
            return false;
        }
        let is_seen = COURTESY.with(|courtesy| courtesy.yield_until(until, has_come));
        self.skipped = if is_seen { 0 } else { (self.skipped * 2).clamp(1, SKIPS_MAX) };
        self.skips = self.skipped;
        is_seen
    }
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

    fn yield_until(&self, until: Option<Instant>, has_come: impl Fn() -> bool) -> bool {
        let mut now = Instant::now();
        let end = until.unwrap_or(now + PATIENCE).min(now + PATIENCE);
        while self.is_due(now) && now < end {
            thread::yield_now();
            let start = std::mem::replace(&mut now, Instant::now());
            self.note(start, now, &has_come);
            if has_come() {
                return true;
            }
        }
        false
    }

    fn note(&self, start: Instant, end: Instant, has_gained: impl FnOnce() -> bool) {
        if end - start <= SHORT || has_gained() {
            self.again_at.set(None);
            return self.pause.set(PAUSE_MIN);
        }
        let pause = self.pause.get();
        self.again_at.set(Some(end + pause));
        self.pause.set((pause * 2).min(PAUSE_MAX));
    }
}

/// After a turn that moved so many bytes at once, much flows: less than the default high-water mark
/// in messages of 16 bytes.
const FLOW_SIZE: usize = 8 * 1024;
/// After so many turns in a row that did not, it no longer does.
const QUIET_TURNS: u32 = 64;

/// Whether an I/O thread, once woken, lets others finish.
#[derive(Debug)]
pub struct Deference {
    /// `None`: somebody has chosen this thread's scheduling, and we leave it alone.
    policy: Option<Scheduling>,
    quiet_turns: u32,
}

impl Deference {
    /// For the calling thread.
    #[must_use]
    pub fn of_this_thread() -> Self {
        let policy = Scheduling::current().filter(|&policy| policy == Scheduling::Normal);
        Self { policy, quiet_turns: 0 }
    }

    /// A turn has moved so many bytes at once.
    #[inline]
    pub fn note(&mut self, bytes: usize) {
        let is_flow = bytes >= FLOW_SIZE;
        self.quiet_turns = if is_flow { 0 } else { self.quiet_turns.saturating_add(1) };
        match self.policy {
            Some(Scheduling::Normal) if is_flow => self.change(Scheduling::Batch),
            Some(Scheduling::Batch) if self.quiet_turns >= QUIET_TURNS => {
                self.change(Scheduling::Normal);
            }
            _ => {}
        }
    }

    /// Where it is refused, the thread stays as it is.
    #[cold]
    fn change(&mut self, policy: Scheduling) {
        self.policy = policy.apply().is_ok().then_some(policy);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_defers_to_others_while_much_flows_and_a_while_longer() {
        thread::spawn(|| {
            let mut deference = Deference::of_this_thread();
            deference.note(FLOW_SIZE - 1);
            assert_eq!(Scheduling::current(), Some(Scheduling::Normal));
            deference.note(FLOW_SIZE);
            (1..QUIET_TURNS).for_each(|_| deference.note(0));
            assert_eq!(Scheduling::current(), Some(Scheduling::Batch));
            deference.note(0);
            assert_eq!(Scheduling::current(), Some(Scheduling::Normal));
        })
        .join()
        .unwrap();
    }

    #[test]
    fn a_thread_does_not_yield_for_a_while_after_a_long_yield_in_vain() {
        let (courtesy, start) = (Courtesy::new(), Instant::now());
        assert!(courtesy.is_due(start));
        courtesy.note(start, start + SHORT, || false);
        assert!(courtesy.is_due(start));
        courtesy.note(start, start + SHORT * 2, || true);
        assert!(courtesy.is_due(start));
        courtesy.note(start, start + SHORT * 2, || false);
        let end = start + SHORT * 2 + PAUSE_MIN;
        assert!(!courtesy.is_due(end - SHORT));
        assert!(courtesy.is_due(end));
    }

    #[test]
    fn a_look_out_ends_when_something_has_come_at_its_deadline_and_by_itself() {
        assert!(Patience::default().look_out(None, || true));
        let not_asked = || unreachable!("there is no time");
        assert!(!Patience::default().look_out(Some(Instant::now()), not_asked));
        assert!(!Patience::default().look_out(None, || false));
    }

    #[test]
    fn after_look_outs_in_vain_more_and_more_waits_go_without_up_to_a_bound() {
        let (mut patience, now) = (Patience::default(), Instant::now());
        for skips in [1, 2, 4, 8, 16, 32, 64, 64, 64] {
            assert!(!patience.look_out(Some(now), || true));
            for _ in 0..skips {
                assert!(!patience.look_out(None, || unreachable!("no look-out is due")));
            }
        }
        assert!(patience.look_out(None, || true));
        assert!(patience.look_out(None, || true));
    }

    #[test]
    fn the_while_doubles_with_each_long_yield_in_a_row_up_to_a_bound() {
        let (courtesy, mut now) = (Courtesy::new(), Instant::now());
        for times in [1, 2, 4, 8, 16, 32, 64, 100, 100] {
            courtesy.note(now, now + SHORT * 2, || false);
            now += SHORT * 2 + PAUSE_MIN * times;
            assert!(courtesy.is_due(now) && !courtesy.is_due(now - SHORT));
        }
        courtesy.note(now, now, || false);
        courtesy.note(now, now + SHORT * 2, || false);
        assert!(courtesy.is_due(now + SHORT * 2 + PAUSE_MIN));
    }
}
