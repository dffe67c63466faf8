//! Peers: one connection each, or one endpoint to connect to with whatever connection it has.
//!
//! To the *pipe* belong queue, high-water marks and subscriptions; it lives as long as a connecting
//! endpoint, or as long as an accepted connection. To the *connection* belong descriptor, handshake
//! and what is in flight. A peer goes through [`Stage`]s; a descriptor is closed only after the
//! last completion of every operation on it.
//!
//! Deliberately absent: what happens next. The worker decides that.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use zring_engine::Token;
use zring_engine::block::Slice;
use zring_zmtp::Handshake;

use crate::endpoint::{Target, peer_address};
use crate::fan_out::MemberKey;
use crate::notice::{ListenerId, PortId};
use crate::pipe::WireEnd;
use crate::receiving::Receiving;
use crate::sending::Sending;
use crate::told::Told;

/// What one peer may take of a turn, counted in commands: some half a millisecond. Others on its
/// worker wait no longer for it.
pub(crate) const SHARE: usize = 1000;

/// Where a connection comes from.
pub(crate) enum Origin {
    Accepted { listener: ListenerId, endpoint: Arc<str> },
    Dialed(Dialer),
}

/// An endpoint that stays connected.
pub(crate) struct Dialer {
    pub(crate) target: Target,
    /// The pause before the next attempt; `None` before the first failure in a row.
    pub(crate) pause: Option<Duration>,
    /// Whether a handshake was ever completed.
    pub(crate) was_connected: bool,
}

/// How far a connection has come.
pub(crate) enum Stage {
    /// There is none; a timer dials.
    Waiting,
    Connecting,
    Handshake(Box<Handshake>),
    Traffic,
    /// All is sent and said to be; what the peer still sends is dropped until it closes.
    Draining,
    /// Over. The descriptor is closed with the last completion, and then comes this.
    Ending(After),
}

/// What follows the end of a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum After {
    Redial,
    Remove,
}

/// See the [module](self).
pub(crate) struct Peer {
    pub(crate) port: PortId,
    pub(crate) origin: Origin,
    pub(crate) stage: Stage,
    /// Shared with the pipe's lane while that is open.
    pub(crate) fd: Option<Arc<OwnedFd>>,
    /// `None` before an accepted connection's handshake is done.
    pub(crate) wire: Option<WireEnd>,
    /// What a fan-out knows this peer as; then it has the peer's messages too.
    pub(crate) member: Option<MemberKey>,
    /// Handshake bytes, sent before anything else.
    pub(crate) greeting: Sending,
    pub(crate) sending: Sending,
    pub(crate) receiving: Option<Receiving>,
    /// Received, and left for turns to come.
    pub(crate) backlog: VecDeque<Slice>,
    /// What it has taken of a turn, and of which.
    pub(crate) share: (u64, usize),
    /// The armed receive, and whether it was told to stop.
    pub(crate) receive: Option<Token>,
    pub(crate) is_stopping: bool,
    /// The stream ended while the pipe was full, and the connection ends once it is not.
    pub(crate) ending: Option<After>,
    /// The version both sides speak: from 1 on, subscriptions are commands.
    pub(crate) minor: u8,
    /// What a subscriber's peer is told.
    pub(crate) told: Told,
    /// The pipe is to be closed when all is sent, or at the deadline.
    pub(crate) hang_up: Option<Option<Instant>>,
    /// Messages that count as sent because their beginning went to a lost connection.
    pub(crate) skipped: u64,
    /// Operations whose last completion is still to come.
    pub(crate) operations: u32,
    /// When the peer, by its last PING, is to be given up if nothing more comes; and when the timer
    /// for that ends, if one runs.
    pub(crate) silent_until: Option<Instant>,
    pub(crate) silence_timer: Option<Instant>,
    /// Which stage timers speak of.
    pub(crate) generation: u64,
    pub(crate) is_due: bool,
}

impl Peer {
    pub(crate) fn new(port: PortId, origin: Origin) -> Self {
        Self {
            port,
            origin,
            stage: Stage::Waiting,
            fd: None,
            wire: None,
            member: None,
            greeting: Sending::default(),
            sending: Sending::default(),
            receiving: None,
            backlog: VecDeque::new(),
            share: (0, 0),
            receive: None,
            is_stopping: false,
            ending: None,
            minor: 0,
            told: Told::default(),
            hang_up: None,
            skipped: 0,
            operations: 0,
            silent_until: None,
            silence_timer: None,
            generation: 0,
            is_due: false,
        }
    }

    /// Where it is, over tcp.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.fd.as_ref().and_then(|fd| peer_address(fd.as_fd()))
    }

    pub(crate) fn is_in_traffic(&self) -> bool {
        matches!(self.stage, Stage::Traffic)
    }

    /// Whether it has had its share of this turn.
    pub(crate) fn is_served(&self, turn: u64) -> bool {
        self.share.0 == turn && self.share.1 >= SHARE
    }

    /// It has taken so much more of this turn.
    pub(crate) fn charge(&mut self, turn: u64, units: usize) {
        let before = if self.share.0 == turn { self.share.1 } else { 0 };
        self.share = (turn, before + units);
    }

    /// Whether the timer for its silence is the one that ends then.
    pub(crate) fn is_silence_timed(&self, generation: u64, at: Instant) -> bool {
        self.generation == generation && self.silence_timer == Some(at)
    }

    /// Whether nothing of the worker's is to be sent, so that the socket's thread may send.
    pub(crate) fn is_free(&self) -> bool {
        self.sending.is_idle() && self.greeting.is_idle() && self.hang_up.is_none()
    }

    pub(crate) fn is_ending(&self) -> bool {
        matches!(self.stage, Stage::Ending(_))
    }

    pub(crate) fn is_from(&self, id: ListenerId) -> bool {
        matches!(self.origin, Origin::Accepted { listener, .. } if listener == id)
    }
}
