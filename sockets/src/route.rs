//! Routes: who is written to next, and who is read from next.
//!
//! Pure strategies over the pipes of one socket; patterns are made of them.
//!
//! Deliberately absent: a trait over them. A pattern names those that it is made of.

pub(crate) mod fair_queue;
pub(crate) mod reports;
pub(crate) mod room;
pub(crate) mod round_robin;
pub(crate) mod second_look;
