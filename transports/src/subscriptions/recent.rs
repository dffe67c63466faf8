//! Recent matches: what was found out about messages that began like the one at hand.
//!
//! What a message matches depends on no more of it than the longest topic is long. Where this is a
//! few bytes, as it is with symbols, it is looked up in one place, whatever the shape of the tree.
//! A place holds one start of a message, the last that was noted there. A feed whose messages
//! hardly ever begin alike gains nothing: then the tree alone is asked for a while.
//!
//! Deliberately absent: what the tree says of a match. A table that knows nothing asks it.

use super::Subscriptions;

/// Bytes of the longest topic, up to which matches are noted.
pub(super) const TOPIC_MAX: usize = 15;
/// Places for each topic, so that few of them share one, while there are a thousand at most.
const PLACES_PER_TOPIC: usize = 16;
/// Places at least and at most, a power of two each. What they take is 512 KiB at most.
const PLACES_MIN: usize = 64;
const PLACES_MAX: usize = 16 * 1024;
/// Messages after which it is seen whether half of them were known.
const TRIAL: u32 = 1024;
/// Messages that the tree alone is asked for where they were not.
const PAUSE: u32 = 64 * TRIAL;

/// What no message begins with.
const NONE: u128 = u128::MAX;
/// An odd number without a pattern: it takes all bits of a start into the upper ones of a product.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// What was found out about starts of messages, of one and the same tree.
#[derive(Debug)]
pub struct Recent<V> {
    places: Vec<(u128, V)>,
    /// By how much a product is shifted to name a place.
    shift: u32,
    /// Of a message's first 16 bytes, those that count.
    mask: u128,
    longest: usize,
    /// The state of the tree that it was found out of.
    changes: u64,
    /// Messages that the trial at hand lacks, and those that were known.
    left: u32,
    known: u32,
    /// Messages that are not looked up before the next trial.
    pause: u32,
}

/// Where to note what the tree says of a message, and what that begins with.
type Gap = (usize, u128);

impl<V> Default for Recent<V> {
    /// Nothing noted, and nothing allocated.
    fn default() -> Self {
        Self {
            places: Vec::new(),
            shift: 0,
            mask: 0,
            longest: 0,
            changes: u64::MAX,
            left: 0,
            known: 0,
            pause: 0,
        }
    }
}

impl<K: Copy + Eq + Default> Recent<Few<K>> {
    /// Finds whose topics `message` begins with. A subscriber that holds several such topics comes
    /// once for each of them, unless `is_due` refuses it, which is not asked again of what is
    /// recalled: it answers for a message as for the next that begins alike.
    #[inline]
    pub fn find(
        &mut self,
        topics: &Subscriptions<K>,
        message: &[u8],
        found: &mut Vec<K>,
        mut is_due: impl FnMut(K) -> bool,
    ) {
        found.clear();
        let gap = match self.recall(topics, message) {
            Ok(few) => return few.as_slice().iter().for_each(|&key| found.push(key)),
            Err(gap) => gap,
        };
        topics.for_each_match(message, |key| {
            if is_due(key) {
                found.push(key);
            }
        });
        if let Some(few) = Few::new(found) {
            self.note(gap, few);
        }
    }
}

impl Recent<()> {
    /// Whether `message` begins with any topic.
    #[inline]
    pub fn matches<K: Copy + Eq>(&mut self, topics: &Subscriptions<K>, message: &[u8]) -> bool {
        let Err(gap) = self.recall(topics, message) else { return true };
        let matches = topics.matches(message);
        if matches {
            self.note(gap, ());
        }
        matches
    }
}

impl<V: Copy + Default> Recent<V> {
    /// What was noted of a message that matches the same topics as this one. `Err`: nothing, and
    /// where to note it, if anywhere.
    #[inline]
    fn recall<K>(&mut self, topics: &Subscriptions<K>, message: &[u8]) -> Result<V, Option<Gap>> {
        if self.pause > 0 {
            self.pause -= 1;
            return Err(None);
        }
        if self.changes != topics.changes || self.left == 0 {
            self.settle(topics);
            return Err(None);
        }
        self.left -= 1;
        let start = self.start(message);
        let folded = (start as u64 ^ (start >> 64) as u64).wrapping_mul(SPREAD);
        let place = (folded >> self.shift) as usize;
        let (noted, value) = self.places[place];
        if noted != start {
            return Err(Some((place, start)));
        }
        self.known += 1;
        Ok(value)
    }

    #[inline]
    fn note(&mut self, gap: Option<Gap>, value: V) {
        if let Some((place, start)) = gap {
            self.places[place] = (start, value);
        }
    }

    /// What counts of a message: its first bytes, and above them how many they are.
    ///
    /// Hardly more is read than counts. Who publishes has often just written the topic, and a
    /// processor that is to read the bytes of several stores at once waits until all are done.
    #[inline]
    fn start(&self, message: &[u8]) -> u128 {
        let bytes = match self.longest {
            ..=4 => message.first_chunk().map(|chunk| u32::from_le_bytes(*chunk).into()),
            5..=8 => message.first_chunk().map(|chunk| u64::from_le_bytes(*chunk).into()),
            _ => message.first_chunk().map(|chunk| u128::from_le_bytes(*chunk)),
        };
        match bytes {
            Some(bytes) => bytes & self.mask | (self.longest as u128) << 120,
            None => {
                let start = &message[..message.len().min(self.longest)];
                packed(start) | (start.len() as u128) << 120
            }
        }
    }

    /// Forgets what may not be true any more, or ends a trial. Whoever changes topics all the time
    /// has no more places emptied than there are messages.
    #[cold]
    fn settle<K>(&mut self, topics: &Subscriptions<K>) {
        let was_worth_it = self.known >= TRIAL / 2;
        (self.left, self.known) = (TRIAL, 0);
        if self.changes == topics.changes {
            self.pause = if was_worth_it { 0 } else { PAUSE };
            return;
        }
        let Some(longest) = topics.lengths.longest() else {
            self.pause = PAUSE;
            return;
        };
        let places = topics.topics.saturating_mul(PLACES_PER_TOPIC);
        let places = places.clamp(PLACES_MIN, PLACES_MAX).next_power_of_two();
        self.places = vec![(NONE, V::default()); places];
        self.shift = u64::BITS - places.ilog2();
        self.pause = places as u32;
        // At first nothing is known: the places fill up, and the next trial counts.
        (self.left, self.known) = (TRIAL.max(places as u32), TRIAL);
        (self.longest, self.mask) = (longest, !(u128::MAX << (8 * longest)));
        self.changes = topics.changes;
    }
}

/// Up to 15 bytes as a number, by two reads that may overlap: a copy of the right length is a call.
#[inline]
fn packed(bytes: &[u8]) -> u128 {
    let behind = |front: usize| 8 * (bytes.len() - front);
    if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        u128::from(u64::from_le_bytes(*first)) | u128::from(u64::from_le_bytes(*last)) << behind(8)
    } else if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        u128::from(u32::from_le_bytes(*first)) | u128::from(u32::from_le_bytes(*last)) << behind(4)
    } else {
        bytes.iter().rev().fold(0, |packed, &byte| packed << 8 | u128::from(byte))
    }
}

/// A few subscribers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Few<K> {
    len: u32,
    keys: [K; 3],
}

impl<K: Copy + Default> Few<K> {
    /// `None`: they are too many.
    fn new(keys: &[K]) -> Option<Self> {
        let mut few = Self { len: keys.len() as u32, ..Self::default() };
        few.keys.get_mut(..keys.len())?.copy_from_slice(keys);
        Some(few)
    }

    fn as_slice(&self) -> &[K] {
        &self.keys[..self.len as usize]
    }
}

/// How many topics there are of each length; all that are longer than [`TOPIC_MAX`] in one place.
#[derive(Debug)]
pub(super) struct Lengths([usize; TOPIC_MAX + 2]);

impl Lengths {
    pub(super) const fn new() -> Self {
        Self([0; TOPIC_MAX + 2])
    }

    /// How many are as long as `topic`.
    pub(super) fn of(&mut self, topic: &[u8]) -> &mut usize {
        &mut self.0[topic.len().min(TOPIC_MAX + 1)]
    }

    /// Bytes of the longest topic. `None`: they are more than [`TOPIC_MAX`].
    fn longest(&self) -> Option<usize> {
        let longest = self.0.iter().rposition(|&count| count > 0).unwrap_or(0);
        (longest <= TOPIC_MAX).then_some(longest)
    }
}

#[cfg(test)]
mod tests;
