//! Options of a socket, set before it is made.
//!
//! Every option is honoured by the socket it is set on or refused by [`Builder::build`]. Defaults
//! are libzmq's (`zmq_setsockopt(3)`).
//!
//! Deliberately absent: changing options of a live socket.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use bytes::Bytes;
use zring_transports::endpoint::Tuning;
use zring_zmtp::{ROUTING_ID_SIZE_MAX, SocketType};

use crate::driver::AnyContext;
use crate::pattern::{Pattern, Receives, Sends};
use crate::socket::Socket;
use crate::{Error, pattern};

/// The shortest pause before connecting again. `ZMQ_RECONNECT_IVL` counts milliseconds.
const PAUSE_MIN: Duration = Duration::from_millis(1);
/// What the kernel may hold unsent for a lossless publisher's tcp connection: two full sends. More
/// only grows cold there, and is sent by the subscriber's core, whose acknowledgements make room
/// for it: with megabytes for each of 64 subscribers, two thirds of the throughput were left. Where
/// messages are dropped at the mark, each byte there is one that a slow subscriber need not lose.
const UNSENT_MAX: u32 = 128 * 1024;

/// What a socket is made with.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) send_mark: usize,
    pub(crate) receive_mark: usize,
    pub(crate) linger: Option<Duration>,
    pub(crate) send_timeout: Option<Duration>,
    pub(crate) receive_timeout: Option<Duration>,
    pub(crate) routing_id: Bytes,
    pub(crate) message_size_max: Option<u64>,
    pub(crate) handshake_timeout: Option<Duration>,
    pub(crate) reconnect_interval: Option<Duration>,
    pub(crate) reconnect_interval_max: Option<Duration>,
    pub(crate) tuning: Tuning,
    pub(crate) is_lossless: bool,
}

/// Options of a socket of pattern `P` (`zmq_setsockopt(3)`).
///
/// ```
/// # fn main() -> Result<(), zring::Error> {
/// let context = zring::Context::new();
/// let sub = zring::Sub::builder().receive_high_water_mark(10_000).build(&context)?;
/// # drop(sub);
/// # Ok(())
/// # }
/// ```
pub struct Builder<P> {
    options: Options,
    pattern: PhantomData<fn() -> P>,
}

/// One builder can make many sockets.
impl<P> Clone for Builder<P> {
    fn clone(&self) -> Self {
        Self { options: self.options.clone(), pattern: PhantomData }
    }
}

impl<P> fmt::Debug for Builder<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.options.fmt(f)
    }
}

impl<P: Pattern> Builder<P> {
    pub(crate) fn new() -> Self {
        let subscribes = matches!(P::TYPE, SocketType::Sub | SocketType::XSub);
        let options = Options {
            send_mark: 1000,
            receive_mark: 1000,
            linger: subscribes.then_some(Duration::ZERO),
            send_timeout: None,
            receive_timeout: None,
            routing_id: Bytes::new(),
            message_size_max: None,
            handshake_timeout: Some(Duration::from_secs(30)),
            reconnect_interval: Some(Duration::from_millis(100)),
            reconnect_interval_max: None,
            tuning: Tuning::default(),
            is_lossless: false,
        };
        Self { options, pattern: PhantomData }
    }

    /// The socket (`zmq_socket(3)`).
    ///
    /// # Errors
    /// [`Error::InvalidOption`] for an option out of its range, or that this pattern does not have;
    /// [`Error::Terminated`] once the context was shut down; in the child of a fork
    /// [`Error::Transport`] says so.
    pub fn build<C: AnyContext>(self, context: &C) -> Result<Socket<P, C::Driver>, Error> {
        let id = &self.options.routing_id;
        if id.len() > ROUTING_ID_SIZE_MAX {
            let reason = "a routing id has at most 255 bytes";
            return Err(Error::InvalidOption { option: "routing_id", reason });
        }
        if !id.is_empty() && !P::TYPE.sends_identity() {
            let reason = "only REQ, DEALER and ROUTER tell theirs";
            return Err(Error::InvalidOption { option: "routing_id", reason });
        }
        if self.options.is_lossless && !matches!(P::TYPE, SocketType::Pub | SocketType::XPub) {
            let reason = "only publishers drop";
            return Err(Error::InvalidOption { option: "no_drop", reason });
        }
        let zero = Some(Duration::ZERO);
        if self.options.handshake_timeout == zero {
            let reason = "no handshake takes no time; None is no limit";
            return Err(Error::InvalidOption { option: "handshake_timeout", reason });
        }
        let is_short = |pause: Option<Duration>| pause.is_some_and(|time| time < PAUSE_MIN);
        if is_short(self.options.reconnect_interval) {
            let reason = "the pause is 1 ms at least; None does not connect again";
            return Err(Error::InvalidOption { option: "reconnect_interval", reason });
        }
        if is_short(self.options.reconnect_interval_max) {
            let reason = "the pause is 1 ms at least; None does not double it";
            return Err(Error::InvalidOption { option: "reconnect_interval_max", reason });
        }
        let (pause, max) = (self.options.reconnect_interval, self.options.reconnect_interval_max);
        if pause.is_none() && max.is_some() {
            let reason = "there is no pause to double";
            return Err(Error::InvalidOption { option: "reconnect_interval_max", reason });
        }
        Socket::make(context.driver().clone(), self.options)
    }

    /// How long what was sent may still leave after the socket is dropped; `None`, the default, is
    /// as long as it takes. SUB and XSUB do not linger by default (`ZMQ_LINGER`).
    #[must_use]
    pub const fn linger(mut self, time: Option<Duration>) -> Self {
        self.options.linger = time;
        self
    }

    /// What a ROUTER peer calls this socket: up to 255 bytes, and by default it is empty, which is
    /// none (`ZMQ_ROUTING_ID`). For REQ, DEALER and ROUTER.
    #[must_use]
    pub fn routing_id(mut self, id: impl AsRef<[u8]>) -> Self {
        self.options.routing_id = Bytes::copy_from_slice(id.as_ref());
        self
    }

    /// The largest frame that a peer may send, in bytes; `None`, the default, is no limit. A peer
    /// that sends a larger one loses its connection (`ZMQ_MAXMSGSIZE`).
    #[must_use]
    pub const fn message_size_max(mut self, bytes: Option<u64>) -> Self {
        self.options.message_size_max = bytes;
        self
    }

    /// How long a peer's handshake may take; 30 s by default, `None` for no limit, never zero
    /// (`ZMQ_HANDSHAKE_IVL`).
    #[must_use]
    pub const fn handshake_timeout(mut self, time: Option<Duration>) -> Self {
        self.options.handshake_timeout = time;
        self
    }

    /// The pause before connecting again, 1 ms at least; 100 ms by default, with up to as much
    /// again added at random. With `None`, an endpoint whose connection is lost is given up, and
    /// can be connected to anew (`ZMQ_RECONNECT_IVL`).
    #[must_use]
    pub const fn reconnect_interval(mut self, time: Option<Duration>) -> Self {
        self.options.reconnect_interval = time;
        self
    }

    /// With a time, which is 1 ms at least, the pause doubles with every failure in a row up to
    /// this, and nothing is added at random; `None` by default (`ZMQ_RECONNECT_IVL_MAX`).
    #[must_use]
    pub const fn reconnect_interval_max(mut self, time: Option<Duration>) -> Self {
        self.options.reconnect_interval_max = time;
        self
    }

    /// The kernel's send buffer of each connection, in bytes, which the kernel doubles, up to its
    /// own limit (`net.core.wmem_max`); `None`, the default, lets it choose (`ZMQ_SNDBUF`,
    /// `SO_SNDBUF` in socket(7)).
    #[must_use]
    pub const fn send_buffer(mut self, bytes: Option<usize>) -> Self {
        self.options.tuning.send_buffer = bytes;
        self
    }

    /// The kernel's receive buffer of each connection, in bytes, which the kernel doubles, up to
    /// its own limit (`net.core.rmem_max`); `None`, the default, lets it choose (`ZMQ_RCVBUF`,
    /// `SO_RCVBUF` in socket(7)).
    #[must_use]
    pub const fn receive_buffer(mut self, bytes: Option<usize>) -> Self {
        self.options.tuning.receive_buffer = bytes;
        self
    }

    /// Connections that the kernel may hold before they are accepted, up to its own limit
    /// (`net.core.somaxconn`); 100 by default (`ZMQ_BACKLOG`).
    #[must_use]
    pub const fn backlog(mut self, connections: u32) -> Self {
        self.options.tuning.backlog = connections;
        self
    }

    /// Whether `*`, interfaces and host names mean IPv6 too; not by default (`ZMQ_IPV6`).
    #[must_use]
    pub const fn ipv6(mut self, is_enabled: bool) -> Self {
        self.options.tuning.ipv6 = is_enabled;
        self
    }

    /// A publisher waits for a subscriber at its high-water mark that wants the message, instead of
    /// dropping it; not by default (`ZMQ_XPUB_NODROP`). For PUB and XPUB. Beyond the marks, the
    /// kernel then takes 128 KiB for each tcp connection that it cannot send at once.
    #[must_use]
    pub const fn no_drop(mut self, is_lossless: bool) -> Self {
        self.options.is_lossless = is_lossless;
        self.options.tuning.unsent_max = if is_lossless { Some(UNSENT_MAX) } else { None };
        self
    }
}

impl<P: Sends> Builder<P> {
    /// Messages that may wait to be sent, for each peer; 1000 by default, 0 for any number
    /// (`ZMQ_SNDHWM`). Who is at it takes nothing more before half of it was sent. What
    /// [gathers](crate::LocalContext#bursts) does not count while its connection takes what it is
    /// given.
    #[must_use]
    pub const fn send_high_water_mark(mut self, messages: usize) -> Self {
        self.options.send_mark = messages;
        self
    }

    /// How long `send` may wait; `None`, the default, is as long as it takes, and zero not at all
    /// (`ZMQ_SNDTIMEO`).
    #[must_use]
    pub const fn send_timeout(mut self, time: Option<Duration>) -> Self {
        self.options.send_timeout = time;
        self
    }
}

impl<P: Receives> Builder<P> {
    /// Messages that may wait to be received, from each peer; 1000 by default, 0 for any number
    /// (`ZMQ_RCVHWM`). Over inproc both sides' marks add up, and 0 on either is any number. Over
    /// tcp and ipc a pipe takes all that one system call brings, 4 MiB at most, and no more
    /// before half its mark is free again.
    #[must_use]
    pub const fn receive_high_water_mark(mut self, messages: usize) -> Self {
        self.options.receive_mark = messages;
        self
    }

    /// How long `recv` may wait; `None`, the default, is as long as it takes, and zero not at all
    /// (`ZMQ_RCVTIMEO`).
    #[must_use]
    pub const fn receive_timeout(mut self, time: Option<Duration>) -> Self {
        self.options.receive_timeout = time;
        self
    }
}

impl Options {
    /// What the pattern has to know.
    pub(crate) fn setup(
        &self,
        pools: zring_engine::log::LogPools,
        is_local: bool,
    ) -> pattern::Setup {
        let Self { send_mark, receive_mark, is_lossless, .. } = *self;
        pattern::Setup { pools, is_local, send_mark, receive_mark, is_lossless }
    }
}
