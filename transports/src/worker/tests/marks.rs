//! Claims about a pipe that is at its receive mark, because its socket makes no call.

use std::net::{TcpListener, TcpStream};

use zring_zmtp::SocketType;

use super::super::*;
use super::{Fixture, MESSAGE, Read as _, Write as _, handshake};
use crate::message::Message;
use crate::pipe::{Marks, PipeEnd};

/// A PING with the context x, without a time to live, and its PONG (RFC 37).
const PING: &[u8] = b"\x04\x08\x04PING\0\0x";
const PONG: &[u8] = b"\x04\x06\x04PONGx";

fn pull(receive: usize) -> Fixture {
    let mut options = super::options(SocketType::Pull);
    options.reconnect_interval = Some(Duration::from_millis(1));
    options.joint.marks = Marks { send: 0, receive };
    Fixture::opened(options)
}

/// A peer that has said hello, and the socket's end of its pipe.
fn meet(fixture: &mut Fixture) -> (TcpStream, PipeEnd) {
    let mut peer = TcpStream::connect(fixture.bind()).unwrap();
    peer.set_nonblocking(true).unwrap();
    peer.write_all(&handshake("PUSH")).unwrap();
    let mut arrived = Vec::new();
    fixture.until(|fixture| {
        arrived.extend(fixture.take().1);
        !arrived.is_empty()
    });
    let [arrival] = arrived.try_into().map_err(|_| "more than one has come").unwrap();
    (peer, arrival.attachment.pipe)
}

fn read(pipe: &mut PipeEnd) -> usize {
    std::iter::from_fn(|| pipe.inbound.read(&mut Message::new())).count()
}

/// All that the peer was told, once it ends with this.
fn hear(fixture: &mut Fixture, peer: &mut TcpStream, end: &[u8]) {
    let mut heard = Vec::new();
    fixture.until(|_| {
        let _would_block = peer.read_to_end(&mut heard);
        heard.ends_with(end)
    });
}

#[test]
fn a_full_pipe_takes_one_more_receive_and_goes_on_once_it_is_read() {
    let mark = 10;
    let mut fixture = pull(mark);
    let (mut peer, mut pipe) = meet(&mut fixture);
    let messages = [&[0, 100][..], &[7; 100]].concat().repeat(1000);
    let (mut said, mut heard) = (0, 0);
    for _ in 0..3 {
        let mut waits = 0;
        fixture.until(|_| {
            let len = peer.write(&messages[said % messages.len()..]).unwrap_or(0);
            said += len;
            waits = if len > 0 { 0 } else { waits + 1 };
            waits == 100
        });
        let received = fixture.worker.peers.iter().all(|(_, peer)| peer.receive.is_none());
        assert!(received, "it is read no further");
        let unread = read(&mut pipe);
        // What one enter brings, and what comes until the receive has stopped.
        let most = 64 * Config::default().buffer_size / 102;
        assert!((mark..mark + most).contains(&unread), "{unread} messages");
        heard += unread;
    }
    let mut rest = said / 102 - heard;
    fixture.until(|_| {
        rest -= read(&mut pipe);
        rest == 0
    });
}

#[test]
fn a_full_pipe_answers_pings_until_more_comes_for_it() {
    let mut fixture = pull(1);
    let (mut peer, mut pipe) = meet(&mut fixture);
    peer.write_all(MESSAGE).unwrap();
    for _ in 0..3 {
        peer.write_all(PING).unwrap();
        hear(&mut fixture, &mut peer, PONG);
    }
    peer.write_all(MESSAGE).unwrap();
    fixture.until(|fixture| fixture.worker.peers.iter().all(|(_, peer)| peer.receive.is_none()));
    peer.write_all(PING).unwrap();
    assert_eq!(read(&mut pipe), 2);
    hear(&mut fixture, &mut peer, PONG);
}

#[test]
fn a_peer_that_ends_while_its_pipe_is_full_is_dialed_again_once_that_is_read() {
    let mut fixture = pull(1);
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    server.set_nonblocking(true).unwrap();
    let mut pipe = fixture.dial(&server.local_addr().unwrap().to_string());
    for _ in 0..3 {
        let mut stream = fixture.accept(&server);
        stream.write_all(&[&handshake("PUSH"), MESSAGE].concat()).unwrap();
        hear(&mut fixture, &mut stream, b"PULL");
        drop(stream);
        fixture.until(|fixture| fixture.worker.peers.iter().any(|(_, peer)| peer.ending.is_some()));
        assert!(server.accept().is_err(), "it waits");
        assert_eq!(read(&mut pipe), 1);
    }
}
