//! What a subscriber's peer was told, and is still to be told: topics, and not a history of calls.
//!
//! Subscriptions pass through the pipe's log in order with messages. Where many wait there, because
//! nobody is connected or the peer does not read, they are taken out of it and come to what the
//! last one of each topic says.
//!
//! Deliberately absent: how often a topic was subscribed to. The socket counts that.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use zring_zmtp::command;

use crate::pipe::Control;

/// See the [module](self).
#[derive(Default)]
pub(crate) struct Told {
    /// What the peer was told to want, to be told again after a reconnect.
    topics: BTreeSet<Bytes>,
    /// What it is to be told, and whether to want it.
    late: BTreeMap<Bytes, bool>,
}

impl Told {
    /// The peer is told this now.
    pub(crate) fn note(&mut self, control: &Control) {
        match control {
            Control::Subscribe(topic) => self.topics.insert(topic.clone()),
            Control::Cancel(topic) => self.topics.remove(topic),
        };
    }

    /// As [`note`](Self::note), and encodes it as the peer's version of ZMTP wants it.
    pub(crate) fn tell(&mut self, minor: u8, control: &Control, out: &mut Vec<u8>) {
        self.note(control);
        encode(minor, control, out);
    }

    /// The peer is to be told this later.
    pub(crate) fn put_off(&mut self, control: Control) {
        let (topic, is_wanted) = match control {
            Control::Subscribe(topic) => (topic, true),
            Control::Cancel(topic) => (topic, false),
        };
        if self.topics.contains(&topic) == is_wanted {
            self.late.remove(&topic);
        } else {
            self.late.insert(topic, is_wanted);
        }
    }

    pub(crate) fn is_late(&self) -> bool {
        !self.late.is_empty()
    }

    /// Tells what was put off.
    pub(crate) fn catch_up(&mut self, minor: u8, out: &mut Vec<u8>) {
        for (topic, is_wanted) in std::mem::take(&mut self.late) {
            let control =
                if is_wanted { Control::Subscribe(topic) } else { Control::Cancel(topic) };
            self.tell(minor, &control, out);
        }
    }

    /// Tells a peer that knows nothing all it is to know.
    pub(crate) fn tell_all(&mut self, minor: u8, out: &mut Vec<u8>) {
        self.catch_up(minor, &mut Vec::new());
        for topic in &self.topics {
            encode(minor, &Control::Subscribe(topic.clone()), out);
        }
    }
}

/// A subscription as a command, or as a message before version 3.1 (37/ZMTP, 23/ZMTP).
fn encode(minor: u8, control: &Control, out: &mut Vec<u8>) {
    match (control, minor) {
        (Control::Subscribe(topic), 0) => command::encode_subscribe_message(topic, out),
        (Control::Subscribe(topic), _) => command::encode_subscribe(topic, out),
        (Control::Cancel(topic), 0) => command::encode_cancel_message(topic, out),
        (Control::Cancel(topic), _) => command::encode_cancel(topic, out),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn control(is_wanted: bool, topic: &'static str) -> Control {
        if is_wanted { Control::Subscribe(topic.into()) } else { Control::Cancel(topic.into()) }
    }

    fn encoded(controls: &[(bool, &'static str)]) -> Vec<u8> {
        let mut out = Vec::new();
        for &(is_wanted, topic) in controls {
            encode(1, &control(is_wanted, topic), &mut out);
        }
        out
    }

    #[test]
    fn what_is_put_off_comes_to_the_last_word_on_each_topic() {
        let mut told = Told::default();
        told.note(&control(true, "known"));
        for (is_wanted, topic) in [
            (true, "new"),
            (true, "known"),
            (false, "known"),
            (true, "brief"),
            (false, "brief"),
            (false, "never"),
            (true, "new"),
        ] {
            told.put_off(control(is_wanted, topic));
        }
        let mut out = Vec::new();
        told.catch_up(1, &mut out);
        assert_eq!(out, encoded(&[(false, "known"), (true, "new")]));
        assert!(!told.is_late());
    }

    #[test]
    fn who_comes_back_is_told_what_is_wanted_now() {
        let mut told = Told::default();
        ["a", "b", "c"].iter().for_each(|topic| told.note(&control(true, topic)));
        told.note(&control(false, "b"));
        for (is_wanted, topic) in [(true, "d"), (false, "a"), (false, "c"), (true, "c")] {
            told.put_off(control(is_wanted, topic));
        }
        let mut out = Vec::new();
        told.tell_all(1, &mut out);
        assert_eq!(out, encoded(&[(true, "c"), (true, "d")]));
    }

    #[test]
    fn minds_that_change_for_ever_take_no_memory() {
        let mut told = Told::default();
        for round in 0..1000 {
            told.put_off(control(round % 2 == 0, "topic"));
        }
        assert!(!told.is_late());
    }
}
