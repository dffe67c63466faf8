//! Parties: a socket of either implementation, as a script sees it.

use std::time::Duration;

use tests::Ground;
use zmq::SocketType;
use zring::pattern::Pattern;
use zring::{
    Builder, Dealer, Driver, Error, Pair, Pub, Pull, Push, Rep, Req, Router, Socket, Sub,
    TransportError, XPub, XSub,
};

/// How soon a lost connection is tried again, in milliseconds.
const RECONNECT_MS: u16 = 10;

/// One end of a conversation. What a pattern cannot do panics.
pub(crate) trait Party {
    /// Answers where it is, or `None` if somebody else still is there.
    fn bind(&mut self, endpoint: &str) -> Option<String>;
    fn connect(&mut self, endpoint: &str);
    fn send(&mut self, frames: &[Vec<u8>]);
    fn recv(&mut self) -> Vec<Vec<u8>>;
    /// Subscribes, or undoes it.
    fn subscribe(&mut self, is_wanted: bool, prefix: &[u8]);
    /// Gives time to whoever works, a moment at most.
    fn pause(&self);
}

/// What a party is made with.
#[derive(Clone, Copy)]
pub(crate) struct Setup<'a> {
    pub(crate) kind: SocketType,
    /// Empty for none.
    pub(crate) routing_id: &'a [u8],
    /// In either direction, in messages; 0 for none.
    pub(crate) mark: u16,
}

impl Setup<'_> {
    fn tells_its_id(&self) -> bool {
        let told = [SocketType::REQ, SocketType::DEALER, SocketType::ROUTER];
        told.contains(&self.kind) && !self.routing_id.is_empty()
    }
}

/// The message by which an XSUB subscribes.
fn subscription(is_wanted: bool, prefix: &[u8]) -> Vec<u8> {
    [&[u8::from(is_wanted)], prefix].concat()
}

/// A socket of libzmq, in a context of its own. Once it is dropped, its address is free.
pub(crate) struct Theirs {
    // Before its context, whose drop waits for it.
    pub(crate) socket: zmq::Socket,
    _context: zmq::Context,
}

impl Theirs {
    pub(crate) fn new(setup: Setup<'_>) -> Self {
        let context = zmq::Context::new();
        let socket = context.socket(setup.kind).unwrap();
        socket.set_linger(0).unwrap();
        socket.set_reconnect_ivl(RECONNECT_MS.into()).unwrap();
        socket.set_sndhwm(setup.mark.into()).unwrap();
        socket.set_rcvhwm(setup.mark.into()).unwrap();
        if setup.tells_its_id() {
            socket.set_identity(setup.routing_id).unwrap();
        }
        Self { socket, _context: context }
    }
}

impl Party for Theirs {
    fn bind(&mut self, endpoint: &str) -> Option<String> {
        match self.socket.bind(endpoint) {
            Ok(()) => Some(self.socket.get_last_endpoint().unwrap().unwrap()),
            Err(zmq::Error::EADDRINUSE) => None,
            Err(error) => panic!("{error}"),
        }
    }

    fn connect(&mut self, endpoint: &str) {
        self.socket.connect(endpoint).unwrap();
    }

    fn send(&mut self, frames: &[Vec<u8>]) {
        self.socket.send_multipart(frames.iter().map(Vec::as_slice), 0).unwrap();
    }

    fn recv(&mut self) -> Vec<Vec<u8>> {
        self.socket.recv_multipart(0).unwrap()
    }

    fn subscribe(&mut self, is_wanted: bool, prefix: &[u8]) {
        match self.socket.get_socket_type().unwrap() {
            SocketType::XSUB => self.send(&[subscription(is_wanted, prefix)]),
            _ if is_wanted => self.socket.set_subscribe(prefix).unwrap(),
            _ => self.socket.set_unsubscribe(prefix).unwrap(),
        }
    }

    fn pause(&self) {
        std::thread::park_timeout(Duration::from_millis(1));
    }
}

/// A socket of ours.
pub(crate) struct Ours<'a, G: Ground> {
    socket: Any<G::Driver>,
    context: &'a G::Context,
}

macro_rules! any {
    ($($kind:ident = $type:ident: $($mark:ident)+,)+) => {
        enum Any<D: Driver> {
            $($type($type<D>),)+
        }

        impl<'a, G: Ground> Ours<'a, G> {
            pub(crate) fn new(context: &'a G::Context, setup: Setup<'_>) -> Self {
                let socket = match setup.kind {
                    $(SocketType::$kind => {
                        let builder = builder(&setup)$(.$mark(setup.mark.into()))+;
                        Any::$type(builder.build(context).unwrap())
                    })+
                    SocketType::STREAM => panic!("there is none of ours"),
                };
                Self { socket, context }
            }
        }
    };
}

any! {
    PAIR = Pair: send_high_water_mark receive_high_water_mark,
    PUB = Pub: send_high_water_mark,
    SUB = Sub: receive_high_water_mark,
    REQ = Req: send_high_water_mark receive_high_water_mark,
    REP = Rep: send_high_water_mark receive_high_water_mark,
    DEALER = Dealer: send_high_water_mark receive_high_water_mark,
    ROUTER = Router: send_high_water_mark receive_high_water_mark,
    PULL = Pull: receive_high_water_mark,
    PUSH = Push: send_high_water_mark,
    XPUB = XPub: send_high_water_mark receive_high_water_mark,
    XSUB = XSub: send_high_water_mark receive_high_water_mark,
}

fn builder<P: Pattern>(setup: &Setup<'_>) -> Builder<P> {
    let builder = Socket::<P>::builder()
        .linger(Some(Duration::ZERO))
        .reconnect_interval(Some(Duration::from_millis(RECONNECT_MS.into())));
    if setup.tells_its_id() { builder.routing_id(setup.routing_id) } else { builder }
}

/// The same for any of these patterns.
macro_rules! with {
    ($any:expr, [$($type:ident),+], $socket:ident => $does:expr) => {
        match &mut $any {
            $(Any::$type($socket) => $does,)+
            #[allow(unreachable_patterns, reason = "some calls suit every pattern")]
            _ => panic!("not with this pattern"),
        }
    };
    ($any:expr, $socket:ident => $does:expr) => {
        with!(
            $any,
            [Pair, Pub, Sub, Req, Rep, Dealer, Router, Pull, Push, XPub, XSub],
            $socket => $does
        )
    };
}

impl<G: Ground> Party for Ours<'_, G> {
    fn bind(&mut self, endpoint: &str) -> Option<String> {
        match with!(self.socket, socket => socket.bind(endpoint)) {
            Ok(endpoint) => Some(endpoint),
            Err(Error::Transport(TransportError::AddressInUse { .. })) => None,
            Err(error) => panic!("{error}"),
        }
    }

    fn connect(&mut self, endpoint: &str) {
        with!(self.socket, socket => socket.connect(endpoint)).unwrap();
    }

    fn send(&mut self, frames: &[Vec<u8>]) {
        let frames = frames.iter().map(Vec::as_slice);
        with!(
            self.socket,
            [Pair, Pub, Req, Rep, Dealer, Router, Push, XPub, XSub],
            socket => socket.send_multipart(frames)
        )
        .unwrap();
    }

    fn recv(&mut self) -> Vec<Vec<u8>> {
        let frames = with!(
            self.socket,
            [Pair, Sub, Req, Rep, Dealer, Router, Pull, XPub, XSub],
            socket => socket.recv_multipart()
        );
        frames.unwrap().iter().map(|frame| frame.to_vec()).collect()
    }

    fn subscribe(&mut self, is_wanted: bool, prefix: &[u8]) {
        match &mut self.socket {
            Any::XSub(socket) => socket.send(subscription(is_wanted, prefix)),
            Any::Sub(socket) if is_wanted => socket.subscribe(prefix),
            Any::Sub(socket) => socket.unsubscribe(prefix),
            _ => panic!("not with this pattern"),
        }
        .unwrap();
    }

    fn pause(&self) {
        G::pause(self.context);
    }
}
