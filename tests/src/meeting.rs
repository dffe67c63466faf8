//! Meetings: a publisher and a subscriber that know of each other.
//!
//! Nothing tells a publisher that a subscription has arrived, so it publishes until it is heard.
//!
//! Deliberately absent: a way without messages. An XPUB is told of its subscribers, but a PUB is
//! not.

use std::sync::atomic::{AtomicU64, Ordering};

use zring::pattern::{Receives, Sends, Subscribes};
use zring::{Error, Socket};

use crate::bytes::{number, number_in};
use crate::{Cell, Ground};

/// Stands before what is published to be heard. No test uses a topic that begins like this.
pub const MEETING: &[u8] = b"\0meeting";

/// Returns when all that `subscriber` has subscribed to so far is in effect at `publisher`, and
/// nothing of the meeting is received any more. For a SUB, which looks at what arrives.
pub fn meet<P: Sends, S: Receives + Subscribes, G: Ground>(
    cell: &Cell<G>,
    publisher: &mut Socket<P, G::Driver>,
    subscriber: &mut Socket<S, G::Driver>,
) {
    subscriber.subscribe(MEETING).expect("subscribed");
    introduce::<G>(&cell.context, publisher, || match subscriber.try_recv_multipart() {
        Ok(frames) => {
            assert_eq!(frames[0], MEETING, "a meeting before anything else");
            Some(number_in(&frames[1]))
        }
        Err(Error::WouldBlock) => None,
        Err(error) => panic!("{error}"),
    });
    subscriber.unsubscribe(MEETING).expect("unsubscribed");
}

/// As [`meet`], with a subscriber of whatever kind that has subscribed to [`MEETING`]: `hear`
/// answers the number in its next message, if it has one.
pub fn introduce<G: Ground>(
    context: &G::Context,
    publisher: &mut Socket<impl Sends, G::Driver>,
    mut hear: impl FnMut() -> Option<u64>,
) {
    // Across meetings, since one may still hear of another's.
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let first = NEXT.fetch_add(1, Ordering::Relaxed);
    let mut sent = first;
    let mut heard = None;
    while heard.is_none_or(|heard| heard < first) {
        publisher.send_multipart([MEETING, &number(sent)]).expect("published");
        publisher.flush().expect("flushed");
        G::pause(context);
        heard = hear();
        if heard.is_none_or(|heard| heard < first) {
            sent = NEXT.fetch_add(1, Ordering::Relaxed);
        }
    }
    while heard != Some(sent) {
        G::pause(context);
        heard = hear().or(heard);
    }
}
