//! Pace: how fast the machine itself is from one run to the next.
//!
//! Two loops, of some hundred microseconds each. The stores of one do not wait for each other, and
//! share what a core has for them with whoever else runs on it; the steps of the other do, and
//! leave most of the core unused. Where only the first takes longer in some runs than in others,
//! it had a neighbour there, and so had they.
//!
//! Deliberately absent: a correction. Figures are as they were measured.

use std::fmt;
use std::hint::black_box;

use crate::clock;

/// Nanoseconds of one store, and of one step of a chain.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    store: f64,
    step: f64,
}

impl Pace {
    /// As it is now, on the core of the calling thread.
    pub(crate) fn measure() -> Self {
        const ROUNDS: u32 = 200_000;
        const STORES: usize = 6;
        let mut places = [0_u64; STORES];
        let store = per_round(ROUNDS, || {
            places.iter_mut().for_each(|place| *place = black_box(*place).wrapping_add(1));
        });
        let mut link = 1_u64;
        let step = per_round(ROUNDS, || {
            link ^= link << 13;
            link ^= link >> 7;
        });
        black_box((places, link));
        // A link is two shifts and two exclusive ors, each of which waits for the one before.
        Self { store: store / STORES as f64, step: step / 4.0 }
    }
}

fn per_round(rounds: u32, mut round: impl FnMut()) -> f64 {
    let begin = clock::thread_cpu();
    (0..rounds).for_each(|_| round());
    (clock::thread_cpu() - begin) as f64 / f64::from(rounds)
}

/// The least and the most of what was measured.
pub(crate) struct Spread<'a>(pub(crate) &'a [Pace]);

impl fmt::Display for Spread<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bounds = |of: fn(&Pace) -> f64| {
            let all = || self.0.iter().map(of);
            (all().fold(f64::INFINITY, f64::min), all().fold(0.0, f64::max))
        };
        let (store, step) = (bounds(|pace| pace.store), bounds(|pace| pace.step));
        write!(f, "a store {:.2} to {:.2} ns, ", store.0, store.1)?;
        write!(f, "a step that waits for the last {:.2} to {:.2} ns", step.0, step.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_has_the_least_and_the_most_of_each() {
        let paces = [(0.3, 0.33), (0.5, 0.31), (0.4, 0.32)];
        let paces = paces.map(|(store, step)| Pace { store, step });
        let expected = "a store 0.30 to 0.50 ns, a step that waits for the last 0.31 to 0.33 ns";
        assert_eq!(Spread(&paces).to_string(), expected);
    }

    #[test]
    fn a_pace_is_measured_in_time() {
        let Pace { store, step } = Pace::measure();
        assert!(store > 0.0 && step > 0.0);
    }
}
