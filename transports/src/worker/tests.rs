//! Claims about workers: their end, a socket that makes no call, its marks, a peer's share of a
//! turn, and time.

mod ending;
mod marks;
mod passing;
mod sharing;
mod time;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use bytes::Bytes;
use zring_zmtp::SocketType;

use super::*;
use crate::endpoint::{self, Endpoint, Listening, Tuning};
use crate::fan_out::FanOutLog;
use crate::notice::{Arrival, ListenerId};
use crate::pipe::{Joint, Marks, PipeEnd, log_pools};
use crate::port::PortOptions;

/// Those of a socket without a limit on anything, whose worker runs on its thread.
fn options(socket_type: SocketType) -> PortOptions {
    let marks = Marks { send: 0, receive: 0 };
    PortOptions {
        socket_type,
        routing_id: Bytes::new(),
        frame_size_max: u64::MAX,
        handshake_timeout: None,
        reconnect_interval: None,
        reconnect_interval_max: None,
        reports_subscriptions: false,
        is_lossless: false,
        tuning: Tuning::default(),
        joint: Joint { pools: log_pools(), inbox: Default::default(), marks, is_local: true },
        rejections: Default::default(),
        failed_connects: Default::default(),
    }
}

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
            ..options(socket_type)
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

    /// The next connection to a server that does not block; itself it does not either.
    fn accept(&mut self, server: &TcpListener) -> TcpStream {
        let mut accepted = None;
        self.until(|_| {
            accepted = server.accept().ok();
            accepted.is_some()
        });
        let (stream, _) = accepted.expect("waited for");
        stream.set_nonblocking(true).unwrap();
        stream
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
