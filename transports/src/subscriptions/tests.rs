//! Claims about subscriptions, and a model that is too plain to be wrong.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

type Key = u32;

#[test]
fn a_topic_matches_what_begins_with_it() {
    let held: [&[u8]; 4] = [b"a", b"ab", b"abcdefghijklmnopqrstuvwxyz", b"abd"];
    let subscriptions = holding(&held);
    let matched = |message: &[u8]| {
        let mut keys = Vec::new();
        subscriptions.for_each_match(message, |key| keys.push(key));
        assert_eq!(subscriptions.matches(message), !keys.is_empty());
        keys
    };
    assert_eq!(matched(b""), []);
    assert_eq!(matched(b"b"), []);
    assert_eq!(matched(b"a"), [0]);
    assert_eq!(matched(b"abc"), [0, 1]);
    assert_eq!(matched(b"abdc"), [0, 1, 3]);
    assert_eq!(matched(b"abcdefghijklmnopqrstuvwxy"), [0, 1]);
    assert_eq!(matched(b"abcdefghijklmnopqrstuvwxyz"), [0, 1, 2]);
    assert_eq!(matched(b"abcdefghijklmnopqrstuvwxyz0"), [0, 1, 2]);
}

#[test]
fn the_empty_topic_takes_all() {
    let mut subscriptions = Subscriptions::new();
    subscriptions.insert(b"", 1);
    subscriptions.insert(b"x", 2);
    assert!(subscriptions.matches(b"") && subscriptions.matches(b"anything"));
    assert!(subscriptions.is_held_by(b"", 1) && !subscriptions.is_held_by(b"", 2));
    assert_eq!(subscriptions.takes_all_count(), 1);
    assert_eq!(subscriptions.remove(b"", 1), Removal::LastOfTopic);
    assert!(!subscriptions.matches(b"anything") && !subscriptions.is_held_by(b"", 1));
}

#[test]
fn nothing_held_matches_nothing_and_allocates_nothing() {
    let mut subscriptions = Subscriptions::<Key>::new();
    assert!(!subscriptions.matches(b"") && !subscriptions.is_held_by(b"", 0));
    assert_eq!(subscriptions.remove(b"", 0), Removal::Absent);
    assert_eq!((subscriptions.nodes.capacity(), subscriptions.free.capacity()), (0, 0));
}

#[test]
fn insertions_are_counted_per_topic_and_subscriber() {
    let mut subscriptions = Subscriptions::new();
    assert_eq!(subscriptions.insert(b"t", 1), Insertion::FirstOfTopic);
    assert_eq!(subscriptions.insert(b"t", 1), Insertion::Again);
    assert_eq!(subscriptions.insert(b"t", 2), Insertion::FirstOfKey);
    assert_eq!(subscriptions.len(), 1);
    assert_eq!(subscriptions.remove(b"t", 3), Removal::Absent);
    assert_eq!(subscriptions.remove(b"t", 1), Removal::StillHeld);
    assert_eq!(subscriptions.remove(b"t", 1), Removal::LastOfKey);
    assert_eq!(subscriptions.remove(b"t", 1), Removal::Absent);
    assert_eq!(subscriptions.remove(b"t", 2), Removal::LastOfTopic);
    assert!(subscriptions.is_empty());
}

#[test]
fn a_subscriber_that_goes_takes_its_topics_and_no_others() {
    let mut subscriptions = holding(&[b"all", b"alone", b"beta"]);
    subscriptions.insert(b"all", 1);
    subscriptions.insert(b"alone", 0);
    subscriptions.insert(b"", 0);
    let mut gone = Vec::new();
    subscriptions.remove_key(0, |topic, removal| gone.push((topic.to_vec(), removal)));
    let expected: [(&[u8], _); 3] =
        [(b"", Removal::LastOfTopic), (b"all", Removal::LastOfKey), (b"alone", Removal::LastOfKey)];
    assert!(gone.iter().map(|(topic, removal)| (&topic[..], *removal)).eq(expected));
    assert_eq!(topics(&subscriptions), [&b"all"[..], b"alone", b"beta"]);
}

#[test]
fn a_prefix_of_a_topic_is_not_held_by_its_holder() {
    let mut subscriptions = holding(&[b"abcdef"]);
    for topic in [&b""[..], b"abc", b"abcdefg", b"abcxef"] {
        assert_eq!(subscriptions.remove(topic, 0), Removal::Absent, "{topic:?}");
    }
    assert_eq!(topics(&subscriptions), [b"abcdef"]);
}

#[test]
fn a_topic_of_64_kib_costs_its_length_and_no_stack() {
    let long = vec![7; 64 << 10];
    let mut subscriptions = Subscriptions::new();
    subscriptions.insert(&long, 1);
    subscriptions.insert(&long[..40_000], 2);
    subscriptions.check();
    assert!(subscriptions.nodes.len() < long.len() / 8);
    let mut keys = Vec::new();
    subscriptions.for_each_match(&long, |key| keys.push(key));
    assert_eq!(keys, [2, 1]);
    assert_eq!(subscriptions.remove(&long, 1), Removal::LastOfTopic);
    subscriptions.check();
    subscriptions.remove_key(2, |_, removal| assert_eq!(removal, Removal::LastOfTopic));
    assert!(subscriptions.is_empty());
}

/// By turns, and with one that stays.
#[test]
fn topics_that_are_held_and_given_up_for_ever_are_not_all_written_down() {
    let mut subscriptions = holding(&[b"stays"]);
    let mut written = Holding::default();
    written.note(&subscriptions, b"stays", 0);
    for round in 0..10_000 {
        let topic = format!("topic {}", round % 100);
        subscriptions.insert(topic.as_bytes(), 0);
        written.note(&subscriptions, topic.as_bytes(), 0);
        assert!(written.topics().unwrap().len() < 100);
        subscriptions.remove(topic.as_bytes(), 0);
    }
    let mut gone = Vec::new();
    subscriptions.remove_holding(0, &written, |topic, _| gone.push(topic.to_vec()));
    assert_eq!(gone, [b"stays"]);
    assert!(subscriptions.is_empty());
}

#[test]
fn who_holds_too_much_to_be_written_down_lets_go_of_all() {
    let long = vec![7; 1 << 20];
    let mut subscriptions = holding(&[b"of another"]);
    let mut written = Holding::default();
    let mut size = 0;
    for less in 0..20 {
        let topic = &long[less..];
        subscriptions.insert(topic, 1);
        written.note(&subscriptions, topic, 1);
        size += 4 + topic.len();
        assert_eq!(written.topics().is_some(), size <= holding::WRITTEN_MAX, "{less}");
    }
    assert!(written.topics().is_none());
    subscriptions.remove_holding(1, &written, |_, _| {});
    assert_eq!(topics(&subscriptions), [b"of another"]);
}

#[test]
fn every_byte_can_lead_on() {
    let held: Vec<_> = (0..=u8::MAX).map(|byte| [b'>', byte]).collect();
    let held: Vec<_> = held.iter().map(|topic| &topic[..]).collect();
    let mut subscriptions = holding(&held);
    assert_eq!(topics(&subscriptions), held);
    for (key, topic) in (0..).zip(&held).collect::<Vec<_>>().into_iter().rev() {
        assert!(subscriptions.matches(topic));
        assert_eq!(subscriptions.remove(topic, key), Removal::LastOfTopic);
        assert!(!subscriptions.matches(topic));
        subscriptions.check();
    }
}

#[test]
fn memory_is_returned_when_topics_go() {
    let held: Vec<_> = (0..10_000u32).map(|number| format!("topic/{number}/x")).collect();
    let held: Vec<_> = held.iter().map(|topic| topic.as_bytes()).collect();
    let mut subscriptions = holding(&held);
    let full = subscriptions.nodes.capacity();
    for (key, topic) in (0..).zip(&held).skip(10) {
        subscriptions.remove(topic, key);
    }
    subscriptions.check();
    assert_eq!(topics(&subscriptions), held[..10]);
    assert!(subscriptions.nodes.capacity() + subscriptions.free.capacity() < full / 50);
    for (key, topic) in (0..).zip(&held[..10]) {
        subscriptions.remove(topic, key);
    }
    assert_eq!((subscriptions.nodes.capacity(), subscriptions.free.capacity()), (0, 0));
}

#[test]
fn topics_that_part_ever_later_leave_no_crumbs() {
    let long = vec![0; 4_000];
    let mut subscriptions = holding(&[&long]);
    for len in (0..long.len()).rev().chain(0..long.len()) {
        let mut parting = long[..len].to_vec();
        parting.push(1);
        subscriptions.insert(&parting, 1);
        subscriptions.remove(&parting, 1);
    }
    subscriptions.check();
}

proptest! {
    #[test]
    fn any_history_matches_what_a_plain_map_would(
        steps in prop::collection::vec(any_step(), 1..200),
        messages in prop::collection::vec(any_topic(), 20),
    ) {
        let mut subscriptions = Subscriptions::new();
        let mut model = Model::default();
        let mut holdings: [Holding; 4] = Default::default();
        for step in steps {
            match step {
                Step::Insert(topic, key) => {
                    let insertion = subscriptions.insert(&topic, key);
                    if insertion != Insertion::Again {
                        holdings[key as usize].note(&subscriptions, &topic, key);
                    }
                    prop_assert_eq!(insertion, model.insert(topic, key));
                }
                Step::Remove(topic, key) => {
                    prop_assert_eq!(subscriptions.remove(&topic, key), model.remove(&topic, key));
                }
                Step::RemoveKey(key) => {
                    let mut gone = Vec::new();
                    subscriptions.remove_key(key, |topic, how| gone.push((topic.to_vec(), how)));
                    prop_assert_eq!(gone, model.remove_key(key));
                }
                Step::RemoveHolding(key) => {
                    let mut gone = Vec::new();
                    let holding = &holdings[key as usize];
                    let f = |topic: &[u8], how| gone.push((topic.to_vec(), how));
                    subscriptions.remove_holding(key, holding, f);
                    prop_assert_eq!(gone, model.remove_key(key));
                }
            }
            subscriptions.check();
            model.agrees_with(&subscriptions, &messages)?;
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Insert(Vec<u8>, Key),
    Remove(Vec<u8>, Key),
    RemoveKey(Key),
    RemoveHolding(Key),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (any_topic(), 0..4u32).prop_map(|(topic, key)| Step::Insert(topic, key)),
        6 => (any_topic(), 0..4u32).prop_map(|(topic, key)| Step::Remove(topic, key)),
        1 => (0..4u32).prop_map(Step::RemoveKey),
        1 => (0..4u32).prop_map(Step::RemoveHolding),
    ]
}

/// Few and similar, so that they meet; some with runs longer than a label; all kinds of fan-out.
fn any_topic() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(0..3u8, 0..5),
        (0..50usize).prop_map(|len| vec![b'z'; len]),
        (0..40usize, any::<u8>()).prop_map(|(len, end)| {
            let mut topic = vec![b'z'; len];
            topic.push(end);
            topic
        }),
        prop::collection::vec(prop::sample::select(vec![0, 90, 180, 255]), 0..3),
    ]
}

/// (topic, subscriber) to how often.
#[derive(Default)]
struct Model(BTreeMap<(Vec<u8>, Key), u32>);

impl Model {
    fn insert(&mut self, topic: Vec<u8>, key: Key) -> Insertion {
        let first_of_topic = !self.is_held(&topic);
        let count = self.0.entry((topic, key)).or_default();
        *count += 1;
        match *count {
            1 if first_of_topic => Insertion::FirstOfTopic,
            1 => Insertion::FirstOfKey,
            _ => Insertion::Again,
        }
    }

    fn remove(&mut self, topic: &[u8], key: Key) -> Removal {
        let pair = (topic.to_vec(), key);
        let Some(count) = self.0.get_mut(&pair) else { return Removal::Absent };
        *count -= 1;
        if *count > 0 {
            return Removal::StillHeld;
        }
        self.0.remove(&pair);
        if self.is_held(topic) { Removal::LastOfKey } else { Removal::LastOfTopic }
    }

    fn remove_key(&mut self, key: Key) -> Vec<(Vec<u8>, Removal)> {
        let held: Vec<_> = self.0.keys().filter(|pair| pair.1 == key).cloned().collect();
        held.into_iter()
            .map(|pair| {
                self.0.remove(&pair);
                let held = self.is_held(&pair.0);
                (pair.0, if held { Removal::LastOfKey } else { Removal::LastOfTopic })
            })
            .collect()
    }

    fn is_held(&self, topic: &[u8]) -> bool {
        self.0.keys().any(|(held, _)| held == topic)
    }

    fn agrees_with(
        &self,
        subscriptions: &Subscriptions<Key>,
        messages: &[Vec<u8>],
    ) -> Result<(), TestCaseError> {
        let held: BTreeSet<_> = self.0.keys().map(|(topic, _)| topic.clone()).collect();
        prop_assert_eq!(subscriptions.len(), held.len());
        prop_assert_eq!(subscriptions.is_empty(), held.is_empty());
        prop_assert!(topics(subscriptions).into_iter().eq(held));
        for key in 0..4 {
            let takes_all = self.0.contains_key(&(Vec::new(), key));
            prop_assert_eq!(subscriptions.is_held_by(b"", key), takes_all);
        }
        for message in messages {
            let mut found = Vec::new();
            subscriptions.for_each_match(message, |key| found.push(key));
            found.sort_unstable();
            let pairs = self.0.keys().filter(|(topic, _)| message.starts_with(topic));
            let mut expected: Vec<_> = pairs.map(|(_, key)| *key).collect();
            expected.sort_unstable();
            prop_assert_eq!(subscriptions.matches(message), !expected.is_empty());
            prop_assert_eq!(found, expected);
        }
        Ok(())
    }
}

/// Each topic held by the subscriber of its number.
fn holding(topics: &[&[u8]]) -> Subscriptions<Key> {
    let mut subscriptions = Subscriptions::new();
    for (key, topic) in (0..).zip(topics) {
        assert_eq!(subscriptions.insert(topic, key), Insertion::FirstOfTopic);
    }
    subscriptions.check();
    subscriptions
}

fn topics(subscriptions: &Subscriptions<Key>) -> Vec<Vec<u8>> {
    let mut topics = Vec::new();
    subscriptions.for_each_topic(|topic| topics.push(topic.to_vec()));
    topics
}

impl Subscriptions<Key> {
    /// Panics where the invariant of the file does not hold.
    fn check(&self) {
        let (mut reached, mut held, mut held_bytes) = (0, 0, 0);
        self.for_each_node(|topic, node| {
            reached += 1;
            held += usize::from(node.is_held());
            held_bytes += topic.len() * usize::from(node.is_held());
            assert!(reached == 1 || !node.is_unused(), "a node without use at {topic:?}");
            let Some((byte, link)) = node.children.only() else { return };
            let below = &self.nodes[link.index()];
            let both_pass = below.children.only().is_some() && !below.is_held() && !node.is_held();
            let fit = node.label.joined(byte, below.label).is_some();
            assert!(reached == 1 || !both_pass || !fit, "two nodes for one at {topic:?}");
        });
        assert_eq!(held, self.topics);
        assert_eq!(reached + self.free.len(), self.nodes.len(), "a node is lost");
        assert!(reached <= 4 * held + held_bytes / 8 + 1, "{reached} nodes of {held} topics");
    }
}
