//! The engine of zring: one io_uring ring with what lives on it, and the queues towards it.
//!
//! Reading order: [`block`] (memory that is counted), [`log`] (the queue of bytes), [`credit`] (its
//! bound), [`inbox`] (how a thread is told what has work), [`wish`] (and what it waits for),
//! [`lent`] (what two threads use in turn), `courtesy` (how two threads share a core), then the
//! ring and the reactor.
//!
//! Deliberately absent: ZeroMQ. This crate knows descriptors, buffers and time.

pub mod block;
#[cfg(not(loom))]
pub mod courtesy;
pub mod credit;
pub mod inbox;
pub mod lent;
pub mod log;
#[cfg(not(loom))]
pub mod park;
mod stock;
pub mod sync;
pub mod wish;

mod error;
mod group;
mod op;
mod reactor;
mod ring;
mod timer;
mod wake;

pub use error::{Errno, Error};
pub use op::send::PIECES_MAX;
pub use reactor::{Completion, Outcome, Reactor};
pub use ring::Config;
pub use ring::features::{Features, Release};
pub use ring::fork::Epoch;
pub use ring::scheduling::Scheduling;
pub use ring::token::Token;
pub use ring::wait::Wait;
pub use timer::{Timers, deadline_after};
pub use wake::Waker;
