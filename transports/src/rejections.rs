//! Rejections: peers that were sent away for what they sent or did not, as their socket reads it.
//!
//! Workers note them, and the application looks when it likes: the number and the last one are
//! kept, so that no peer makes them grow.
//!
//! Deliberately absent: connections that broke, for which nobody is to blame.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use zring_engine::sync::{Mutex, lock};
use zring_zmtp::Error;

/// A peer whose connection was closed because it broke the protocol, cannot be talked to, or was
/// too slow to say hello (`ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL` and `_NO_DETAIL` in
/// `zmq_socket_monitor(3)`).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RejectedPeer {
    /// The endpoint it came to, or that was connected to.
    pub endpoint: Arc<str>,
    /// Where it was; `None` for ipc, and once the connection was gone.
    pub address: Option<SocketAddr>,
    /// What was wrong (RFC 37/ZMTP).
    pub error: Error,
    /// What it said itself if it sent an ERROR (RFC 37/ZMTP): up to 255 bytes, otherwise none.
    pub reason: Bytes,
}

/// The rejected peers of one socket.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Rejections {
    /// How many there were.
    pub count: u64,
    /// The last of them.
    pub last: Option<RejectedPeer>,
}

/// Shared between a socket and its workers.
#[derive(Clone, Debug, Default)]
pub struct RejectionLog(Arc<Mutex<Rejections>>);

impl RejectionLog {
    /// What was noted so far.
    #[must_use]
    pub fn read(&self) -> Rejections {
        lock(&self.0).clone()
    }

    pub(crate) fn note(&self, peer: RejectedPeer) {
        let mut rejections = lock(&self.0);
        rejections.count += 1;
        rejections.last = Some(peer);
    }
}
