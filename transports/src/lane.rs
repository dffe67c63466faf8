//! Lanes: the way from a pipe's log to its connection, for whoever may write to it.
//!
//! The worker sends what a log has. While nothing is under way on a connection its lane is open,
//! and the thread that writes to the log may send from there what it has written: a lone message,
//! which spares telling a worker and waking it, or much, which spares changing threads on a core
//! that both share. What the kernel does not take then, and every error, is left to the worker.
//! Whoever has the lane has log, descriptor and position, so the two never write at once; the
//! descriptor is closed behind a closed lane.
//!
//! Deliberately absent: when that pays. The socket's end of the pipe decides it.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendFlags, send, sendmsg};
use zring_engine::credit::Consumption;
use zring_engine::inbox::Scheduled;
use zring_engine::lent::Lent;
use zring_engine::log::{Reader, Run};
use zring_engine::sync::MutexGuard;

use crate::message::FrameBody;
use crate::pipe::{Control, Counters, Record, bytes_of};
use crate::sending::{Leftover, SEND_SIZE, Sending};

/// Bytes after which a writer that sends ahead has done its share.
const AHEAD_SIZE_MAX: usize = 256 * 1024;
/// Runs of one send: ends and beginnings of blocks, or headers and bodies.
const RUNS_MAX: usize = 8;
/// Bytes that are worth a send: no further run is taken to them. What a block holds is as much.
const GATHERED_MIN: usize = SEND_SIZE / 8 * 7;

/// Bytes of a large body that are copied to fresh memory in a nanosecond.
const COPIED_PER_NS: usize = 2;
/// How long a sender waits for room at most, however large the body.
const PATIENCE_MAX: Duration = Duration::from_millis(1);

/// See the [module](self).
pub(crate) struct Lane {
    way: Lent<Way>,
    counters: Arc<Counters>,
}

/// What belongs to who has the lane.
pub(crate) struct Way {
    log: Reader<Record>,
    scheduled: Arc<Scheduled>,
    consumption: Consumption,
    counters: Arc<Counters>,
    /// While the lane is open: a connection on which nothing is under way.
    connection: Option<Arc<OwnedFd>>,
    /// Taken from the log by the writer, and not sent whole. Nothing while the lane is open.
    leftover: Leftover,
}

impl Lane {
    pub(crate) fn new(
        log: Reader<Record>,
        scheduled: Arc<Scheduled>,
        consumption: Consumption,
        counters: Arc<Counters>,
    ) -> Self {
        let (connection, leftover) = Default::default();
        let counted = counters.clone();
        let way = Way { log, scheduled, consumption, counters: counted, connection, leftover };
        Self { way: Lent::new(way), counters }
    }

    /// For the worker, which waits while an immediate send is under way.
    pub(crate) fn take(&self) -> MutexGuard<'_, Way> {
        self.way.take()
    }

    /// For the worker. `None`: an immediate send is under way, and a notice follows it.
    pub(crate) fn try_take(&self) -> Option<MutexGuard<'_, Way>> {
        self.way.try_take()
    }

    /// For the writer of the log, on the worker's own thread, where nobody can be waiting for the
    /// lane meanwhile: whether the connection has taken all it was given.
    pub(crate) fn is_open(&self) -> bool {
        self.way.borrow(|way| way.connection.is_some()).is_some_and(|(is_open, is_awaited)| {
            debug_assert!(!is_awaited, "the worker runs on this thread");
            is_open
        })
    }

    /// For the writer of the log: sends the message that it has just published. False: the worker
    /// is to be told that there is something for it.
    pub(crate) fn send_now(&self) -> bool {
        let sent = self.way.borrow(Way::send_now);
        sent.is_some_and(|(is_sent, is_awaited)| is_sent && !is_awaited)
    }

    /// For the writer of the log: sends what it has published, if the worker is not at it.
    pub(crate) fn send_ahead(&self) -> Ahead {
        match self.way.borrow(Way::send) {
            Some((_, true)) => Ahead::Left,
            Some((ahead, false)) => ahead,
            None => Ahead::Busy,
        }
    }

    /// For the writer of the log: sends a message that is not in the log, from where it lies. What
    /// the kernel does not take within the time of a copy is copied, and left to the worker.
    /// `Busy`: nothing was sent. True: the worker is to be told in any case.
    pub(crate) fn send_lent(&self, header: &[u8], body: &FrameBody<'_>) -> (Ahead, bool) {
        let sent = self.way.borrow(|way| way.send_lent(header, body));
        sent.unwrap_or((Ahead::Busy, false))
    }

    /// Bytes that were sent from here since the pipe began.
    pub(crate) fn bytes(&self) -> u64 {
        self.counters.bytes.load(Ordering::Relaxed)
    }
}

/// How far a writer has come that sends by itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Ahead {
    /// Its share is sent.
    Sent,
    /// The worker is at it.
    Busy,
    /// The worker is to be told to go on.
    Left,
}

impl Way {
    /// Sends all there is. False: what is left is the worker's.
    pub(crate) fn send_now(&mut self) -> bool {
        // With nothing left the next message is told again.
        let is_sent = self.send() == Ahead::Sent && self.log.is_empty();
        if is_sent {
            self.scheduled.lower();
        }
        is_sent
    }

    /// Sends from the log, to the end of a message behind [`AHEAD_SIZE_MAX`] bytes.
    fn send(&mut self) -> Ahead {
        let Some(connection) = self.connection.take() else { return Ahead::Busy };
        let mut total = 0;
        while (self.leftover.is_within || total < AHEAD_SIZE_MAX) && self.gather() {
            let sent = send_now(&connection, &self.leftover.runs);
            total += sent;
            let messages = self.leftover.pass(sent);
            let _is_wanted = self.count_sent(messages, sent as u64);
            if !self.leftover.is_empty() {
                return Ahead::Left;
            }
        }
        debug_assert!(!self.leftover.is_within, "a message is published whole");
        self.connection = Some(connection);
        Ahead::Sent
    }

    /// Takes what one send carries. False: there is nothing.
    fn gather(&mut self) -> bool {
        let Self { log, leftover: Leftover { runs, .. }, .. } = self;
        let mut size = 0;
        while size < GATHERED_MIN
            && runs.len() < RUNS_MAX
            && let Some(run) = log.next_run()
        {
            size += bytes_of(&run).map_or(GATHERED_MIN, <[u8]>::len);
            runs.push_back(run);
        }
        !runs.is_empty()
    }

    fn send_lent(&mut self, header: &[u8], body: &FrameBody<'_>) -> Ahead {
        if !self.log.is_empty() {
            return Ahead::Busy;
        }
        let Some(connection) = self.connection.take() else { return Ahead::Busy };
        let sent = send_patiently(&connection, header, body);
        let left = header.len() + body.len() - sent;
        if sent > 0 && left > 0 {
            self.counters.bytes.fetch_add(sent as u64, Ordering::Relaxed);
            let content = Record::Body { bytes: rest(header, body, left), ends_message: true };
            self.leftover.runs.push_back(Run::Record { content, messages: 1 });
            self.leftover.is_within = true;
            return Ahead::Left;
        }
        self.connection = Some(connection);
        if sent == 0 {
            return Ahead::Busy;
        }
        let _is_wanted = self.count_sent(1, sent as u64);
        Ahead::Sent
    }

    /// Has the writer leave everything to the worker.
    pub(crate) fn close(&mut self) {
        self.connection = None;
    }

    /// Lets the writer send immediately: nothing is under way on this connection, and nothing else
    /// writes to it before the lane is [closed](Self::close).
    pub(crate) fn open(&mut self, connection: &Arc<OwnedFd>) {
        if self.leftover.is_empty() {
            self.connection = Some(connection.clone());
        }
    }

    /// Moves to `sending` what one send can carry. Answers messages that count as sent, for they
    /// were skipped, and what is not a message goes to `control`.
    pub(crate) fn fill(
        &mut self,
        sending: &mut Sending,
        mut control: impl FnMut(Control, &mut Vec<u8>),
    ) -> u64 {
        let mut skipped = self.hand_over(sending, &mut control);
        skipped += sending.fill(&mut self.log, &mut control);
        if sending.is_empty() {
            let Self { log, scheduled, .. } = self;
            scheduled.look_again(|| {
                skipped += sending.fill(log, control);
                (!sending.is_empty()).then_some(())
            });
        }
        skipped
    }

    /// As [`fill`](Self::fill), but moves all there is, whatever one send can carry.
    pub(crate) fn take_all(
        &mut self,
        sending: &mut Sending,
        mut control: impl FnMut(Control, &mut Vec<u8>),
    ) -> u64 {
        self.hand_over(sending, &mut control) + sending.take_all(&mut self.log, control)
    }

    /// Moves to `sending` what the writer has begun to send. Answers as [`fill`](Self::fill).
    pub(crate) fn hand_over(
        &mut self,
        sending: &mut Sending,
        control: impl FnMut(Control, &mut Vec<u8>),
    ) -> u64 {
        if self.leftover.is_empty() { 0 } else { sending.resume(&mut self.leftover, control) }
    }

    /// Whether nothing is left to be moved.
    pub(crate) fn is_empty(&mut self) -> bool {
        self.leftover.is_empty() && self.log.is_empty()
    }

    /// Drops all that is left but what is not a message, which goes to `control`. Answers the
    /// messages.
    pub(crate) fn clear(&mut self, mut control: impl FnMut(Control)) -> u64 {
        let mut messages = 0;
        let leftover = std::mem::take(&mut self.leftover).runs;
        for run in leftover.into_iter().chain(std::iter::from_fn(|| self.log.next_run())) {
            messages += u64::from(run.messages());
            if let Some(Record::Control(content)) = run.into_record() {
                control(content);
            }
        }
        messages
    }

    /// Counts messages that the kernel took, or that are lost. True: the writer waits for room.
    #[must_use]
    pub(crate) fn count_sent(&mut self, messages: u64, bytes: u64) -> bool {
        let is_wanted = self.consumption.take(messages);
        self.counters.sent.store(self.consumption.taken(), Ordering::Relaxed);
        self.counters.bytes.fetch_add(bytes, Ordering::Relaxed);
        is_wanted
    }
}

/// How many bytes the kernel takes now, of runs in front of one that is not bytes. Errors are the
/// worker's, who meets them again.
fn send_now(connection: &OwnedFd, runs: &VecDeque<Run<Record>>) -> usize {
    let mut parts = [IoSlice::new(&[]); RUNS_MAX];
    let mut count = 0;
    for (part, bytes) in parts.iter_mut().zip(runs.iter().map_while(bytes_of)) {
        *part = IoSlice::new(bytes);
        count += 1;
    }
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    let sent = match &parts[..count] {
        [] => Ok(0),
        // The shorter way, for a lone message.
        [part] => send(connection, part, flags),
        parts => sendmsg(connection, parts, &mut SendAncillaryBuffer::default(), flags),
    };
    sent.unwrap_or(0)
}

/// Sends one part behind the other, and waits for room for some time. Answers the bytes that the
/// kernel took. Errors are the worker's here as well.
fn send_patiently(connection: &OwnedFd, header: &[u8], body: &[u8]) -> usize {
    let patience = Duration::from_nanos((body.len() / COPIED_PER_NS) as u64);
    let until = Instant::now() + patience.min(PATIENCE_MAX);
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    let mut parts = [header, body].map(IoSlice::new);
    let (mut left, mut total) = (&mut parts[..], 0);
    loop {
        match sendmsg(connection, left, &mut SendAncillaryBuffer::default(), flags) {
            Ok(sent) => {
                total += sent;
                IoSlice::advance_slices(&mut left, sent);
            }
            Err(Errno::AGAIN) => {}
            Err(_) => return total,
        }
        if left.is_empty() || !await_room(connection, until) {
            return total;
        }
    }
}

/// The last `len` bytes of a frame.
fn rest(header: &[u8], body: &FrameBody<'_>, len: usize) -> Bytes {
    match (len.checked_sub(body.len()), body.owned()) {
        (Some(of_header), _) => [&header[header.len() - of_header..], body].concat().into(),
        (None, Some(owned)) => owned.slice(body.len() - len..),
        (None, None) => Bytes::copy_from_slice(&body[body.len() - len..]),
    }
}

/// Waits until the kernel takes more. False: it is late.
fn await_room(connection: &OwnedFd, until: Instant) -> bool {
    let left = until.saturating_duration_since(Instant::now());
    let Ok(left) = Timespec::try_from(left) else { return false };
    let mut fds = [PollFd::new(connection, PollFlags::OUT)];
    left != Timespec::default() && poll(&mut fds, Some(&left)).is_ok_and(|found| found > 0)
}

#[cfg(test)]
mod tests;
