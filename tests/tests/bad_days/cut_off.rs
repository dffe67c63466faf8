//! Cut off: what was queued for a connection that ends in its middle, and for the next one.
//!
//! What the kernel had taken of the first connection is lost with it, as with libzmq. All that was
//! not begun there comes through the next one, and nothing that was heard comes again.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use rustix::net::sockopt::set_socket_recv_buffer_size;
use tests::bytes::{body, number};
use tests::{Cell, Ground, cells};
use zring::{Bytes, Push, Socket};

use crate::raw::{accept, frame, handshake, hear, listen, long_header};

/// Messages in all; fewer than the mark.
const MESSAGES: usize = 500;
/// What the kernel may have on each side, in bytes: much less than is queued.
const BUFFER_SIZE: usize = 4096;
/// Of bodies that are small, copied, and lent to the kernel.
const SIZES: [usize; 4] = [8, 300, 3000, 10_000];

/// The frames of the message with this number: up to three.
fn message(index: usize) -> Vec<Bytes> {
    let size = |place| SIZES[(index / 3 + place) % SIZES.len()];
    let bodies = (0..index % 3).map(|place| Bytes::from(body(index, size(place))));
    let mut frames = vec![Bytes::copy_from_slice(&number(index as u64))];
    frames.extend(bodies);
    frames
}

/// As it is on the wire.
fn encoded(frames: &[Bytes]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (index, body) in (1..).zip(frames) {
        let flags = u8::from(index < frames.len());
        if body.len() < 256 {
            bytes.extend(frame(flags, body));
        } else {
            bytes.extend(long_header(flags, body.len() as u64));
            bytes.extend_from_slice(body);
        }
    }
    bytes
}

/// All messages behind each other, and where each begins and the last one ends.
fn stream() -> (Vec<u8>, Vec<usize>) {
    let (mut bytes, mut boundaries) = (Vec::new(), vec![0]);
    for index in 0..MESSAGES {
        bytes.extend(encoded(&message(index)));
        boundaries.push(bytes.len());
    }
    (bytes, boundaries)
}

type Pushing<G> = Socket<zring::pattern::Push, <G as Ground>::Driver>;

/// Sends the first `lone` messages one by one, and all others at once. Answers what was heard when
/// that is at least `wanted` messages.
fn hear_first<G: Ground>(
    cell: &Cell<G>,
    puller: &mut TcpStream,
    push: &mut Pushing<G>,
    [lone, wanted]: [usize; 2],
) -> Vec<u8> {
    puller.write_all(&handshake("PULL")).unwrap();
    let (_, boundaries) = stream();
    let hello = handshake("PUSH").len();
    let mut heard = Vec::new();
    let mut hear_until = |count: usize| {
        let len = hello + boundaries[count];
        hear(cell, puller, &mut heard, |heard| heard.len() >= len);
    };
    for index in 0..MESSAGES {
        push.try_send_multipart(message(index)).unwrap();
        if index < lone {
            push.flush().unwrap();
            hear_until(index + 1);
        }
    }
    hear_until(wanted);
    heard.split_off(hello)
}

fn what_was_not_begun_comes_next<G: Ground>(cell: &Cell<G>, counts: [usize; 2]) {
    let (listener, endpoint) = listen();
    set_socket_recv_buffer_size(&listener, BUFFER_SIZE).unwrap();
    let builder = Push::builder().send_buffer(Some(BUFFER_SIZE));
    let builder = builder.reconnect_interval(Some(Duration::from_millis(1)));
    let mut push = builder.build(&cell.context).unwrap();
    push.connect(&endpoint).unwrap();
    let (all, boundaries) = stream();
    let mut puller = accept(cell, &listener);
    let heard = hear_first(cell, &mut puller, &mut push, counts);
    assert!(all.starts_with(&heard), "the beginning");
    drop(puller);

    // The first connection is over on both sides before there is a second.
    let mut puller = accept(cell, &listener);
    let counters = push.counters().remove(0);
    push.send("end").unwrap();
    puller.write_all(&handshake("PULL")).unwrap();
    let (mut rest, end) = (Vec::new(), frame(0, b"end"));
    hear(cell, &mut puller, &mut rest, |rest| rest.ends_with(&end));
    let rest = &rest[handshake("PUSH").len()..rest.len() - end.len()];
    assert!(all.ends_with(rest), "the end");
    let begin = all.len() - rest.len();
    let index = boundaries.binary_search(&begin).expect("a message begins there");
    let heard_whole = boundaries.partition_point(|at| *at <= heard.len()) - 1;
    assert!(index >= heard_whole, "what was heard comes again, from {index} of {heard_whole}");
    assert!(counters.sent as usize <= index, "more count as sent than do not come again");
    let taken = counters.bytes as usize;
    let not_begun = boundaries.partition_point(|at| *at < taken);
    assert!(index <= not_begun, "what was not begun is lost, from {not_begun} to {index}");
    assert!(not_begun < MESSAGES / 2, "hardly anything was queued");
}

fn a_connection_costs_no_message_that_it_had_no_byte_of<G: Ground>(cell: &Cell<G>) {
    for counts in [[0, 0], [0, 1], [1, 3], [1, 10], [8, 8], [8, 37], [8, 101]] {
        cell.watchdog.pat();
        what_was_not_begun_comes_next(cell, counts);
    }
}

cells!([Threads, Caller] x [Tcp]: a_connection_costs_no_message_that_it_had_no_byte_of);
