use super::*;
use crate::InvalidFrame;

fn local(socket_type: SocketType, routing_id: &'static [u8]) -> Local {
    Local { socket_type, routing_id: Bytes::from_static(routing_id) }
}

fn transmit(handshake: &mut Handshake) -> Vec<u8> {
    std::iter::from_fn(|| handshake.poll_transmit()).flatten().collect()
}

/// Everything that a peer of that type sends.
fn sent_by(socket_type: SocketType, routing_id: &'static [u8]) -> Vec<u8> {
    let mut sent = greeting::encode(routing_id.len()).to_vec();
    command::encode_ready(socket_type, routing_id, &mut sent);
    sent
}

/// Greeting and a command frame around `body`.
fn with_command(body: &[u8]) -> Vec<u8> {
    let mut sent = greeting::encode(0).to_vec();
    let (header, len) = frame::encode(false, true, body.len());
    sent.extend_from_slice(&header[..len]);
    sent.extend_from_slice(body);
    sent
}

fn ready(properties: &[(&[u8], &[u8])]) -> Vec<u8> {
    let mut body = b"\x05READY".to_vec();
    for (name, value) in properties {
        body.push(name.len() as u8);
        body.extend_from_slice(name);
        body.extend_from_slice(&(value.len() as u32).to_be_bytes());
        body.extend_from_slice(value);
    }
    with_command(&body)
}

/// A ROUTER that is sent `input`, whole and then byte by byte.
#[track_caller]
fn check(input: &[u8], expected: Result<&Peer, Error>) {
    for piece in [input.len(), 1] {
        let mut handshake = Handshake::new(local(SocketType::Router, b""));
        let outcome = input.chunks(piece).try_for_each(|piece| {
            assert_eq!(handshake.handle_input(piece)?, piece.len());
            Ok(())
        });
        transmit(&mut handshake);
        assert_eq!(outcome.map(|()| handshake.peer().expect("no peer")), expected);
        if let Err(error) = expected {
            assert_eq!(handshake.handle_input(b"x"), Err(error), "errors are final");
            assert_eq!(handshake.peer(), None);
        }
    }
}

#[track_caller]
fn check_refused(input: &[u8], expected: impl Into<Error>) {
    check(input, Err(expected.into()));
}

/// Carries bytes back and forth in pieces of at most `piece` until nothing moves any more.
fn join(left: &mut Handshake, right: &mut Handshake, piece: usize) -> [Result<(), Error>; 2] {
    let (mut at_left, mut at_right) = (Ok(()), Ok(()));
    loop {
        let (to_right, to_left) = (transmit(left), transmit(right));
        if to_right.is_empty() && to_left.is_empty() {
            return [at_left, at_right];
        }
        for bytes in to_left.chunks(piece) {
            at_left = at_left.and_then(|()| left.handle_input(bytes).map(drop));
        }
        for bytes in to_right.chunks(piece) {
            at_right = at_right.and_then(|()| right.handle_input(bytes).map(drop));
        }
    }
}

#[test]
fn every_pair_of_types_completes_or_refuses_on_both_sides() {
    for left_type in SocketType::ALL {
        for right_type in SocketType::ALL {
            for piece in [1, 7, 10, 64, 1000] {
                let mut left = Handshake::new(local(left_type, b"left"));
                let mut right = Handshake::new(local(right_type, b""));
                let outcomes = join(&mut left, &mut right, piece);
                let refusal =
                    |local, peer| Err(PeerIncompatible::SocketType { local, peer }.into());
                if left_type.accepts(right_type) {
                    assert_eq!(outcomes, [Ok(()), Ok(())]);
                    let (left, right) = (left.into_peer().unwrap(), right.into_peer().unwrap());
                    assert_eq!([left.socket_type, right.socket_type], [right_type, left_type]);
                    let told: &[u8] = if left_type.sends_identity() { b"left" } else { b"" };
                    assert_eq!((&*left.routing_id, &*right.routing_id), (&b""[..], told));
                    assert_eq!((left.minor, right.minor), (1, 1));
                } else {
                    let expected = [refusal(left_type, right_type), refusal(right_type, left_type)];
                    assert_eq!(outcomes, expected);
                    assert_eq!((left.peer(), right.peer()), (None, None));
                }
            }
        }
    }
}

#[test]
fn every_split_gives_the_same_peer_and_leaves_the_frames() {
    let mut sent = sent_by(SocketType::Dealer, b"id");
    let handshake_len = sent.len();
    sent.extend_from_slice(b"\x00\x01a\x04\x07\x04PING\0\0");

    for first in 0..=sent.len() {
        for second in first..=sent.len() {
            let mut handshake = Handshake::new(local(SocketType::Router, b""));
            let mut used = 0;
            for piece in [&sent[..first], &sent[first..second], &sent[second..]] {
                let taken = handshake.handle_input(piece).unwrap();
                assert_eq!(taken, piece.len().min(handshake_len - used), "{first} {second}");
                used += taken;
            }
            assert_eq!(handshake.peer(), None, "READY was not sent yet");
            transmit(&mut handshake);
            let peer = handshake.into_peer().unwrap();
            assert_eq!((peer.socket_type, &*peer.routing_id), (SocketType::Dealer, &b"id"[..]));
            let names: Vec<_> = peer.properties.iter().map(|(name, _)| &**name).collect();
            assert_eq!(names, [command::SOCKET_TYPE, command::IDENTITY]);
        }
    }
}

#[test]
fn we_send_signature_then_greeting_then_ready() {
    let sent = sent_by(SocketType::Req, b"me");
    let mut handshake = Handshake::new(local(SocketType::Rep, b""));
    let expected = sent_by(SocketType::Rep, b"");

    assert_eq!(transmit(&mut handshake), expected[..10]);
    assert_eq!(handshake.handle_input(&sent[..9]), Ok(9));
    assert_eq!(transmit(&mut handshake), []);
    assert_eq!(handshake.handle_input(&sent[9..10]), Ok(1));
    assert_eq!(transmit(&mut handshake), expected[10..64]);
    assert_eq!(handshake.handle_input(&sent[10..63]), Ok(53));
    assert_eq!(transmit(&mut handshake), []);
    assert_eq!(handshake.handle_input(&sent[63..64]), Ok(1));
    assert_eq!(transmit(&mut handshake), expected[64..]);
    assert_eq!(handshake.peer(), None);
    assert_eq!(handshake.handle_input(&sent[64..]), Ok(sent.len() - 64));
    assert!(handshake.peer().is_some());
    assert_eq!(handshake.handle_input(b"frames"), Ok(0));
}

#[test]
fn the_worked_example_of_the_rfc_completes() {
    // 37/ZMTP, "Worked Example": zero padding, and a ROUTER without an Identity.
    let mut router = b"\xff\0\0\0\0\0\0\0\0\x7f\x03\x01NULL".to_vec();
    router.resize(64, 0);
    router.extend_from_slice(b"\x04\x1c\x05READY\x0bSocket-Type\0\0\0\x06ROUTER");
    let expected = Peer {
        minor: 1,
        socket_type: SocketType::Router,
        routing_id: Bytes::new(),
        properties: vec![(Bytes::from_static(b"Socket-Type"), Bytes::from_static(b"ROUTER"))],
    };
    check(&router, Ok(&expected));
    // 23/ZMTP: the same with minor version 0.
    router[11] = 0;
    check(&router, Ok(&Peer { minor: 0, ..expected }));
}

#[test]
fn property_names_have_no_case_and_unknown_ones_are_kept() {
    let mut handshake = Handshake::new(local(SocketType::Router, b""));
    let sent = ready(&[(b"X-a", b"1"), (b"SOCKET-type", b"REQ"), (b"identity", b"me")]);
    assert_eq!(handshake.handle_input(&sent), Ok(sent.len()));
    transmit(&mut handshake);
    let peer = handshake.peer().unwrap();
    assert_eq!((peer.socket_type, &*peer.routing_id), (SocketType::Req, &b"me"[..]));
    assert_eq!(peer.properties[0], (Bytes::from_static(b"X-a"), Bytes::from_static(b"1")));
}

#[test]
fn the_identity_of_other_types_is_ignored() {
    let mut handshake = Handshake::new(local(SocketType::Dealer, b""));
    let sent = ready(&[(b"Socket-Type", b"REP"), (b"Identity", b"me")]);
    assert_eq!(handshake.handle_input(&sent), Ok(sent.len()));
    transmit(&mut handshake);
    assert!(handshake.peer().unwrap().routing_id.is_empty());
}

#[test]
fn a_greeting_that_is_not_ours_is_refused() {
    check_refused(b"\x01\x00", PeerIncompatible::Signature);
    let mut old = greeting::encode(0);
    old[10] = 1;
    check_refused(&old[..11], PeerIncompatible::Version { revision: 1 });
    let mut curve = greeting::encode(0);
    curve[12..17].copy_from_slice(b"CURVE");
    let mechanism = *curve[12..].first_chunk().unwrap();
    check_refused(&curve[..32], PeerIncompatible::Mechanism { mechanism });
}

#[test]
fn a_ready_that_breaks_a_rule_is_refused() {
    let socket_type: (&[u8], &[u8]) = (b"Socket-Type", b"REQ");
    for (properties, expected) in [
        (vec![], PeerMisbehaved::SocketTypeMissing),
        (vec![(&b"Identity"[..], &b"me"[..])], PeerMisbehaved::SocketTypeMissing),
        (vec![socket_type, socket_type], PeerMisbehaved::DuplicateProperty),
        (vec![socket_type, (b"x", b""), (b"X", b"")], PeerMisbehaved::DuplicateProperty),
        (vec![socket_type, (b"", b"")], PeerMisbehaved::MalformedCommand),
        (
            vec![socket_type, (b"Identity", &[0; 256])],
            PeerMisbehaved::IdentityTooLong { size: 256 },
        ),
    ] {
        check_refused(&ready(&properties), expected);
    }
    for value in [&b""[..], b"req", b"REQ\0", b"STREAM", b"CLIENT"] {
        check_refused(&ready(&[(b"Socket-Type", value)]), PeerIncompatible::SocketTypeUnknown);
    }
}

#[test]
fn properties_and_ready_have_their_limits() {
    let names: Vec<_> = (0..PROPERTIES_MAX as u32).map(|number| format!("X-{number}")).collect();
    let mut properties: Vec<(&[u8], &[u8])> = vec![(b"Socket-Type", b"REQ")];
    properties.extend(names.iter().map(|name| (name.as_bytes(), &b""[..])));
    check_refused(&ready(&properties), PeerMisbehaved::TooManyProperties);
    properties.pop();
    let mut handshake = Handshake::new(local(SocketType::Rep, b""));
    assert!(handshake.handle_input(&ready(&properties)).is_ok());

    // Name and sizes of READY, Socket-Type and X-long take 6 + 16 + 3 + 11 bytes.
    let value = vec![0; READY_SIZE_MAX - 36];
    let mut sent = ready(&[(b"Socket-Type", b"REQ"), (b"X-long", &value)]);
    let mut handshake = Handshake::new(local(SocketType::Rep, b""));
    assert_eq!(handshake.handle_input(&sent), Ok(64 + 9 + READY_SIZE_MAX));
    let size = READY_SIZE_MAX as u64 + 1;
    sent.truncate(64 + 9);
    sent[65..].copy_from_slice(&size.to_be_bytes());
    check_refused(&sent, PeerMisbehaved::ReadyTooLong { size });
}

#[test]
fn anything_but_ready_is_refused() {
    let after_greeting = |bytes: &[u8]| [&greeting::encode(0), bytes].concat();
    check_refused(&after_greeting(&[0x00]), PeerMisbehaved::MessageInHandshake);
    check_refused(&after_greeting(&[0x01]), PeerMisbehaved::MessageInHandshake);
    check_refused(&after_greeting(&[0x05]), InvalidFrame::CommandWithMore);
    check_refused(&after_greeting(&[0x08]), InvalidFrame::ReservedFlags { flags: 8 });
    check_refused(&with_command(b""), PeerMisbehaved::MalformedCommand);
    check_refused(&with_command(b"\x04PING\0\0"), PeerMisbehaved::UnexpectedCommand);
    check_refused(&with_command(b"\x05HELLO"), PeerMisbehaved::UnexpectedCommand);
    check_refused(&with_command(b"\x05READY\x01"), PeerMisbehaved::MalformedCommand);
    check_refused(&with_command(b"\x05ERROR"), PeerMisbehaved::MalformedCommand);
}

#[test]
fn an_error_command_ends_the_handshake_and_its_reason_is_kept() {
    let sent = with_command(b"\x05ERROR\x03400");
    check_refused(&sent, PeerIncompatible::Refused);
    let mut handshake = Handshake::new(local(SocketType::Rep, b""));
    assert_eq!(handshake.refusal(), None);
    assert_eq!(handshake.handle_input(&sent), Err(PeerIncompatible::Refused.into()));
    assert_eq!(handshake.refusal(), Some(&b"400"[..]));
}

#[test]
fn our_ready_is_still_sent_when_theirs_is_refused() {
    let mut handshake = Handshake::new(local(SocketType::Rep, b""));
    assert!(handshake.handle_input(&sent_by(SocketType::Pub, b"")).is_err());
    assert_eq!(transmit(&mut handshake), sent_by(SocketType::Rep, b""));
}

#[test]
#[should_panic(expected = "routing id beyond 255 bytes")]
fn a_routing_id_that_cannot_be_sent_is_a_bug_of_the_caller() {
    Handshake::new(local(SocketType::Dealer, &[1; 256]));
}
