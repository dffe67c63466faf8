//! Subscriptions: which subscribers a published message is for.
//!
//! A radix tree over the bytes of topics. A node carries up to `LABEL_MAX` bytes of its path, the
//! subscribers whose topic ends there, and links to the nodes that go on; a longer run without a
//! fork is a chain of nodes. Matching walks down along the message, meets every topic that is a
//! prefix of it in order of length, and ends at the first byte that no topic has. Nodes live in one
//! `Vec`; what is freed is used again, and the `Vec` is rebuilt when three quarters of it are free.
//!
//! Invariant: a node other than the root has a subscriber or a child, and two neighbours that only
//! pass through do not fit into one; so the number of nodes is bounded by four times the topics
//! plus an eighth of their bytes, however they came and went.
//!
//! Deliberately absent: recursion (a topic may be as long as its sender likes), parent links
//! (only removal climbs, and it remembers its way), and messages, pipes and marks.

mod holding;
mod node;
mod recent;
#[cfg(test)]
mod tests;

pub use holding::Holding;
use node::{LABEL_MAX, Label, Link, Node};
use recent::Lengths;
pub use recent::{Few, Recent};

/// What [`Subscriptions::insert`] changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Insertion {
    /// Nobody held this topic before.
    FirstOfTopic,
    /// Others held this topic; this subscriber did not.
    FirstOfKey,
    /// This subscriber held this topic already, and now holds it once more.
    Again,
}

/// What [`Subscriptions::remove`] and its kin changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Removal {
    /// Nobody holds this topic any more.
    LastOfTopic,
    /// This subscriber does not hold this topic any more; others do.
    LastOfKey,
    /// This subscriber had inserted this topic more than once, and still holds it.
    StillHeld,
    /// This subscriber did not hold this topic. Nothing changed.
    Absent,
}

/// The topics of many subscribers, counted per (topic, subscriber) as ZeroMQ counts them.
///
/// `K` names a subscriber: a small number. A topic matches every message that begins with it; the
/// empty topic matches all. An empty value has allocated nothing.
#[derive(Debug)]
pub struct Subscriptions<K> {
    /// The tree. The root is the first, and there is none before the first topic.
    nodes: Vec<Node<K>>,
    /// Places in `nodes` that no link names.
    free: Vec<Link>,
    /// Distinct topics.
    topics: usize,
    lengths: Lengths,
    /// Counts what may have changed whom a message is for.
    changes: u64,
}

/// A way through the whole tree: each node before its children, and those in byte order.
struct Tour {
    /// The bytes that lead to the end of the node's label.
    topic: Vec<u8>,
    /// Nodes to go to, each by a byte behind so many; the root by none.
    waiting: Vec<(usize, Option<u8>, usize)>,
}

impl Tour {
    fn new() -> Self {
        Self { topic: Vec::new(), waiting: vec![(0, None, 0)] }
    }

    /// The next node, if there is one. Its links must be those that it has now until the end.
    fn next<K>(&mut self, nodes: &[Node<K>]) -> Option<usize> {
        let (len, byte, at) = self.waiting.pop()?;
        let node = nodes.get(at)?;
        self.topic.truncate(len);
        self.topic.extend(byte);
        self.topic.extend_from_slice(node.label.as_slice());
        let first = self.waiting.len();
        let len = self.topic.len();
        node.children.for_each(|byte, link| self.waiting.push((len, Some(byte), link.index())));
        self.waiting[first..].reverse();
        Some(at)
    }
}

/// The way from the root to a node: every node above it, and the byte by which the way left it.
type Path = Vec<(usize, u8)>;

impl<K: Copy + Eq> Subscriptions<K> {
    /// No topics.
    pub const fn new() -> Self {
        Self { nodes: Vec::new(), free: Vec::new(), topics: 0, lengths: Lengths::new(), changes: 0 }
    }

    /// The number of distinct topics.
    pub fn len(&self) -> usize {
        self.topics
    }

    /// Whether there is no topic at all, so that no message matches.
    pub fn is_empty(&self) -> bool {
        self.topics == 0
    }

    /// Adds one subscription of `key` to every message that begins with `topic`.
    ///
    /// The same pair may be inserted again; it then takes as many removals to undo.
    pub fn insert(&mut self, topic: &[u8], key: K) -> Insertion {
        let at = self.place(topic);
        let insertion = self.nodes[at].hold(key);
        if insertion != Insertion::Again {
            self.changes += 1;
        }
        if insertion == Insertion::FirstOfTopic {
            self.topics += 1;
            *self.lengths.of(topic) += 1;
        }
        insertion
    }

    /// Takes back one subscription of `key` to `topic`.
    pub fn remove(&mut self, topic: &[u8], key: K) -> Removal {
        self.take_back(topic, key, Node::let_go)
    }

    /// Takes back all that `key` holds, however often, and calls `f` for each of its topics, in
    /// byte order, with [`Removal::LastOfTopic`] or [`Removal::LastOfKey`].
    ///
    /// Visits every node once: its cost grows with the topics of all subscribers.
    pub fn remove_key(&mut self, key: K, mut f: impl FnMut(&[u8], Removal)) {
        let mut tour = Tour::new();
        let mut seen = Vec::with_capacity(self.nodes.len() - self.free.len());
        while let Some(at) = tour.next(&self.nodes) {
            let removal = self.nodes[at].let_go_all(key);
            if removal != Removal::Absent {
                self.note_removal(&tour.topic, removal);
                f(&tour.topic, removal);
            }
            seen.push(at);
        }
        seen.into_iter().rev().for_each(|at| self.tidy(at));
        self.shrink();
    }

    /// As [`remove_key`](Self::remove_key), of a subscriber whose topics were all
    /// [noted](Holding::note). Costs what it holds, or has given up of late.
    pub fn remove_holding(&mut self, key: K, holding: &Holding, mut f: impl FnMut(&[u8], Removal)) {
        let Some(topics) = holding.topics() else { return self.remove_key(key, f) };
        for topic in topics {
            let removal = self.take_back(topic, key, Node::let_go_all);
            if removal != Removal::Absent {
                f(topic, removal);
            }
        }
    }

    /// Calls `f` for each subscription that `message` begins with, shorter topics first.
    ///
    /// A subscriber that holds several such topics comes once for each of them: who must not see
    /// it twice has to remember. How often it holds one topic does not matter.
    #[inline]
    pub fn for_each_match(&self, message: &[u8], mut f: impl FnMut(K)) {
        self.walk(message, |node| {
            node.keys().for_each(&mut f);
            true
        });
    }

    /// Whether `message` begins with any topic.
    #[inline]
    pub fn matches(&self, message: &[u8]) -> bool {
        let mut found = false;
        self.walk(message, |node| {
            found = node.is_held();
            !found
        });
        found
    }

    fn is_held_by(&self, topic: &[u8], key: K) -> bool {
        let node = self.find(topic).map(|(_, at)| &self.nodes[at]);
        node.is_some_and(|node| node.keys().any(|holder| holder == key))
    }

    /// How many subscribers hold the empty topic.
    pub fn takes_all_count(&self) -> usize {
        self.nodes.first().map_or(0, |root| root.keys().len())
    }

    /// Calls `f` for every distinct topic, in byte order.
    pub fn for_each_topic(&self, mut f: impl FnMut(&[u8])) {
        self.for_each_node(|topic, node| {
            if node.is_held() {
                f(topic);
            }
        });
    }

    /// Calls `f` with every node and the bytes that lead to it, in byte order.
    fn for_each_node(&self, mut f: impl FnMut(&[u8], &Node<K>)) {
        let mut tour = Tour::new();
        while let Some(at) = tour.next(&self.nodes) {
            f(&tour.topic, &self.nodes[at]);
        }
    }

    /// Calls `f` with the nodes along `message`, root first, until it answers `false`.
    #[inline]
    fn walk(&self, message: &[u8], mut f: impl FnMut(&Node<K>) -> bool) {
        let Some(mut node) = self.nodes.first() else { return };
        let mut rest = message;
        while let Some(after) = node.label.strip_from(rest) {
            if !f(node) {
                return;
            }
            let Some((&byte, after)) = after.split_first() else { return };
            let Some(link) = node.children.find(byte) else { return };
            node = &self.nodes[link.index()];
            rest = after;
        }
    }

    /// The node where `topic` ends; made, with what leads to it, where it is missing.
    fn place(&mut self, topic: &[u8]) -> usize {
        if self.nodes.is_empty() {
            self.nodes.push(Node::new(Label::EMPTY));
        }
        let mut at = 0;
        let mut rest = topic;
        loop {
            let common = self.nodes[at].label.common_len(rest);
            if common < self.nodes[at].label.as_slice().len() {
                self.split(at, common);
            }
            let Some((&byte, after)) = rest[common..].split_first() else { return at };
            let link = self.nodes[at].children.find(byte).unwrap_or_else(|| {
                let label = Label::new(&after[..after.len().min(LABEL_MAX)]);
                let link = self.allocate(Node::new(label));
                self.nodes[at].children.insert(byte, link);
                link
            });
            at = link.index();
            rest = after;
        }
    }

    /// Cuts the label of `at` after `len` bytes; all else of it goes to a new child.
    fn split(&mut self, at: usize, len: usize) {
        let (label, byte, tail) = self.nodes[at].label.split(len);
        let mut below = std::mem::replace(&mut self.nodes[at], Node::new(label));
        below.label = tail;
        let link = self.allocate(below);
        self.nodes[at].children.insert(byte, link);
        self.join(link.index());
    }

    /// Lets `at` swallow its child if it only passes through and the two fit into one.
    fn join(&mut self, at: usize) {
        let node = &self.nodes[at];
        let Some((byte, link)) = node.children.only().filter(|_| at != 0 && !node.is_held()) else {
            return;
        };
        let Some(label) = node.label.joined(byte, self.nodes[link.index()].label) else { return };
        self.nodes[at] = self.release(link);
        self.nodes[at].label = label;
    }

    /// Removes `key` from the node where `topic` ends, in the way of `take`, and tidies up.
    fn take_back(
        &mut self,
        topic: &[u8],
        key: K,
        take: impl FnOnce(&mut Node<K>, K) -> Removal,
    ) -> Removal {
        let Some((path, at)) = self.find(topic) else { return Removal::Absent };
        let removal = take(&mut self.nodes[at], key);
        self.note_removal(topic, removal);
        if removal == Removal::LastOfTopic {
            self.prune(path, at);
        }
        removal
    }

    fn note_removal(&mut self, topic: &[u8], removal: Removal) {
        if matches!(removal, Removal::LastOfTopic | Removal::LastOfKey) {
            self.changes += 1;
        }
        if removal == Removal::LastOfTopic {
            self.topics -= 1;
            *self.lengths.of(topic) -= 1;
        }
    }

    /// The node where `topic` ends, and the way there.
    fn find(&self, topic: &[u8]) -> Option<(Path, usize)> {
        let mut path = Path::new();
        let mut at = 0;
        let mut rest = self.nodes.first()?.label.strip_from(topic)?;
        while let Some((&byte, after)) = rest.split_first() {
            path.push((at, byte));
            at = self.nodes[at].children.find(byte)?.index();
            rest = self.nodes[at].label.strip_from(after)?;
        }
        Some((path, at))
    }

    /// Frees `at`, whose last holder went, and those above that are of no use without it.
    fn prune(&mut self, mut path: Path, mut at: usize) {
        while self.nodes[at].is_unused()
            && let Some((above, byte)) = path.pop()
        {
            let link = self.nodes[above].children.remove(byte);
            self.release(link);
            at = above;
        }
        self.join(at);
        if let Some((above, _)) = path.pop() {
            self.join(above);
        }
        self.shrink();
    }

    /// Frees the children of `at` that are of no use, once all below them is tidy.
    fn tidy(&mut self, at: usize) {
        let mut children = std::mem::take(&mut self.nodes[at].children);
        children.retain(|link| {
            let is_used = !self.nodes[link.index()].is_unused();
            if !is_used {
                self.release(link);
            }
            is_used
        });
        self.nodes[at].children = children;
        self.join(at);
    }

    /// Gives memory back that most of the tree does without.
    fn shrink(&mut self) {
        if self.topics == 0 {
            *self = Self { changes: self.changes, ..Self::new() };
        } else if self.nodes.len() >= COMPACT_MIN && self.free.len() > self.nodes.len() / 4 * 3 {
            self.compact();
        }
    }

    fn allocate(&mut self, node: Node<K>) -> Link {
        if let Some(link) = self.free.pop() {
            self.nodes[link.index()] = node;
            return link;
        }
        self.nodes.push(node);
        Link::new(self.nodes.len() - 1)
    }

    /// Takes the node out of the tree. Whoever linked to it must not do so any more.
    fn release(&mut self, link: Link) -> Node<K> {
        self.free.push(link);
        std::mem::replace(&mut self.nodes[link.index()], Node::new(Label::EMPTY))
    }

    /// Moves the nodes together, level by level, and gives the rest of the memory back.
    fn compact(&mut self) {
        let mut nodes = Vec::with_capacity(self.nodes.len() - self.free.len());
        let mut take =
            |index: usize| std::mem::replace(&mut self.nodes[index], Node::new(Label::EMPTY));
        nodes.push(take(0));
        let mut at = 0;
        while at < nodes.len() {
            let mut children = std::mem::take(&mut nodes[at].children);
            children.for_each_mut(|link| {
                nodes.push(take(link.index()));
                *link = Link::new(nodes.len() - 1);
            });
            nodes[at].children = children;
            at += 1;
        }
        self.nodes = nodes;
        self.free = Vec::new();
    }
}

impl<K: Copy + Eq> Default for Subscriptions<K> {
    fn default() -> Self {
        Self::new()
    }
}

/// Smaller trees are not worth moving.
const COMPACT_MIN: usize = 64;
