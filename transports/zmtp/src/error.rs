//! Errors: what a peer's bytes can be refused for, sorted by whose fault it is.
//!
//! An [`InvalidFrame`] is no ZMTP framing at all; a [`PeerMisbehaved`] speaks ZMTP and breaks its
//! rules; a [`PeerIncompatible`] does nothing wrong and is not for us. All of them end the
//! connection for good: libzmq does not reconnect after a protocol error, and neither may we. Only
//! who was too slow may be tried again.
//!
//! Deliberately absent: text from the wire. Every variant is `Copy`, so that it costs the hot
//! path nothing; the reason of a received ERROR command is kept by the
//! [`Handshake`](crate::Handshake).

use crate::SocketType;
use crate::greeting::MECHANISM_LEN;

/// Why the bytes of a peer were refused (37/ZMTP).
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bytes are no ZMTP frame.
    #[error("invalid frame: {0}")]
    InvalidFrame(#[from] InvalidFrame),
    /// The peer breaks the protocol.
    #[error("peer misbehaved: {0}")]
    PeerMisbehaved(#[from] PeerMisbehaved),
    /// The peer keeps to a protocol, but we cannot talk to it.
    #[error("peer incompatible: {0}")]
    PeerIncompatible(#[from] PeerIncompatible),
    /// The handshake was not done in the time it was given (`ZMQ_HANDSHAKE_IVL`). Whoever has a
    /// clock finds that; nothing here does.
    #[error("handshake not done in time")]
    HandshakeTimeout,
}

/// What is wrong with a frame header (37/ZMTP, "Framing").
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidFrame {
    /// One of the bits 3 to 7 is set.
    #[error("reserved bits in flags {flags:#04x}")]
    ReservedFlags {
        /// The whole flags byte.
        flags: u8,
    },
    /// A command consists of one frame, so it cannot have more to follow.
    #[error("command frame with the MORE flag")]
    CommandWithMore,
    /// The size is 2^63 or more.
    #[error("frame size {size} has its top bit set")]
    SizeTopBit {
        /// The size field, in bytes.
        size: u64,
    },
    /// The size is legal, but larger than the socket's limit for one frame (`ZMQ_MAXMSGSIZE`).
    #[error("frame of {size} bytes, at most {size_max} allowed")]
    SizeBeyondMax {
        /// The size field, in bytes.
        size: u64,
        /// The limit, in bytes.
        size_max: u64,
    },
    /// The size does not fit this machine's address space.
    #[error("frame of {size} bytes does not fit the address space")]
    SizeBeyondAddressSpace {
        /// The size field, in bytes.
        size: u64,
    },
}

/// Which rule of ZMTP the peer broke (37/ZMTP, if a variant names no other).
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PeerMisbehaved {
    /// A message frame came before READY.
    #[error("message before the handshake ended")]
    MessageInHandshake,
    /// A command other than READY and ERROR came before READY.
    #[error("handshake command is neither READY nor ERROR")]
    UnexpectedCommand,
    /// A handshake command is larger than [`READY_SIZE_MAX`](crate::READY_SIZE_MAX), our limit.
    #[error("handshake command of {size} bytes")]
    ReadyTooLong {
        /// Size of the command's body, in bytes.
        size: u64,
    },
    /// A command's body ends before its name, its fields or its properties do, or a name is empty.
    #[error("malformed command")]
    MalformedCommand,
    /// A property came twice; the case of names has no meaning.
    #[error("property came twice")]
    DuplicateProperty,
    /// More than [`PROPERTIES_MAX`](crate::PROPERTIES_MAX) properties came, our limit.
    #[error("too many properties")]
    TooManyProperties,
    /// READY names no socket type.
    #[error("no Socket-Type property")]
    SocketTypeMissing,
    /// An answer to a REQ does not begin with an empty frame (28/REQREP).
    #[error("answer without an empty delimiter")]
    DelimiterMissing,
    /// A SUBSCRIBE or CANCEL came between the frames of a message (37/ZMTP, "Traffic").
    #[error("subscription within a message")]
    SubscriptionWithinMessage,
    /// The topics that a subscriber holds are more, or longer, than a publisher keeps: our limit.
    #[error("subscriptions of more than {size_max} bytes")]
    TooManySubscriptions {
        /// The limit for one peer, in bytes; each topic counts 64 more than it has.
        size_max: u64,
    },
    /// The Identity is longer than [`ROUTING_ID_SIZE_MAX`](crate::ROUTING_ID_SIZE_MAX).
    #[error("identity of {size} bytes")]
    IdentityTooLong {
        /// Its size, in bytes.
        size: usize,
    },
}

/// Why we cannot talk to the peer (37/ZMTP, "Version Negotiation", "The NULL Security Mechanism"
/// and "The Socket-Type Property").
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PeerIncompatible {
    /// The first ten bytes are no signature: another protocol, or ZMTP 1.0.
    #[error("no ZMTP signature")]
    Signature,
    /// The peer speaks ZMTP 2.0 or older.
    #[error("ZMTP revision {revision}, at least 3 needed")]
    Version {
        /// The revision byte. ZMTP 2.0 sends 1.
        revision: u8,
    },
    /// The peer demands another security mechanism than NULL.
    #[error("security mechanism is not NULL")]
    Mechanism {
        /// The mechanism field as received, padding included.
        mechanism: [u8; MECHANISM_LEN],
    },
    /// The peer's socket type is none that we know.
    #[error("unknown socket type")]
    SocketTypeUnknown,
    /// The two socket types do not go together.
    #[error("{local} does not talk to {peer}")]
    SocketType {
        /// Our type.
        local: SocketType,
        /// The peer's type.
        peer: SocketType,
    },
    /// The peer refused us with an ERROR command;
    /// [`Handshake::refusal`](crate::Handshake::refusal) has its reason.
    #[error("refused by the peer")]
    Refused,
}
