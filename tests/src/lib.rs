//! Tests that see more than one crate; they are in `tests/tests`, one binary per concern.
//!
//! `tidy` holds the mechanical half of the house style.
//!
//! Deliberately absent: tests of one file. They are at its end, or beside it.
#![forbid(unsafe_code)]

/// The code of the README is compiled, and run, as if it stood here.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
mod readme {}
