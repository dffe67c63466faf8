//! Receiving: from what the kernel brought to whole messages in the pipe's inbound log.
//!
//! Received memory is walked header by header. What fills at least a quarter of its buffer is
//! handed up as it is; less is copied, and the buffer returns to the kernel at once. A frame that
//! spans buffers is gathered in memory that grows with what has arrived, never with what was
//! announced.
//!
//! Deliberately absent: high-water marks, at which the worker stops the connection, and what
//! commands mean. They are handed to the worker in order.

mod answers;

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use zring_engine::block::Slice;
use zring_engine::log::Writer;
use zring_zmtp::command::{self, Command};
use zring_zmtp::frame::{self, Header};
use zring_zmtp::{Error, PeerMisbehaved, Scan, Scanner, Stop};

use crate::pipe::{Record, WireEnd};
use crate::spares::Spares;
use answers::Answers;

/// Received runs shorter than this are copied. A quarter of a lent buffer.
const COPY_MAX: usize = 16 * 1024;
/// What the time to live of a PING counts (37/ZMTP).
pub(crate) const TTL_UNIT: Duration = Duration::from_millis(100);
/// The most that is reserved at once for a frame that is still arriving.
const GATHER_STEP: usize = 256 * 1024;
/// A gathered frame of up to this many bytes is copied into the log.
const GATHER_COPY_MAX: usize = 32 * 1024;

/// Bytes that are sorted in one go: some hundred subscriptions.
const PART_SIZE: usize = 8 * 1024;

/// Bytes of a gathered frame that there is memory for from the start: a body of 1 KiB.
const GATHERED: usize = frame::header_len(1024) + 1024;

/// What a connection brought that is not a message.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// Its context, and after how much silence its sender wants to be given up.
    Ping(Bytes, Option<Duration>),
    Subscribe(Bytes),
    Cancel(Bytes),
    /// A frame that a publisher received, header included, and whether more of its message follow:
    /// in order with the subscriptions.
    Frame(Bytes, bool),
}

/// What happens to message frames.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Intake {
    /// They go up.
    Messages,
    /// They go up if they are what a REQ may be sent.
    Answers,
    /// They are dropped: the socket only sends.
    Nothing,
    /// Messages whose first byte is 0 or 1 are subscriptions, the rest is dropped.
    Subscriptions,
    /// As above, and the rest goes up.
    SubscriptionsAndMessages,
}

impl Intake {
    /// Whether frames are looked at one by one and do not go up as they are.
    fn is_sorted(self) -> bool {
        !matches!(self, Self::Messages | Self::Answers)
    }
}

/// See the [module](self).
pub(crate) struct Receiving {
    scanner: Scanner,
    intake: Intake,
    answers: Answers,
    /// Whether the next frame to be sorted is not the first of its message.
    is_within: bool,
    /// The front of a frame whose end has not come, and how many bytes it lacks at least.
    gathered: BytesMut,
    missing: usize,
}

impl Receiving {
    pub(crate) fn new(frame_size_max: u64, intake: Intake) -> Self {
        let scanner = Scanner::new(frame_size_max);
        let gathered = BytesMut::with_capacity(GATHERED);
        let (answers, is_within, missing) = Default::default();
        Self { scanner, intake, answers, is_within, gathered, missing }
    }

    /// Whether a frame has begun whose end has not come.
    pub(crate) fn is_within_frame(&self) -> bool {
        !self.gathered.is_empty()
    }

    /// How many bytes to hand over at once: few, where each frame is looked at.
    pub(crate) fn part_size(&self) -> usize {
        if self.intake.is_sorted() { PART_SIZE } else { usize::MAX }
    }

    /// Hands up what was received. After an error, what was whole before it has gone up.
    pub(crate) fn receive(
        &mut self,
        mut slice: Slice,
        wire: &mut WireEnd,
        incoming: &mut Vec<Incoming>,
        spares: &mut Spares,
    ) -> Result<(), Error> {
        loop {
            if self.is_within_frame() {
                if !self.gather(&mut slice, spares) {
                    return Ok(());
                }
                self.take_gathered(wire, incoming, spares)?;
                continue;
            }
            let scan = self.scanner.scan(&slice);
            self.take_frames(wire, &scan, &slice, incoming)?;
            slice.advance(scan.frames_end);
            match scan.stop {
                Stop::Partial { missing } => {
                    self.begin_gathering(&slice, missing);
                    return Ok(());
                }
                Stop::Command(header) => {
                    self.take_command(&slice[header.header_len..header.frame_len()], incoming)?;
                    slice.advance(header.frame_len());
                }
                Stop::Invalid(error) => return Err(error),
            }
        }
    }

    fn begin_gathering(&mut self, rest: &[u8], missing: usize) {
        self.missing = missing;
        self.gathered.extend_from_slice(rest);
    }

    /// Moves bytes to the gathered frame. False: it still lacks some.
    fn gather(&mut self, slice: &mut Slice, spares: &mut Spares) -> bool {
        let len = self.missing.min(slice.len());
        let arrived = self.gathered.len();
        if self.gathered.capacity() - arrived < len {
            let mut memory = spares.take(arrived + self.missing).unwrap_or_else(|| {
                let step = arrived.max(len).max(GATHER_STEP);
                BytesMut::with_capacity(arrived + step.min(self.missing))
            });
            memory.extend_from_slice(&self.gathered);
            self.gathered = memory;
        }
        self.gathered.extend_from_slice(&slice[..len]);
        slice.advance(len);
        self.missing -= len;
        self.missing == 0
    }

    fn take_gathered(
        &mut self,
        wire: &mut WireEnd,
        incoming: &mut Vec<Incoming>,
        spares: &mut Spares,
    ) -> Result<(), Error> {
        let scan = self.scanner.scan(&self.gathered);
        match scan.stop {
            Stop::Partial { missing } if scan.frames_end == 0 => {
                self.missing = missing;
                return Ok(());
            }
            Stop::Command(header) => {
                let mut command = std::mem::take(&mut self.gathered);
                self.take_command(&command[header.header_len..], incoming)?;
                command.clear();
                self.gathered = command;
                return Ok(());
            }
            Stop::Invalid(error) => return Err(error),
            Stop::Partial { .. } => {}
        }
        if self.intake == Intake::Answers {
            self.answers.check(&self.gathered)?;
        }
        self.hand_up_gathered(wire, scan.messages, incoming, spares);
        Ok(())
    }

    /// A small frame leaves its memory for the next one; a large one takes it along.
    fn hand_up_gathered(
        &mut self,
        wire: &mut WireEnd,
        messages: usize,
        incoming: &mut Vec<Incoming>,
        spares: &mut Spares,
    ) {
        if self.intake.is_sorted() {
            let frame = std::mem::take(&mut self.gathered);
            return self.take_subscriptions(&frame, incoming);
        }
        if self.gathered.len() <= GATHER_COPY_MAX {
            wire.writer.append(&self.gathered, &[]);
            self.gathered.clear();
        } else {
            let frame = spares.freeze(std::mem::take(&mut self.gathered));
            append_referenced(&mut wire.writer, &frame);
        }
        if messages > 0 {
            wire.publish(messages);
        }
    }

    fn take_frames(
        &mut self,
        wire: &mut WireEnd,
        scan: &Scan,
        slice: &Slice,
        incoming: &mut Vec<Incoming>,
    ) -> Result<(), Error> {
        if scan.frames_end == 0 {
            return Ok(());
        }
        let frames = &slice[..scan.frames_end];
        if self.intake.is_sorted() {
            self.take_subscriptions(frames, incoming);
            return Ok(());
        }
        if self.intake == Intake::Answers
            && let Err(misfit) = self.answers.check(frames)
        {
            hand_up(&mut wire.writer, slice, 0..misfit.messages_end);
            if misfit.messages > 0 {
                wire.publish(misfit.messages);
            }
            return Err(misfit.into());
        }
        hand_up(&mut wire.writer, slice, 0..scan.complete_end);
        if scan.messages > 0 {
            wire.publish(scan.messages);
        }
        hand_up(&mut wire.writer, slice, scan.complete_end..scan.frames_end);
        Ok(())
    }

    /// Sorts the frames that a publisher receives. Only messages of one frame are looked at: a body
    /// may begin with any byte.
    fn take_subscriptions(&mut self, mut frames: &[u8], incoming: &mut Vec<Incoming>) {
        while !frames.is_empty() && self.intake != Intake::Nothing {
            let (header, _) = frame::split(frames);
            let (frame, behind) = frames.split_at(header.frame_len());
            let is_alone = !std::mem::replace(&mut self.is_within, header.more) && !header.more;
            match frame[header.header_len..] {
                [1, ref topic @ ..] if is_alone => {
                    incoming.push(Incoming::Subscribe(Bytes::copy_from_slice(topic)));
                }
                [0, ref topic @ ..] if is_alone => {
                    incoming.push(Incoming::Cancel(Bytes::copy_from_slice(topic)));
                }
                _ if self.intake == Intake::SubscriptionsAndMessages => {
                    incoming.push(Incoming::Frame(Bytes::copy_from_slice(frame), header.more));
                }
                _ => {}
            }
            frames = behind;
        }
    }

    fn take_command(&self, body: &[u8], incoming: &mut Vec<Incoming>) -> Result<(), Error> {
        let command = command::parse(body)?;
        incoming.push(match command {
            Command::Ping { ttl, context } => {
                let ttl = (ttl > 0).then(|| TTL_UNIT * u32::from(ttl));
                Incoming::Ping(Bytes::copy_from_slice(context), ttl)
            }
            Command::Subscribe(_) | Command::Cancel(_) if self.is_within => {
                return Err(PeerMisbehaved::SubscriptionWithinMessage.into());
            }
            Command::Subscribe(topic) => Incoming::Subscribe(Bytes::copy_from_slice(topic)),
            Command::Cancel(topic) => Incoming::Cancel(Bytes::copy_from_slice(topic)),
            // A peer that reports an error closes by itself; libzmq ignores the rest likewise.
            _ => return Ok(()),
        });
        Ok(())
    }
}

fn hand_up(log: &mut Writer<Record>, slice: &Slice, range: std::ops::Range<usize>) {
    match range.len() {
        0 => {}
        1..COPY_MAX => log.append(&slice[range], &[]),
        len => log.append_record(Record::Frames(slice.slice(range)), len),
    }
}

/// Appends one whole frame.
pub(crate) fn append(log: &mut Writer<Record>, frame: &[u8]) {
    if frame.len() <= GATHER_COPY_MAX {
        return log.append(frame, &[]);
    }
    append_referenced(log, &Bytes::copy_from_slice(frame));
}

fn append_referenced(log: &mut Writer<Record>, frame: &Bytes) {
    let (Header { more, header_len, size, .. }, _) = frame::split(frame);
    log.append(&frame[..header_len], &[]);
    let body = Record::Body { bytes: frame.slice(header_len..), ends_message: !more };
    log.append_record(body, size);
}

#[cfg(test)]
mod tests;
