//! Malformed peers: their connection is closed, and nobody else's.

use std::io::Write;
use std::net::{Shutdown, SocketAddr};
use std::time::{Duration, Instant};

use tests::bytes::number;
use tests::{Cell, Ground, Watchdog, cells};
use zring::{
    Dealer, Error, Incidents, InvalidFrame, PeerIncompatible, PeerMisbehaved, ProtocolError, Pub,
    Pull, Push, RejectedPeer, Router, SocketType, Sub,
};

use crate::raw::{
    accept, dial, frame, greeting, greeting_of, handshake, hear, hear_more, is_closed, listen,
    long_header, ready, ready_with, wait_for_close,
};

/// In bytes. No good peer here sends so much.
const FRAME_SIZE_MAX: u64 = 1000;
/// Where a handshake is not ended by what is said in it.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_millis(200);

/// What it is called, the bytes, and the error that they are refused with.
type Offence = (&'static str, Vec<u8>, ProtocolError);

/// What no socket that talks to this type takes.
fn offences(socket_type: &str) -> Vec<Offence> {
    [in_handshake(socket_type), in_traffic(socket_type)].concat()
}

fn in_handshake(socket_type: &str) -> Vec<Offence> {
    use {InvalidFrame as Frame, PeerIncompatible as Incompatible, PeerMisbehaved as Misbehaved};
    let greeted = |bytes: &[u8]| [&greeting()[..], bytes].concat();
    let garbage: Vec<u8> = tests::bytes::body(7, 4096).into_iter().map(|byte| byte | 1).collect();
    vec![
        (
            "another protocol",
            b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
            Incompatible::Signature.into(),
        ),
        ("garbage", garbage.clone(), Incompatible::Signature.into()),
        (
            "a signature that does not end",
            [&[0xff; 10][..], &[0; 54]].concat(),
            Incompatible::Signature.into(),
        ),
        (
            "garbage behind a greeting",
            greeted(&garbage),
            Frame::ReservedFlags { flags: garbage[0] }.into(),
        ),
        ("ZMTP 1.0, anonymous", vec![1, 0], Incompatible::Signature.into()),
        (
            "ZMTP 2.0",
            vec![0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 1, 8, 0, 0],
            Incompatible::Version { revision: 1 }.into(),
        ),
        (
            "a mechanism we lack",
            greeting_of([3, 0], b"CURVE"),
            Incompatible::Mechanism { mechanism: padded(b"CURVE") }.into(),
        ),
        (
            "an unknown mechanism",
            greeting_of([3, 1], b"NULLNULL"),
            Incompatible::Mechanism { mechanism: padded(b"NULLNULL") }.into(),
        ),
        ("a socket type that there is not", greeted(&ready("PUSHY")), {
            Incompatible::SocketTypeUnknown.into()
        }),
        ("no socket type", greeted(&ready_with(&[])), Misbehaved::SocketTypeMissing.into()),
        (
            "a socket type twice",
            {
                let property = ("Socket-Type", socket_type.as_bytes());
                greeted(&ready_with(&[property, property]))
            },
            Misbehaved::DuplicateProperty.into(),
        ),
        (
            "a READY that is cut short",
            greeted(&frame(4, b"\x05READY\x0bSocket-Type\0\0")),
            Misbehaved::MalformedCommand.into(),
        ),
        (
            "a message instead of READY",
            greeted(&frame(0, b"too early")),
            Misbehaved::MessageInHandshake.into(),
        ),
        (
            "another command instead of READY",
            greeted(&frame(4, b"\x04PING\0\0")),
            Misbehaved::UnexpectedCommand.into(),
        ),
        ("an ERROR", greeted(&frame(4, b"\x05ERROR\x03400")), Incompatible::Refused.into()),
    ]
}

fn in_traffic(socket_type: &str) -> Vec<Offence> {
    use InvalidFrame as Frame;
    let well_begun = handshake(socket_type);
    let after = |bytes: &[u8]| [&well_begun[..], bytes].concat();
    let (size_max, size) = (FRAME_SIZE_MAX, FRAME_SIZE_MAX + 1);
    let too_large = || Frame::SizeBeyondMax { size, size_max }.into();
    vec![
        ("a reserved flag bit", after(&frame(8, b"x")), Frame::ReservedFlags { flags: 8 }.into()),
        (
            "all reserved flag bits",
            after(&frame(0xf8, b"x")),
            Frame::ReservedFlags { flags: 0xf8 }.into(),
        ),
        (
            "a command that more follows",
            after(&frame(5, b"\x04PING\0\0")),
            Frame::CommandWithMore.into(),
        ),
        (
            "a command without a name",
            after(&frame(4, b"")),
            PeerMisbehaved::MalformedCommand.into(),
        ),
        ("a frame over the limit", after(&long_header(0, size)), too_large()),
        ("a command over the limit", after(&long_header(4, size)), too_large()),
        (
            "a later frame over the limit",
            after(&[frame(1, b"first"), long_header(0, size)].concat()),
            too_large(),
        ),
        (
            "a size with its top bit set",
            after(&long_header(0, u64::MAX)),
            Frame::SizeTopBit { size: u64::MAX }.into(),
        ),
    ]
}

/// A type that `local` does not talk to.
fn incompatible(local: SocketType, peer: SocketType) -> Offence {
    let bytes = handshake(&peer.to_string());
    ("an incompatible socket type", bytes, PeerIncompatible::SocketType { local, peer }.into())
}

/// A mechanism as a greeting has it.
fn padded(mechanism: &[u8]) -> [u8; 20] {
    let mut field = [0; 20];
    field[..mechanism.len()].copy_from_slice(mechanism);
    field
}

/// The last peer that was sent away came from there, and was sent away for that.
fn assert_rejected(
    rejections: Incidents<RejectedPeer>,
    count: u64,
    bad: SocketAddr,
    error: ProtocolError,
) {
    let last = rejections.last.unwrap();
    assert_eq!((rejections.count, last.address, last.error), (count, Some(bad), error));
}

fn a_pull_closes_a_malformed_peer_and_hears_the_good_one<G: Ground>(cell: &Cell<G>) {
    let builder = Pull::builder().message_size_max(Some(FRAME_SIZE_MAX));
    let mut pull = builder.build(&cell.context).unwrap();
    let endpoint = pull.bind(&cell.endpoint()).unwrap();
    let mut push = Push::new(&cell.context).unwrap();
    push.connect(&endpoint).unwrap();
    push.send("first").unwrap();
    assert_eq!(pull.recv().unwrap(), "first");
    let mut offences = offences("PUSH");
    offences.push(incompatible(SocketType::Pull, SocketType::Req));
    for (value, (offence, bytes, error)) in (0..).zip(offences) {
        cell.watchdog.pat();
        let _watchdog = Watchdog::new(offence);
        let mut bad = dial(&endpoint, &bytes);
        let address = bad.local_addr().unwrap();
        push.send(&number(value)).unwrap();
        push.flush().unwrap();
        wait_for_close(cell, &mut bad);
        assert_eq!(pull.recv().unwrap(), number(value), "{offence}");
        cell.until(|| pull.peers() == 1);
        assert_eq!(pull.try_recv().err(), Some(Error::WouldBlock), "{offence}");
        assert_rejected(pull.rejections(), value + 1, address, error);
    }
}

fn a_router_closes_a_malformed_peer_and_answers_the_good_one<G: Ground>(cell: &Cell<G>) {
    let builder = Router::builder().message_size_max(Some(FRAME_SIZE_MAX));
    let mut router = builder.build(&cell.context).unwrap();
    let endpoint = router.bind(&cell.endpoint()).unwrap();
    let mut dealer = Dealer::builder().routing_id("good").build(&cell.context).unwrap();
    dealer.connect(&endpoint).unwrap();
    let mut offences = offences("DEALER");
    let too_long = ready_with(&[("Socket-Type", b"DEALER"), ("Identity", &[b'i'; 256])]);
    let error = PeerMisbehaved::IdentityTooLong { size: 256 }.into();
    offences.push(("a routing id of 256 bytes", [greeting(), too_long].concat(), error));
    offences.push(incompatible(SocketType::Router, SocketType::Pub));
    for (value, (offence, bytes, error)) in (0..).zip(offences) {
        cell.watchdog.pat();
        let _watchdog = Watchdog::new(offence);
        let mut bad = dial(&endpoint, &bytes);
        let address = bad.local_addr().unwrap();
        dealer.send(&number(value)).unwrap();
        dealer.flush().unwrap();
        let asked = router.recv_multipart().unwrap();
        assert_eq!(asked, [&b"good"[..], &number(value)], "{offence}");
        router.send_multipart(asked).unwrap();
        router.flush().unwrap();
        assert_eq!(dealer.recv().unwrap(), number(value), "{offence}");
        wait_for_close(cell, &mut bad);
        cell.until(|| router.peers() == 1);
        assert_rejected(router.rejections(), value + 1, address, error);
    }
}

fn a_pub_closes_a_malformed_peer_and_serves_the_good_one<G: Ground>(cell: &Cell<G>) {
    let builder = Pub::builder().message_size_max(Some(FRAME_SIZE_MAX));
    let mut publisher = builder.build(&cell.context).unwrap();
    let endpoint = publisher.bind(&cell.endpoint()).unwrap();
    let mut sub = Sub::new(&cell.context).unwrap();
    sub.subscribe("").unwrap();
    sub.connect(&endpoint).unwrap();
    tests::meet(cell, &mut publisher, &mut sub);
    let mut offences = offences("SUB");
    let within = [frame(1, b"front"), frame(4, b"\x09SUBSCRIBEt")].concat();
    let error = PeerMisbehaved::SubscriptionWithinMessage.into();
    offences.push(("a subscription within a message", [handshake("SUB"), within].concat(), error));
    offences.push(incompatible(SocketType::Pub, SocketType::Req));
    for (value, (offence, bytes, error)) in (0..).zip(offences) {
        cell.watchdog.pat();
        let _watchdog = Watchdog::new(offence);
        let mut bad = dial(&endpoint, &bytes);
        let address = bad.local_addr().unwrap();
        publisher.send(&number(value)).unwrap();
        publisher.flush().unwrap();
        assert_eq!(sub.recv().unwrap(), number(value), "{offence}");
        wait_for_close(cell, &mut bad);
        cell.until(|| publisher.peers() == 1);
        assert_rejected(publisher.rejections(), value + 1, address, error);
    }
}

/// A peer may also stop at any byte, and go.
fn a_peer_that_leaves_in_its_handshake_is_forgotten<G: Ground>(cell: &Cell<G>) {
    let mut pull = Pull::new(&cell.context).unwrap();
    let endpoint = pull.bind(&cell.endpoint()).unwrap();
    let said = handshake("PUSH");
    for len in [0, 1, 9, 10, 11, 12, 32, 63, 64, 65, 66, said.len() - 1] {
        cell.watchdog.pat();
        let mut bad = dial(&endpoint, &said[..len]);
        bad.shutdown(Shutdown::Write).unwrap();
        wait_for_close(cell, &mut bad);
    }
    assert_eq!(pull.peers(), 0);
    assert_eq!(pull.try_recv().err(), Some(Error::WouldBlock));
    let mut good = dial(&endpoint, &said);
    good.write_all(&frame(0, b"good")).unwrap();
    assert_eq!(pull.recv().unwrap(), "good");
}

/// What the peer says is right, and it is never silent for long: no byte gives it more time.
fn a_handshake_byte_by_byte_ends_at_its_timeout<G: Ground>(cell: &Cell<G>) {
    let builder = Pull::builder().handshake_timeout(Some(HANDSHAKE_TIMEOUT));
    let mut pull = builder.build(&cell.context).unwrap();
    let endpoint = pull.bind(&cell.endpoint()).unwrap();
    let mut good = dial(&endpoint, &handshake("PUSH"));
    // At this pace it would last longer than `until` waits.
    let property: (_, &[u8]) = ("X-Patience", &[0; 4000]);
    let said = [greeting(), ready_with(&[("Socket-Type", b"PUSH"), property])].concat();
    let pace = HANDSHAKE_TIMEOUT / 16;
    let mut rest = said.iter();
    let begin = Instant::now();
    let mut slow = dial(&endpoint, &[]);
    let address = slow.local_addr().unwrap();
    slow.set_nonblocking(true).unwrap();
    let (mut due, mut served) = (begin, 0);
    cell.until(|| {
        if Instant::now() >= due {
            // Refused once it is closed, which is what is looked at next.
            let _result = slow.write_all(&[*rest.next().unwrap()]);
            due = Instant::now() + pace;
        }
        good.write_all(&frame(0, &number(served))).unwrap();
        assert_eq!(pull.recv().unwrap(), number(served));
        served += 1;
        is_closed(&mut slow)
    });
    assert!(begin.elapsed() >= HANDSHAKE_TIMEOUT, "{:?}", begin.elapsed());
    assert!(pace * rest.len() as u32 > 4 * HANDSHAKE_TIMEOUT, "it had hardly more to say");
    assert_eq!(pull.peers(), 1);
    assert_rejected(pull.rejections(), 1, address, ProtocolError::HandshakeTimeout);
}

/// Whole messages before it are delivered, and so are those of others.
fn a_message_that_is_cut_off_is_not_delivered<G: Ground>(cell: &Cell<G>) {
    let mut pull = Pull::new(&cell.context).unwrap();
    let endpoint = pull.bind(&cell.endpoint()).unwrap();
    let whole = frame(0, b"whole");
    let halves: [Vec<u8>; 5] = [
        frame(1, b"first of two"),
        [frame(1, b"first of two"), vec![0, 200], vec![7; 199]].concat(),
        [long_header(0, 1 << 20), vec![7; (1 << 20) - 1]].concat(),
        [frame(1, b"first"), long_header(1, 1 << 20), vec![7; 1 << 20]].concat(),
        [frame(1, b"first"), long_header(0, 1 << 20), vec![7; 1 << 19]].concat(),
    ];
    for half in halves {
        cell.watchdog.pat();
        let hello = [handshake("PUSH"), whole.clone()].concat();
        let mut bad = dial(&endpoint, &hello);
        assert_eq!(pull.recv_multipart().unwrap(), ["whole"]);
        bad.set_nonblocking(true).unwrap();
        let mut rest = &half[..];
        cell.until(|| {
            let written = bad.write(rest).unwrap_or(0);
            rest = &rest[written..];
            rest.is_empty()
        });
        assert_eq!(pull.peers(), 1);
        drop(bad);
        cell.until(|| pull.peers() == 0);
        assert_eq!(pull.try_recv().err(), Some(Error::WouldBlock));
    }
    dial(&endpoint, &[handshake("PUSH"), whole].concat());
    assert_eq!(pull.recv_multipart().unwrap(), ["whole"]);
}

/// As libzmq: a peer that broke the protocol would break it again.
fn a_listener_that_breaks_the_protocol_is_given_up<G: Ground>(cell: &Cell<G>) {
    let (listener, endpoint) = listen();
    let mut good = Pull::new(&cell.context).unwrap();
    let mut push = Push::builder()
        .message_size_max(Some(FRAME_SIZE_MAX))
        .linger(Some(Duration::ZERO))
        .build(&cell.context)
        .unwrap();
    push.connect(&good.bind(&cell.endpoint()).unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let mut offences = offences("PULL");
    offences.push(incompatible(SocketType::Push, SocketType::Req));
    for (count, (offence, bytes, error)) in (1..).zip(offences) {
        let _watchdog = Watchdog::new(offence);
        push.connect(&endpoint).unwrap();
        let mut bad = accept(cell, &listener);
        bad.write_all(&bytes).unwrap();
        wait_for_close(cell, &mut bad);
        cell.until(|| push.peers() == 1);
        push.send(offence).unwrap();
        push.flush().unwrap();
        assert_eq!(good.recv().unwrap(), *offence);
        assert_rejected(push.rejections(), count, address, error);
        assert_eq!(&*push.rejections().last.unwrap().endpoint, endpoint);
    }
}

fn a_listener_that_hangs_up_is_connected_to_again<G: Ground>(cell: &Cell<G>) {
    let (listener, endpoint) = listen();
    let interval = Some(Duration::from_millis(1));
    let mut push = Push::builder().reconnect_interval(interval).build(&cell.context).unwrap();
    push.connect(&endpoint).unwrap();
    push.send("for whoever stays").unwrap();
    let said = handshake("PULL");
    for len in [0, 1, 10, 11, 63, 64, 65, said.len() - 1] {
        accept(cell, &listener).write_all(&said[..len]).unwrap();
        assert_eq!(push.peers(), 1);
    }
    let mut stays = accept(cell, &listener);
    stays.write_all(&said).unwrap();
    hear(cell, &mut stays, &mut Vec::new(), |heard| heard.ends_with(b"for whoever stays"));
}

/// What was to be sent waits for a listener that behaves.
fn a_listener_that_says_nothing_is_connected_to_again<G: Ground>(cell: &Cell<G>) {
    let (listener, endpoint) = listen();
    let mut push = Push::builder()
        .handshake_timeout(Some(HANDSHAKE_TIMEOUT))
        .reconnect_interval(Some(Duration::from_millis(1)))
        .build(&cell.context)
        .unwrap();
    let begin = Instant::now();
    push.connect(&endpoint).unwrap();
    push.send("for whoever speaks").unwrap();
    let mut silent = accept(cell, &listener);
    wait_for_close(cell, &mut silent);
    assert!(begin.elapsed() >= HANDSHAKE_TIMEOUT, "{:?}", begin.elapsed());
    let last = push.rejections().last.unwrap();
    assert_eq!((&*last.endpoint, last.error), (&*endpoint, ProtocolError::HandshakeTimeout));
    let (mut speaks, mut heard) = (None, Vec::new());
    cell.until(|| {
        // Who speaks too late, on a slow day, is connected to once more.
        if let Ok((mut stream, _)) = listener.accept() {
            stream.set_nonblocking(true).unwrap();
            let _result = stream.write_all(&handshake("PULL"));
            speaks = Some(stream);
        }
        if let Some(stream) = &mut speaks {
            hear_more(stream, &mut heard);
        }
        heard.ends_with(b"for whoever speaks")
    });
    assert_eq!(push.peers(), 1);
}

cells!(
    [Threads, Caller] x [Tcp]:
    a_listener_that_says_nothing_is_connected_to_again,
    a_listener_that_breaks_the_protocol_is_given_up,
    a_listener_that_hangs_up_is_connected_to_again,
    a_pull_closes_a_malformed_peer_and_hears_the_good_one,
    a_router_closes_a_malformed_peer_and_answers_the_good_one,
    a_pub_closes_a_malformed_peer_and_serves_the_good_one,
    a_peer_that_leaves_in_its_handshake_is_forgotten,
    a_handshake_byte_by_byte_ends_at_its_timeout,
    a_message_that_is_cut_off_is_not_delivered,
);
