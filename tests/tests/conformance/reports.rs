//! XPUB and XSUB: subscriptions that are received and sent as messages. RFC 29.

use std::time::Duration;

use tests::{Cell, Ground, cells};
use zring::{Error, Poller, Sub, XPub, XSub};

fn the_first_subscription_of_a_topic_and_its_last_end_are_reported<G: Ground>(cell: &Cell<G>) {
    let mut publisher = XPub::new(&cell.context).unwrap();
    let endpoint = publisher.bind(&cell.endpoint()).unwrap();
    let mut first = Sub::new(&cell.context).unwrap();
    let mut second = Sub::new(&cell.context).unwrap();
    first.connect(&endpoint).unwrap();
    second.connect(&endpoint).unwrap();

    first.subscribe("a").unwrap();
    assert_eq!(publisher.recv().unwrap(), "\u{1}a");
    second.subscribe("a").unwrap();
    second.subscribe("mark").unwrap();
    assert_eq!(publisher.recv().unwrap(), "\u{1}mark", "a second subscriber is no news");
    first.unsubscribe("a").unwrap();
    first.subscribe("mark too").unwrap();
    assert_eq!(publisher.recv().unwrap(), "\u{1}mark too", "a subscriber is left");
    second.unsubscribe("a").unwrap();
    assert_eq!(publisher.recv().unwrap(), "\0a");
    first.subscribe("").unwrap();
    assert_eq!(publisher.recv().unwrap(), "\u{1}");
    assert_eq!(publisher.try_recv().err(), Some(Error::WouldBlock));
}

fn the_topics_of_a_lost_peer_are_reported_as_ended<G: Ground>(cell: &Cell<G>) {
    let mut publisher = XPub::new(&cell.context).unwrap();
    let endpoint = publisher.bind(&cell.endpoint()).unwrap();
    let mut stays = Sub::new(&cell.context).unwrap();
    stays.connect(&endpoint).unwrap();
    stays.subscribe("shared").unwrap();
    assert_eq!(publisher.recv().unwrap(), "\u{1}shared");
    let mut goes = Sub::new(&cell.context).unwrap();
    goes.connect(&endpoint).unwrap();
    for topic in ["shared", "a", "b", "b"] {
        goes.subscribe(topic).unwrap();
    }
    assert_eq!(publisher.recv().unwrap(), "\u{1}a");
    assert_eq!(publisher.recv().unwrap(), "\u{1}b");
    drop(goes);
    let mut ended = [publisher.recv().unwrap().to_vec(), publisher.recv().unwrap().to_vec()];
    ended.sort();
    assert_eq!(ended, [b"\0a", b"\0b"]);
    cell.until(|| publisher.peers() == 1);
    assert_eq!(publisher.try_recv().err(), Some(Error::WouldBlock), "`shared` is still wanted");
    publisher.send("shared").unwrap();
    publisher.flush().unwrap();
    assert_eq!(stays.recv().unwrap(), "shared");
}

fn messages_of_an_xsub_are_received_in_order_with_its_subscriptions<G: Ground>(cell: &Cell<G>) {
    let mut publisher = XPub::new(&cell.context).unwrap();
    let mut sub = XSub::new(&cell.context).unwrap();
    sub.connect(&publisher.bind(&cell.endpoint()).unwrap()).unwrap();
    sub.send(b"\x01a").unwrap();
    sub.send("a message").unwrap();
    sub.send_multipart(["of", "two frames"]).unwrap();
    sub.send(b"\x01b").unwrap();
    sub.send(b"\x00a").unwrap();
    sub.flush().unwrap();
    assert_eq!(publisher.recv().unwrap(), "\u{1}a");
    assert_eq!(publisher.recv().unwrap(), "a message");
    assert_eq!(publisher.recv_multipart().unwrap(), ["of", "two frames"]);
    assert_eq!(publisher.recv().unwrap(), "\u{1}b");
    assert_eq!(publisher.recv().unwrap(), "\0a");
    publisher.send("a").unwrap();
    publisher.send("b").unwrap();
    publisher.flush().unwrap();
    assert_eq!(sub.recv().unwrap(), "b");
}

/// A device forwards what it has not subscribed to itself.
fn an_xsub_subscribes_by_call_too<G: Ground>(cell: &Cell<G>) {
    let mut publisher = XPub::new(&cell.context).unwrap();
    let mut sub = XSub::new(&cell.context).unwrap();
    sub.connect(&publisher.bind(&cell.endpoint()).unwrap()).unwrap();
    sub.subscribe("a").unwrap();
    assert_eq!(publisher.recv().unwrap(), "\u{1}a");
    sub.unsubscribe("a").unwrap();
    assert_eq!(publisher.recv().unwrap(), "\0a");
}

/// Subscriptions travel upstream and messages downstream through an XSUB and an XPUB.
fn a_device_of_xsub_and_xpub_passes_everything_on<G: Ground>(cell: &Cell<G>) {
    let mut source = XPub::new(&cell.context).unwrap();
    let mut front = XSub::new(&cell.context).unwrap();
    let mut back = XPub::new(&cell.context).unwrap();
    let mut sub = Sub::new(&cell.context).unwrap();
    front.connect(&source.bind(&cell.endpoint()).unwrap()).unwrap();
    sub.connect(&back.bind(&cell.endpoint()).unwrap()).unwrap();
    sub.subscribe("a").unwrap();
    front.send(back.recv().unwrap()).unwrap();
    front.flush().unwrap();
    assert_eq!(source.recv().unwrap(), "\u{1}a");
    source.send_multipart(["abc", "", "body"]).unwrap();
    source.flush().unwrap();
    back.send_multipart(front.recv_multipart().unwrap()).unwrap();
    back.flush().unwrap();
    assert_eq!(sub.recv_multipart().unwrap(), ["abc", "", "body"]);
}

/// The receive mark and the work of one look end between messages.
fn messages_of_two_xsubs_are_not_mixed<G: Ground>(cell: &Cell<G>) {
    for (mark, frames) in [(2, 6), (0, 1500)] {
        let builder = XPub::builder().receive_high_water_mark(mark);
        let mut publisher = builder.build(&cell.context).unwrap();
        let endpoint = publisher.bind(&cell.endpoint()).unwrap();
        let messages = ["a", "b"].map(|name| (0..frames).map(|it| format!("{name}{it}")).collect());
        let messages: [Vec<String>; 2] = messages;
        let mut subs = messages.each_ref().map(|_| XSub::new(&cell.context).unwrap());
        for (sub, message) in subs.iter_mut().zip(&messages) {
            sub.connect(&endpoint).unwrap();
            for _ in 0..2 {
                sub.send_multipart(message.iter().map(String::as_str)).unwrap();
            }
            sub.flush().unwrap();
        }
        let mut heard = [0; 2];
        while heard != [2, 2] {
            let message = publisher.recv_multipart().unwrap();
            let from = usize::from(message[0] == "b0");
            assert!(message == messages[from], "mixed, with a mark of {mark}");
            heard[from] += 1;
        }
    }
}

/// A subscription that is made while a message is being sent is told behind it.
fn a_subscription_is_not_told_within_a_message<G: Ground>(cell: &Cell<G>) {
    let mut publisher = XPub::new(&cell.context).unwrap();
    let endpoint = publisher.bind(&cell.endpoint()).unwrap();
    let [mut sub, mut other] = [(); 2].map(|()| XSub::new(&cell.context).unwrap());
    sub.connect(&endpoint).unwrap();
    other.connect(&endpoint).unwrap();
    cell.until(|| publisher.peers() == 2);
    sub.subscribe("early").unwrap();
    assert_eq!(publisher.recv().unwrap(), "\u{1}early");
    sub.send_more("a").unwrap();
    sub.subscribe("late").unwrap();
    sub.unsubscribe("early").unwrap();
    other.send("between").unwrap();
    other.flush().unwrap();
    assert_eq!(publisher.recv().unwrap(), "between");
    sub.send("message").unwrap();
    sub.flush().unwrap();
    assert_eq!(publisher.recv_multipart().unwrap(), ["a", "message"]);
    assert_eq!(publisher.recv().unwrap(), "\u{1}late");
    assert_eq!(publisher.recv().unwrap(), "\0early");
}

/// More than are taken in one look are no news, and the news is behind them.
fn news_behind_thousands_of_known_topics_are_reported<G: Ground>(cell: &Cell<G>) {
    const TOPICS: usize = 5000;
    let mut publisher = XPub::new(&cell.context).unwrap();
    let endpoint = publisher.bind(&cell.endpoint()).unwrap();
    let subs = [0, 1].map(|index| {
        let mut sub = Sub::new(&cell.context).unwrap();
        (0..TOPICS).for_each(|topic| sub.subscribe(topic.to_string()).unwrap());
        sub.subscribe(["first", "second"][index]).unwrap();
        sub.connect(&endpoint).unwrap();
        let known = if index == 0 { TOPICS } else { 0 };
        (0..known).for_each(|_| drop(publisher.recv().unwrap()));
        assert_eq!(publisher.recv().unwrap(), ["\u{1}first", "\u{1}second"][index]);
        sub
    });
    assert_eq!(publisher.try_recv().err(), Some(Error::WouldBlock));
    drop(subs);
}

/// They are in effect with the call, however many there are.
fn a_message_behind_thousands_of_inproc_subscriptions_is_for_them<G: Ground>(cell: &Cell<G>) {
    let mut publisher = zring::Pub::builder().no_drop(true).build(&cell.context).unwrap();
    let mut sub = Sub::new(&cell.context).unwrap();
    sub.connect(&publisher.bind(&cell.endpoint()).unwrap()).unwrap();
    (0..5000).for_each(|topic| sub.subscribe(topic.to_string()).unwrap());
    publisher.send("4999").unwrap();
    assert_eq!(sub.recv().unwrap(), "4999");
}

cells!(
    [Threads, Caller] x [Inproc]:
    a_message_behind_thousands_of_inproc_subscriptions_is_for_them,
);

/// Each has sent more than there is room for, and a subscription behind it.
fn peers_that_wait_for_room_have_it_in_turn<G: Ground>(cell: &Cell<G>) {
    const PEERS: usize = 3;
    let builder = XPub::builder().receive_high_water_mark(1);
    let mut publisher = builder.build(&cell.context).unwrap();
    let endpoint = publisher.bind(&cell.endpoint()).unwrap();
    let mut subs = [(); PEERS].map(|()| XSub::new(&cell.context).unwrap());
    for (sub, topic) in subs.iter_mut().zip(["a", "b", "c"]) {
        sub.connect(&endpoint).unwrap();
        (0..4).for_each(|_| sub.send(topic).unwrap());
        sub.subscribe(topic).unwrap();
        sub.flush().unwrap();
    }
    cell.until(|| publisher.peers() == PEERS);
    let mut heard: Vec<_> = (0..5 * PEERS).map(|_| publisher.recv().unwrap()).collect();
    assert_eq!(publisher.try_recv().err(), Some(Error::WouldBlock));
    heard.sort_by(|a, b| a[..].cmp(b));
    assert!(heard.iter().take(PEERS).eq(["\u{1}a", "\u{1}b", "\u{1}c"]), "{heard:?}");
    for (sub, topic) in subs.iter_mut().zip(["a", "b", "c"]) {
        publisher.send(topic).unwrap();
        publisher.flush().unwrap();
        assert_eq!(sub.recv().unwrap(), topic);
    }
}

/// What one peer has sent and nobody receives keeps no other peer's subscription waiting.
fn a_publisher_that_does_not_receive_hears_new_subscribers<G: Ground>(cell: &Cell<G>) {
    let builder = XPub::builder().receive_high_water_mark(1);
    let mut publisher = builder.build(&cell.context).unwrap();
    let endpoint = publisher.bind(&cell.endpoint()).unwrap();
    let mut talker = XSub::new(&cell.context).unwrap();
    talker.connect(&endpoint).unwrap();
    cell.until(|| publisher.peers() == 1);
    for body in ["unread", "too"] {
        talker.send(body).unwrap();
        talker.flush().unwrap();
    }
    let mut poller = Poller::new(&cell.context);
    cell.until(|| {
        let publisher = std::slice::from_mut(&mut publisher);
        !poller.wait_readable(publisher, Some(Duration::ZERO)).unwrap().is_empty()
    });
    let mut sub = Sub::new(&cell.context).unwrap();
    sub.connect(&endpoint).unwrap();
    sub.subscribe("a").unwrap();
    let mut heard = None;
    cell.until(|| {
        publisher.send("a").unwrap();
        publisher.flush().unwrap();
        heard = sub.try_recv().ok();
        heard.is_some()
    });
    assert_eq!(heard.unwrap(), "a");
    assert_eq!(publisher.recv().unwrap(), "unread");
}

cells!(
    [Threads, TwoThreads, Caller] x [Tcp, Ipc, Inproc]:
    news_behind_thousands_of_known_topics_are_reported,
    a_publisher_that_does_not_receive_hears_new_subscribers,
    peers_that_wait_for_room_have_it_in_turn,
    the_first_subscription_of_a_topic_and_its_last_end_are_reported,
    the_topics_of_a_lost_peer_are_reported_as_ended,
    messages_of_an_xsub_are_received_in_order_with_its_subscriptions,
    an_xsub_subscribes_by_call_too,
    a_device_of_xsub_and_xpub_passes_everything_on,
    messages_of_two_xsubs_are_not_mixed,
    a_subscription_is_not_told_within_a_message,
);
