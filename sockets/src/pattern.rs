//! Patterns: what makes a PUSH of a socket.
//!
//! One role a file, all of one shape. A pattern is told of pipes as they come, go and change, and
//! decides for each frame which pipe it goes to or comes from. It is pure: no descriptor, no clock,
//! no thread. What it cannot do at once it refuses, and the socket waits if it may.
//!
//! Deliberately absent: waiting, and the wire.

use std::sync::Arc;

use zring_engine::log::LogPools;
use zring_transports::fan_out::FanOutFeed;
use zring_transports::message::{FrameBody, Message};
use zring_transports::notice::Mailbox;
use zring_zmtp::SocketType;

use crate::pipes::{PipeKey, Pipes};

mod dealer;
mod pair;
mod publish;
mod pull;
mod push;
mod rep;
mod req;
mod router;
mod subscribe;

pub use dealer::Dealer;
pub use pair::Pair;
pub use publish::{Pub, XPub};
pub use pull::Pull;
pub use push::Push;
pub use rep::Rep;
pub use req::Req;
pub use router::Router;
pub use subscribe::{Sub, XSub};

/// Why a pattern does not do something now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Refusal {
    /// No peer has room, or nothing has come. An event will tell.
    Full,
    /// The message would be dropped, which it must not be before room was looked for again. The
    /// next try takes it.
    Late,
    /// It is not this side's turn.
    State,
}

/// What a pattern is made with.
pub(crate) struct Setup {
    pub(crate) pools: LogPools,
    /// Whether workers run on the socket's own thread.
    pub(crate) is_local: bool,
    /// Of each pipe, in messages.
    pub(crate) send_mark: usize,
    pub(crate) receive_mark: usize,
    /// A publisher waits for subscribers at their mark.
    pub(crate) is_lossless: bool,
}

/// What [`Socket`](crate::Socket) asks of a pattern. A default does what a pattern does that only
/// sends, or only receives.
pub(crate) trait Behaviour: Sized {
    /// What the handshake says.
    const TYPE: SocketType;

    /// Whether connecting twice to one endpoint is one connection.
    const CONNECTS_ONCE: bool = false;

    /// Whether what is sent goes to each peer that wants it, so that a peer gets a part of all.
    const PUBLISHES: bool = false;

    fn new(setup: &Setup) -> Self;

    /// Whether another peer may come. One that may not is sent away.
    fn has_place(&self) -> bool {
        true
    }

    /// A peer has come, or an endpoint is being connected to.
    fn attach(&mut self, pipes: &mut Pipes, key: PipeKey);

    /// A peer's handshake is done, so that its routing id is known.
    fn identify(&mut self, _pipes: &mut Pipes, _key: PipeKey) {}

    /// A pipe has something to read.
    fn readable(&mut self, pipes: &mut Pipes, key: PipeKey);

    /// A pipe has room again.
    fn writable(&mut self, _pipes: &mut Pipes, _key: PipeKey) {}

    /// Nothing more goes to this pipe, and nothing more comes; it is told once. What had come may
    /// still be read.
    fn detach(&mut self, pipes: &mut Pipes, key: PipeKey);

    /// Whether it has read a frame of this pipe that was not received yet.
    fn holds(&self, _key: PipeKey) -> bool {
        false
    }

    /// This pipe is given up by the socket itself, read or not.
    fn forget(&mut self, pipes: &mut Pipes, key: PipeKey);

    fn send(
        &mut self,
        _pipes: &mut Pipes,
        _body: FrameBody<'_>,
        _has_more: bool,
    ) -> Result<(), Refusal> {
        Err(Refusal::State)
    }

    /// Writes the next frame to `_frame`, which is left undefined if there is none.
    fn receive(&mut self, _pipes: &mut Pipes, _frame: &mut Message) -> Result<(), Refusal> {
        Err(Refusal::State)
    }

    /// Messages of a fan-out log so far: what is published later is not for who is given up now.
    fn published(&self) -> u64 {
        0
    }

    fn has_room(&mut self, _pipes: &mut Pipes) -> bool {
        false
    }

    fn has_message(&mut self, _pipes: &mut Pipes) -> bool {
        false
    }

    /// What a worker that is to serve this socket walks.
    fn feed(&mut self, _mailbox: &Arc<Mailbox>) -> Option<FanOutFeed> {
        None
    }
}

/// A pattern that subscribes.
pub(crate) trait Subscribing: Behaviour {
    fn subscribe(&mut self, pipes: &mut Pipes, prefix: &[u8]);
    fn unsubscribe(&mut self, pipes: &mut Pipes, prefix: &[u8]);
}

/// Any of ZeroMQ's patterns (`zmq_socket(3)`). Sealed.
#[expect(private_bounds, reason = "what a pattern does is this crate's own business")]
pub trait Pattern: Behaviour {}

/// A pattern that can send (`zmq_send(3)`). Sealed.
#[diagnostic::on_unimplemented(message = "a socket of pattern `{Self}` cannot send")]
pub trait Sends: Pattern {}

/// A pattern that can receive (`zmq_recv(3)`). Sealed.
#[diagnostic::on_unimplemented(message = "a socket of pattern `{Self}` cannot receive")]
pub trait Receives: Pattern {}

/// A pattern that subscribes to messages by their first bytes (RFC 29/PUBSUB). Sealed.
#[expect(private_bounds, reason = "what a pattern does is this crate's own business")]
pub trait Subscribes: Pattern + Subscribing {}

macro_rules! patterns {
    ($marker:ident: $($pattern:ty),*) => { $(impl $marker for $pattern {})* };
}

patterns!(Pattern: Pub, XPub, Sub, XSub, Push, Pull, Req, Rep, Dealer, Router, Pair);
patterns!(Sends: Pub, XPub, XSub, Push, Req, Rep, Dealer, Router, Pair);
patterns!(Receives: XPub, Sub, XSub, Pull, Req, Rep, Dealer, Router, Pair);
patterns!(Subscribes: Sub, XSub);
