//! Lanes: the way from a pipe's log to its connection, for whoever may write to it.
//!
//! The worker sends what a log has. While nothing is under way on a connection its lane is open,
//! and the thread that has just written a message may send it from there, which spares waking a
//! worker that sleeps. What the kernel does not take then, and every error, is left to the worker.
//! Whoever has the lane has log, descriptor and position, so the two never write at once; the
//! descriptor is closed behind a closed lane.
//!
//! Deliberately absent: when that pays. The socket's end of the pipe decides it.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustix::net::{SendFlags, send};
use zring_engine::credit::Consumption;
use zring_engine::inbox::Scheduled;
use zring_engine::lent::Lent;
use zring_engine::log::{Reader, Run};
use zring_engine::sync::MutexGuard;

use crate::pipe::{Control, Counters, Record};
use crate::sending::Sending;

/// See the [module](self).
pub(crate) struct Lane(Lent<Way>);

/// What belongs to who has the lane.
pub(crate) struct Way {
    log: Reader<Record>,
    scheduled: Arc<Scheduled>,
    consumption: Consumption,
    counters: Arc<Counters>,
    /// While the lane is open: a connection on which nothing is under way.
    connection: Option<Arc<OwnedFd>>,
    /// Taken from the log for an immediate send, and of that, bytes that were sent.
    leftover: Option<(Run<Record>, usize)>,
}

impl Lane {
    pub(crate) fn new(
        log: Reader<Record>,
        scheduled: Arc<Scheduled>,
        consumption: Consumption,
        counters: Arc<Counters>,
    ) -> Self {
        let (connection, leftover) = (None, None);
        let way = Way { log, scheduled, consumption, counters, connection, leftover };
        Self(Lent::new(way))
    }

    /// For the worker, which waits while an immediate send is under way.
    pub(crate) fn take(&self) -> MutexGuard<'_, Way> {
        self.0.take()
    }

    /// For the worker. `None`: an immediate send is under way, and a notice follows it.
    pub(crate) fn try_take(&self) -> Option<MutexGuard<'_, Way>> {
        self.0.try_take()
    }

    /// For the writer of the log: sends the message that it has just published. False: the worker
    /// is to be told that there is something for it.
    pub(crate) fn send_now(&self) -> bool {
        let sent = self.0.borrow(Way::send_now);
        sent.is_some_and(|(is_sent, is_awaited)| is_sent && !is_awaited)
    }
}

impl Way {
    fn send_now(&mut self) -> bool {
        let Some(connection) = self.connection.take() else { return false };
        let Some(run) = self.log.next_run() else { return false };
        let sent = match &run {
            Run::Bytes { slice, messages: 1, .. } => {
                // Errors are the worker's, who meets them again.
                send(&connection, slice, SendFlags::DONTWAIT | SendFlags::NOSIGNAL).unwrap_or(0)
            }
            _ => 0,
        };
        let is_whole = matches!(&run, Run::Bytes { slice, .. } if slice.len() == sent);
        if is_whole {
            // The log has no more, for its writer is here.
            self.scheduled.lower();
            self.connection = Some(connection);
            let _is_wanted = self.count_sent(1, sent as u64);
        } else {
            self.leftover = Some((run, sent));
        }
        is_whole
    }

    /// Has the writer leave everything to the worker.
    pub(crate) fn close(&mut self) {
        self.connection = None;
    }

    /// Lets the writer send immediately: nothing is under way on this connection, and nothing else
    /// writes to it before the lane is [closed](Self::close).
    pub(crate) fn open(&mut self, connection: &Arc<OwnedFd>) {
        if self.leftover.is_none() {
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
        let mut skipped = 0;
        if let Some((run, sent)) = self.leftover.take() {
            skipped += sending.resume(run, sent, &mut control);
        }
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

    /// Whether nothing is left to be moved.
    pub(crate) fn is_empty(&mut self) -> bool {
        self.leftover.is_none() && self.log.is_empty()
    }

    /// Drops all that is left but what is not a message, which goes to `control`. Answers the
    /// messages.
    pub(crate) fn clear(&mut self, mut control: impl FnMut(Control)) -> u64 {
        let mut messages = 0;
        let leftover = self.leftover.take().map(|(run, _)| run);
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

#[cfg(test)]
mod tests;
