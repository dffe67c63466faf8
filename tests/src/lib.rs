//! What tests that see more than one crate stand on; they are in `tests/tests`, one binary per
//! concern: `conformance`, `interop` with libzmq, `bad_days`, and `tidy`.
//!
//! A test runs on a [`Ground`] (who drives), over a [`Transport`], in a [`Cell`] that brings both
//! together and has a [`Watchdog`]: whatever waits too long ends the process and says so. Tests
//! wait for events; [`Cell::until`] looks again and again where there is no event to wait for.
//!
//! Deliberately absent: tests of one file. They are at its end, or beside it.
#![forbid(unsafe_code)]

pub mod bytes;
pub mod child;
mod ground;
mod meeting;
mod watchdog;

pub use ground::{
    Caller, Cell, Ground, IoThreads, Sleepless, Spinning, Threads, Transport, TwoThreads, Waits,
    free_port, join, or_give_up,
};
pub use meeting::{MEETING, introduce, meet};
pub use watchdog::Watchdog;

/// The code of the README is compiled, and run, as if it stood here.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
mod readme {}
