//! Claims about wishes that hold in every interleaving.
//!
//! Deliberately absent: a wish that nobody fulfils, which is what timeouts are for.

use loom::thread;

use super::*;
use crate::inbox::Wake;
use crate::sync::model::{Sleeper, check};
use crate::sync::{Arc, AtomicU64};

/// What one thread waits for and several bring.
#[derive(Default)]
struct Fixture {
    wish: Wish,
    told: Sleeper,
}

impl Fixture {
    fn bring(&self, brought: &AtomicU64) {
        brought.fetch_add(1, Ordering::Release);
        if self.wish.take() {
            self.told.wake();
        }
    }
}

#[test]
fn who_waits_for_several_is_told_until_the_last_has_brought_its_part() {
    check(|| {
        let fixture = Arc::new(Fixture::default());
        let parts = Arc::new([AtomicU64::new(0), AtomicU64::new(0)]);
        let bringing = [0, 1].map(|part| {
            let (fixture, parts) = (fixture.clone(), parts.clone());
            thread::spawn(move || fixture.bring(&parts[part]))
        });
        let are_there = || parts.iter().all(|part| part.load(Ordering::Acquire) == 1);
        while !are_there() {
            fixture.wish.make();
            if !are_there() {
                fixture.told.sleep();
            }
        }
        for thread in bringing {
            thread.join().unwrap();
        }
    });
}

#[test]
fn one_who_brings_twice_does_so_for_a_wish_in_between_too() {
    check(|| {
        let fixture = Arc::new(Fixture::default());
        let brought = Arc::new(AtomicU64::new(0));
        let bringing = thread::spawn({
            let (fixture, brought) = (fixture.clone(), brought.clone());
            move || (0..2).for_each(|_| fixture.bring(&brought))
        });
        for wanted in 1..=2 {
            while brought.load(Ordering::Acquire) < wanted {
                fixture.wish.make();
                if brought.load(Ordering::Acquire) < wanted {
                    fixture.told.sleep();
                }
            }
        }
        bringing.join().unwrap();
    });
}
