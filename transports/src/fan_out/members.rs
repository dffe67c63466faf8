//! The subscribers of one publisher that live on one worker, and their topics.
//!
//! Deliberately absent: the walk, which is in `walk.rs`, and connections. A member's peer is a
//! number of the worker's.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use slab::Slab;
use zring_engine::block::{BlockWriter, Pool, Slice};
use zring_engine::credit::{Allowance, Consumption, credit};

use crate::fan_out::FanOutFeed;
use crate::fan_out::walk::Hurry;
use crate::notice::SocketInbox;
use crate::pipe::{Counters, PipeId};
use crate::sending::Sending;
use crate::subscriptions::{Few, Holding, Insertion, Recent, Removal, Subscriptions};

/// Bytes of the blocks into which short runs are copied.
const OWN_BLOCK_SIZE: usize = 16 * 1024;
/// Runs shorter than this are copied: as a piece of a vectored send they would cost more.
const OWN_COPY_MAX: usize = 512;
/// As above, once more is queued than a send can gather: so pieces stay few, and sends long.
const LAGGARD_COPY_MAX: usize = OWN_BLOCK_SIZE;

/// Unused blocks of those that are kept: 16 MiB, a thousand runs for each of some thirty members.
const OWN_KEPT_MAX: usize = 1024;
/// Parts that there is memory for from the start.
const PARTS: usize = 8;

/// What the topics of one subscriber may take, besides being [written down](Holding): more than a
/// million of the usual length. Most of all it bounds those that a few bytes each make long, by
/// being prefixes of each other.
pub(crate) const TOPICS_SIZE_MAX: u64 = 256 * 1024 * 1024;

/// Bytes of a topic, and of what keeps it.
fn topic_size(topic: &[u8]) -> u64 {
    topic.len() as u64 + 64
}

/// Names a subscriber within its [`FanOut`].
pub(crate) type MemberKey = u32;

/// One worker's subscribers of one publisher.
pub(crate) struct FanOut {
    pub(super) feed: FanOutFeed,
    pub(super) inbox: Arc<SocketInbox>,
    pub(super) members: Slab<Member>,
    pub(super) subscriptions: Subscriptions<MemberKey>,
    pub(super) recent: Recent<Few<MemberKey>>,
    /// The run being walked, and how far.
    pub(super) run: Slice,
    pub(super) at: usize,
    /// Messages of `run`, where they are known and none was walked.
    pub(super) run_messages: u64,
    /// Counts messages, so that a subscriber with several matching topics gets each once.
    pub(super) stamp: u64,
    pub(super) walked: u64,
    /// To where the step at hand goes at most, in messages walked.
    pub(super) step_until: u64,
    /// Of a walk that is not lossless.
    pub(super) hurry: Hurry,
    pub(super) is_lossless: bool,
    /// Members that are given up, before and behind their last message.
    parting: usize,
    parted: usize,
    /// Members whose room is waited for, as of the step at hand.
    pub(super) awaited_count: usize,
    /// Whether the walk waits for an awaited member's room.
    pub(super) is_held: bool,
    /// Whether this walk has found nothing, and then something with the flag down.
    pub(super) has_looked_again: bool,
    /// Members that the walk has given something, or counted a loss for, and not yet flushed.
    pub(super) touched: Vec<MemberKey>,
    /// Kept for its memory: those who get the message at hand.
    pub(super) matching: Vec<MemberKey>,
    /// The parts of a message that does not lie in one run, and that a full member holds up.
    pub(super) parts: Vec<Part>,
    own: Pool,
}

/// One subscriber.
pub(super) struct Member {
    pub(super) peer: usize,
    pub(super) sending: Sending,
    /// Whether its connection can take messages now, as far as is known.
    pub(super) is_connected: bool,
    pub(super) allowance: Allowance,
    consumption: Consumption,
    counters: Arc<Counters>,
    topics: usize,
    holding: Holding,
    /// What they take, as [`topic_size`] counts it.
    topics_size: u64,
    /// Whether some may be those of an earlier peer of its endpoint.
    has_inherited: bool,
    /// Messages of the log that are for it, if their number is settled.
    pub(super) until: u64,
    /// Those were walked: it is given nothing more.
    pub(super) has_parted: bool,
    /// At its mark: what it is given is dropped.
    pub(super) is_full: bool,
    /// And the walk waits for it.
    pub(super) is_awaited: bool,
    pub(super) is_touched: bool,
    pub(super) stamp: u64,
    /// Neighbouring matches in the run being walked.
    range: Range<usize>,
    range_messages: u64,
    /// Copies of short ranges, from `own_from` on not yet queued.
    own: BlockWriter,
    own_from: usize,
    own_messages: u64,
    dropped: u64,
}

impl FanOut {
    pub(crate) fn new(feed: FanOutFeed, inbox: Arc<SocketInbox>, is_lossless: bool) -> Self {
        Self {
            feed,
            inbox,
            members: Slab::new(),
            subscriptions: Subscriptions::new(),
            recent: Recent::default(),
            run: Slice::default(),
            at: 0,
            run_messages: 0,
            stamp: 0,
            walked: 0,
            step_until: 0,
            hurry: Hurry::default(),
            is_lossless,
            parting: 0,
            parted: 0,
            awaited_count: 0,
            is_held: false,
            has_looked_again: false,
            touched: Vec::new(),
            matching: Vec::new(),
            parts: Vec::with_capacity(PARTS),
            own: Pool::new(OWN_BLOCK_SIZE, OWN_KEPT_MAX),
        }
    }

    /// Adds a subscriber without topics.
    pub(crate) fn join(&mut self, peer: usize, mark: usize, counters: Arc<Counters>) -> MemberKey {
        let (allowance, consumption) = credit(mark);
        let member = Member {
            peer,
            sending: Sending::default(),
            is_connected: false,
            allowance,
            consumption,
            counters,
            topics: 0,
            holding: Holding::default(),
            topics_size: 0,
            has_inherited: false,
            until: u64::MAX,
            has_parted: false,
            is_full: false,
            is_awaited: false,
            is_touched: false,
            stamp: 0,
            range: 0..0,
            range_messages: 0,
            own: BlockWriter::empty(),
            own_from: 0,
            own_messages: 0,
            dropped: 0,
        };
        self.members.insert(member) as MemberKey
    }

    /// Removes a subscriber and its topics.
    pub(crate) fn leave(&mut self, key: MemberKey) {
        self.forget_topics(key, |_| {});
        let member = self.members.remove(key as usize);
        self.parted -= usize::from(member.has_parted);
        self.parting -= usize::from(member.until != u64::MAX && !member.has_parted);
        // A publisher that waits for this subscriber need not wait any more.
        self.feed.shared.tell_walked(&self.inbox);
    }

    /// Of what is published, so many messages are for this subscriber, and the rest is not.
    pub(crate) fn part(&mut self, key: MemberKey, published: u64) {
        let member = &mut self.members[key as usize];
        if member.until == u64::MAX {
            member.until = published;
            self.parting += 1;
            self.part_from_walked();
        }
    }

    /// Whether the walk is past all that is for this subscriber.
    pub(crate) fn is_past(&mut self, key: MemberKey) -> bool {
        self.members[key as usize].has_parted || self.is_walked()
    }

    /// Parts from those whose last message is walked.
    pub(super) fn part_from_walked(&mut self) {
        while self.parting > 0
            && let Some((key, member)) = self
                .members
                .iter_mut()
                .find(|(_, member)| member.until <= self.walked && !member.has_parted)
        {
            (member.has_parted, member.is_awaited) = (true, false);
            self.parting -= 1;
            self.parted += 1;
            self.forget_topics(key as MemberKey, |_| {});
        }
    }

    fn forget_topics(&mut self, key: MemberKey, mut f: impl FnMut(&[u8])) {
        let member = &mut self.members[key as usize];
        let topics = std::mem::take(&mut member.topics);
        let holding = std::mem::take(&mut member.holding);
        member.topics_size = 0;
        if topics > 0 {
            self.subscriptions.remove_holding(key, &holding, |topic, _| f(topic));
            self.feed.shared.remove_interest(topics);
        }
    }

    /// Forgets all topics if some may be those of an earlier peer of this endpoint, which nobody
    /// takes back any more. False: they are all this peer's.
    pub(crate) fn forget_inherited(&mut self, key: MemberKey, f: impl FnMut(&[u8])) -> bool {
        let has_inherited = std::mem::take(&mut self.members[key as usize].has_inherited);
        if has_inherited {
            self.forget_topics(key, f);
        }
        has_inherited
    }

    /// Whether a subscriber may hold one more topic.
    pub(crate) fn may_subscribe(&self, key: MemberKey, topic: &[u8]) -> bool {
        self.members[key as usize].topics_size + topic_size(topic) <= TOPICS_SIZE_MAX
    }

    /// Whether that changed anything: a peer holds a topic once, however often it says so
    /// (libzmq's `mtrie`).
    pub(crate) fn subscribe(&mut self, key: MemberKey, topic: &[u8]) -> bool {
        let member = &mut self.members[key as usize];
        if member.has_parted {
            return false;
        }
        let is_new = self.subscriptions.insert(topic, key) != Insertion::Again;
        if is_new {
            member.holding.note(&self.subscriptions, topic, key);
            member.topics += 1;
            member.topics_size += topic_size(topic);
            self.feed.shared.add_interest(1);
        } else {
            self.subscriptions.remove(topic, key);
        }
        is_new
    }

    /// Whether that changed anything.
    pub(crate) fn cancel(&mut self, key: MemberKey, topic: &[u8]) -> bool {
        let removal = self.subscriptions.remove(topic, key);
        let was_held = matches!(removal, Removal::LastOfTopic | Removal::LastOfKey);
        if was_held {
            let member = &mut self.members[key as usize];
            member.topics -= 1;
            member.topics_size -= topic_size(topic);
            self.feed.shared.remove_interest(1);
        }
        was_held
    }

    /// What a subscriber's connection has to send.
    pub(crate) fn sending(&mut self, key: MemberKey) -> &mut Sending {
        &mut self.members[key as usize].sending
    }

    /// Whether the walk waits for an awaited member's room.
    pub(crate) fn is_held(&self) -> bool {
        self.is_held
    }

    /// What notices call the log.
    pub(crate) fn feed_id(&self) -> PipeId {
        self.feed.id
    }

    /// Members that may still be given something.
    pub(super) fn present(&self) -> usize {
        self.members.len() - self.parted
    }

    /// Whether everything published was walked.
    pub(super) fn is_walked(&mut self) -> bool {
        self.at == self.run.len() && self.parts.is_empty() && self.feed.log.is_empty()
    }

    /// A subscriber's connection came or went.
    pub(crate) fn set_connected(&mut self, key: MemberKey, is_connected: bool) {
        let member = &mut self.members[key as usize];
        member.is_connected = is_connected;
        member.has_inherited |= is_connected && member.topics > 0;
    }

    /// Counts messages that a subscriber's connection took, or that it will never get.
    pub(crate) fn count_sent(&mut self, key: MemberKey, messages: u64, bytes: u64) {
        let member = &mut self.members[key as usize];
        // Nobody asks a member's allowance to be told: the publisher waits on the whole log.
        let _is_wanted = member.consumption.take(messages);
        member.counters.bytes.fetch_add(bytes, Ordering::Relaxed);
        member.publish_counters();
        if messages > 0 {
            self.feed.shared.tell_walked(&self.inbox);
        }
    }

    /// Queues what the walk has given its members, and answers whose connections those are.
    pub(super) fn flush_touched(&mut self, peers: &mut Vec<usize>) {
        for key in self.touched.drain(..) {
            let member = &mut self.members[key as usize];
            member.close_range(&self.run, &self.own);
            member.flush_own();
            member.publish_counters();
            member.is_touched = false;
            peers.push(member.peer);
        }
    }

    /// Queues what lies in the run being walked, before another takes its place.
    pub(super) fn close_ranges(&mut self) {
        for key in &self.touched {
            self.members[*key as usize].close_range(&self.run, &self.own);
        }
    }

    /// Gives one member the messages at `range` of the run being walked.
    #[inline]
    pub(super) fn give(&mut self, key: MemberKey, range: Range<usize>, messages: u64) {
        let member = &mut self.members[key as usize];
        if !member.is_touched {
            member.is_touched = true;
            self.touched.push(key);
        }
        if member.is_full {
            member.dropped += messages;
            return;
        }
        member.allowance.write(messages);
        if member.range.end == range.start && !member.range.is_empty() {
            member.range.end = range.end;
            member.range_messages += messages;
            return;
        }
        member.close_range(&self.run, &self.own);
        (member.range, member.range_messages) = (range, messages);
    }

    /// Gives one member a message that does not lie in one run.
    pub(super) fn give_parts(&mut self, key: MemberKey, parts: &[Part]) {
        let member = &mut self.members[key as usize];
        if !member.is_touched {
            member.is_touched = true;
            self.touched.push(key);
        }
        if member.is_full {
            member.dropped += 1;
            return;
        }
        member.allowance.write(1);
        member.close_range(&self.run, &self.own);
        member.flush_own();
        for (index, part) in parts.iter().enumerate() {
            let messages = u64::from(index + 1 == parts.len());
            match part.clone() {
                Part::Frames(slice) => member.sending.push_slice(slice, messages, index > 0),
                Part::Body(bytes, ends) => member.sending.push_body(bytes, ends, messages),
            }
        }
    }
}

/// A part of a message that does not lie in one run.
#[derive(Clone)]
pub(super) enum Part {
    Frames(Slice),
    Body(Bytes, bool),
}

impl Member {
    /// Queues the open range, or copies it behind the member's own bytes if it is short: what a
    /// laggard has to wait for is bytes of its own, in blocks that are nearly full.
    #[inline]
    fn close_range(&mut self, run: &Slice, pool: &Pool) {
        let range = std::mem::take(&mut self.range);
        let messages = std::mem::take(&mut self.range_messages);
        if range.is_empty() {
            return;
        }
        let is_laggard = self.sending.is_long();
        if range.len() >= if is_laggard { LAGGARD_COPY_MAX } else { OWN_COPY_MAX } {
            self.flush_own();
            return self.sending.push_slice(run.slice(range), messages, false);
        }
        if self.own.room() < range.len() {
            self.flush_own();
            (self.own, self.own_from) = (pool.take(), 0);
        }
        self.own.append(&run[range]);
        self.own_messages += messages;
    }

    fn flush_own(&mut self) {
        if self.own.len() > self.own_from {
            self.own.publish();
            let slice = self.own.slice(self.own_from..self.own.len());
            self.own_from = self.own.len();
            self.sending.push_slice(slice, std::mem::take(&mut self.own_messages), false);
        }
    }

    fn publish_counters(&mut self) {
        let counters = &self.counters;
        let (written, queued) = (self.allowance.written(), self.allowance.queued());
        counters.accepted.store(written, Ordering::Relaxed);
        counters.granted.store(written - queued, Ordering::Relaxed);
        counters.sent.store(self.consumption.taken(), Ordering::Relaxed);
        counters.dropped.store(self.dropped, Ordering::Relaxed);
    }
}
