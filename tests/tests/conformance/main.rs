//! Conformance: what every pattern promises, over every transport and with every driver.
//!
//! A module is a group of promises; a test in it is one of them, once for each cell of the table.
//! With the caller-driven driver both ends live on one thread where nothing has to block, and on
//! two, with a context each, where it has.
//!
//! Deliberately absent: other implementations. Those are in `interop`.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed there")]

mod addresses;
mod changes;
mod endpoints;
mod exclusive;
mod foreign;
mod gathering;
mod marks;
mod options;
mod pairs;
mod partings;
mod pipeline;
mod publishing;
mod reports;
mod requests;
mod routing;
mod waiting;
