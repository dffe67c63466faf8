//! Claims about credit that hold in every interleaving.
//!
//! Deliberately absent: what a log holds. Credit counts, and knows nothing of what it counts.

use loom::thread;

use super::*;
use crate::inbox::Wake;
use crate::sync::model::{Sleeper, check};

/// Waits until a message may be written, and writes one.
fn write_one(allowance: &mut Allowance, told: &Sleeper) {
    while allowance.room() == 0 && !allowance.want() {
        told.sleep();
    }
    allowance.write(1);
}

#[test]
fn a_writer_that_waits_is_told_of_every_grant_it_needs() {
    for (mark, granted) in [(1, 1), (2, 2), (3, 2)] {
        check(move || {
            let (mut allowance, mut consumption) = credit(mark);
            let told = Arc::new(Sleeper::default());
            allowance.write(mark as u64);
            let writing = thread::spawn({
                let told = told.clone();
                move || (0..granted).for_each(|_| write_one(&mut allowance, &told))
            });
            for _ in 0..mark {
                if consumption.take(1) {
                    told.wake();
                }
            }
            writing.join().unwrap();
        });
    }
}

#[test]
fn a_writer_beyond_its_mark_is_told_in_time() {
    check(|| {
        let (mut allowance, mut consumption) = credit(1);
        let told = Arc::new(Sleeper::default());
        let writing = thread::spawn({
            let told = told.clone();
            move || {
                allowance.write(2);
                write_one(&mut allowance, &told);
            }
        });
        for _ in 0..2 {
            if consumption.take(1) {
                told.wake();
            }
        }
        writing.join().unwrap();
    });
}

#[test]
fn no_more_is_written_than_was_granted() {
    check(|| {
        let (mut allowance, mut consumption) = credit(2);
        let reading = thread::spawn(move || {
            let told = [consumption.take(1), consumption.take(1)];
            assert_eq!(told, [false; 2], "nobody wants to be told");
        });
        allowance.write(2);
        let room = allowance.room();
        assert!(room <= 2);
        allowance.write(room);
        assert!(allowance.queued() <= 2);
        reading.join().unwrap();
        assert_eq!((allowance.queued(), allowance.room()), (room, 2 - room));
    });
}
