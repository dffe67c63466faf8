use super::*;
use crate::{InvalidFrame, command};

/// What a caller sees of a stream, with absolute offsets.
#[derive(Debug, Default, Eq, PartialEq)]
struct Seen {
    messages: usize,
    commands: Vec<(usize, Header)>,
    frames_end: usize,
    is_open: bool,
    invalid: Option<Error>,
}

/// Scans as a session does: keeps the tail, appends each piece, skips commands.
struct Session {
    scanner: Scanner,
    tail: Vec<u8>,
    seen: Seen,
}

impl Session {
    fn new(size_max: u64) -> Self {
        Self { scanner: Scanner::new(size_max), tail: Vec::new(), seen: Seen::default() }
    }

    fn receive(&mut self, piece: &[u8]) {
        self.tail.extend_from_slice(piece);
        while self.seen.invalid.is_none() {
            let scan = self.scanner.scan(&self.tail);
            self.check(scan);
            self.seen.messages += scan.messages;
            self.skip(scan.frames_end);
            match scan.stop {
                Stop::Partial { .. } => break,
                Stop::Command(header) => {
                    self.seen.commands.push((self.seen.frames_end, header));
                    self.skip(header.frame_len());
                }
                Stop::Invalid(error) => self.seen.invalid = Some(error),
            }
        }
        self.seen.is_open = self.scanner.is_open();
    }

    fn skip(&mut self, len: usize) {
        self.seen.frames_end += len;
        self.tail.drain(..len);
    }

    fn check(&self, scan: Scan) {
        assert!(scan.complete_end <= scan.frames_end && scan.frames_end <= self.tail.len());
        assert_eq!(scan.messages == 0, scan.complete_end == 0);
        if scan.messages > 0 {
            assert_eq!(self.scanner.is_open(), scan.complete_end < scan.frames_end);
        }
        if let Stop::Partial { missing } = scan.stop {
            let rest = &self.tail[scan.frames_end..];
            assert_eq!(missing, frame::missing(rest, frame::decode(rest, u64::MAX).unwrap()));
            assert_ne!(missing, 0);
        }
    }
}

/// Messages of one, three and two frames, with commands before, between and within them.
fn stream() -> Vec<u8> {
    let mut out = Vec::new();
    let mut data = |more, size: usize, ping: bool| {
        let (header, len) = frame::encode(more, false, size);
        out.extend_from_slice(&header[..len]);
        // A body that looks like frames must not be taken for some.
        out.extend((0..size).map(|at| (at % 3) as u8));
        if ping {
            command::encode_ping(7, b"context", &mut out);
        }
    };
    data(false, 0, true);
    data(true, 5, false);
    data(true, 300, true);
    data(false, 255, true);
    data(true, 256, true);
    data(false, 1, false);
    command::encode_subscribe(&[b'x'; 250], &mut out);
    out
}

fn whole(stream: &[u8]) -> Seen {
    let mut session = Session::new(u64::MAX);
    session.receive(stream);
    session.seen
}

#[test]
fn every_split_sees_the_same_messages_and_commands() {
    let stream = stream();
    let expected = whole(&stream);
    assert_eq!((expected.messages, expected.commands.len()), (3, 5));
    assert_eq!((expected.frames_end, expected.is_open), (stream.len(), false));
    let comparable = |seen: &Seen| (seen.messages, seen.commands.clone(), seen.frames_end);

    for first in 0..=stream.len() {
        for second in [first, first + 1, first + 2, first + 9, first + 260] {
            let second = second.min(stream.len());
            let mut session = Session::new(u64::MAX);
            for piece in [&stream[..first], &stream[first..second], &stream[second..]] {
                session.receive(piece);
            }
            assert_eq!(comparable(&session.seen), comparable(&expected), "{first} {second}");
            assert!(!session.seen.is_open && session.tail.is_empty());
        }
    }
    let mut session = Session::new(u64::MAX);
    stream.iter().for_each(|byte| session.receive(&[*byte]));
    assert_eq!(comparable(&session.seen), comparable(&expected));
}

/// What a plain loop sees of a stream without commands: ends of frames and messages, and messages.
fn plain(stream: &[u8]) -> (usize, usize, usize) {
    let (mut frames_end, mut complete_end, mut messages) = (0, 0, 0);
    while let Ok(Some(header)) = frame::decode(&stream[frames_end..], u64::MAX)
        && header.frame_len() <= stream.len() - frames_end
    {
        frames_end += header.frame_len();
        if !header.more {
            (complete_end, messages) = (frames_end, messages + 1);
        }
    }
    (frames_end, complete_end, messages)
}

#[test]
fn frames_that_are_alike_are_seen_one_by_one() {
    const ROUNDS: usize = 12;
    let patterns: [&[(bool, usize)]; 6] = [
        &[(false, 3)],
        &[(false, 0)],
        &[(false, 3), (false, 4)],
        &[(true, 2), (false, 3)],
        &[(true, 3), (true, 3), (false, 3)],
        &[(true, 3), (false, 3), (false, 3)],
    ];
    for (pattern, odd) in patterns.into_iter().flat_map(|pattern| {
        [(false, 3), (true, 3), (false, 300), (true, 1)].map(|odd| (pattern, odd))
    }) {
        let rounds = [pattern; ROUNDS].concat();
        let frames = [&rounds, &[odd][..], &rounds].concat();
        let mut stream = Vec::new();
        for (more, size) in frames {
            let (header, len) = frame::encode(more, false, size);
            stream.extend_from_slice(&header[..len]);
            stream.extend((0..size).map(|at| (at % 2) as u8));
        }
        for len in 0..=stream.len() {
            let Scan { frames_end, complete_end, messages, stop } =
                Scanner::new(u64::MAX).scan(&stream[..len]);
            assert_eq!((frames_end, complete_end, messages), plain(&stream[..len]), "{len}");
            assert!(matches!(stop, Stop::Partial { .. }), "{stop:?}");
        }
    }
}

#[track_caller]
fn check(scanner: &mut Scanner, input: &[u8], expected: Scan) {
    assert_eq!(scanner.scan(input), expected, "{input:x?}");
}

const fn scan(frames_end: usize, complete_end: usize, messages: usize, stop: Stop) -> Scan {
    Scan { frames_end, complete_end, messages, stop }
}

const PING: Header = Header { more: false, command: true, header_len: 2, size: 7 };
const PING_BYTES: [u8; 9] = *b"\x04\x07\x04PING\0\0";

#[test]
fn a_scan_ends_behind_the_last_whole_frame_and_before_a_command() {
    let mut scanner = Scanner::new(u64::MAX);
    check(&mut scanner, &[], scan(0, 0, 0, Stop::Partial { missing: 2 }));
    check(&mut scanner, &PING_BYTES, scan(0, 0, 0, Stop::Command(PING)));
    check(&mut scanner, &PING_BYTES[..4], scan(0, 0, 0, Stop::Partial { missing: 5 }));
    let two = [1, 1, b'a', 0, 1, b'b', 0, 0];
    check(&mut scanner, &two, scan(8, 8, 2, Stop::Partial { missing: 2 }));
    check(&mut scanner, &two[..4], scan(3, 0, 0, Stop::Partial { missing: 1 }));
    assert!(scanner.is_open());
    let input = [&two[3..6], &PING_BYTES].concat();
    check(&mut scanner, &input, scan(3, 3, 1, Stop::Command(PING)));
    assert!(!scanner.is_open());
}

#[test]
fn what_ends_a_row_of_frames_that_are_alike_is_seen() {
    let alike = [0, 3, b'a', b'b', b'c'].repeat(20);
    let size = InvalidFrame::SizeBeyondMax { size: 4, size_max: 3 };
    for (size_max, tail, stop) in [
        (u64::MAX, &PING_BYTES[..], Stop::Command(PING)),
        (
            u64::MAX,
            &[0x80, 3, 0, 0, 0],
            Stop::Invalid(InvalidFrame::ReservedFlags { flags: 0x80 }.into()),
        ),
        (3, &[0, 4, 0, 0, 0, 0], Stop::Invalid(size.into())),
    ] {
        let input = [&alike, tail].concat();
        check(&mut Scanner::new(size_max), &input, scan(100, 100, 20, stop));
    }
}

#[test]
fn what_came_before_an_invalid_frame_is_good() {
    let reserved = InvalidFrame::ReservedFlags { flags: 0x80 };
    let size = InvalidFrame::SizeBeyondMax { size: 4, size_max: 3 };
    for (tail, error) in [
        (&[0x80][..], reserved),
        (&[0x00, 4], size),
        (&[0x04, 4], size),
        (&[0x02, 0, 0, 0, 0, 0, 0, 0, 4], size),
        (&[0x05, 0], InvalidFrame::CommandWithMore),
    ] {
        let stop = Stop::Invalid(error.into());
        let input = [&[0, 3, 1, 2, 3, 1, 0], tail].concat();
        check(&mut Scanner::new(3), &input, scan(7, 5, 1, stop));
        check(&mut Scanner::new(3), tail, scan(0, 0, 0, stop));
    }
}

#[test]
fn a_long_frame_with_a_short_body_is_a_frame() {
    let input = [0x02, 0, 0, 0, 0, 0, 0, 0, 1, b'a'];
    check(&mut Scanner::new(1), &input, scan(10, 10, 1, Stop::Partial { missing: 2 }));
}

#[test]
fn the_largest_size_is_awaited_without_overflow() {
    let input = [0x02, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
    let stop = Stop::Partial { missing: usize::MAX >> 1 };
    check(&mut Scanner::new(u64::MAX), &input, scan(0, 0, 0, stop));
}
