use super::*;

/// One frame of `bytes`: its header, and its body parsed.
fn check(bytes: &[u8], expected: Command<'_>) {
    let header = frame::decode(bytes, u64::MAX).unwrap().unwrap();
    assert_eq!((header.command, header.frame_len()), (true, bytes.len()), "{bytes:x?}");
    assert_eq!(parse(&bytes[header.header_len..]), Ok(expected), "{bytes:x?}");
}

fn encoded(encode: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    encode(&mut out);
    out
}

type Property<'a> = (&'a [u8], &'a [u8]);

fn properties<'a>(command: &Command<'a>) -> Result<Vec<Property<'a>>, Error> {
    let Command::Ready(metadata) = command else { panic!("no READY: {command:?}") };
    metadata.collect()
}

#[test]
fn encoded_commands_are_those_of_the_rfc_and_are_read_back() {
    let context: &[u8] = b"0123456789abcdef";
    for (bytes, expected, command) in [
        (
            encoded(|out| encode_subscribe(b"A", out)),
            &b"\x04\x0b\x09SUBSCRIBEA"[..],
            Command::Subscribe(b"A"),
        ),
        (
            encoded(|out| encode_subscribe(b"", out)),
            b"\x04\x0a\x09SUBSCRIBE",
            Command::Subscribe(b""),
        ),
        (encoded(|out| encode_cancel(b"A", out)), b"\x04\x08\x06CANCELA", Command::Cancel(b"A")),
        (
            encoded(|out| encode_ping(0x0102, b"", out)),
            b"\x04\x07\x04PING\x01\x02",
            Command::Ping { ttl: 0x0102, context: b"" },
        ),
        (
            encoded(|out| encode_ping(0, b"0123456789abcdefg", out)),
            b"\x04\x17\x04PING\0\x000123456789abcdef",
            Command::Ping { ttl: 0, context },
        ),
        (
            encoded(|out| encode_pong(b"0123456789abcdefg", out)),
            b"\x04\x15\x04PONG0123456789abcdef",
            Command::Pong { context },
        ),
        (
            encoded(|out| encode_error(b"no", out)),
            b"\x04\x09\x05ERROR\x02no",
            Command::Error { reason: b"no" },
        ),
    ] {
        assert_eq!(bytes, expected);
        check(&bytes, command);
    }
}

#[test]
fn a_subscription_beyond_the_short_frame_is_long() {
    for (size, header_len) in [(245, 2), (246, 9), (255, 9), (1000, 9)] {
        let topic = vec![b'x'; size];
        let bytes = encoded(|out| encode_subscribe(&topic, out));
        assert_eq!(bytes.len(), header_len + 10 + size);
        check(&bytes, Command::Subscribe(&topic));
    }
}

#[test]
fn subscriptions_for_older_peers_are_messages() {
    assert_eq!(encoded(|out| encode_subscribe_message(b"ab", out)), b"\x00\x03\x01ab");
    assert_eq!(encoded(|out| encode_cancel_message(b"ab", out)), b"\x00\x03\x00ab");
    // libzmq 4.3 forgets the LONG flag of this one.
    let bytes = encoded(|out| encode_subscribe_message(&[b'x'; 255], out));
    assert_eq!(bytes[..10], [0x02, 0, 0, 0, 0, 0, 0, 1, 0, 1]);
}

#[test]
fn ready_is_libzmqs_byte_for_byte() {
    for (socket_type, routing_id, expected) in [
        (
            SocketType::Dealer,
            &b""[..],
            &b"\x04\x29\x05READY\x0bSocket-Type\0\0\0\x06DEALER\x08Identity\0\0\0\0"[..],
        ),
        (SocketType::Push, b"", b"\x04\x1a\x05READY\x0bSocket-Type\0\0\0\x04PUSH"),
        (SocketType::Rep, b"unsaid", b"\x04\x19\x05READY\x0bSocket-Type\0\0\0\x03REP"),
        (
            SocketType::Req,
            b"me",
            b"\x04\x28\x05READY\x0bSocket-Type\0\0\0\x03REQ\x08Identity\0\0\0\x02me",
        ),
    ] {
        let bytes = encoded(|out| encode_ready(socket_type, routing_id, out));
        assert_eq!(bytes, expected, "{socket_type}");
        let ready = parse(&bytes[2..]).unwrap();
        let mut told = vec![(SOCKET_TYPE, socket_type.as_str().as_bytes())];
        if socket_type.sends_identity() {
            told.push((IDENTITY, routing_id));
        }
        assert_eq!(properties(&ready), Ok(told));
    }
    // 37/ZMTP, "Worked Example": a ROUTER may leave the Identity out.
    let ready = b"\x04\x1c\x05READY\x0bSocket-Type\0\0\0\x06ROUTER";
    assert_eq!(ready.len(), 2 + 28);
    assert_eq!(properties(&parse(&ready[2..]).unwrap()), Ok(vec![(SOCKET_TYPE, &b"ROUTER"[..])]));
}

#[test]
fn a_long_identity_makes_ready_a_long_frame() {
    let bytes = encoded(|out| encode_ready(SocketType::Router, &[b'i'; 255], out));
    assert_eq!(bytes[..9], [0x06, 0, 0, 0, 0, 0, 0, 1, 0x28]);
    assert_eq!(bytes.len(), 9 + 0x128);
}

#[test]
fn an_error_reason_is_cut_at_its_limit() {
    let bytes = encoded(|out| encode_error(&[b'r'; 300], out));
    assert_eq!(bytes.len(), 9 + 6 + 1 + 255);
    check(&bytes, Command::Error { reason: &[b'r'; 255] });
    assert_eq!(parse(b"\x05ERROR\x01abc"), Ok(Command::Error { reason: b"a" }));
}

#[test]
fn unknown_names_are_told_and_case_matters() {
    for (body, name) in
        [(&b"\x04JOINgroup"[..], &b"JOIN"[..]), (b"\x04ping\0\0", b"ping"), (b"\x01P", b"P")]
    {
        assert_eq!(parse(body), Ok(Command::Unknown { name }));
    }
}

#[test]
fn bodies_that_end_too_early_are_malformed() {
    for body in [
        &b""[..],
        b"\0",
        b"\0PING",
        b"\x05READ",
        b"\xff",
        b"\x04PING",
        b"\x04PING\0",
        b"\x05ERROR",
        b"\x05ERROR\x03no",
    ] {
        assert_eq!(parse(body), Err(MALFORMED.into()), "{body:x?}");
    }
}

#[test]
fn a_property_list_cut_anywhere_is_malformed() {
    let body = b"\x05READY\x01a\0\0\0\x02xy\x01b\0\0\0\0";
    for len in 6..=body.len() {
        let found = properties(&parse(&body[..len]).unwrap());
        let expected = match len {
            6 => Ok(vec![]),
            14 => Ok(vec![(&b"a"[..], &b"xy"[..])]),
            20 => Ok(vec![(&b"a"[..], &b"xy"[..]), (b"b", b"")]),
            _ => Err(MALFORMED.into()),
        };
        assert_eq!(found, expected, "{len}");
    }
    let nameless = parse(b"\x05READY\0\0\0\0\0").unwrap();
    assert_eq!(properties(&nameless), Err(MALFORMED.into()));
    let Command::Ready(mut metadata) = nameless else { unreachable!() };
    assert!(metadata.next().is_some_and(|property| property.is_err()));
    assert_eq!(metadata.next(), None);
}
