//! ZMTP 3.0 and 3.1 as bytes in, bytes out.
//!
//! The crate in reading order:
//!
//! 1. [`SocketType`]: the eleven names, and which may talk to which.
//! 2. [`Handshake`]: greeting, NULL mechanism, READY; from the first byte to the first frame.
//! 3. [`frame`]: one frame header, decoded and encoded.
//! 4. [`Scanner`]: walks received bytes frame by frame and says where messages end.
//! 5. [`command`]: what command frames say, and how to write them.
//! 6. [`Error`]: what a peer can do wrong, sorted by whose fault it is.
//!
//! Invariant: whatever the bytes are, nothing here panics, and nothing is allocated after the
//! handshake except in the vector that a caller hands to `command::encode_*`.
//!
//! Deliberately absent: descriptors, clocks, threads, message bodies (they are ranges of the
//! caller's buffer), ZMTP 1.0 and 2.0, and the PLAIN and CURVE mechanisms.

#![forbid(unsafe_code)]

pub mod command;
mod error;
pub mod frame;
mod greeting;
mod handshake;
mod scanner;
mod socket_type;

pub use error::{Error, InvalidFrame, PeerIncompatible, PeerMisbehaved};
pub use greeting::MECHANISM_LEN;
pub use handshake::{Handshake, Local, PROPERTIES_MAX, Peer, READY_SIZE_MAX, ROUTING_ID_SIZE_MAX};
pub use scanner::{Scan, Scanner, Stop};
pub use socket_type::SocketType;
