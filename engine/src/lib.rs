//! The engine of zring: one io_uring ring with what lives on it, and the queues towards it.
//!
//! Reading order: [`block`] (memory that is counted), [`log`] (the queue of bytes), [`inbox`] (how a
//! thread is told what has work), then the ring and the reactor.
//!
//! Deliberately absent: ZeroMQ. This crate knows descriptors, buffers and time.

pub mod block;
pub mod credit;
pub mod inbox;
pub mod log;
#[cfg(not(loom))]
pub mod park;
mod sync;
