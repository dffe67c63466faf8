//! Frames: the scanner sees what a plain loop over `frame::decode` sees, however the stream is
//! split.
//!
//! The first byte is the limit of a frame's size (0xff: none), the second the size of the pieces;
//! the rest is the stream.
//!
//! Run: `cargo +nightly fuzz run frames`
//!
//! Deliberately absent: commands' bodies. They are the target `commands`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use zring_zmtp::frame::{self, Header};
use zring_zmtp::{Error, Scanner, Stop};

#[derive(Debug, Default, Eq, PartialEq)]
struct Seen {
    messages: usize,
    /// End of the last whole message.
    complete_end: usize,
    /// End of the last whole frame.
    frames_end: usize,
    commands: Vec<(usize, Header)>,
    invalid: Option<Error>,
    is_open: bool,
}

fn expected(stream: &[u8], size_max: u64) -> Seen {
    let mut seen = Seen::default();
    loop {
        let header = match frame::decode(&stream[seen.frames_end..], size_max) {
            Ok(Some(header)) => header,
            Ok(None) => return seen,
            Err(error) => return Seen { invalid: Some(error), ..seen },
        };
        let (canonical, len) = frame::encode(header.more, header.command, header.size);
        let again = frame::decode(&canonical[..len], size_max);
        assert_eq!(again, Ok(Some(Header { header_len: len, ..header })));
        if stream.len() - seen.frames_end < header.frame_len() {
            return seen;
        }
        if header.command {
            seen.commands.push((seen.frames_end, header));
        }
        seen.frames_end += header.frame_len();
        if !header.command {
            seen.is_open = header.more;
        }
        if !header.command && !header.more {
            seen.messages += 1;
            seen.complete_end = seen.frames_end;
        }
    }
}

fn scanned(stream: &[u8], size_max: u64, piece: usize) -> Seen {
    let mut scanner = Scanner::new(size_max);
    let mut seen = Seen::default();
    let mut received = 0;
    while received < stream.len() && seen.invalid.is_none() {
        received = stream.len().min(received + piece);
        loop {
            let input = &stream[seen.frames_end..received];
            let scan = scanner.scan(input);
            if scan.messages > 0 {
                seen.messages += scan.messages;
                seen.complete_end = seen.frames_end + scan.complete_end;
            }
            seen.frames_end += scan.frames_end;
            match scan.stop {
                Stop::Partial { missing } => {
                    assert!(missing > 0);
                    break;
                }
                Stop::Command(header) => {
                    seen.commands.push((seen.frames_end, header));
                    seen.frames_end += header.frame_len();
                }
                Stop::Invalid(error) => {
                    seen.invalid = Some(error);
                    break;
                }
            }
        }
    }
    seen.is_open = scanner.is_open();
    seen
}

fuzz_target!(|data: &[u8]| {
    let [size_max, piece, stream @ ..] = data else { return };
    let size_max = if *size_max == u8::MAX { u64::MAX } else { u64::from(*size_max) * 4 };
    let expected = expected(stream, size_max);
    for piece in [stream.len().max(1), usize::from(*piece).max(1)] {
        assert_eq!(scanned(stream, size_max, piece), expected);
    }
});
