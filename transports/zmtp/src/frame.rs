//! One frame header: flags, size, and nothing of the body.
//!
//! ```text
//!  short   | flags | size, 1 byte |             body of 0 to 255 bytes
//!  long    | flags | size, 8 bytes, big-endian | body of 0 to 2^63 - 1 bytes
//!
//!  flags   bit 0 MORE   bit 1 LONG   bit 2 COMMAND   bits 3 to 7 reserved, zero
//! ```
//!
//! Follows 37/ZMTP, "Framing". A long frame may hold a short body: the RFC allows it, libzmq
//! accepts it. Reserved bits and a command with MORE, which libzmq lets pass, are refused.
//!
//! Invariant: `header_len + size` of a decoded [`Header`] never overflows `usize`.
//!
//! Deliberately absent: bodies and buffers. Where the body lies follows from the header.

use crate::{Error, InvalidFrame};

/// The longest header, in bytes: flags and a size of eight bytes (37/ZMTP, "Framing").
pub const HEADER_LEN_MAX: usize = 9;

/// The shortest header, in bytes: flags and a size of one byte (37/ZMTP, "Framing").
pub const HEADER_LEN_MIN: usize = 2;

/// The largest body of a short frame, in bytes (37/ZMTP, "Framing").
pub const SHORT_SIZE_MAX: usize = 255;

pub(crate) const MORE: u8 = 1;
pub(crate) const LONG: u8 = 1 << 1;
pub(crate) const COMMAND: u8 = 1 << 2;

/// Largest size that the protocol can express.
const SIZE_MAX: u64 = u64::MAX >> 1;

/// What the first bytes of a frame say (37/ZMTP, "Framing").
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Header {
    /// More frames of the same message follow. Never set on a command.
    pub more: bool,
    /// The frame carries a command, not a part of a message.
    pub command: bool,
    /// Bytes before the body: 2 or 9.
    pub header_len: usize,
    /// Bytes of the body.
    pub size: usize,
}

impl Header {
    /// Bytes of the whole frame, header and body.
    #[inline]
    pub const fn frame_len(&self) -> usize {
        self.header_len + self.size
    }
}

/// Reads the frame header at the front of `input` (37/ZMTP, "Framing"). `None`: the header is not
/// whole yet.
///
/// The body need not be there. `size_max` limits it, in bytes, commands included, as libzmq's
/// `ZMQ_MAXMSGSIZE` does; `u64::MAX` is no limit. Each flaw is seen as soon as its byte is there.
///
/// # Errors
///
/// Every [`InvalidFrame`].
#[inline]
pub fn decode(input: &[u8], size_max: u64) -> Result<Option<Header>, Error> {
    let Some(&flags) = input.first() else { return Ok(None) };
    if flags > COMMAND | LONG || flags & (COMMAND | MORE) == COMMAND | MORE {
        return Err(refuse_flags(flags));
    }
    let (header_len, size) = if flags & LONG == 0 {
        let Some(&size) = input.get(1) else { return Ok(None) };
        (HEADER_LEN_MIN, u64::from(size))
    } else {
        let Some(header) = input.first_chunk::<HEADER_LEN_MAX>() else { return Ok(None) };
        let [_, size @ ..] = *header;
        (HEADER_LEN_MAX, u64::from_be_bytes(size))
    };
    if size > size_max || size > SIZE_MAX {
        return Err(refuse_size(size, size_max));
    }
    let Some(size) = addressable(size) else { return Err(refuse_size(size, size_max)) };
    Ok(Some(Header { more: flags & MORE != 0, command: flags & COMMAND != 0, header_len, size }))
}

/// Reads the header in front of frames that were [decoded](decode) or written before, and answers
/// what is behind it. Neither is checked again.
///
/// # Panics
///
/// If there is no whole header.
#[inline]
pub fn split(frames: &[u8]) -> (Header, &[u8]) {
    let [flags, short, behind @ ..] = frames else { panic!("there is a header") };
    let (more, command) = (flags & MORE != 0, flags & COMMAND != 0);
    if flags & LONG == 0 {
        let size = usize::from(*short);
        return (Header { more, command, header_len: HEADER_LEN_MIN, size }, behind);
    }
    let (size, behind) = frames[1..].split_first_chunk().expect("there is a whole header");
    let size = u64::from_be_bytes(*size) as usize;
    (Header { more, command, header_len: HEADER_LEN_MAX, size }, behind)
}

/// Bytes of the header that [`encode`] writes for a body of `size` bytes.
#[inline]
pub const fn header_len(size: usize) -> usize {
    if size <= SHORT_SIZE_MAX { HEADER_LEN_MIN } else { HEADER_LEN_MAX }
}

/// Writes a frame header for a body of `size` bytes (37/ZMTP, "Framing"); the number says how many
/// of the bytes count.
///
/// The header is the shortest possible one. `size` is at most `isize::MAX`, as that of every slice
/// is, and a command never has `more`.
#[inline]
pub fn encode(more: bool, command: bool, size: usize) -> ([u8; HEADER_LEN_MAX], usize) {
    debug_assert!(!(more && command), "a command is one frame");
    debug_assert!(size as u64 <= SIZE_MAX, "the top bit of a size is clear");
    let flags = u8::from(more) | (u8::from(command) << 2);
    if size <= SHORT_SIZE_MAX {
        return ([flags, size as u8, 0, 0, 0, 0, 0, 0, 0], HEADER_LEN_MIN);
    }
    let [a, b, c, d, e, f, g, h] = (size as u64).to_be_bytes();
    ([flags | LONG, a, b, c, d, e, f, g, h], HEADER_LEN_MAX)
}

/// Bytes that `input`, the start of a frame, lacks until its header is whole or, if it is
/// (`header`), until the frame is. Zero if it lacks none.
#[inline]
pub(crate) fn missing(input: &[u8], header: Option<Header>) -> usize {
    let len = match (header, input.first()) {
        (Some(header), _) => header.frame_len(),
        (None, Some(flags)) if flags & LONG != 0 => HEADER_LEN_MAX,
        (None, _) => HEADER_LEN_MIN,
    };
    len.saturating_sub(input.len())
}

/// `size` as `usize`, if a frame of that size fits the address space.
#[inline]
fn addressable(size: u64) -> Option<usize> {
    usize::try_from(size).ok().filter(|size| *size <= usize::MAX - HEADER_LEN_MAX)
}

#[cold]
fn refuse_flags(flags: u8) -> Error {
    if flags > COMMAND | LONG | MORE {
        InvalidFrame::ReservedFlags { flags }.into()
    } else {
        InvalidFrame::CommandWithMore.into()
    }
}

#[cold]
fn refuse_size(size: u64, size_max: u64) -> Error {
    if size > SIZE_MAX {
        InvalidFrame::SizeTopBit { size }.into()
    } else if size > size_max {
        InvalidFrame::SizeBeyondMax { size, size_max }.into()
    } else {
        InvalidFrame::SizeBeyondAddressSpace { size }.into()
    }
}

#[cfg(test)]
mod tests;
