//! What the models of this crate share: how they are run, and how their threads sleep.
//!
//! A model is a small program that loom runs in every interleaving, and with every value that a
//! relaxed load may see. It fails on a broken claim, on two accesses to one byte that nothing
//! orders, on memory that is never given back, and on a sleep that nobody ends.
//!
//! Deliberately absent: spinning. A thread that has nothing to do sleeps or has ended its part.

use loom::sync::{Condvar, Mutex};

use super::lock;
use crate::inbox::Wake;

/// How often the threads of a model are interrupted at most, unless `LOOM_MAX_PREEMPTIONS` says
/// otherwise. Every fault that was tried shows with two; each more multiplies the time.
const PREEMPTIONS_MAX: usize = 3;
/// Steps of one run. A run with more than this does not end.
const STEPS_MAX: usize = 10_000;

/// Runs `program` in every interleaving with few preemptions.
pub(crate) fn check(program: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound.get_or_insert(PREEMPTIONS_MAX);
    builder.max_branches = STEPS_MAX;
    builder.check(program);
}

/// A thread's place to sleep. A ring that is not rung is a deadlock, and loom says so.
#[derive(Default)]
pub(crate) struct Sleeper {
    is_rung: Mutex<bool>,
    rung: Condvar,
}

impl Sleeper {
    /// Sleeps until it is rung; not at all if it was since the last sleep.
    pub(crate) fn sleep(&self) {
        let mut is_rung = lock(&self.is_rung);
        while !*is_rung {
            is_rung = self.rung.wait(is_rung).expect("no model goes on after a panic");
        }
        *is_rung = false;
    }
}

impl Wake for Sleeper {
    fn wake(&self) {
        *lock(&self.is_rung) = true;
        self.rung.notify_one();
    }
}
