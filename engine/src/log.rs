//! The log: a queue of bytes with one writer and one or more readers.
//!
//! The writer appends bytes to a chain of nodes, each with a block of memory, and publishes whole
//! messages with one release store of (bytes, records, messages, sealed). What is too large or too
//! strange to be copied goes in as a *record*: it stands at a place among the bytes. Readers walk
//! the chain at their own pace; a node that the last reader leaves goes back to the writer.
//! A message that spans nodes is published last node first, so that it appears at once or not.
//! An append never straddles two nodes: what was appended in one call is contiguous.
//!
//! Deliberately absent: a bound. Credit (see [`credit`](crate::credit)) decides who may append.

use std::fmt;

use crate::block::{BlockReader, BlockWriter, Pool, Slice};
use crate::stock::Stock;
use crate::sync::{Arc, Mutex, lock};

/// Records a node can hold; the next one seals it. Models reach it too.
const RECORDS_MAX: usize = if cfg!(loom) { 2 } else { 32 };
/// Messages a node counts at most, so that the count fits its bits of the tag. It is closed at half
/// as many; one publish adds a quarter at most, and so do all bytes and records of a node.
const MESSAGES_MAX: u32 = (1 << MESSAGE_BITS) - 1;
const PUBLISHED_MAX: u32 = MESSAGES_MAX / 4;
/// Bytes, its own and those its records refer to, after which a node is sealed.
const WEIGHT_MAX: usize = 256 * 1024;
/// Unused blocks that are kept. Under flow, 32 MiB: a fan-out's 32,000 messages of 1 KiB that are
/// not yet walked are as much, a pipe's 2,000 between two marks a sixteenth.
const FIRST_KEPT_MAX: usize = 256;
const FLOW_KEPT_MAX: usize = 512;
/// Unused nodes that a log keeps for its writer: as many as blocks, of which each has one.
const NODES_KEPT_MAX: usize = FLOW_KEPT_MAX;
/// Nodes that are made at once: with the first few 30, some 50 KiB for each log under flow.
const NODES_BATCH: usize = 18;

const MESSAGE_BITS: u32 = 20;
const RECORD_BITS: u32 = 11;
const SEALED: u32 = 1 << (MESSAGE_BITS + RECORD_BITS);
const _: () = assert!(RECORDS_MAX < 1 << RECORD_BITS);
const _: () = assert!(MESSAGE_BITS + RECORD_BITS + 1 == u32::BITS);

/// Where the memory of logs comes from: a small block for the first bytes, large ones under flow.
#[derive(Clone, Debug)]
pub struct LogPools {
    first: Pool,
    flow: Pool,
}

impl LogPools {
    /// Pools of `first`-sized and `flow`-sized blocks, in bytes, that keep some of them unused.
    #[must_use]
    pub fn new(first: usize, flow: usize) -> Self {
        assert!(first <= flow, "a log does not start larger than it goes on");
        assert!(flow + RECORDS_MAX <= PUBLISHED_MAX as usize, "a node can count its messages");
        Self { first: Pool::new(first, FIRST_KEPT_MAX), flow: Pool::new(flow, FLOW_KEPT_MAX) }
    }

    /// The most bytes one append can take.
    #[must_use]
    pub fn append_max(&self) -> usize {
        self.flow.block_size()
    }

    fn take(&self, len: usize, flows: bool) -> BlockWriter {
        let small = !flows && len <= self.first.block_size();
        if small { self.first.take() } else { self.flow.take() }
    }
}

/// Something that stands at a place among the bytes of a log.
struct Record<R> {
    at: usize,
    content: R,
}

struct Node<R> {
    block: BlockReader,
    /// Filled from the front; the published count says how many.
    records: Box<[Mutex<Option<Record<R>>>]>,
    /// Set before the node is published as sealed.
    next: Mutex<Option<Arc<Self>>>,
    /// Whether the first bytes continue a message of the node before.
    is_continuation: bool,
}

/// What both ends share: nodes on their way back to the writer.
struct Returns<R> {
    nodes: Stock<Arc<Node<R>>>,
    /// Held by a reader that lets a node go: of several, the last finds it unshared.
    leaving: Mutex<()>,
    /// Stands in for the block of a returned node, which goes back to its pool.
    empty: BlockReader,
}

/// Parts of a tag: what a node has published besides its bytes.
#[derive(Clone, Copy, Default)]
struct Counts {
    messages: u32,
    records: usize,
}

impl Counts {
    #[inline]
    fn parse(tag: u32) -> Self {
        Self { messages: tag & MESSAGES_MAX, records: records(tag) }
    }
}

#[inline]
fn records(tag: u32) -> usize {
    ((tag & !SEALED) >> MESSAGE_BITS) as usize
}

/// What a node has published, seen at once.
struct Published {
    len: usize,
    counts: Counts,
    is_sealed: bool,
}

/// The writer's hold on the node it appends to, or left open within a long message.
struct Open<R> {
    node: Arc<Node<R>>,
    /// Its tag counts the messages, and all records that were appended.
    block: BlockWriter,
    /// Bytes that the records refer to, and those before the message at hand.
    referenced: usize,
    kept: usize,
}

impl<R> Open<R> {
    fn new(node: Arc<Node<R>>, block: BlockWriter) -> Self {
        Self { node, block, referenced: 0, kept: 0 }
    }

    fn weight(&self) -> u64 {
        (self.block.len() + self.referenced) as u64
    }

    /// Records that were appended, published or not.
    fn records(&self) -> usize {
        records(self.block.tag())
    }

    fn seal(self) {
        let Self { node, mut block, .. } = self;
        // A reader that leaves it at once shall find it unshared.
        drop(node);
        block.add_to_tag(SEALED);
        block.publish();
    }
}

/// The writing end. Dropping it publishes nothing more.
pub struct Writer<R> {
    pools: LogPools,
    returns: Arc<Returns<R>>,
    open: Open<R>,
    /// Earlier nodes of a message that is not yet published.
    earlier: Vec<Open<R>>,
    /// Bytes in the nodes before the open one, and those their records refer to.
    left: u64,
    /// Whether a node was ever filled: then bytes flow.
    flows: bool,
    readers_are_shared: bool,
}

impl<R> Writer<R> {
    /// A log for one reader, which takes records out, and that reader.
    #[must_use]
    pub fn single(pools: LogPools) -> (Self, Reader<R>) {
        let writer = Self::new(pools, false);
        let reader = writer.start_reader();
        (writer, reader)
    }

    /// A log for any number of readers, each of which sees every record.
    #[must_use]
    pub fn shared(pools: LogPools) -> Self
    where
        R: Clone,
    {
        Self::new(pools, true)
    }

    fn new(pools: LogPools, readers_are_shared: bool) -> Self {
        let block = BlockWriter::empty();
        let (nodes, leaving) = (Stock::new(NODES_KEPT_MAX, NODES_BATCH), Mutex::new(()));
        let returns = Arc::new(Returns { nodes, leaving, empty: block.reader() });
        let open = Open::new(Arc::new(Node::new(block.reader(), 0)), block);
        let earlier = Vec::with_capacity(1);
        Self { pools, returns, open, earlier, left: 0, flows: false, readers_are_shared }
    }

    /// A further reader of a shared log, that begins behind what is published now.
    #[must_use]
    pub fn reader(&self) -> Reader<R> {
        assert!(self.readers_are_shared, "a single log has one reader");
        self.start_reader()
    }

    fn start_reader(&self) -> Reader<R> {
        let open = self.earlier.first().unwrap_or(&self.open);
        let (at, tag) = open.block.published();
        Reader {
            node: open.node.clone(),
            at,
            taken: Counts::parse(tag),
            uncounted: 0,
            returns: self.returns.clone(),
            takes_out: !self.readers_are_shared,
        }
    }

    /// Appends `head` and `body` as one contiguous run. At most [`LogPools::append_max`] bytes.
    #[inline(always)]
    pub fn append(&mut self, head: &[u8], body: &[u8]) {
        let len = head.len() + body.len();
        if self.open.block.room() < len {
            self.turn_over(len);
        }
        self.open.block.append_parts(head, body);
    }

    /// Appends a record that refers to `weight` bytes elsewhere.
    pub fn append_record(&mut self, content: R, weight: usize) {
        let is_heavy = self.open.block.len() + self.open.referenced >= WEIGHT_MAX;
        let is_full = self.open.records() == self.open.node.records.len();
        if is_heavy || is_full || self.open.block.room() == 0 {
            self.turn_over(1);
        }
        if self.open.records() == records(self.open.block.published().1) {
            self.open.kept = self.open.referenced;
        }
        let record = Record { at: self.open.block.len(), content };
        *lock(&self.open.node.records[self.open.records()]) = Some(record);
        self.open.block.add_to_tag(1 << MESSAGE_BITS);
        self.open.referenced += weight;
    }

    /// Publishes all that was appended, as `messages` whole messages: 262,143 at most, and a
    /// received buffer holds fewer. One that is published by itself has bytes or a record.
    #[inline(always)]
    pub fn publish(&mut self, messages: u32) {
        debug_assert!(messages <= PUBLISHED_MAX, "a node's count has room for one more call");
        self.open.block.add_to_tag(messages);
        self.open.block.publish();
        // One by one they are no more than bytes and records.
        if messages > 1 && self.open.block.tag() & MESSAGES_MAX >= MESSAGES_MAX / 2 {
            // Nothing is appended here any more.
            self.open.block.close();
        }
        if !self.earlier.is_empty() {
            self.publish_earlier();
        }
    }

    #[cold]
    fn publish_earlier(&mut self) {
        while let Some(open) = self.earlier.pop() {
            open.seal();
        }
    }

    /// Takes back all that was appended since the last publish.
    pub fn rollback(&mut self) {
        if !self.earlier.is_empty() {
            self.left -= self.earlier.iter().map(Open::weight).sum::<u64>();
            self.open = self.earlier.swap_remove(0);
            self.earlier.clear();
            *lock(&self.open.node.next) = None;
        }
        let appended = self.open.records();
        self.open.block.rewind();
        if appended > self.open.records() {
            self.open.referenced = self.open.kept;
        }
        for place in &self.open.node.records[self.open.records()..appended] {
            *lock(place) = None;
        }
    }

    /// Whether something was appended and is not yet published.
    #[must_use]
    pub fn has_unpublished(&self) -> bool {
        !self.earlier.is_empty() || self.open.block.has_unpublished()
    }

    /// Bytes appended since the beginning, and those that records refer to, as of the last node
    /// that was filled.
    #[inline]
    #[must_use]
    pub fn weight_left(&self) -> u64 {
        self.left
    }

    /// Goes on to a node with room for `len` bytes.
    #[cold]
    fn turn_over(&mut self, len: usize) {
        assert!(len <= self.pools.append_max(), "the caller refers to what is larger");
        self.flows |= self.open.block.capacity() > 0;
        let block = self.pools.take(len, self.flows);
        let is_continuation = self.has_unpublished();
        let fresh = start_node(&self.returns, block, is_continuation);
        let full = std::mem::replace(&mut self.open, fresh);
        self.left += full.weight();
        *lock(&full.node.next) = Some(self.open.node.clone());
        if is_continuation {
            self.earlier.push(full);
        } else {
            full.seal();
        }
    }
}

/// A returned node, or a new one, around `block`.
fn start_node<R>(returns: &Returns<R>, block: BlockWriter, is_continuation: bool) -> Open<R> {
    let make = || Arc::new(Node::new(returns.empty.clone(), RECORDS_MAX));
    let mut node = returns.nodes.take(make);
    let unshared = Arc::get_mut(&mut node).expect("only unshared nodes are returned");
    unshared.block = block.reader();
    unshared.is_continuation = is_continuation;
    Open::new(node, block)
}

impl<R> Node<R> {
    fn new(block: BlockReader, records_max: usize) -> Self {
        let records = (0..records_max).map(|_| Mutex::new(None)).collect();
        Self { block, records, next: Mutex::new(None), is_continuation: false }
    }

    #[inline]
    fn published(&self) -> Published {
        let (len, tag) = self.block.published();
        Published { len, counts: Counts::parse(tag), is_sealed: tag & SEALED != 0 }
    }

    /// Whether a sealed node's last message goes on in the next one.
    #[cold]
    fn is_continued(&self) -> bool {
        lock(&self.next).as_ref().is_some_and(|next| next.is_continuation)
    }
}

/// The next thing in a log.
#[derive(Debug)]
pub enum Run<R> {
    /// Contiguous bytes. They begin where an append began and end where one ended.
    Bytes {
        /// The bytes.
        slice: Slice,
        /// Messages that ended since the last run that counted any. None are counted before all
        /// that was published with them is taken, nor by a run that ends within a message: with a
        /// run that counts some, as many messages were taken as ended.
        messages: u32,
        /// Whether the bytes go on with a message of an earlier block, right behind its bytes.
        is_continuation: bool,
    },
    /// A record.
    Record {
        /// What was appended.
        content: R,
        /// As above.
        messages: u32,
    },
}

impl<R> Run<R> {
    /// Messages that it counts.
    #[must_use]
    pub const fn messages(&self) -> u32 {
        match self {
            Self::Bytes { messages, .. } | Self::Record { messages, .. } => *messages,
        }
    }

    /// The record, if it is one.
    #[must_use]
    pub fn into_record(self) -> Option<R> {
        match self {
            Self::Bytes { .. } => None,
            Self::Record { content, .. } => Some(content),
        }
    }
}

/// A reading end.
pub struct Reader<R> {
    node: Arc<Node<R>>,
    at: usize,
    taken: Counts,
    /// Messages of nodes that were left, to be counted with a later run.
    uncounted: u32,
    returns: Arc<Returns<R>>,
    takes_out: bool,
}

impl<R: Clone> Reader<R> {
    /// Whether all that is published was taken.
    #[inline]
    #[must_use]
    pub fn is_empty(&mut self) -> bool {
        loop {
            let published = self.node.published();
            if !self.has_taken(&published) {
                return false;
            }
            if !published.is_sealed {
                return true;
            }
            self.leave_node(&published);
        }
    }

    /// Messages that are published, and that no run has counted yet.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        let mut node = self.node.clone();
        let mut published = node.published();
        let counted = self.uncounted + published.counts.messages - self.taken.messages;
        let mut waiting = u64::from(counted);
        while published.is_sealed {
            let next = lock(&node.next).clone().expect("a sealed node has a next one");
            node = next;
            published = node.published();
            waiting += u64::from(published.counts.messages);
        }
        waiting
    }

    /// Takes the next run: the bytes up to the next record, block end or what is published now.
    #[inline]
    pub fn next_run(&mut self) -> Option<Run<R>> {
        loop {
            let published = self.node.published();
            if self.taken.records < published.counts.records {
                return Some(self.take_near_record(&published));
            }
            if self.at < published.len {
                return Some(self.take_bytes(published.len, &published));
            }
            if !published.is_sealed {
                return None;
            }
            self.leave_node(&published);
        }
    }

    /// Lets `run`, the last run of bytes taken, cover what was published behind it since. False if
    /// there is nothing, or something else comes next: then take a run.
    #[inline]
    pub fn extend(&mut self, run: &mut Slice) -> bool {
        let Published { len, counts, .. } = self.node.published();
        if self.at == len || self.taken.records < counts.records {
            return false;
        }
        let is_extended = self.node.block.extend(run, self.at, len);
        if is_extended {
            (self.at, self.taken) = (len, counts);
        }
        is_extended
    }

    fn has_taken(&self, published: &Published) -> bool {
        self.at == published.len && self.taken.records == published.counts.records
    }

    fn take_bytes(&mut self, end: usize, published: &Published) -> Run<R> {
        let is_first = self.at == 0 && self.taken.records == 0;
        let slice = self.node.block.slice(self.at..end);
        self.at = end;
        let messages = self.count_messages(published);
        Run::Bytes { slice, messages, is_continuation: is_first && self.node.is_continuation }
    }

    fn take_near_record(&mut self, published: &Published) -> Run<R> {
        let mut place = lock(&self.node.records[self.taken.records]);
        let record = place.as_ref().expect("published records are there until they are taken");
        if record.at > self.at {
            let end = record.at;
            drop(place);
            return self.take_bytes(end, published);
        }
        let taken = if self.takes_out { place.take() } else { None };
        let content = taken.map(|record| record.content);
        let content = content.unwrap_or_else(|| {
            place.as_ref().expect("a shared record stays in its place").content.clone()
        });
        drop(place);
        self.taken.records += 1;
        Run::Record { content, messages: self.count_messages(published) }
    }

    fn count_messages(&mut self, published: &Published) -> u32 {
        if !self.has_taken(published) || (published.is_sealed && self.node.is_continued()) {
            return 0;
        }
        let fresh = published.counts.messages - self.taken.messages;
        self.taken.messages = published.counts.messages;
        fresh + std::mem::take(&mut self.uncounted)
    }

    #[cold]
    fn leave_node(&mut self, published: &Published) {
        self.uncounted += published.counts.messages - self.taken.messages;
        let next = lock(&self.node.next).clone().expect("a sealed node has a next one");
        let mut left = std::mem::replace(&mut self.node, next);
        (self.at, self.taken) = (0, Counts::default());
        let leaving = lock(&self.returns.leaving);
        let Some(node) = Arc::get_mut(&mut left) else { return drop(left) };
        drop(leaving);
        node.block = self.returns.empty.clone();
        *lock(&node.next) = None;
        for place in &node.records {
            *lock(place) = None;
        }
        // The node that a log begins with has no place for records.
        if !node.records.is_empty() {
            self.returns.nodes.put(left);
        }
    }
}

impl<R> Drop for Node<R> {
    /// Unlinks the nodes behind this one in a loop: dropping a chain must not recurse.
    fn drop(&mut self) {
        let mut next = lock(&self.next).take();
        while let Some(node) = next {
            let Some(mut node) = into_sole(node) else { break };
            let node = Arc::get_mut(&mut node).expect("`into_sole` found it unshared");
            next = lock(&node.next).take();
        }
    }
}

fn into_sole<T>(mut shared: Arc<T>) -> Option<Arc<T>> {
    Arc::get_mut(&mut shared).is_some().then_some(shared)
}

impl<R> fmt::Debug for Writer<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("open", &self.open.block).finish_non_exhaustive()
    }
}

impl<R> fmt::Debug for Reader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("at", &self.at).finish_non_exhaustive()
    }
}

#[cfg(all(test, loom))]
mod model;
#[cfg(all(test, not(loom)))]
mod tests;
