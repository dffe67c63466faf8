//! Framing for the bare sockets: the same number of bytes per message as ZMTP 3 puts on the wire.
//!
//! A sender gathers frames up to [`GATHER_MAX`] and hands them to the kernel in one call; a
//! receiver reads as much as there is and cuts. That is the least any implementation must do,
//! hence the ceiling.
//!
//! Deliberately absent: greeting, commands, checks of the peer. Both ends are this program.

/// Bytes gathered before a send.
pub(crate) const GATHER_MAX: usize = 64 * 1024;
/// Bodies from this size on are sent from where they are.
pub(crate) const COPY_MAX: usize = 16 * 1024;
/// Bytes asked for in one receive, at least.
const READ_SIZE: usize = 128 * 1024;
/// The least a receive is given, behind what is not cut yet.
const ROOM_MIN: usize = 4 * 1024;
const MORE: u8 = 1;
const LONG: u8 = 2;

/// Appends a frame header for a body of `size` bytes.
#[inline]
pub(crate) fn append_header(out: &mut Vec<u8>, more: bool, size: usize) {
    let flags = if more { MORE } else { 0 };
    match u8::try_from(size) {
        Ok(size) => out.extend_from_slice(&[flags, size]),
        Err(_) => {
            out.push(flags | LONG);
            out.extend_from_slice(&(size as u64).to_be_bytes());
        }
    }
}

/// Received bytes, and how far they have been cut.
pub(crate) struct Cutter {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

/// One frame inside the cutter's bytes.
#[derive(Clone, Copy)]
struct Cut {
    more: bool,
    start: usize,
    end: usize,
}

impl Cutter {
    pub(crate) fn new() -> Self {
        Self { bytes: vec![0; READ_SIZE], start: 0, end: 0 }
    }

    /// Lends the next message of one frame, if it is complete.
    #[inline]
    pub(crate) fn next(&mut self) -> Option<&[u8]> {
        let cut = self.cut(self.start)?;
        self.start = cut.end;
        Some(&self.bytes[cut.start..cut.end])
    }

    /// Lends the next message of one or two frames, if it is complete.
    pub(crate) fn next_pair(&mut self) -> Option<(&[u8], &[u8])> {
        let first = self.cut(self.start)?;
        if !first.more {
            self.start = first.end;
            return Some((&self.bytes[first.start..first.end], &[]));
        }
        let second = self.cut(first.end)?;
        self.start = second.end;
        Some((&self.bytes[first.start..first.end], &self.bytes[second.start..second.end]))
    }

    /// Room for the kernel to write into, enough for the frame that is incomplete.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        self.make_room();
        &mut self.bytes[self.end..]
    }

    /// `count` bytes of [`room`](Self::room) were written.
    pub(crate) fn filled(&mut self, count: usize) {
        self.end += count;
    }

    /// Takes the buffer out, for interfaces that own it during a read: the bytes before the
    /// answered index are to be kept.
    pub(crate) fn lend(&mut self) -> (Vec<u8>, usize) {
        self.make_room();
        (std::mem::take(&mut self.bytes), self.end)
    }

    /// Puts the lent buffer back, `count` bytes fuller.
    pub(crate) fn take_back(&mut self, bytes: Vec<u8>, count: usize) {
        self.bytes = bytes;
        self.end += count;
    }

    fn make_room(&mut self) {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        let wanted = self.frame_end().max(READ_SIZE).max(self.end + ROOM_MIN);
        if self.bytes.len() < wanted {
            self.bytes.resize(wanted, 0);
        }
    }

    /// Where the frame at `start` ends, or a header's length if that is not known yet.
    fn frame_end(&self) -> usize {
        header(&self.bytes[self.start..self.end])
            .map_or(self.start + 9, |(_, header_len, size)| self.start + header_len + size)
    }

    #[inline]
    fn cut(&self, at: usize) -> Option<Cut> {
        let input = &self.bytes[at..self.end];
        let (more, header_len, size) = header(input)?;
        (input.len() >= header_len + size).then(|| Cut {
            more,
            start: at + header_len,
            end: at + header_len + size,
        })
    }
}

/// (more, length of the header, size of the body), if the header is complete.
#[inline]
fn header(input: &[u8]) -> Option<(bool, usize, usize)> {
    let flags = *input.first()?;
    if flags & LONG == 0 {
        return Some((flags & MORE != 0, 2, usize::from(*input.get(1)?)));
    }
    let size = u64::from_be_bytes(input.get(1..9)?.try_into().ok()?);
    Some((flags & MORE != 0, 9, usize::try_from(size).expect("64-bit machine")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_out_whole_however_the_stream_is_split() {
        let mut stream = Vec::new();
        for size in [0, 1, 255, 256, 70_000] {
            append_header(&mut stream, false, size);
            stream.extend(std::iter::repeat_n(size as u8, size));
        }
        for step in [1, 7, 1000, stream.len()] {
            let mut cutter = Cutter::new();
            let mut sizes = Vec::new();
            for part in stream.chunks(step) {
                cutter.room()[..part.len()].copy_from_slice(part);
                cutter.filled(part.len());
                while let Some(body) = cutter.next() {
                    sizes.push(body.len());
                }
            }
            assert_eq!(sizes, [0, 1, 255, 256, 70_000], "step {step}");
        }
    }

    #[test]
    fn a_pair_waits_for_its_second_frame() {
        let mut cutter = Cutter::new();
        let mut stream = Vec::new();
        append_header(&mut stream, true, 3);
        stream.extend_from_slice(b"abc");
        append_header(&mut stream, false, 2);
        cutter.room()[..stream.len()].copy_from_slice(&stream);
        cutter.filled(stream.len());
        assert!(cutter.next_pair().is_none());
        cutter.room()[..2].copy_from_slice(b"de");
        cutter.filled(2);
        assert_eq!(cutter.next_pair(), Some((&b"abc"[..], &b"de"[..])));
    }
}
