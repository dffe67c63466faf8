//! Claims about what peers that come and go for ever leave with a socket that makes no call.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use zring_zmtp::SocketType;

use super::super::*;
use crate::endpoint::{self, Endpoint, Listening, Tuning};
use crate::fan_out::FanOutLog;
use crate::notice::{Arrival, ListenerId, REMNANTS_MAX};
use crate::pipe::{Marks, PipeEnd, log_pools};

/// A worker, and a socket that makes no call but those of the test.
struct Fixture {
    worker: Worker,
    options: PortOptions,
    port: PortId,
}

impl Fixture {
    fn new(socket_type: SocketType) -> Self {
        let mut options = PortOptions {
            reconnect_interval: Some(Duration::from_millis(1)),
            reconnect_interval_max: Some(Duration::from_millis(1)),
            reports_subscriptions: true,
            is_lossless: true,
            ..super::options(socket_type)
        };
        options.joint.marks = Marks { send: 1000, receive: 1000 };
        Self::opened(options)
    }

    fn opened(options: PortOptions) -> Self {
        let crew = Crew::new(1);
        let worker = Worker::new(crew.clone(), 0).unwrap();
        let (port, mailbox) = (PortId::fresh(), crew.mailbox(0));
        let mut log = FanOutLog::new(log_pools(), true);
        let feed = options.fans_out().then(|| log.feed(mailbox, 1000));
        let open = OpenPort { port, options: options.clone(), feed };
        mailbox.post(Notice::Open(Box::new(open)));
        Self { worker, options, port }
    }

    /// Answers where peers can come to.
    fn bind(&self) -> String {
        let any = Endpoint::parse("tcp://127.0.0.1:*").unwrap();
        let Listening { fd, endpoint, .. } = endpoint::listen(&any, &Tuning::default()).unwrap();
        let (port, listener) = (self.port, ListenerId::fresh());
        let text = endpoint.as_str().into();
        self.worker.mailbox.post(Notice::Listen { port, listener, fd, endpoint: text });
        endpoint.strip_prefix("tcp://").unwrap().to_owned()
    }

    fn dial(&self, address: &str) -> PipeEnd {
        let target =
            endpoint::resolve(&Endpoint::parse(&format!("tcp://{address}")).unwrap()).unwrap();
        let (pipe, notice) =
            Notice::dial(self.port, &self.options, target, &self.worker.mailbox.clone());
        self.worker.mailbox.post(notice);
        pipe
    }

    fn turn(&mut self) {
        self.worker
            .turn(Wait::Until(Some(Instant::now() + Duration::from_millis(1))), || false)
            .unwrap();
    }

    fn until(&mut self, mut is_so: impl FnMut(&mut Self) -> bool) {
        let begin = Instant::now();
        while !is_so(self) {
            assert!(begin.elapsed() < Duration::from_secs(30), "it is still not so");
            self.turn();
        }
    }

    /// A peer says hello and `bytes`, is heard, and goes.
    fn be_visited(&mut self, mut stream: TcpStream, socket_type: &str, bytes: &[u8]) {
        stream.set_nonblocking(true).unwrap();
        stream.write_all(&handshake(socket_type)).unwrap();
        let is_here = |peer: &Peer| peer.is_in_traffic() && peer.greeting.is_empty();
        self.until(|fixture| fixture.worker.peers.iter().any(|(_, peer)| is_here(peer)));
        stream.write_all(bytes).unwrap();
        // Unread bytes would have the kernel reset the connection.
        while stream.read(&mut [0; 1024]).is_ok_and(|len| len > 0) {}
        drop(stream);
        self.until(|fixture| !fixture.worker.peers.iter().any(|(_, peer)| is_here(peer)));
    }

    /// All that the socket is told.
    fn take(&self) -> (Vec<Event>, Vec<Arrival>) {
        let mut events = Vec::new();
        let arrivals = self.options.joint.inbox.take_into(&mut events).collect();
        (events, arrivals)
    }
}

/// All that a good peer of this type says before its first frame (RFC 37).
fn handshake(socket_type: &str) -> Vec<u8> {
    let mut bytes = vec![0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 0];
    bytes.extend(b"NULL");
    bytes.resize(64, 0);
    let mut body = b"\x05READY\x0bSocket-Type\0\0\0".to_vec();
    body.push(socket_type.len() as u8);
    body.extend(socket_type.as_bytes());
    bytes.extend([4, body.len() as u8]);
    bytes.extend(body);
    bytes
}

/// A message of one byte.
const MESSAGE: &[u8] = b"\0\x01m";
/// A subscription to everything that begins with a.
const SUBSCRIPTION: &[u8] = b"\0\x02\x01a";

#[test]
fn peers_that_come_and_go_leave_nothing() {
    let cases = [(SocketType::Pull, "PUSH", &b""[..]), (SocketType::Pub, "SUB", SUBSCRIPTION)];
    for (socket_type, peer_type, bytes) in cases {
        let mut fixture = Fixture::new(socket_type);
        let address = fixture.bind();
        fixture.turn();
        for _ in 0..100 {
            let stream = TcpStream::connect(&address).unwrap();
            fixture.be_visited(stream, peer_type, bytes);
        }
        let (events, arrivals) = fixture.take();
        assert!(matches!(events[..], [Event::Arrived]), "{} events", events.len());
        assert!(arrivals.is_empty(), "{socket_type:?}: {} arrivals", arrivals.len());
    }
}

#[test]
fn peers_that_go_before_they_have_said_hello_leave_no_timers() {
    let handshake_timeout = Some(Duration::from_secs(3600));
    let options = super::options(SocketType::Pull);
    let mut fixture = Fixture::opened(PortOptions { handshake_timeout, ..options });
    let address = fixture.bind();
    fixture.turn();
    for _ in 0..2 * TIMERS_MIN {
        let stream = TcpStream::connect(&address).unwrap();
        fixture.until(|fixture| !fixture.worker.peers.is_empty());
        drop(stream);
        fixture.until(|fixture| fixture.worker.peers.is_empty());
        let timers = fixture.worker.timers.len();
        assert!((1..=TIMERS_MIN).contains(&timers), "{timers} timers");
    }
}

#[test]
fn a_listener_of_one_with_too_many_remnants_waits_until_they_are_read() {
    let mut fixture = Fixture::new(SocketType::Pull);
    let address = fixture.bind();
    fixture.turn();
    for _ in 0..REMNANTS_MAX {
        let stream = TcpStream::connect(&address).unwrap();
        fixture.be_visited(stream, "PUSH", MESSAGE);
    }
    // One more may be accepted by what was armed already.
    let bytes = [&handshake("PUSH"), MESSAGE].concat();
    let streams = [(); 10].map(|()| {
        let mut stream = TcpStream::connect(&address).unwrap();
        stream.write_all(&bytes).unwrap();
        fixture.turn();
        stream
    });
    (0..100).for_each(|_| fixture.turn());
    let (events, arrivals) = fixture.take();
    assert!(matches!(events[..], [Event::Arrived]), "{} events", events.len());
    let arrived = arrivals.len();
    assert!((REMNANTS_MAX..REMNANTS_MAX + streams.len()).contains(&arrived), "{arrived}");
    drop(arrivals);
    let mut others = arrived - REMNANTS_MAX;
    fixture.until(|fixture| {
        others += fixture.take().1.len();
        others == streams.len()
    });
}

#[test]
fn a_server_that_comes_and_goes_tells_its_client_once() {
    for (socket_type, peer_type) in [(SocketType::Dealer, "ROUTER"), (SocketType::Sub, "PUB")] {
        let mut fixture = Fixture::new(socket_type);
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        server.set_nonblocking(true).unwrap();
        let mut pipe = fixture.dial(&server.local_addr().unwrap().to_string());
        for _ in 0..100 {
            let mut stream = None;
            fixture.until(|_| {
                stream = server.accept().ok();
                stream.is_some()
            });
            fixture.be_visited(stream.unwrap().0, peer_type, MESSAGE);
        }
        let (events, arrivals) = fixture.take();
        assert!(
            matches!(events[..], [Event::Connected(..), Event::Readable(_)]),
            "{socket_type:?}: {} events",
            events.len()
        );
        assert!(arrivals.is_empty());
        let mut frame = crate::message::Message::new();
        let messages = std::iter::from_fn(|| pipe.inbound.read(&mut frame)).count();
        assert_eq!(messages, 100);
    }
}
