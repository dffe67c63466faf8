//! Ports: what a worker has to know about a socket.
//!
//! Deliberately absent: the socket itself, which belongs to the application's thread.

use std::time::Duration;

use bytes::Bytes;
use zring_zmtp::SocketType;

use crate::Error;
use crate::endpoint::Tuning;
use crate::incidents::{IncidentLog, RejectedPeer};
use crate::pipe::Joint;

/// Options that connections of a socket follow, fixed when it first binds or connects.
#[derive(Clone)]
pub struct PortOptions {
    /// What the handshake says.
    pub socket_type: SocketType,
    /// What the handshake says of REQ, DEALER and ROUTER; at most 255 bytes.
    pub routing_id: Bytes,
    /// The largest frame a peer may send, in bytes.
    pub frame_size_max: u64,
    /// How long a handshake may take.
    pub handshake_timeout: Option<Duration>,
    /// Pause before the first attempt to reconnect. `None`: never reconnect.
    pub reconnect_interval: Option<Duration>,
    /// The longest pause when it doubles with every attempt. `None`: it does not double, but has
    /// up to as much again added at random.
    pub reconnect_interval_max: Option<Duration>,
    /// Whether a publisher's socket is told of subscriptions.
    pub reports_subscriptions: bool,
    /// Whether a publisher's walk waits for a full subscriber instead of dropping.
    pub is_lossless: bool,
    /// Options of the descriptors.
    pub tuning: Tuning,
    /// What pipes are made with.
    pub joint: Joint,
    /// Where peers are noted that were sent away.
    pub rejections: IncidentLog<RejectedPeer>,
    /// Where attempts to connect are noted that failed.
    pub failed_connects: IncidentLog<Error>,
}

impl PortOptions {
    /// Whether the socket sends from a fan-out log.
    #[must_use]
    pub const fn fans_out(&self) -> bool {
        matches!(self.socket_type, SocketType::Pub | SocketType::XPub)
    }

    /// Whether the application receives what peers send.
    #[must_use]
    pub const fn is_heard(&self) -> bool {
        !matches!(self.socket_type, SocketType::Pub | SocketType::Push)
    }

    /// Whether the socket's subscriptions are replayed to a peer that comes back.
    #[must_use]
    pub const fn subscribes(&self) -> bool {
        matches!(self.socket_type, SocketType::Sub | SocketType::XSub)
    }
}
