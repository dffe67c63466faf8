//! Claims about what is recalled: never anything but what the tree says, and that when it pays.

use proptest::prelude::*;

use super::*;

type Key = u32;

/// Asks as a publisher does, and answers what was recalled.
fn ask(
    recent: &mut Recent<Few<Key>>,
    topics: &Subscriptions<Key>,
    message: &[u8],
) -> Option<Vec<Key>> {
    let (mut found, known) = (Vec::new(), recent.known);
    recent.find(topics, message, &mut found, |_| true);
    (recent.known > known).then_some(found)
}

fn matching(topics: &Subscriptions<Key>, message: &[u8]) -> Vec<Key> {
    let mut keys = Vec::new();
    topics.for_each_match(message, |key| keys.push(key));
    keys
}

/// Asks for so many messages that nothing is left of a pause, whatever it was for.
fn settled(topics: &Subscriptions<Key>) -> Recent<Few<Key>> {
    let mut recent = Recent::default();
    while recent.changes != topics.changes || recent.pause > 0 {
        ask(&mut recent, topics, b"");
    }
    recent
}

fn holding(held: &[&[u8]]) -> Subscriptions<Key> {
    let mut topics = Subscriptions::new();
    for (key, topic) in (0..).zip(held) {
        topics.insert(topic, key);
    }
    topics
}

#[test]
fn what_was_noted_is_recalled_of_whatever_begins_alike() {
    let topics = holding(&[b"a", b"ab"]);
    let mut recent = settled(&topics);
    assert_eq!(ask(&mut recent, &topics, b"abc"), None);
    assert_eq!(ask(&mut recent, &topics, b"abc"), Some(vec![0, 1]));
    assert_eq!(ask(&mut recent, &topics, b"ab"), Some(vec![0, 1]));
    assert_eq!(ask(&mut recent, &topics, b"ab, and more than sixteen bytes"), Some(vec![0, 1]));
    assert_eq!(ask(&mut recent, &topics, b"x"), None);
    assert_eq!(ask(&mut recent, &topics, b"x"), Some(vec![]));
    assert_eq!(ask(&mut recent, &topics, b"a"), None);
    assert_eq!(ask(&mut recent, &topics, b"a"), Some(vec![0]));
}

#[test]
fn a_shorter_message_is_not_one_with_zeros_behind() {
    let topics = holding(&[b"a\0"]);
    let mut recent = settled(&topics);
    for _ in 0..2 {
        ask(&mut recent, &topics, b"a");
    }
    assert_eq!(ask(&mut recent, &topics, b"a\0"), None);
    assert_eq!(ask(&mut recent, &topics, b"a\0"), Some(vec![0]));
    assert_eq!(ask(&mut recent, &topics, b"a"), Some(vec![]));
}

#[test]
fn nothing_is_recalled_from_before_a_change() {
    let mut topics = holding(&[b"a", b"b"]);
    let mut recent = settled(&topics);
    for _ in 0..2 {
        ask(&mut recent, &topics, b"a");
    }
    topics.insert(b"a", 7);
    for _ in 0..2 * PLACES_MIN {
        assert_ne!(ask(&mut recent, &topics, b"a"), Some(vec![0]));
    }
    assert_eq!(ask(&mut recent, &topics, b"a"), Some(vec![0, 7]));
    topics.remove(b"a", 0);
    assert_eq!(ask(&mut recent, &topics, b"a"), None);
}

#[test]
fn what_changes_nothing_leaves_what_was_noted() {
    let mut topics = holding(&[b"a"]);
    let mut recent = settled(&topics);
    ask(&mut recent, &topics, b"a");
    topics.insert(b"a", 0);
    topics.remove(b"a", 0);
    topics.remove(b"b", 0);
    assert_eq!(ask(&mut recent, &topics, b"a"), Some(vec![0]));
}

#[test]
fn a_match_of_many_is_left_to_the_tree() {
    let topics = holding(&[b"a" as &[u8]; 4]);
    let mut recent = settled(&topics);
    for _ in 0..4 {
        assert_eq!(ask(&mut recent, &topics, b"a"), None);
    }
}

#[test]
fn a_long_topic_leaves_all_to_the_tree_while_it_is_held() {
    let long = [b'a'; TOPIC_MAX + 1];
    let mut topics = holding(&[&long[..TOPIC_MAX]]);
    let mut recent = settled(&topics);
    topics.insert(&long, 9);
    for _ in 0..2 * PLACES_MIN {
        assert_eq!(ask(&mut recent, &topics, &long), None);
    }
    topics.remove(&long, 9);
    let mut recent = settled(&topics);
    ask(&mut recent, &topics, &long);
    assert_eq!(ask(&mut recent, &topics, &long), Some(vec![0]));
}

#[test]
fn a_feed_that_does_not_repeat_itself_is_left_to_the_tree_for_a_while() {
    let topics = holding(&[b"topic"]);
    let mut recent = settled(&topics);
    for number in 0..2 * TRIAL + 2 {
        ask(&mut recent, &topics, &number.to_le_bytes());
    }
    assert_eq!(recent.pause, PAUSE);
    for _ in 0..=PAUSE {
        ask(&mut recent, &topics, b"topic");
    }
    assert_eq!(ask(&mut recent, &topics, b"topic"), Some(vec![0]));
    for _ in 0..3 * TRIAL {
        ask(&mut recent, &topics, b"topic");
    }
    assert_eq!(recent.pause, 0, "a feed that repeats itself is looked up");
}

#[test]
fn after_a_change_many_symbols_are_noted_before_it_is_judged_whether_that_pays() {
    let symbols: Vec<_> = (0..2 * TRIAL).map(u32::to_le_bytes).collect();
    let held: Vec<_> = symbols.iter().map(|symbol| &symbol[..]).collect();
    let topics = holding(&held);
    let mut recent = settled(&topics);
    for _ in 0..2 * PLACES_MAX / symbols.len() {
        held.iter().for_each(|symbol| drop(ask(&mut recent, &topics, symbol)));
    }
    assert_eq!(recent.pause, 0);
    let recalled = held.iter().filter(|symbol| ask(&mut recent, &topics, symbol).is_some());
    assert!(recalled.count() > symbols.len() / 2);
}

#[test]
fn places_are_bounded_however_many_the_topics() {
    let mut topics = Subscriptions::new();
    for number in 0..PLACES_MAX as u32 {
        topics.insert(&number.to_le_bytes(), number);
    }
    assert_eq!(settled(&topics).places.len(), PLACES_MAX);
}

proptest! {
    #[test]
    fn what_is_recalled_is_what_the_tree_says(
        rounds in prop::collection::vec((any_topic(), 0..3u32, any::<bool>()), 1..12),
        messages in prop::collection::vec(prop_oneof![any_bytes(20), any_topic()], 8),
    ) {
        let mut topics = Subscriptions::new();
        let mut recent = Recent::default();
        for (topic, key, is_added) in rounds {
            if is_added {
                topics.insert(&topic, key);
            } else {
                topics.remove(&topic, key);
            }
            for _ in 0..2 * PLACES_MIN.max(recent.places.len()) / messages.len() {
                for message in &messages {
                    if let Some(recalled) = ask(&mut recent, &topics, message) {
                        prop_assert_eq!(recalled, matching(&topics, message));
                    }
                }
            }
        }
    }

    #[test]
    fn bytes_are_packed_in_their_order(bytes in prop::collection::vec(any::<u8>(), 0..16)) {
        let mut all = [0; 16];
        all[..bytes.len()].copy_from_slice(&bytes);
        prop_assert_eq!(packed(&bytes), u128::from_le_bytes(all));
    }
}

/// Some as long as a place holds, and one byte more.
fn any_topic() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => any_bytes(5),
        1 => any_bytes(9),
        1 => (TOPIC_MAX - 1..=TOPIC_MAX + 1).prop_map(|len| vec![0; len]),
    ]
}

/// Few and similar, so that they meet.
fn any_bytes(len_max: usize) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(0..3u8, 0..=len_max)
}
