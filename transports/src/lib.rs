//! The ways bytes travel between zring's sockets: tcp, ipc and inproc.
//!
//! In reading order: [`message`] (one frame), [`pipe`] (what joins a socket to one peer),
//! [`notice`] (what sockets and workers tell each other), [`worker`] (one reactor and its
//! connections), [`fan_out`] (one log for all subscribers), [`endpoint`] (addresses), [`inproc`]
//! (names).
//!
//! Deliberately absent: messaging patterns, which are the crate above, and ZMTP's bytes, which are
//! the crate below. Nothing here knows whether a worker has a thread of its own.

#![forbid(unsafe_code)]

pub mod endpoint;
mod error;
pub mod fan_out;
pub mod incidents;
pub mod inproc;
mod ipc;
mod lane;
pub mod message;
pub mod notice;
mod peer;
pub mod pipe;
pub mod port;
mod receiving;
mod sending;
mod spares;
pub mod subscriptions;
mod tcp;
mod told;
pub mod worker;

pub use error::Error;
