//! What a socket has counted, read at any time and from any thread.
//!
//! The socket keeps a ledger of its pipes, with the counters that its own thread and the workers
//! write to as they go.
//!
//! Deliberately absent: events. Everything here is a number, or the last of its kind.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use zring_engine::sync::{Mutex, lock};
use zring_transports::Error as TransportError;
use zring_transports::incidents::{IncidentLog, Incidents, RejectedPeer};
use zring_transports::pipe::{Counters, PipeId};

/// What one peer's pipe has counted since it began; one that is connected to outlives connections.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct PipeCounters {
    /// Where the peer came to, or where we connected to.
    pub endpoint: String,
    /// The address of a peer that came over tcp.
    pub address: Option<SocketAddr>,
    /// What the peer calls itself, or a ROUTER calls it that it did not tell; otherwise empty
    /// (`ZMQ_ROUTING_ID`).
    pub routing_id: Bytes,
    /// Whether it is there. One that is connected to may not have been reached yet, or be lost and
    /// dialed again.
    pub is_connected: bool,
    /// Messages that the kernel, or an inproc peer, took.
    pub sent: u64,
    /// Messages that wait to be sent.
    pub queued: u64,
    /// Messages dropped because this peer was at its high-water mark.
    pub dropped: u64,
    /// Bytes that the kernel took, headers included; 0 for inproc.
    pub bytes: u64,
}

/// Reads what a socket has counted, while that may be in use by another thread, and when it is
/// gone. From [`Socket::observer`](crate::Socket::observer).
#[derive(Clone, Default)]
pub struct Observer {
    ledger: Ledger,
    pub(crate) rejections: IncidentLog<RejectedPeer>,
    pub(crate) failed_connects: IncidentLog<TransportError>,
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counters = self.counters();
        f.debug_struct("Observer").field("counters", &counters).finish_non_exhaustive()
    }
}

impl Observer {
    /// What each peer's pipe has counted, in the order in which they began
    /// (`zmq_socket_monitor_pipes_stats(3)`, a draft, tells what is queued). The counts are those
    /// of now; who is there is what the socket knew at its last call.
    #[must_use]
    pub fn counters(&self) -> Vec<PipeCounters> {
        lock(&self.ledger.0).values().map(Record::read).collect()
    }

    /// Peers whose connection was closed for what they sent, or for a handshake that took too long:
    /// their number, and the last with the exact error. Such a peer is told nothing but by the
    /// closing, and fails no call here (`ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL` and `_NO_DETAIL` in
    /// `zmq_socket_monitor(3)`).
    #[must_use]
    pub fn rejections(&self) -> Incidents<RejectedPeer> {
        self.rejections.read()
    }

    /// Attempts to connect that failed: their number, and why the last one did. Each is followed by
    /// another after the [pause](crate::Builder::reconnect_interval), if there is one
    /// (`ZMQ_EVENT_CONNECT_RETRIED` in `zmq_socket_monitor(3)`, which says no reason).
    #[must_use]
    pub fn failed_connects(&self) -> Incidents<TransportError> {
        self.failed_connects.read()
    }

    pub(crate) fn ledger(&self) -> &Ledger {
        &self.ledger
    }
}

/// One pipe's entry.
pub(crate) struct Record {
    pub(crate) endpoint: Arc<str>,
    pub(crate) address: Option<SocketAddr>,
    pub(crate) routing_id: Bytes,
    pub(crate) counters: Arc<Counters>,
}

impl Record {
    fn read(&self) -> PipeCounters {
        let Counters { accepted, sent, dropped, bytes, is_connected, .. } = &*self.counters;
        let [sent, accepted] = [sent, &**accepted].map(|count| count.load(Ordering::Relaxed));
        PipeCounters {
            endpoint: self.endpoint.to_string(),
            address: self.address,
            routing_id: self.routing_id.clone(),
            is_connected: is_connected.load(Ordering::Relaxed),
            sent,
            queued: accepted.saturating_sub(sent),
            dropped: dropped.load(Ordering::Relaxed),
            bytes: bytes.load(Ordering::Relaxed),
        }
    }
}

type Records = BTreeMap<PipeId, Record>;

/// The pipes of one socket, for those who only read.
#[derive(Clone, Default)]
pub(crate) struct Ledger(Arc<Mutex<Records>>);

impl Ledger {
    /// Enters a pipe, or what has become known of it.
    pub(crate) fn enter(&self, id: PipeId, record: Record) {
        lock(&self.0).insert(id, record);
    }

    pub(crate) fn strike(&self, id: PipeId) {
        lock(&self.0).remove(&id);
    }
}
