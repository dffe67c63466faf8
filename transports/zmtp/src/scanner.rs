//! Walks received bytes frame by frame and says where frames and messages end.
//!
//! Nothing is copied and nothing kept but one bit: whether a message is open, that is, whether its
//! last frame is still to come. The caller keeps what comes behind the last whole frame and shows
//! it again with more bytes behind it. Short message frames take the first branch of the loop.
//! Where many in a row are alike, as those of a feed, the scan does not wait for one to find the
//! next.
//!
//! Invariant: how the stream was split changes nothing but how often [`Stop::Partial`] comes.
//!
//! Deliberately absent: bodies, buffers and the meaning of commands.

use crate::Error;
use crate::frame::{self, HEADER_LEN_MIN, Header, MORE};

/// Short frames in a row, whatever long ones lie between, after which the next ones are expected to
/// be alike too. By chance they seldom are so many, and each that is not costs a branch that was
/// foretold wrongly.
const REPEATED_MIN: usize = 8;

/// Finds whole frames and messages in the bytes of one connection, from the end of the handshake
/// (37/ZMTP, "Framing").
#[derive(Clone, Debug)]
pub struct Scanner {
    size_max: u64,
    /// `size_max`, as far as a short frame can reach it.
    short_size_max: u8,
    /// The last data frame had MORE.
    is_open: bool,
}

/// What one [`Scanner::scan`] found, as offsets into its input.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Scan {
    /// End of the whole data frames from the front on. Next time, show the bytes from here on, or,
    /// after [`Stop::Command`], those behind the command.
    pub frames_end: usize,
    /// End of the last frame that ended a message; 0 if none did. Frames between here and
    /// `frames_end` belong to a message whose end is still to come.
    pub complete_end: usize,
    /// How many messages ended.
    pub messages: usize,
    /// Why the scan went no further.
    pub stop: Stop,
}

/// Why a scan stopped at `frames_end`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Stop {
    /// The input ends here or within the frame that starts here.
    Partial {
        /// Bytes still needed for that frame, or for its header if that is not whole. Never 0;
        /// 2, the shortest header, if the input ends exactly here.
        missing: usize,
    },
    /// A whole command frame starts here. Its body is the `size` bytes behind `header_len`.
    Command(Header),
    /// What starts here is no frame. What lies before is good.
    Invalid(Error),
}

impl Scanner {
    /// For a connection whose frames have at most `size_max` bytes each, `u64::MAX` for no limit.
    pub const fn new(size_max: u64) -> Self {
        let short_size_max = if size_max > u8::MAX as u64 { u8::MAX } else { size_max as u8 };
        Self { size_max, short_size_max, is_open: false }
    }

    /// Whether the last frame of the message under way is still to come.
    #[inline]
    pub const fn is_open(&self) -> bool {
        self.is_open
    }

    /// Walks `input`, which starts with a frame, until something stops it.
    ///
    /// A scan stops at every whole command, also between the frames of one message. Each data frame
    /// is shown once: the next input starts at [`Scan::frames_end`], or behind the command that
    /// starts there. An input may be empty.
    #[inline]
    pub fn scan(&mut self, input: &[u8]) -> Scan {
        // What is left of the input, and what was when the last message had ended.
        let (mut rest, mut left, mut messages) = (input, input.len(), 0);
        let mut rhythm = Rhythm::default();
        let stop = loop {
            if let [flags @ 0..=MORE, size, body @ ..] = rest
                && *size <= self.short_size_max
                && let Some(behind) = body.get(usize::from(*size)..)
            {
                rest = behind;
                rhythm.hear([*flags, *size]);
                if *flags == MORE {
                    continue;
                }
                if rhythm.is_steady() {
                    messages += rhythm.pass(&mut rest);
                }
            } else {
                match next(rest, self.size_max) {
                    Ok(header) => {
                        rest = &rest[header.frame_len()..];
                        if header.more {
                            continue;
                        }
                    }
                    Err(stop) => break stop,
                }
            }
            messages += 1;
            left = rest.len();
        };
        let (frames_end, complete_end) = (input.len() - rest.len(), input.len() - left);
        if frames_end > 0 {
            self.is_open = complete_end < frames_end;
        }
        Scan { frames_end, complete_end, messages, stop }
    }
}

/// The headers of the last two short frames, and how many frames in a row had the header of the
/// last but one before them. Frames of one size have that, and topics and bodies of one size each.
#[derive(Default)]
struct Rhythm {
    last_two: [[u8; HEADER_LEN_MIN]; 2],
    repeated: usize,
}

impl Rhythm {
    #[inline]
    fn hear(&mut self, header: [u8; HEADER_LEN_MIN]) {
        let [before_last, last] = self.last_two;
        self.repeated = if header == before_last { self.repeated + 1 } else { 0 };
        self.last_two = [last, header];
    }

    #[inline]
    fn is_steady(&self) -> bool {
        self.repeated >= REPEATED_MIN
    }

    /// Passes pairs of frames like the last two, of which the second ended a message. Answers the
    /// messages that they end.
    ///
    /// Where the next pair begins is known without having read this one, so the loads do not wait
    /// for each other, which takes longer than all else where they miss the first cache.
    fn pass(&mut self, rest: &mut &[u8]) -> usize {
        let [first, second] = self.last_two;
        let [len, second_len] = self.last_two.map(|[_, size]| HEADER_LEN_MIN + usize::from(size));
        let mut pairs = 0;
        while let Some(behind) = rest.get(len + second_len..)
            && rest.starts_with(&first)
            && rest[len..].starts_with(&second)
        {
            *rest = behind;
            pairs += 1;
        }
        self.repeated = 0;
        if first[0] == MORE { pairs } else { 2 * pairs }
    }
}

/// The whole data frame at the front of `rest`, or why the scan stops there.
fn next(rest: &[u8], size_max: u64) -> Result<Header, Stop> {
    let header = frame::decode(rest, size_max).map_err(Stop::Invalid)?;
    match (frame::missing(rest, header), header) {
        (0, Some(header)) if header.command => Err(Stop::Command(header)),
        (0, Some(header)) => Ok(header),
        (missing, _) => Err(Stop::Partial { missing }),
    }
}

#[cfg(test)]
mod tests;
