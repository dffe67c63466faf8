//! Raw peers: ZMTP written by hand, to be gotten wrong.
//!
//! Deliberately absent: anything of `zring_zmtp`. What it gets wrong would be wrong here too.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};

use tests::{Cell, Ground};

/// A greeting of this version and mechanism (RFC 37, section 3.2).
pub(crate) fn greeting_of(version: [u8; 2], mechanism: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f];
    bytes.extend(version);
    bytes.extend(mechanism);
    bytes.resize(64, 0);
    bytes
}

/// A greeting that nobody objects to. Of version 3.0: subscriptions are messages.
pub(crate) fn greeting() -> Vec<u8> {
    greeting_of([3, 0], b"NULL")
}

/// A short frame with these flags.
pub(crate) fn frame(flags: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![flags, u8::try_from(body.len()).unwrap()];
    bytes.extend(body);
    bytes
}

/// The header of a long frame with these flags.
pub(crate) fn long_header(flags: u8, size: u64) -> Vec<u8> {
    let mut bytes = vec![flags | 2];
    bytes.extend(size.to_be_bytes());
    bytes
}

/// A READY with these properties.
pub(crate) fn ready_with(properties: &[(&str, &[u8])]) -> Vec<u8> {
    let mut body = b"\x05READY".to_vec();
    for (name, value) in properties {
        body.push(u8::try_from(name.len()).unwrap());
        body.extend(name.as_bytes());
        body.extend(u32::try_from(value.len()).unwrap().to_be_bytes());
        body.extend(*value);
    }
    let Ok(len) = u8::try_from(body.len()) else {
        return [long_header(4, body.len() as u64), body].concat();
    };
    [vec![4, len], body].concat()
}

/// A READY of this socket type.
pub(crate) fn ready(socket_type: &str) -> Vec<u8> {
    ready_with(&[("Socket-Type", socket_type.as_bytes())])
}

/// All that a good peer of this type says before its first frame.
pub(crate) fn handshake(socket_type: &str) -> Vec<u8> {
    [greeting(), ready(socket_type)].concat()
}

/// Connects to a tcp endpoint, and says this. The kernel takes it whether or not anybody listens.
pub(crate) fn dial(endpoint: &str, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(endpoint.strip_prefix("tcp://").unwrap()).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.write_all(bytes).unwrap();
    stream
}

/// A listener, and its endpoint.
pub(crate) fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let endpoint = format!("tcp://{}", listener.local_addr().unwrap());
    (listener, endpoint)
}

/// Accepts without blocking whoever drives.
pub(crate) fn accept<G: Ground>(cell: &Cell<G>, listener: &TcpListener) -> TcpStream {
    listener.set_nonblocking(true).unwrap();
    let mut accepted = None;
    cell.until(|| {
        accepted = listener.accept().ok();
        accepted.is_some()
    });
    accepted.unwrap().0
}

/// Reads on behind `heard`, until that is enough, and little more.
pub(crate) fn hear<G: Ground>(
    cell: &Cell<G>,
    stream: &mut TcpStream,
    heard: &mut Vec<u8>,
    is_enough: impl Fn(&[u8]) -> bool,
) {
    stream.set_nonblocking(true).unwrap();
    cell.until(|| {
        while !is_enough(heard) && hear_more(stream, heard) {}
        is_enough(heard)
    });
}

/// Reads a piece of what is there of a stream that does not block. False: there is nothing.
pub(crate) fn hear_more(stream: &mut TcpStream, heard: &mut Vec<u8>) -> bool {
    let mut bytes = [0; 4096];
    // Its end, or an error, is no more than nothing to be heard.
    let len = stream.read(&mut bytes).unwrap_or(0);
    heard.extend_from_slice(&bytes[..len]);
    len > 0
}

/// Waits until the other side has closed.
pub(crate) fn wait_for_close<G: Ground>(cell: &Cell<G>, stream: &mut TcpStream) {
    stream.set_nonblocking(true).unwrap();
    cell.until(|| is_closed(stream));
}

/// Whether the other side has closed a stream that does not block. What it says is read away.
pub(crate) fn is_closed(stream: &mut TcpStream) -> bool {
    loop {
        match stream.read(&mut [0; 1024]) {
            Ok(0) => return true,
            Ok(_) => {}
            // Otherwise it was reset, which is closed too.
            Err(error) => return error.kind() != ErrorKind::WouldBlock,
        }
    }
}
