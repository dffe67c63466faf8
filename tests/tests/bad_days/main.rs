//! Bad days: peers that lie, stall or are killed; endpoints, descriptors and rings that are not to
//! be had; forks, signals and shutdowns.
//!
//! Whatever happens, a socket's good peers go on, and a message comes whole or not at all. What
//! would hurt other tests happens in a process of its own: a test marked as a child's.
//!
//! Deliberately absent: what peers do that keep to the protocol. That is in `conformance`.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed there")]

use tests::{Cell, Ground, child};
use zring::{Pull, Push};

mod crowds;
mod cut_off;
mod endings;
mod killed;
mod limits;
mod lingering;
mod malformed;
mod names;
mod passing;
mod raw;
mod refusals;
mod subscriptions;

/// Of a test that is ignored because another one runs it, as a process of its own: what it was
/// given. Returns from the test if nobody gave it anything.
macro_rules! child_arguments {
    () => {
        match tests::child::arguments() {
            Some(arguments) => arguments,
            None => return,
        }
    };
}
pub(crate) use child_arguments;

/// What a child says at its end, so that it is known to have run.
const DONE: &str = "done";

/// As a child: all was as claimed.
fn tell_done() {
    child::tell(DONE);
}

/// Runs a child to its end.
#[track_caller]
fn run_child(name: &str, arguments: &[&str]) {
    let words = child::spawn(name, arguments).succeed();
    assert_eq!(words, [DONE], "{name} {arguments:?}");
}

/// Two sockets that have talked, and still do.
fn talking<G: Ground>(cell: &Cell<G>) -> (Push<G::Driver>, Pull<G::Driver>) {
    let mut pull = Pull::new(&cell.context).unwrap();
    let mut push = Push::new(&cell.context).unwrap();
    push.connect(&pull.bind(&cell.endpoint()).unwrap()).unwrap();
    push.send("before").unwrap();
    assert_eq!(pull.recv().unwrap(), "before");
    (push, pull)
}
