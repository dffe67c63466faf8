//! Fan-out: one log per publisher, walked once by each worker for all its subscribers.
//!
//! The publisher appends each message once to its [`FanOutLog`]. A worker's `FanOut` walks what
//! was published, matches topics, and gives each matching subscriber's connection ranges of the
//! same bytes: neighbouring matches make one range, and who takes everything gets the whole walk
//! as one range, without a look at its topics. Only the walk drops, whole messages, and only for a
//! subscriber whose queue is at its mark, with a stalled connection or a walk that is far behind.
//!
//! Deliberately absent: descriptors. Ranges go to a `Sending`, which the session drives.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use zring_engine::credit::{Allowance, Consumption, credit};
use zring_engine::inbox::Scheduled;
use zring_engine::log::{LogPools, Reader, Writer};
use zring_engine::wish::Wish;

use crate::message::FrameBody;
use crate::notice::{Event, Mailbox, SocketInbox};
use crate::pipe::{Bell, Other, PipeId, Record, Side, encode, frame_len};

mod members;
mod walk;

pub(crate) use members::{FanOut, MemberKey, TOPICS_SIZE_MAX};

/// Messages that may be published and not yet walked. At this bound the publisher waits for the
/// walk, never for a subscriber.
pub const UNWALKED_MESSAGES_MAX: usize = 32_000;
/// Bytes that may be published and not yet walked.
pub const UNWALKED_BYTES_MAX: usize = 32 * 1024 * 1024;

/// What the publisher and its workers see of each other.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    /// Subscriptions in all workers. Without any, nothing is appended.
    interest: AtomicUsize,
    /// The publisher's, for the walk or for a subscriber's grant.
    wish: Wish,
}

impl Shared {
    pub(crate) fn add_interest(&self, count: usize) {
        self.interest.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn remove_interest(&self, count: usize) {
        self.interest.fetch_sub(count, Ordering::Relaxed);
    }

    /// Tells the publisher that it may look again, if it waits.
    pub(crate) fn tell_walked(&self, inbox: &SocketInbox) {
        if self.wish.take() {
            inbox.post(Event::Walked);
        }
    }
}

/// One worker's reader of the log, on the publisher's side.
struct Walker {
    messages: Allowance,
    bytes: Allowance,
    bell: Bell,
    /// Messages that were given to whom they are for, and counted there.
    walked: Arc<AtomicU64>,
}

/// A publisher's log.
pub struct FanOutLog {
    log: Writer<Record>,
    walkers: Vec<Walker>,
    shared: Arc<Shared>,
    is_local: bool,
    /// Bytes of the message that is being written.
    open_bytes: usize,
    /// Whether the message that is being written interests nobody.
    is_skipping: bool,
    is_open: bool,
}

/// One worker's reader of the log, on its way to that worker.
pub struct FanOutFeed {
    pub(crate) id: PipeId,
    pub(crate) log: Reader<Record>,
    pub(crate) messages: Consumption,
    pub(crate) bytes: Consumption,
    pub(crate) scheduled: Arc<Scheduled>,
    pub(crate) walked: Arc<AtomicU64>,
    pub(crate) shared: Arc<Shared>,
}

impl FanOutLog {
    /// A log without readers. `is_local`: its workers run on the publisher's thread.
    #[must_use]
    pub fn new(pools: LogPools, is_local: bool) -> Self {
        Self {
            log: Writer::shared(pools),
            walkers: Vec::new(),
            shared: Arc::default(),
            is_local,
            open_bytes: 0,
            is_skipping: false,
            is_open: false,
        }
    }

    /// A reader for one more worker. The bound on what is not yet walked is never below `mark`.
    #[must_use]
    pub fn feed(&mut self, mailbox: &Arc<Mailbox>, mark: usize) -> FanOutFeed {
        let id = PipeId::fresh();
        let scheduled = Arc::new(Scheduled::default());
        let other = Other { side: Side::Worker(mailbox.clone()), id };
        let bell = Bell::new(scheduled.clone(), other, self.is_local);
        let (messages, taken_messages) = credit(UNWALKED_MESSAGES_MAX.max(mark));
        let (bytes, taken_bytes) = credit(UNWALKED_BYTES_MAX);
        let walked = Arc::<AtomicU64>::default();
        self.walkers.push(Walker { messages, bytes, bell, walked: walked.clone() });
        FanOutFeed {
            id,
            log: self.log.reader(),
            messages: taken_messages,
            bytes: taken_bytes,
            scheduled,
            walked,
            shared: self.shared.clone(),
        }
    }

    /// Whether any wire subscriber has any subscription.
    #[inline]
    #[must_use]
    pub fn has_interest(&self) -> bool {
        self.shared.interest.load(Ordering::Relaxed) > 0
    }

    /// Whether a message can begin now: the walk is not too far behind.
    #[inline]
    pub fn has_room(&mut self) -> bool {
        self.walkers.iter_mut().all(|walker| walker.messages.room() > 0 && walker.bytes.room() > 0)
    }

    /// Messages published since there are workers, which all begin together.
    #[must_use]
    pub fn published(&self) -> u64 {
        self.walkers.first().map_or(0, |walker| walker.messages.written())
    }

    /// Whether all that was published is walked, so that what subscribers were given is final.
    #[must_use]
    pub fn is_walked(&self) -> bool {
        let is_walked = |walker: &Walker| {
            // Acquire: pairs with the release in `FanOut::walk`, behind what was counted.
            walker.walked.load(Ordering::Acquire) == walker.messages.written()
        };
        self.walkers.iter().all(is_walked)
    }

    /// Asks for [`Event::Walked`], and looks again. True: there is room now.
    pub fn want_room(&mut self) -> bool {
        self.shared.wish.make();
        self.has_room()
    }

    /// Appends one frame, and with the last of a message publishes it. Without any interest at the
    /// first frame the whole message is skipped.
    #[inline]
    pub fn write(&mut self, body: FrameBody<'_>, has_more: bool) {
        if !self.is_open {
            self.is_skipping = !self.has_interest();
        }
        self.is_open = has_more;
        if self.is_skipping {
            return;
        }
        encode(&mut self.log, body, has_more);
        self.open_bytes += frame_len(body.len());
        if !has_more {
            self.publish();
        }
    }

    #[inline]
    fn publish(&mut self) {
        self.log.publish(1);
        let bytes = std::mem::take(&mut self.open_bytes) as u64;
        for walker in &mut self.walkers {
            walker.messages.write(1);
            walker.bytes.write(bytes);
            walker.bell.ring();
        }
    }

    /// Takes back the frames of a message that was not finished.
    pub fn rollback(&mut self) {
        self.log.rollback();
        (self.open_bytes, self.is_open) = (0, false);
    }
}

#[cfg(test)]
mod tests;
