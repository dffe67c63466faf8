//! Holdings: the topics of one subscriber, written down once more.
//!
//! The tree knows who holds a topic, and not which topics somebody holds. Without this a subscriber
//! that goes would be looked for in every node. Topics are appended as they come; what was given up
//! stays written until half of it is such, and is then left out. Who holds very much is not written
//! down, because most of the tree is then its own.
//!
//! Deliberately absent: truth. Whether a topic is still held, only the tree says.

use super::Subscriptions;

/// Bytes from which on it is worth it to leave something out.
const SIFTED_MIN: usize = 256;
/// Bytes of topics, and of their lengths, up to which they are written down.
pub(super) const WRITTEN_MAX: usize = 16 * 1024 * 1024;
/// Bytes of a length.
const LEN_SIZE: usize = size_of::<u32>();

/// The topics of one subscriber, written down so that its departure costs no more than they do.
#[derive(Debug, Default)]
pub struct Holding {
    /// Each topic behind its length; maybe not held any more, and maybe there twice.
    written: Vec<u8>,
    /// Bytes that were left the last time something was left out.
    sifted: usize,
    /// There were too many: nothing is written.
    is_too_much: bool,
}

impl Holding {
    /// `key` holds `topic` from now on, which it did not before.
    pub fn note<K: Copy + Eq>(&mut self, topics: &Subscriptions<K>, topic: &[u8], key: K) {
        if self.is_too_much {
            return;
        }
        if self.written.len() > SIFTED_MIN.max(2 * self.sifted) {
            self.sift(topics, key);
        }
        if self.written.len() + LEN_SIZE + topic.len() > WRITTEN_MAX {
            *self = Self { is_too_much: true, ..Self::default() };
            return;
        }
        self.write(topic);
    }

    /// The caller has seen that the topic is not longer than all may be.
    fn write(&mut self, topic: &[u8]) {
        self.written.extend_from_slice(&(topic.len() as u32).to_le_bytes());
        self.written.extend_from_slice(topic);
    }

    /// Leaves out what is not held any more.
    fn sift<K: Copy + Eq>(&mut self, topics: &Subscriptions<K>, key: K) {
        let mut kept = Self::default();
        for topic in self.sorted() {
            if topics.is_held_by(topic, key) {
                kept.write(topic);
            }
        }
        kept.sifted = kept.written.len();
        *self = kept;
    }

    /// What is written, each once, in byte order. `None`: nothing is.
    pub(super) fn topics(&self) -> Option<Vec<&[u8]>> {
        (!self.is_too_much).then(|| self.sorted())
    }

    fn sorted(&self) -> Vec<&[u8]> {
        let mut topics = Vec::new();
        let mut rest = &self.written[..];
        while let Some((len, after)) = rest.split_first_chunk::<LEN_SIZE>() {
            let (topic, after) = after.split_at(u32::from_le_bytes(*len) as usize);
            topics.push(topic);
            rest = after;
        }
        topics.sort_unstable();
        topics.dedup();
        topics
    }
}
