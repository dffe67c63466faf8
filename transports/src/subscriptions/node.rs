//! One node of the tree of subscriptions: a label, its holders, its children.
//!
//! With a subscriber named by four bytes a node is one cache line. A label is short and lies in the
//! node, so that no step of a match leaves it but to look up a child. Children are a single link, a
//! short list, or a table between the least and the greatest byte, whichever is small: neighbouring
//! bytes, as digits are, make a table; a table is never more than [`TABLE_FACTOR`] times as large
//! as its children, or has more of them than a list may have.
//!
//! Deliberately absent: the tree. A node does not know where it lies.

use std::num::NonZeroU32;

use smallvec::SmallVec;

use super::{Insertion, Removal};

/// Bytes of a path that one node can carry.
pub(super) const LABEL_MAX: usize = 15;

/// Children that are looked for one by one.
const LIST_MAX: usize = 8;

/// How much larger than its children a table may be where a list would do.
const TABLE_FACTOR: usize = 4;

const _: () = assert!(size_of::<Node<u32>>() == 64);

/// A place where a topic ends, or where topics part.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Node<K> {
    /// The bytes of the path behind the one that led here.
    pub(super) label: Label,
    pub(super) children: Children,
    /// Who holds the topic that ends here, each once.
    holders: SmallVec<[Holder<K>; 2]>,
}

#[derive(Clone, Copy, Debug)]
struct Holder<K> {
    key: K,
    /// How often; at least once. At the greatest number it stays there.
    count: u32,
}

impl<K: Copy + Eq> Node<K> {
    pub(super) fn new(label: Label) -> Self {
        Self { label, children: Children::None, holders: SmallVec::new() }
    }

    /// Whether a topic ends here.
    #[inline]
    pub(super) fn is_held(&self) -> bool {
        !self.holders.is_empty()
    }

    /// Whether neither a topic ends here nor one goes on.
    pub(super) fn is_unused(&self) -> bool {
        !self.is_held() && matches!(self.children, Children::None)
    }

    /// Who holds the topic that ends here.
    #[inline]
    pub(super) fn keys(&self) -> impl ExactSizeIterator<Item = K> {
        self.holders.iter().map(|holder| holder.key)
    }

    pub(super) fn hold(&mut self, key: K) -> Insertion {
        if let Some(holder) = self.holders.iter_mut().find(|holder| holder.key == key) {
            holder.count = holder.count.saturating_add(1);
            return Insertion::Again;
        }
        let insertion =
            if self.is_held() { Insertion::FirstOfKey } else { Insertion::FirstOfTopic };
        self.holders.push(Holder { key, count: 1 });
        insertion
    }

    /// Undoes one [`hold`](Self::hold).
    pub(super) fn let_go(&mut self, key: K) -> Removal {
        match self.holders.iter_mut().find(|holder| holder.key == key) {
            Some(holder) if holder.count > 1 => {
                holder.count -= 1;
                Removal::StillHeld
            }
            _ => self.let_go_all(key),
        }
    }

    /// Undoes every [`hold`](Self::hold) of `key`.
    pub(super) fn let_go_all(&mut self, key: K) -> Removal {
        let Some(index) = self.holders.iter().position(|holder| holder.key == key) else {
            return Removal::Absent;
        };
        self.holders.swap_remove(index);
        if self.holders.len() <= self.holders.capacity() / 4 {
            self.holders.shrink_to_fit();
        }
        if self.is_held() { Removal::LastOfKey } else { Removal::LastOfTopic }
    }
}

/// Up to [`LABEL_MAX`] bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Label {
    bytes: [u8; LABEL_MAX],
    len: u8,
}

impl Label {
    pub(super) const EMPTY: Self = Self { bytes: [0; LABEL_MAX], len: 0 };

    /// Panics if `bytes` are more than [`LABEL_MAX`].
    pub(super) fn new(bytes: &[u8]) -> Self {
        let mut label = Self { len: bytes.len() as u8, ..Self::EMPTY };
        label.bytes[..bytes.len()].copy_from_slice(bytes);
        label
    }

    #[inline]
    pub(super) fn as_slice(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    /// What follows the label in `input`. `None`: `input` does not begin with it.
    #[inline]
    pub(super) fn strip_from<'a>(&self, input: &'a [u8]) -> Option<&'a [u8]> {
        let (start, rest) = input.split_at_checked(usize::from(self.len))?;
        // Byte by byte: most labels are empty or a few bytes long, and a call costs more than that.
        start.iter().zip(&self.bytes).all(|(theirs, ours)| theirs == ours).then_some(rest)
    }

    /// How many bytes `input` and the label have in common from the start.
    pub(super) fn common_len(&self, input: &[u8]) -> usize {
        self.as_slice().iter().zip(input).take_while(|(ours, theirs)| ours == theirs).count()
    }

    /// The first `len` bytes, the byte behind them, and the rest.
    pub(super) fn split(&self, len: usize) -> (Self, u8, Self) {
        let bytes = self.as_slice();
        (Self::new(&bytes[..len]), bytes[len], Self::new(&bytes[len + 1..]))
    }

    /// The label, `byte`, and `tail` in one. `None`: they do not fit.
    pub(super) fn joined(&self, byte: u8, tail: Self) -> Option<Self> {
        let len = self.as_slice().len();
        let joined_len = len + 1 + tail.as_slice().len();
        if joined_len > LABEL_MAX {
            return None;
        }
        let mut joined = Self { len: joined_len as u8, ..*self };
        joined.bytes[len] = byte;
        joined.bytes[len + 1..joined_len].copy_from_slice(tail.as_slice());
        Some(joined)
    }
}

/// Names a node by its place. Never the root, which nobody links to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Link(NonZeroU32);

impl Link {
    /// Panics for the root, and beyond four billion nodes, which are 256 GiB.
    pub(super) fn new(index: usize) -> Self {
        let index = u32::try_from(index).ok().and_then(NonZeroU32::new);
        Self(index.expect("a node other than the root, below four billion"))
    }

    #[inline]
    pub(super) fn index(self) -> usize {
        self.0.get() as usize
    }
}

/// Where to go on, by the next byte.
#[derive(Debug, Default)]
pub(super) enum Children {
    #[default]
    None,
    One(u8, Link),
    /// In byte order.
    List(Box<[(u8, Link)]>),
    /// From the least byte that has a child to the greatest.
    Table(u8, Box<[Option<Link>]>),
}

impl Children {
    #[inline]
    pub(super) fn find(&self, byte: u8) -> Option<Link> {
        match self {
            Self::None => None,
            Self::One(at, link) => (*at == byte).then_some(*link),
            Self::List(list) => list.iter().find(|(at, _)| *at == byte).map(|(_, link)| *link),
            Self::Table(min, table) => *table.get(usize::from(byte.wrapping_sub(*min)))?,
        }
    }

    /// The child, if there is no other.
    pub(super) fn only(&self) -> Option<(u8, Link)> {
        match self {
            Self::One(byte, link) => Some((*byte, *link)),
            _ => None,
        }
    }

    /// Adds a child where there is none.
    pub(super) fn insert(&mut self, byte: u8, link: Link) {
        debug_assert!(self.find(byte).is_none(), "byte {byte} has a child already");
        if let Self::Table(min, table) = self
            && let Some(place) = table.get_mut(usize::from(byte.wrapping_sub(*min)))
        {
            *place = Some(link);
            return;
        }
        let mut pairs = self.to_pairs();
        let index = pairs.partition_point(|(at, _)| *at < byte);
        pairs.insert(index, (byte, link));
        *self = Self::from_pairs(&pairs);
    }

    /// Removes a child. Panics if there is none.
    pub(super) fn remove(&mut self, byte: u8) -> Link {
        let link = self.find(byte).expect("a child where the way down found one");
        self.retain(|kept| kept != link);
        link
    }

    /// Removes the children for which `is_kept` answers `false`.
    pub(super) fn retain(&mut self, mut is_kept: impl FnMut(Link) -> bool) {
        let mut pairs = self.to_pairs();
        let before = pairs.len();
        pairs.retain(|(_, link)| is_kept(*link));
        if pairs.len() < before {
            *self = Self::from_pairs(&pairs);
        }
    }

    /// Calls `f` for each child, in byte order.
    pub(super) fn for_each(&self, mut f: impl FnMut(u8, Link)) {
        match self {
            Self::None => {}
            Self::One(byte, link) => f(*byte, *link),
            Self::List(list) => list.iter().for_each(|(byte, link)| f(*byte, *link)),
            Self::Table(min, table) => {
                let links = (*min..=u8::MAX).zip(table.iter());
                links.for_each(|(byte, link)| link.iter().for_each(|link| f(byte, *link)));
            }
        }
    }

    /// Calls `f` for each link, in byte order.
    pub(super) fn for_each_mut(&mut self, f: impl FnMut(&mut Link)) {
        match self {
            Self::None => {}
            Self::One(_, link) => std::iter::once(link).for_each(f),
            Self::List(list) => list.iter_mut().map(|(_, link)| link).for_each(f),
            Self::Table(_, table) => table.iter_mut().flatten().for_each(f),
        }
    }

    fn to_pairs(&self) -> SmallVec<[(u8, Link); LIST_MAX]> {
        let mut pairs = SmallVec::new();
        self.for_each(|byte, link| pairs.push((byte, link)));
        pairs
    }

    /// The smallest form for `pairs`, which are in byte order.
    fn from_pairs(pairs: &[(u8, Link)]) -> Self {
        let (min, max) = match *pairs {
            [] => return Self::None,
            [(byte, link)] => return Self::One(byte, link),
            [(min, _), .., (max, _)] => (min, max),
        };
        let span = usize::from(max - min) + 1;
        if pairs.len() <= LIST_MAX && span > TABLE_FACTOR * pairs.len() {
            return Self::List(pairs.into());
        }
        let mut table = vec![None; span];
        for (byte, link) in pairs {
            table[usize::from(byte - min)] = Some(*link);
        }
        Self::Table(min, table.into())
    }
}
