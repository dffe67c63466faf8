//! What is published without threads: it gathers, and leaves with a later call.

use std::time::{Duration, Instant};

use tests::{Cell, Waits, cells};
use zring::{Caller, Context, IoThreads, Pub, Pull, Push, Sub};

/// What has gathered for so long is old.
const OLD_AFTER: Duration = Duration::from_millis(1);

/// A publisher that nothing gathers at, and a subscriber that has received all from it.
fn acquainted<W: Waits>(cell: &Cell<W>) -> (Pub<Caller>, Sub<IoThreads>) {
    let mut publisher = Pub::new(&cell.context).unwrap();
    let endpoint = publisher.bind(&cell.endpoint()).unwrap();
    let mut sub = Sub::new(&Context::new()).unwrap();
    sub.subscribe("").unwrap();
    sub.connect(&endpoint).unwrap();
    cell.until(|| {
        publisher.send("hello").unwrap();
        publisher.flush().unwrap();
        sub.peers() > 0 && publisher.counters().iter().any(|peer| peer.sent > 0)
    });
    publisher.send("begin").unwrap();
    publisher.flush().unwrap();
    while sub.recv().unwrap() != "begin" {}
    (publisher, sub)
}

fn what_is_published_leaves_with_a_flush_which_is_due_at_once<W: Waits>(cell: &Cell<W>) {
    let (mut publisher, mut sub) = acquainted(cell);
    let is_due = || cell.context.deadline().is_some_and(|due| due <= Instant::now());
    cell.until(|| !is_due());
    let taken = publisher.counters()[0].bytes;
    publisher.send("later").unwrap();
    assert_eq!(publisher.counters()[0].bytes, taken);
    assert!(is_due());
    cell.context.flush().unwrap();
    assert_eq!(sub.recv().unwrap(), "later");
    cell.until(|| !is_due());
}

fn who_does_nothing_but_publish_sends_what_is_old<W: Waits>(cell: &Cell<W>) {
    let (mut publisher, mut sub) = acquainted(cell);
    for _ in 0..10 {
        let taken = publisher.counters()[0].bytes;
        publisher.send("first").unwrap();
        assert_eq!(publisher.counters()[0].bytes, taken);
        let sent = Instant::now();
        while sent.elapsed() < OLD_AFTER {}
        publisher.send("second").unwrap();
        assert_eq!(sub.recv().unwrap(), "first");
        assert_eq!(sub.recv().unwrap(), "second");
    }
}

/// A message to one peer does not wait for what was published before it, and takes it along.
fn a_lone_message_leaves_though_something_is_published<W: Waits>(cell: &Cell<W>) {
    let (mut publisher, mut sub) = acquainted(cell);
    let mut pull = Pull::new(&Context::new()).unwrap();
    let mut push = Push::new(&cell.context).unwrap();
    push.connect(&pull.bind(&cell.endpoint()).unwrap()).unwrap();
    cell.until(|| push.counters().iter().any(|peer| peer.is_connected));
    publisher.send("published").unwrap();
    push.send("lone").unwrap();
    assert_eq!(pull.recv().unwrap(), "lone");
    assert_eq!(sub.recv().unwrap(), "published");
}

/// Nothing can be due where nothing happens without a call.
fn without_a_ring_nothing_that_was_sent_is_due<W: Waits>(cell: &Cell<W>) {
    let mut publisher = Pub::new(&cell.context).unwrap();
    let mut sub = Sub::new(&cell.context).unwrap();
    sub.subscribe("").unwrap();
    sub.connect(&publisher.bind(&cell.endpoint()).unwrap()).unwrap();
    publisher.send("here").unwrap();
    assert_eq!(cell.context.deadline(), None);
    assert_eq!(sub.recv().unwrap(), "here");
}

cells!([Caller, Spinning] x [Inproc]: without_a_ring_nothing_that_was_sent_is_due);
cells!(
    [Caller, Spinning] x [Tcp, Ipc]:
    what_is_published_leaves_with_a_flush_which_is_due_at_once,
    who_does_nothing_but_publish_sends_what_is_old,
    a_lone_message_leaves_though_something_is_published,
);
