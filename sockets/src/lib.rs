//! ZeroMQ sockets on io_uring: libzmq's sockets, wire protocol and behaviour, for Linux.
//!
//! ```
//! use zring::{Context, Pull, Push};
//!
//! fn main() -> Result<(), zring::Error> {
//!     let context = Context::new();
//!     let mut pull = Pull::new(&context)?;
//!     let mut push = Push::new(&context)?;
//!     push.connect(&pull.bind("tcp://127.0.0.1:*")?)?;
//!     push.send("hello")?;
//!     assert_eq!(pull.recv()?, "hello");
//!     Ok(())
//! }
//! ```
//!
//! In reading order: [`Context`] and [`LocalContext`] (who does the work), [`Socket`] and the
//! patterns [`Pub`], [`Sub`], [`XPub`], [`XSub`], [`Push`], [`Pull`], [`Req`], [`Rep`], [`Dealer`],
//! [`Router`] and [`Pair`], [`Builder`] (their options), [`Message`], [`Poller`], [`Observer`]
//! (what they count), [`Error`].
//!
//! Deliberately absent: ZMTP below 3.0, security mechanisms other than NULL, and transports other
//! than tcp, ipc and inproc.

#![forbid(unsafe_code)]

mod builder;
mod driver;
mod endpoints;
mod error;
mod observer;
pub mod pattern;
mod pipes;
mod poller;
mod route;
mod socket;

pub use builder::Builder;
pub use bytes::Bytes;
pub use driver::{
    AnyContext, Caller, Context, ContextBuilder, Driver, IoThreads, LocalContext, Wait,
};
pub use error::Error;
pub use observer::{Observer, PipeCounters};
pub use poller::{Interest, Pollable, Poller, Ready};
pub use socket::Socket;
/// In [`TransportError::Kernel`] and [`EngineError::Kernel`]:
pub use zring_engine::Errno;
/// In [`TransportError::Engine`]:
pub use zring_engine::Error as EngineError;
pub use zring_engine::{Features, Release};
pub use zring_transports::Error as TransportError;
pub use zring_transports::incidents::{Incidents, RejectedPeer};
pub use zring_transports::message::{INLINE_MAX, Message, Payload};
pub use zring_zmtp::{
    Error as ProtocolError, InvalidFrame, PeerIncompatible, PeerMisbehaved, SocketType,
};

/// See [`pattern::Pub`] (`ZMQ_PUB`).
pub type Pub<D = IoThreads> = Socket<pattern::Pub, D>;
/// See [`pattern::Sub`] (`ZMQ_SUB`).
pub type Sub<D = IoThreads> = Socket<pattern::Sub, D>;
/// See [`pattern::XPub`] (`ZMQ_XPUB`).
pub type XPub<D = IoThreads> = Socket<pattern::XPub, D>;
/// See [`pattern::XSub`] (`ZMQ_XSUB`).
pub type XSub<D = IoThreads> = Socket<pattern::XSub, D>;
/// See [`pattern::Push`] (`ZMQ_PUSH`).
pub type Push<D = IoThreads> = Socket<pattern::Push, D>;
/// See [`pattern::Pull`] (`ZMQ_PULL`).
pub type Pull<D = IoThreads> = Socket<pattern::Pull, D>;
/// See [`pattern::Req`] (`ZMQ_REQ`).
pub type Req<D = IoThreads> = Socket<pattern::Req, D>;
/// See [`pattern::Rep`] (`ZMQ_REP`).
pub type Rep<D = IoThreads> = Socket<pattern::Rep, D>;
/// See [`pattern::Dealer`] (`ZMQ_DEALER`).
pub type Dealer<D = IoThreads> = Socket<pattern::Dealer, D>;
/// See [`pattern::Router`] (`ZMQ_ROUTER`).
pub type Router<D = IoThreads> = Socket<pattern::Router, D>;
/// See [`pattern::Pair`] (`ZMQ_PAIR`).
pub type Pair<D = IoThreads> = Socket<pattern::Pair, D>;
