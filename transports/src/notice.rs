//! What sockets tell workers, and workers tell sockets.
//!
//! Both go through an [`Inbox`], in order. A notice or an event says
//! that a log has something or what became of a connection; messages themselves stay in logs.
//!
//! Deliberately absent: answers. Whoever needs one gets an event.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use bytes::Bytes;
use zring_engine::Waker;
use zring_engine::inbox::{Inbox, Wake};

use crate::Error;
use crate::endpoint::Target;
use crate::fan_out::FanOutFeed;
use crate::pipe::{PipeEnd, PipeId, WireEnd};
use crate::port::PortOptions;
use crate::worker::Failure;

mod arrivals;

pub use arrivals::{Arrival, REMNANTS_MAX, Remnant, SocketInbox};

/// How a worker is told what has work.
pub type Mailbox = Inbox<Notice, Doorbell>;

/// Wakes a worker that sleeps in its ring; a caller-driven one, when a host name was looked up.
#[derive(Debug, Default)]
pub struct Doorbell {
    waker: OnceLock<Waker>,
    is_answering: AtomicBool,
}

impl Doorbell {
    /// The worker's ring is open. Later calls change nothing.
    pub(crate) fn connect(&self, waker: Waker) {
        self.waker.get_or_init(|| waker);
    }

    /// Says whether the thread that turns the worker in its calls has received something since it
    /// last let everything leave. Then its next message need not be told: it leaves from its pipe.
    pub fn set_answering(&self, is_answering: bool) {
        self.is_answering.store(is_answering, Ordering::Relaxed);
    }

    /// What was [said](Self::set_answering) last.
    #[must_use]
    pub fn is_answering(&self) -> bool {
        self.is_answering.load(Ordering::Relaxed)
    }
}

impl Wake for Doorbell {
    fn wake(&self) {
        if let Some(waker) = self.waker.get() {
            waker.wake();
        }
    }
}

/// Names a socket towards workers, once per process.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct PortId(u64);

impl PortId {
    /// A name that was never used before.
    #[must_use]
    pub fn fresh() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// Names a listener, once per process.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct ListenerId(u64);

impl ListenerId {
    /// A name that was never used before.
    #[must_use]
    pub fn fresh() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// What a worker is told.
pub enum Notice {
    /// A socket exists.
    Open(Box<OpenPort>),
    /// Accept connections for a socket.
    Listen {
        /// The socket.
        port: PortId,
        /// What to call the listener when it has to go.
        listener: ListenerId,
        /// A bound, listening, non-blocking descriptor.
        fd: OwnedFd,
        /// The resolved endpoint.
        endpoint: Arc<str>,
    },
    /// A connection that another worker accepted.
    Adopt {
        /// The socket.
        port: PortId,
        /// Who accepted it.
        listener: ListenerId,
        /// The connection.
        fd: OwnedFd,
        /// The listener's endpoint.
        endpoint: Arc<str>,
    },
    /// Connect a socket, and stay connected.
    Dial(Box<Dial>),
    /// What a host name was found to be for a pipe's attempt, or that it was not found.
    LookedUp(Box<LookedUp>),
    /// This pipe's outbound log, or this fan-out log, has something.
    Readable(PipeId),
    /// This pipe's inbound log has room again.
    Writable(PipeId),
    /// Many subscriptions were written to this pipe's outbound log: they need not all wait there.
    Condense(PipeId),
    /// Stop accepting, and close what this listener accepted, at the deadline at the latest; of a
    /// publisher's messages, so many are still for it.
    Unlisten(ListenerId, Option<Instant>, u64),
    /// Close this pipe once what waits in it is sent, at the deadline at the latest; of a
    /// publisher's messages, so many are still for it.
    HangUp(PipeId, Option<Instant>, u64),
    /// Close all that belongs to a socket once it is sent, at the deadline at the latest.
    Close(PortId, Option<Instant>),
    /// Stop turning once no socket is left.
    Stop,
}

/// A socket as a worker knows it.
pub struct OpenPort {
    /// Its name.
    pub port: PortId,
    /// Its options.
    pub options: PortOptions,
    /// What a publisher feeds its subscribers from.
    pub feed: Option<FanOutFeed>,
}

impl Notice {
    /// Connects a socket to an endpoint: the socket's end of the pipe, and what to tell the worker.
    #[must_use]
    pub fn dial(
        port: PortId,
        options: &PortOptions,
        target: Target,
        mailbox: &Arc<Mailbox>,
    ) -> (PipeEnd, Self) {
        let (pipe, wire) = options.joint.to_worker(mailbox, options.fans_out());
        (pipe, Self::Dial(Box::new(Dial { port, wire, target })))
    }
}

/// An endpoint to connect to.
pub struct Dial {
    /// The socket.
    pub(crate) port: PortId,
    /// The pipe, which lives as long as the endpoint.
    pub(crate) wire: WireEnd,
    /// Where to.
    pub(crate) target: Target,
}

/// The answer of a look-up.
pub struct LookedUp {
    /// Whose.
    pub(crate) pipe: PipeId,
    /// The attempt: what the peer's generation was.
    pub(crate) generation: u64,
    pub(crate) target: Result<Target, Error>,
}

/// What a socket is told.
pub enum Event {
    /// Peers have come: their handshakes are done, or they are inproc peers.
    Arrived,
    /// A connecting endpoint's handshake is done for the first time.
    Connected(PipeId, Bytes),
    /// An inproc peer has come to a pipe that waited for one: its routing id, and the mark that
    /// adds to the pipe's own.
    Met(PipeId, Bytes, usize),
    /// This pipe has something to read.
    Readable(PipeId),
    /// This pipe has room again.
    Writable(PipeId),
    /// The fan-out log was walked, or a subscriber has room again, and somebody waits for it.
    Walked,
    /// Nothing more comes from this pipe, and nothing can be sent to it.
    Detached(PipeId),
    /// A listener is closed.
    Unlistened(ListenerId),
    /// A worker has closed all that belonged to this socket.
    Closed,
    /// A worker is gone, and with it all its connections.
    Failed(Failure),
    /// The context was shut down: nothing more may be done but closing.
    Terminated,
}

/// A pipe that came without being asked for.
pub struct Attachment {
    /// The socket's end.
    pub pipe: PipeEnd,
    /// The peer's routing id, empty if it gave none.
    pub routing_id: Bytes,
    /// The local endpoint it came to.
    pub endpoint: Arc<str>,
    /// Where it came from; `None` but for tcp.
    pub address: Option<SocketAddr>,
    /// The listener that accepted it; `None` for inproc.
    pub listener: Option<ListenerId>,
}
