//! Sending: what one connection still has to send, and how far the kernel has taken it.
//!
//! Pieces are taken from the pipe's log, or pushed by the fan-out walk; commands slip in where a
//! message ends. There is one send in flight at most. It never waits in the kernel: a full socket
//! is polled for. When the connection breaks, what was begun is skipped to the next message.
//!
//! Deliberately absent: copying, but for commands.

use std::collections::VecDeque;
use std::mem;
use std::os::fd::BorrowedFd;

use bytes::Bytes;
use zring_engine::block::{Piece, Slice};
use zring_engine::log::{Reader, Run};
use zring_engine::{Errno, Reactor};
use zring_zmtp::frame;

use crate::pipe::{Control, Record, bytes_of};

/// Bytes gathered for one send. Longer sends gain nothing and hold up the other connections.
pub(crate) const SEND_SIZE: usize = 64 * 1024;
/// A piece of up to this much more is sent whole, so that its messages count as sent.
const SEND_SIZE_MAX: usize = SEND_SIZE + SEND_SIZE / 2;
/// Bytes of commands that wait, from which on answers are dropped.
const ANSWERS_SIZE_MAX: usize = 4 * 1024;
/// Pieces of one vectored send: as many as an operation has memory for from the start.
const SEND_PIECES_MAX: usize = 64;

/// Pieces that there is memory for from the start: what a few messages without large bodies take.
const QUEUED: usize = 4;

struct Queued {
    piece: Piece,
    /// Messages that count as sent once the piece is.
    messages: u64,
    /// Whether a message, or a command, begins at the first byte.
    starts_message: bool,
}

impl Queued {
    /// Bodies are bytes too, but begin no message.
    fn is_command(&self) -> bool {
        self.starts_message && matches!(self.piece, Piece::Bytes(_))
    }
}

/// What the end of the queue is known to be.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Tail {
    /// A message ended there.
    Boundary,
    /// The last frame's body, or its message's next frame, is still to come.
    InMessage,
    /// The end of a run of bytes: what comes next tells.
    Bytes,
}

/// What was taken from a log to be sent elsewhere, and not sent whole.
#[derive(Default)]
pub(crate) struct Leftover {
    pub(crate) runs: VecDeque<Run<Record>>,
    /// Bytes of the first that were sent.
    pub(crate) sent: usize,
    /// Whether what was sent before it ended within a message.
    pub(crate) is_within: bool,
}

impl Leftover {
    pub(crate) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// The kernel took so many bytes. Answers the messages that are sent now.
    pub(crate) fn pass(&mut self, bytes: usize) -> u64 {
        self.sent += bytes;
        let mut messages = 0;
        while let Some(front) = self.runs.front()
            && let Some(len) = bytes_of(front).map(<[u8]>::len)
            && self.sent >= len
        {
            self.sent -= len;
            messages += u64::from(front.messages());
            self.is_within = match front {
                Run::Record { content: Record::Body { ends_message, .. }, .. } => !ends_message,
                // Bytes that count nothing end within a message, or in front of what is none.
                run => run.messages() == 0,
            };
            self.runs.pop_front();
        }
        messages
    }
}

/// See the [module](self).
pub(crate) struct Sending {
    queue: VecDeque<Queued>,
    /// Bytes of the front piece that the kernel has taken.
    offset: usize,
    /// Bytes in the queue that the kernel has not taken.
    bytes: usize,
    tail: Tail,
    commands: Vec<u8>,
    is_in_flight: bool,
    /// The kernel's buffer is full; a poll tells when it has room.
    is_blocked: bool,
    /// What is pushed belongs to a message whose beginning went to a lost connection.
    is_skipping: bool,
}

impl Default for Sending {
    fn default() -> Self {
        Self {
            queue: VecDeque::with_capacity(QUEUED),
            offset: 0,
            bytes: 0,
            tail: Tail::Boundary,
            commands: Vec::new(),
            is_in_flight: false,
            is_blocked: false,
            is_skipping: false,
        }
    }
}

impl Sending {
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.commands.is_empty()
    }

    /// Whether more pieces are queued than one send gathers.
    pub(crate) fn is_long(&self) -> bool {
        self.queue.len() > SEND_PIECES_MAX
    }

    pub(crate) fn is_in_flight(&self) -> bool {
        self.is_in_flight
    }

    /// Whether nothing is queued, and nothing under way.
    pub(crate) fn is_idle(&self) -> bool {
        self.is_empty() && !self.is_in_flight && !self.is_blocked
    }

    pub(crate) fn is_blocked(&self) -> bool {
        self.is_blocked
    }

    /// Queues a run of whole frames.
    pub(crate) fn push_slice(&mut self, slice: Slice, messages: u64, is_continuation: bool) {
        let starts_message = match self.tail {
            Tail::Boundary | Tail::Bytes => !is_continuation,
            Tail::InMessage => false,
        };
        if starts_message {
            self.is_skipping = false;
            self.push_commands();
        }
        self.tail = Tail::Bytes;
        self.bytes += slice.len();
        if let Some(Queued { piece: Piece::Slice(last), messages: counted, .. }) =
            self.queue.back_mut()
            && last.extend_with(&slice)
        {
            *counted += messages;
            return;
        }
        self.push(Piece::Slice(slice), messages, starts_message);
    }

    /// Queues the body of the frame whose header was queued last.
    pub(crate) fn push_body(&mut self, bytes: Bytes, ends_message: bool, messages: u64) {
        self.tail = if ends_message { Tail::Boundary } else { Tail::InMessage };
        self.bytes += bytes.len();
        self.push(Piece::Bytes(bytes), messages, false);
    }

    /// Queues whole frames that are no message, where the next message begins.
    pub(crate) fn push_command(&mut self, encode: impl FnOnce(&mut Vec<u8>)) {
        encode(&mut self.commands);
    }

    /// As [`push_command`](Self::push_command), for an answer to a peer. Nothing, if so many wait
    /// that the peer cannot be reading them.
    pub(crate) fn push_answer(&mut self, encode: impl FnOnce(&mut Vec<u8>)) {
        if self.commands.len() < ANSWERS_SIZE_MAX {
            encode(&mut self.commands);
        }
    }

    fn push(&mut self, piece: Piece, messages: u64, starts_message: bool) {
        self.queue.push_back(Queued { piece, messages, starts_message });
    }

    fn push_commands(&mut self) {
        if !self.commands.is_empty() {
            let commands = Bytes::from(mem::take(&mut self.commands));
            self.bytes += commands.len();
            self.push(Piece::Bytes(commands), 0, true);
        }
    }

    /// Takes from a log what one send can carry. Answers messages that count as sent, for they were
    /// skipped, and what is not a message goes to `control`.
    pub(crate) fn fill(
        &mut self,
        log: &mut Reader<Record>,
        mut control: impl FnMut(Control, &mut Vec<u8>),
    ) -> u64 {
        let mut skipped = 0;
        let mut has_caught_up = false;
        while self.bytes + self.commands.len() < SEND_SIZE && !has_caught_up {
            let Some(run) = log.next_run() else {
                self.tail = Tail::Boundary;
                break;
            };
            let before = (self.queue.len(), self.commands.len());
            skipped += self.take_run(run, &mut control);
            // What was just taken has grown: the writer is at work on another core, and every look
            // costs it a cache miss.
            has_caught_up = before.0 > 0 && before == (self.queue.len(), self.commands.len());
        }
        if self.tail == Tail::Boundary && self.bytes < SEND_SIZE {
            self.push_commands();
        }
        skipped
    }

    /// As [`fill`](Self::fill), but takes all there is.
    pub(crate) fn take_all(
        &mut self,
        log: &mut Reader<Record>,
        mut control: impl FnMut(Control, &mut Vec<u8>),
    ) -> u64 {
        let runs = std::iter::from_fn(|| log.next_run());
        let skipped = runs.map(|run| self.take_run(run, &mut control)).sum();
        self.end_run();
        skipped
    }

    /// Whether a send could start that carries more than is queued.
    pub(crate) fn has_room(&self) -> bool {
        self.bytes < SEND_SIZE && !self.is_blocked
    }

    /// Nothing more was published: a message ended.
    pub(crate) fn end_run(&mut self) {
        self.tail = Tail::Boundary;
        self.push_commands();
    }

    /// Takes over what was begun elsewhere, while nothing was queued. Answers as
    /// [`fill`](Self::fill).
    pub(crate) fn resume(
        &mut self,
        leftover: &mut Leftover,
        mut control: impl FnMut(Control, &mut Vec<u8>),
    ) -> u64 {
        let (sent, is_within) = (mem::take(&mut leftover.sent), mem::take(&mut leftover.is_within));
        let mut runs = leftover.runs.drain(..);
        debug_assert!(self.queue.is_empty(), "the other one sends when nothing is queued");
        if is_within || sent > 0 {
            // The message's beginning is on this connection.
            (self.tail, self.is_skipping) = (Tail::InMessage, false);
        }
        let skipped = runs.next().map_or(0, |run| self.take_run(run, &mut control));
        if sent > 0
            && let Some(front) = self.queue.front_mut()
        {
            front.starts_message = !is_within;
            self.offset = sent;
            self.bytes -= sent;
        }
        skipped + runs.map(|run| self.take_run(run, &mut control)).sum::<u64>()
    }

    fn take_run(
        &mut self,
        run: Run<Record>,
        control: &mut impl FnMut(Control, &mut Vec<u8>),
    ) -> u64 {
        match run {
            Run::Bytes { slice, messages, is_continuation } => {
                if self.is_skipping && (is_continuation || self.tail == Tail::InMessage) {
                    return self.skip_front(slice, u64::from(messages));
                }
                self.push_slice(slice, u64::from(messages), is_continuation);
            }
            Run::Record { content: Record::Body { bytes, ends_message }, messages } => {
                if self.is_skipping {
                    self.tail = if ends_message { Tail::Boundary } else { Tail::InMessage };
                    return u64::from(messages);
                }
                self.push_body(bytes, ends_message, u64::from(messages));
            }
            Run::Record { content: Record::Control(content), messages } => {
                // A message ended, and whatever comes next is told behind this.
                self.tail = Tail::Boundary;
                control(content, &mut self.commands);
                return self.count_with_last(u64::from(messages));
            }
            Run::Record { content: Record::Frames(slice), messages } => {
                self.push_slice(slice, u64::from(messages), false);
            }
        }
        0
    }

    /// Counts messages with the last piece of them. Answers those of which no piece is left.
    fn count_with_last(&mut self, messages: u64) -> u64 {
        if messages == 0 {
            return 0;
        }
        let Some(last) = self.queue.iter_mut().rfind(|queued| !queued.is_command()) else {
            return messages;
        };
        last.messages += messages;
        0
    }

    /// Skips what of a run belongs to the message whose beginning is lost, and queues the rest.
    /// Answers messages that count as sent for that.
    fn skip_front(&mut self, mut run: Slice, messages: u64) -> u64 {
        let Some(boundary) = next_boundary(&run, 0) else {
            self.tail = Tail::Bytes;
            return messages;
        };
        let skipped = messages.min(1);
        run.advance(boundary);
        self.tail = Tail::Boundary;
        self.push_slice(run, messages - skipped, false);
        skipped
    }

    /// Starts a send of what is queued, if one is due. True: an operation was started.
    pub(crate) fn start(&mut self, reactor: &mut Reactor, owner: u32, fd: BorrowedFd<'_>) -> bool {
        if !self.is_ready() {
            return false;
        }
        reactor.send(owner, fd, self.pieces());
        self.is_in_flight = true;
        true
    }

    fn is_ready(&mut self) -> bool {
        if self.queue.is_empty() && self.tail != Tail::InMessage {
            self.push_commands();
        }
        !self.is_in_flight && !self.is_blocked && !self.queue.is_empty()
    }

    /// What the next send takes. Nothing follows a piece that is taken in part.
    fn pieces(&self) -> impl Iterator<Item = Piece> {
        let mut gathered = 0;
        let mut skip = self.offset;
        self.queue.iter().take(SEND_PIECES_MAX).map_while(move |queued| {
            let left = queued.piece.len() - skip;
            let room = SEND_SIZE_MAX - gathered;
            if gathered >= SEND_SIZE || room == 0 {
                return None;
            }
            let take = if left <= room { left } else { room.min(SEND_SIZE) };
            gathered += take;
            Some(part(&queued.piece, mem::take(&mut skip), take))
        })
    }

    /// The send in flight is over. Answers messages that are now sent, and the bytes.
    pub(crate) fn handle_sent(&mut self, result: Result<usize, Errno>) -> Result<u64, Errno> {
        self.is_in_flight = false;
        match result {
            Ok(len) => Ok(self.take_sent(len)),
            Err(Errno::AGAIN) => {
                self.is_blocked = true;
                Ok(0)
            }
            Err(errno) => Err(errno),
        }
    }

    fn take_sent(&mut self, len: usize) -> u64 {
        self.bytes -= len;
        self.offset += len;
        let mut messages = 0;
        while let Some(front) = self.queue.front()
            && self.offset >= front.piece.len()
        {
            self.offset -= front.piece.len();
            messages += front.messages;
            self.queue.pop_front();
        }
        messages
    }

    /// The kernel has room again.
    pub(crate) fn handle_writable(&mut self) {
        self.is_blocked = false;
    }

    /// The connection is lost. Skips a message of which any byte was sent, and the commands.
    /// Answers messages that count as sent for that.
    pub(crate) fn handle_loss(&mut self) -> u64 {
        (self.is_in_flight, self.is_blocked) = (false, false);
        let mut sent = mem::take(&mut self.offset);
        let mut messages = 0;
        while let Some(front) = self.queue.front_mut()
            && (sent > 0 || !front.starts_message)
        {
            let boundary = match &front.piece {
                Piece::Slice(frames) => next_boundary(frames, sent),
                Piece::Bytes(_) => None,
            };
            self.bytes -= boundary.unwrap_or(front.piece.len()) - sent;
            if let Some(boundary) = boundary {
                front.piece.advance(boundary);
                front.starts_message = true;
                break;
            }
            messages += front.messages;
            sent = 0;
            self.queue.pop_front();
        }
        self.forget_commands();
        self.is_skipping = self.queue.is_empty() && self.tail != Tail::Boundary;
        messages
    }

    /// Drops commands that were queued and not begun: they were meant for the lost connection.
    fn forget_commands(&mut self) {
        self.commands.clear();
        let queued = self.queue.len();
        self.queue.retain(|queued| !queued.is_command());
        if self.queue.len() < queued {
            self.bytes = self.queue.iter().map(|queued| queued.piece.len()).sum();
        }
    }

    /// Drops all that is queued. Answers messages that count as sent for that.
    pub(crate) fn clear(&mut self) -> u64 {
        let messages = self.queue.drain(..).map(|queued| queued.messages).sum();
        *self = Self { is_in_flight: self.is_in_flight, ..Self::default() };
        messages
    }
}

#[cfg(test)]
impl Sending {
    /// What a kernel with room for `len` bytes would take of the next send, and the messages that
    /// count as sent then. `None`: nothing is to be sent.
    pub(crate) fn take(&mut self, len: usize) -> Option<(Vec<u8>, u64)> {
        if !self.is_ready() {
            return None;
        }
        let mut taken = Vec::new();
        for piece in self.pieces() {
            let part = piece.len().min(len - taken.len());
            taken.extend_from_slice(&piece[..part]);
        }
        self.is_in_flight = true;
        let messages = self.handle_sent(Ok(taken.len())).ok()?;
        Some((taken, messages))
    }

    pub(crate) fn piece_count(&self) -> usize {
        self.queue.len()
    }

    /// The kernel takes nothing before [`handle_writable`](Self::handle_writable).
    pub(crate) fn block(&mut self) {
        self.is_in_flight = true;
        assert_eq!(self.handle_sent(Err(Errno::AGAIN)), Ok(0));
    }
}

fn part(piece: &Piece, skip: usize, take: usize) -> Piece {
    match piece {
        Piece::Slice(slice) => Piece::Slice(slice.slice(skip..skip + take)),
        Piece::Bytes(bytes) => Piece::Bytes(bytes.slice(skip..skip + take)),
    }
}

/// Where in a run of whole frames the first message begins at or behind `sent`.
fn next_boundary(frames: &[u8], sent: usize) -> Option<usize> {
    let mut at = 0;
    while at < frames.len() {
        let (header, _) = frame::split(&frames[at..]);
        at += header.frame_len();
        if !header.more && at >= sent && at < frames.len() {
            return Some(at);
        }
    }
    None
}

#[cfg(test)]
mod tests;
