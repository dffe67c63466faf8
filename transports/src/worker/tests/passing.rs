//! Claims about what peers that come and go for ever leave with a socket that makes no call.

use std::io::Write;
use std::net::{TcpListener, TcpStream};

use zring_zmtp::SocketType;

use super::super::*;
use super::{Fixture, MESSAGE, handshake};
use crate::notice::REMNANTS_MAX;

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
    // Its timer is the next: those behind it stay for a while.
    let first = TcpStream::connect(&address).unwrap();
    fixture.until(|fixture| fixture.worker.peers.len() == 1);
    for _ in 0..2 * TIMERS_MIN {
        let stream = TcpStream::connect(&address).unwrap();
        fixture.until(|fixture| fixture.worker.peers.len() == 2);
        drop(stream);
        fixture.until(|fixture| fixture.worker.peers.len() == 1);
        let timers = fixture.worker.timers.len();
        assert!((1..=TIMERS_MIN).contains(&timers), "{timers} timers");
    }
    drop(first);
    fixture.until(|fixture| fixture.worker.peers.is_empty() && fixture.worker.timers.is_empty());
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
            let stream = fixture.accept(&server);
            fixture.be_visited(stream, peer_type, MESSAGE);
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
