//! Reports: what an XPUB has to receive, subscriptions and messages in one order. RFC 29/PUBSUB.
//!
//! What happens is reported as it happens, as long as somebody receives it. Once [`UNREAD_MAX`]
//! entries wait, a report and its opposite behind it come to nothing and are both forgotten: so
//! there are no more than one for each topic besides, however often peers change their minds.
//!
//! Deliberately absent: whose subscription it is. A report is of the first holder or the last.

use std::collections::{BTreeMap, HashMap};

use bytes::{BufMut, Bytes, BytesMut};
use rustc_hash::FxBuildHasher;
use zring_transports::message::Message;
use zring_transports::pipe::Control;

/// Entries that wait to be received before reports are weighed against each other.
const UNREAD_MAX: usize = 64 * 1024;

/// See the [module](self).
pub(crate) struct Reports {
    /// Messages that may wait before peers have to; 0 is no mark.
    mark: usize,
    /// By their number, in order.
    unread: BTreeMap<u64, Entry>,
    next: u64,
    /// Messages whose last frame waits.
    messages: usize,
    /// The last unread report of a topic that had one beyond [`UNREAD_MAX`].
    topics: HashMap<Bytes, u64, FxBuildHasher>,
}

enum Entry {
    Frame(Message),
    Report(Control),
}

impl Reports {
    pub(crate) fn new(mark: usize) -> Self {
        let (unread, next, messages, topics) = Default::default();
        Self { mark, unread, next, messages, topics }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.unread.is_empty()
    }

    /// Whether a peer may send one message more.
    pub(crate) fn has_room(&self) -> bool {
        self.mark == 0 || self.messages < self.mark
    }

    /// A frame of a message, whose others are pushed with nothing in between.
    pub(crate) fn push_frame(&mut self, frame: Message) {
        self.messages += usize::from(!frame.has_more());
        self.push(Entry::Frame(frame));
    }

    /// A topic has its first holder, or lost its last.
    pub(crate) fn push_report(&mut self, control: &Control) {
        let (Control::Subscribe(topic) | Control::Cancel(topic)) = control;
        if self.unread.len() >= UNREAD_MAX {
            if let Some(opposite) = self.topics.remove(topic) {
                self.unread.remove(&opposite);
                return;
            }
            self.topics.insert(topic.clone(), self.next);
        } else if let Some(last) = self.topics.get_mut(topic) {
            *last = self.next;
        }
        self.push(Entry::Report(control.clone()));
    }

    fn push(&mut self, entry: Entry) {
        self.unread.insert(self.next, entry);
        self.next += 1;
    }

    /// The oldest.
    pub(crate) fn pop(&mut self) -> Option<Message> {
        let (number, entry) = self.unread.pop_first()?;
        Some(match entry {
            Entry::Frame(frame) => {
                self.messages -= usize::from(!frame.has_more());
                frame
            }
            Entry::Report(control) => {
                let is_first = matches!(control, Control::Subscribe(_));
                let (Control::Subscribe(topic) | Control::Cancel(topic)) = control;
                if self.topics.get(&topic) == Some(&number) {
                    self.topics.remove(&topic);
                }
                let mut bytes = BytesMut::with_capacity(1 + topic.len());
                bytes.put_u8(u8::from(is_first));
                bytes.put_slice(&topic);
                bytes.freeze().into()
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(is_first: bool, index: usize) -> Control {
        let topic = index.to_string().into();
        if is_first { Control::Subscribe(topic) } else { Control::Cancel(topic) }
    }

    #[test]
    fn what_happens_is_received_in_order() {
        let mut reports = Reports::new(0);
        for is_first in [true, false, true] {
            reports.push_report(&report(is_first, 7));
            reports.push_frame("between".into());
        }
        for report in ["\u{1}7", "\u{0}7", "\u{1}7"] {
            assert_eq!(reports.pop().unwrap(), report);
            assert_eq!(reports.pop().unwrap(), "between");
        }
        assert!(reports.pop().is_none() && reports.is_empty() && reports.messages == 0);
    }

    #[test]
    fn a_report_comes_to_nothing_with_its_opposite_only() {
        let mut reports = Reports::new(0);
        (1..=UNREAD_MAX).for_each(|index| reports.push_report(&report(true, index)));
        reports.push_report(&report(true, 0));
        (0..2).for_each(|_| drop(reports.pop()));
        reports.push_report(&report(false, 0));
        reports.push_report(&report(true, 0));
        let told = std::iter::from_fn(|| reports.pop()).filter(|told| told[1..] == *b"0");
        assert_eq!(told.collect::<Vec<_>>(), ["\u{1}0"]);
    }

    #[test]
    fn minds_that_change_for_ever_take_no_memory() {
        let mut reports = Reports::new(0);
        (0..UNREAD_MAX).for_each(|index| reports.push_report(&report(true, index)));
        for round in 0..1000 {
            (0..100).for_each(|index| reports.push_report(&report(round % 2 == 1, index)));
        }
        assert_eq!((reports.unread.len(), reports.topics.len()), (UNREAD_MAX, 0));
        (0..100).for_each(|index| reports.push_report(&report(false, index)));
        for index in 0..UNREAD_MAX {
            assert_eq!(reports.pop().unwrap(), format!("\u{1}{index}"));
        }
        for index in 0..100 {
            assert_eq!(reports.pop().unwrap(), format!("\0{index}"));
        }
        assert!(reports.is_empty() && reports.topics.is_empty());
    }
}
