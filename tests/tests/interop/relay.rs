//! A relay between the two, that counts what goes by.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// A PONG command without context: flag, size, name (RFC 37/ZMTP).
const PONG: &[u8] = b"\x04\x05\x04PONG";

/// What went by so far.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) connections: AtomicUsize,
    pub(crate) pongs: AtomicUsize,
}

/// Relays to `target` whoever connects to the endpoint that is answered. Ends with the process.
pub(crate) fn relay(target: &str) -> (String, Arc<Seen>) {
    let target = target.strip_prefix("tcp://").expect("a tcp endpoint").to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("tcp://{}", listener.local_addr().unwrap());
    let seen = Arc::new(Seen::default());
    let counted = seen.clone();
    thread::spawn(move || {
        for near in listener.incoming() {
            counted.connections.fetch_add(1, Ordering::AcqRel);
            let (near, far) = (near.unwrap(), TcpStream::connect(&target).unwrap());
            for (source, sink) in [(&near, &far), (&far, &near)] {
                let (source, sink) = (source.try_clone().unwrap(), sink.try_clone().unwrap());
                let counted = counted.clone();
                thread::spawn(move || pass(source, sink, &counted));
            }
        }
    });
    (endpoint, seen)
}

/// Passes on what comes, to its end.
fn pass(mut source: TcpStream, mut sink: TcpStream, seen: &Seen) {
    let mut buffer = vec![0; 65_536];
    // The bytes in which a PONG may have begun.
    let mut tail = Vec::new();
    while let Ok(len @ 1..) = source.read(&mut buffer) {
        if sink.write_all(&buffer[..len]).is_err() {
            break;
        }
        tail.extend_from_slice(&buffer[..len]);
        let pongs = tail.windows(PONG.len()).filter(|window| *window == PONG).count();
        seen.pongs.fetch_add(pongs, Ordering::AcqRel);
        tail.drain(..tail.len().saturating_sub(PONG.len() - 1));
    }
    // Either may be gone.
    let _result = sink.shutdown(Shutdown::Both);
    let _result = source.shutdown(Shutdown::Both);
}
