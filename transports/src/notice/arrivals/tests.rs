//! Claims about who has come and who is gone again, from the socket's side.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::*;
use crate::message::{Message, Payload};
use crate::pipe::{Joint, Marks, PipeEnd, encode, log_pools};
use crate::worker::Crew;

fn joint(inbox: &Arc<SocketInbox>) -> Joint {
    let marks = Marks { send: 0, receive: 0 };
    Joint { pools: log_pools(), inbox: inbox.clone(), marks, is_local: false }
}

fn attachment(pipe: PipeEnd) -> Attachment {
    let (routing_id, endpoint) = (Bytes::new(), "tcp://here".into());
    Attachment { pipe, routing_id, endpoint, address: None, listener: None }
}

/// A worker's peer comes, and sends so many messages.
fn come(joint: &Joint, messages: usize) -> PipeId {
    let (pipe, mut wire) = joint.to_worker(Crew::new(1).mailbox(0), false);
    joint.inbox.arrive(attachment(pipe));
    for _ in 0..messages {
        encode(&mut wire.writer, Payload::from(&[7]).lend(), false);
        wire.publish(1);
    }
    wire.id
}

/// All that the socket is told.
fn take(inbox: &SocketInbox) -> (Vec<Event>, Vec<Arrival>) {
    let mut events = Vec::new();
    let arrivals = inbox.take_into(&mut events).collect();
    (events, arrivals)
}

/// What can be read from a pipe.
fn read(arrival: &mut Arrival) -> usize {
    let mut frame = Message::new();
    std::iter::from_fn(|| arrival.attachment.pipe.inbound.read(&mut frame)).count()
}

#[test]
fn who_comes_and_goes_unseen_leaves_nothing() {
    let joint = joint(&Arc::default());
    for _ in 0..1000 {
        joint.inbox.detach(come(&joint, 0), true);
        joint.inbox.detach(come(&joint, 2), false);
    }
    let (events, arrivals) = take(&joint.inbox);
    assert!(matches!(events[..], [Event::Arrived]), "{} events", events.len());
    assert!(arrivals.is_empty() && !joint.inbox.has_pending());
}

#[test]
fn who_stays_is_told_in_order_and_once() {
    let joint = joint(&Arc::default());
    let mut staying = Vec::new();
    for _ in 0..100 {
        staying.push(come(&joint, 1));
        joint.inbox.detach(come(&joint, 0), true);
    }
    let (events, mut arrivals) = take(&joint.inbox);
    assert!(matches!(events[..], [Event::Arrived]), "{} events", events.len());
    let ids: Vec<_> = arrivals.iter().map(|arrival| arrival.attachment.pipe.id).collect();
    assert_eq!(ids, staying);
    assert!(arrivals.iter_mut().all(|arrival| read(arrival) == 1 && arrival.remnant.is_none()));

    joint.inbox.detach(staying[0], true);
    let last = come(&joint, 0);
    let (events, arrivals) = take(&joint.inbox);
    assert!(matches!(events[..], [Event::Detached(id), Event::Arrived] if id == staying[0]));
    assert_eq!(arrivals[0].attachment.pipe.id, last);
}

#[test]
fn what_was_left_to_be_read_is_kept_and_counted() {
    let joint = joint(&Arc::default());
    for _ in 0..REMNANTS_MAX {
        assert!(!joint.inbox.is_crowded());
        let id = come(&joint, 3);
        joint.inbox.detach(id, true);
        joint.inbox.detach(id, true);
    }
    assert!(joint.inbox.is_crowded());
    let (events, mut arrivals) = take(&joint.inbox);
    assert!(matches!(events[..], [Event::Arrived]), "{} events", events.len());
    assert!(joint.inbox.is_crowded(), "they were not read yet");
    assert!(arrivals.iter_mut().all(|arrival| arrival.remnant.is_some() && read(arrival) == 3));
    arrivals.pop();
    assert!(!joint.inbox.is_crowded());
}

#[test]
fn an_inproc_peer_that_comes_and_goes_unseen_leaves_nothing() {
    let (bound, peer) = (joint(&Arc::default()), joint(&Arc::default()));
    for messages in [0, 0, 1] {
        let (mut ours, theirs) = peer.to_socket(&bound);
        bound.inbox.arrive(attachment(theirs));
        (0..messages).for_each(|_| ours.write(Payload::from(&[7]).lend(), false));
        ours.hang_up();
    }
    let (events, mut arrivals) = take(&bound.inbox);
    assert!(matches!(events[..], [Event::Arrived]), "{} events", events.len());
    assert_eq!(arrivals.iter_mut().map(read).collect::<Vec<_>>(), [1]);
}

#[test]
fn an_end_is_told_before_who_came_after_it_also_in_the_middle_of_a_look() {
    let joint = joint(&Arc::default());
    let old = come(&joint, 0);
    take(&joint.inbox);
    come(&joint, 0);
    let mut events = Vec::new();
    joint.inbox.events.take_into(&mut events);
    joint.inbox.detach(old, true);
    let new = come(&joint, 0);
    let arrivals = joint.inbox.take_arrivals(&mut events);
    assert!(matches!(events[..], [Event::Arrived, Event::Detached(id)] if id == old));
    assert_eq!(arrivals.last_key_value().unwrap().0, &new);
}

/// One after the other, with somebody else between who is hardly there.
#[test]
fn peers_are_told_as_they_came_and_went_whenever_the_socket_looks() {
    const PEERS: usize = 2000;
    let joint = joint(&Arc::default());
    let left = AtomicUsize::new(PEERS);
    std::thread::scope(|scope| {
        let passing = scope.spawn(|| {
            let mut present = come(&joint, 0);
            for _ in 0..PEERS {
                let other = come(&joint, 0);
                joint.inbox.detach(present, true);
                present = come(&joint, 0);
                joint.inbox.detach(other, true);
                left.fetch_sub(1, Ordering::Relaxed);
            }
        });
        let mut present = BTreeSet::new();
        while left.load(Ordering::Relaxed) > 0 {
            let (events, arrivals) = take(&joint.inbox);
            for event in events {
                if let Event::Detached(id) = event {
                    assert!(present.remove(&id), "it was not told to have come");
                }
            }
            present.extend(arrivals.iter().map(|arrival| arrival.attachment.pipe.id));
            assert!(present.len() <= 2, "one of them is gone");
        }
        passing.join().unwrap();
    });
    let (events, arrivals) = take(&joint.inbox);
    assert!(events.len() <= 3 && arrivals.len() <= 1);
}
