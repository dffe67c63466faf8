//! Lingering: what happens to connections whose peer takes nothing, or takes no more.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use tests::bytes::number;
use tests::{Cell, Ground, cells, join, or_give_up};
use zring::{Pub, Pull, Push, Sub};

use crate::raw::{accept, dial, frame, handshake, listen, wait_for_close};

/// More than a publisher may have unwalked.
const PUBLISHED: u64 = 50_000;
/// More than the high-water mark, so that the walk is not done in one turn, and less than would
/// leave before the last is published.
const BURST: u64 = 1500;
/// Of connections that end: where exactly, differs.
const ROUNDS: usize = 20;
const LINGER: Duration = Duration::from_millis(300);

/// It keeps its connection, and its kernel refuses what is sent to it.
fn a_subscriber_that_only_stops_reading_is_let_go<G: Ground>(cell: &Cell<G>) {
    let mut publisher = Pub::new(&cell.context).unwrap();
    let endpoint = publisher.bind(&cell.endpoint()).unwrap();
    let mut sub = Sub::new(&cell.context).unwrap();
    sub.subscribe("good").unwrap();
    sub.connect(&endpoint).unwrap();
    tests::meet(cell, &mut publisher, &mut sub);
    let name = endpoint.strip_prefix("ipc://@").unwrap();
    let address = SocketAddr::from_abstract_name(name).unwrap();
    let mut bad = UnixStream::connect_addr(&address).unwrap();
    bad.write_all(&[handshake("SUB"), frame(0, b"\x01bad")].concat()).unwrap();
    cell.until(|| publisher.peers() == 2);
    bad.shutdown(Shutdown::Read).unwrap();
    for value in 0..PUBLISHED {
        publisher.send([b"bad ", &number(value)[..]].concat()).unwrap();
    }
    cell.until(|| publisher.peers() == 1);
    publisher.send("good").unwrap();
    publisher.flush().unwrap();
    assert_eq!(sub.recv().unwrap(), "good");
}

/// The time given to the first parting holds.
fn a_socket_dropped_behind_a_disconnect_ends_with_its_linger<G: Ground>(cell: &Cell<G>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let endpoint = format!("tcp://{}", listener.local_addr().unwrap());
    let mut push = Push::builder().linger(Some(LINGER)).build(&cell.context).unwrap();
    push.connect(&endpoint).unwrap();
    push.flush().unwrap();
    let (mut silent, _) = listener.accept().unwrap();
    silent.write_all(&handshake("PULL")).unwrap();
    for _ in 0..100 {
        push.send(vec![0; 1 << 20]).unwrap();
    }
    push.disconnect(&endpoint).unwrap();
    let begin = Instant::now();
    cell.until(|| begin.elapsed() >= LINGER / 2);
    // This, or the drop of its context, waits for the end of the time.
    drop(push);
}

/// Who wants nothing of what is still to be sent is let go, though others are waited for.
fn a_dropped_publisher_lets_go_of_who_has_nothing_to_wait_for<G: Ground>(cell: &Cell<G>) {
    let subscribed = |topic: &[u8]| [handshake("SUB"), frame(0, topic)].concat();
    let mut publisher = Pub::new(&cell.context).unwrap();
    let endpoint = publisher.bind(&cell.endpoint()).unwrap();
    let stalled = dial(&endpoint, &subscribed(b"\x01a"));
    let mut idle = dial(&endpoint, &subscribed(b"\x01b"));
    cell.until(|| publisher.peers() == 2);
    for value in 0..BURST {
        publisher.send([b"a ", &number(value)[..]].concat()).unwrap();
    }
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            or_give_up(|| idle.read_to_end(&mut Vec::new()).unwrap());
            drop(stalled);
        });
        drop(publisher);
        join([thread]);
    });
}

/// A PING says after how much silence its sender is to be given up (37/ZMTP): after a tenth of a
/// second, never, and an hour.
fn a_peer_is_given_up_after_the_silence_it_named<G: Ground>(cell: &Cell<G>) {
    let mut pull = Pull::new(&cell.context).unwrap();
    let endpoint = pull.bind(&cell.endpoint()).unwrap();
    let ping = |ttl: u16| {
        let said = [&b"\x04PING"[..], &ttl.to_be_bytes()].concat();
        [handshake("PUSH"), frame(4, &said)].concat()
    };
    let mut brief = dial(&endpoint, &ping(1));
    let mut others = [0, 36_000].map(|ttl| dial(&endpoint, &ping(ttl)));
    cell.until(|| pull.peers() == 3);
    for value in 0..5 {
        // Each is heard of in time.
        brief.write_all(&frame(0, &number(value))).unwrap();
        brief.write_all(&ping(1)[handshake("PUSH").len()..]).unwrap();
        assert_eq!(pull.recv().unwrap(), number(value));
    }
    wait_for_close(cell, &mut brief);
    cell.until(|| pull.peers() == 2);
    for other in &mut others {
        other.write_all(&frame(0, b"still here")).unwrap();
        assert_eq!(pull.recv().unwrap(), "still here");
    }
}

/// Its connection is over, and the next one is not begun.
fn what_was_sent_lingers_between_two_connections_too<G: Ground>(cell: &Cell<G>) {
    for _ in 0..ROUNDS {
        cell.watchdog.pat();
        let (listener, endpoint) = listen();
        let mut push = Push::builder()
            .handshake_timeout(Some(Duration::from_millis(1)))
            .reconnect_interval(Some(Duration::from_millis(1)))
            .build(&cell.context)
            .unwrap();
        push.connect(&endpoint).unwrap();
        push.send("at last").unwrap();
        let silent = accept(cell, &listener);
        cell.until(|| push.rejections().count > 0);
        drop((listener, silent));
        // Elsewhere, so that nothing happens to the connection meanwhile.
        let (tell, is_bound) = mpsc::channel();
        let receive = || {
            let context = G::context();
            let mut pull = Pull::new(&context).unwrap();
            pull.bind(&endpoint).unwrap();
            tell.send(()).unwrap();
            assert_eq!(pull.recv().unwrap(), "at last");
        };
        std::thread::scope(|scope| {
            let receiving = scope.spawn(|| or_give_up(receive));
            is_bound.recv().unwrap();
            drop(push);
            join([receiving]);
        });
    }
}

cells!([Threads, Caller] x [Tcp]: what_was_sent_lingers_between_two_connections_too);
cells!([Threads, Caller] x [Tcp]: a_peer_is_given_up_after_the_silence_it_named);
cells!([Threads, Caller] x [Ipc]: a_subscriber_that_only_stops_reading_is_let_go);
cells!(
    [Threads, Caller] x [Tcp]:
    a_socket_dropped_behind_a_disconnect_ends_with_its_linger,
    a_dropped_publisher_lets_go_of_who_has_nothing_to_wait_for,
);
