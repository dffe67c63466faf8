//! Claims about lending that hold in every interleaving.
//!
//! Deliberately absent: an owner that waits in `take`. That is a mutex, whose fairness no model
//! knows.

use loom::thread;

use super::*;
use crate::sync::Arc;
use crate::sync::model::check;

#[test]
fn an_owner_that_finds_a_thing_lent_is_told() {
    check(|| {
        let lent = Arc::new(Lent::new(0));
        let borrowing = thread::spawn({
            let lent = lent.clone();
            move || lent.borrow(|thing| *thing += 1)
        });
        let is_taken = lent.try_take().is_some();
        let borrowed = borrowing.join().unwrap();
        let is_told = borrowed.is_some_and(|(_, is_awaited)| is_awaited);
        assert!(is_taken || is_told, "the owner waits for ever");
        assert_eq!(*lent.take(), i32::from(borrowed.is_some()));
    });
}
