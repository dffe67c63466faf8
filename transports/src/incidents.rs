//! Incidents: what went wrong with peers and endpoints, as their socket reads it.
//!
//! Workers note them, and the application looks when it likes: the number and the last one are
//! kept, so that nobody makes them grow.
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

/// What happened to one socket. `zmq_socket_monitor(3)` tells each as an event.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Incidents<T> {
    /// How many there were.
    pub count: u64,
    /// The last of them.
    pub last: Option<T>,
}

/// Shared between a socket and its workers.
#[derive(Debug)]
pub struct IncidentLog<T>(Arc<Mutex<Incidents<T>>>);

impl<T: Clone> IncidentLog<T> {
    /// What was noted so far.
    #[must_use]
    pub fn read(&self) -> Incidents<T> {
        lock(&self.0).clone()
    }

    pub(crate) fn note(&self, incident: T) {
        let mut incidents = lock(&self.0);
        incidents.count += 1;
        incidents.last = Some(incident);
    }
}

impl<T> Clone for IncidentLog<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Default for IncidentLog<T> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Incidents { count: 0, last: None })))
    }
}
