//! Whatever its size and its number of frames, a message arrives as it was sent, and in order.

use tests::bytes::{assert_same, body, number, number_in};
use tests::{Caller, Cell, Ground, Sleepless, Spinning, Transport, cells, meet};
use zring::pattern::{self, Receives, Sends};
use zring::{Bytes, Error, Message, Socket};

/// Frame sizes around every place where something changes: inline bodies, short headers, blocks,
/// copies, kernel buffers.
const SIZES: [usize; 22] = [
    0, 1, 69, 70, 71, 254, 255, 256, 257, 511, 512, 8191, 8192, 8193, 32767, 32768, 32769, 65535,
    65536, 65537, 100_000, 1_048_576,
];

/// Two patterns that talk to each other, in one direction.
trait Duo {
    type From: Sends;
    type To: Receives;

    /// Brings both to where a message can be sent.
    fn ready<G: Ground>(
        _cell: &Cell<G>,
        _from: &mut Socket<Self::From, G::Driver>,
        _to: &mut Socket<Self::To, G::Driver>,
    ) {
    }

    /// Frames that lead a message.
    fn lead<G: Ground>(_to: &Socket<Self::To, G::Driver>) -> Vec<Vec<u8>> {
        Vec::new()
    }

    /// Frames that come before those which were sent.
    const LED_BY: usize = 0;

    /// What is due after each message.
    fn answer<G: Ground>(
        _from: &mut Socket<Self::From, G::Driver>,
        _to: &mut Socket<Self::To, G::Driver>,
    ) {
    }

    fn from<G: Ground>(context: &G::Context) -> Socket<Self::From, G::Driver> {
        Socket::<Self::From>::builder().build(context).expect("a socket")
    }

    fn to<G: Ground>(context: &G::Context) -> Socket<Self::To, G::Driver> {
        Socket::<Self::To>::builder().build(context).expect("a socket")
    }
}

enum PushPull {}
impl Duo for PushPull {
    type From = pattern::Push;
    type To = pattern::Pull;
}

enum PubSub {}
impl Duo for PubSub {
    type From = pattern::Pub;
    type To = pattern::Sub;

    fn ready<G: Ground>(
        cell: &Cell<G>,
        from: &mut Socket<pattern::Pub, G::Driver>,
        to: &mut Socket<pattern::Sub, G::Driver>,
    ) {
        to.subscribe("").unwrap();
        meet(cell, from, to);
    }
}

enum PubXSub {}
impl Duo for PubXSub {
    type From = pattern::Pub;
    type To = pattern::XSub;

    fn ready<G: Ground>(
        cell: &Cell<G>,
        from: &mut Socket<pattern::Pub, G::Driver>,
        to: &mut Socket<pattern::XSub, G::Driver>,
    ) {
        to.send(b"\x01").unwrap();
        meet(cell, from, to);
    }
}

enum XPubSub {}
impl Duo for XPubSub {
    type From = pattern::XPub;
    type To = pattern::Sub;

    fn ready<G: Ground>(
        cell: &Cell<G>,
        from: &mut Socket<pattern::XPub, G::Driver>,
        to: &mut Socket<pattern::Sub, G::Driver>,
    ) {
        to.subscribe("").unwrap();
        await_report(cell, from, to);
    }
}

enum XPubXSub {}
impl Duo for XPubXSub {
    type From = pattern::XPub;
    type To = pattern::XSub;

    fn ready<G: Ground>(
        cell: &Cell<G>,
        from: &mut Socket<pattern::XPub, G::Driver>,
        to: &mut Socket<pattern::XSub, G::Driver>,
    ) {
        to.send(b"\x01").unwrap();
        await_report(cell, from, to);
    }
}

/// Waits until an XPUB is told that somebody takes everything.
fn await_report<G: Ground>(
    cell: &Cell<G>,
    from: &mut Socket<pattern::XPub, G::Driver>,
    to: &mut Socket<impl Receives, G::Driver>,
) {
    // A socket learns of newcomers in its calls, as in libzmq.
    let mut report = None;
    cell.until(|| {
        assert_eq!(to.try_recv().err(), Some(Error::WouldBlock));
        report = from.try_recv().ok();
        report.is_some()
    });
    assert_eq!(report.unwrap(), b"\x01");
}

enum ReqRep {}
impl Duo for ReqRep {
    type From = pattern::Req;
    type To = pattern::Rep;

    fn answer<G: Ground>(
        from: &mut Socket<pattern::Req, G::Driver>,
        to: &mut Socket<pattern::Rep, G::Driver>,
    ) {
        to.send_multipart(["an", "", "answer"]).unwrap();
        assert_eq!(from.recv_multipart().unwrap(), ["an", "", "answer"]);
    }
}

enum DealerRep {}
impl Duo for DealerRep {
    type From = pattern::Dealer;
    type To = pattern::Rep;

    fn lead<G: Ground>(_to: &Socket<pattern::Rep, G::Driver>) -> Vec<Vec<u8>> {
        vec![b"an envelope".to_vec(), Vec::new()]
    }

    fn answer<G: Ground>(
        from: &mut Socket<pattern::Dealer, G::Driver>,
        to: &mut Socket<pattern::Rep, G::Driver>,
    ) {
        to.send("answer").unwrap();
        assert_eq!(from.recv_multipart().unwrap(), ["an envelope", "", "answer"]);
    }
}

enum ReqRouter {}
impl Duo for ReqRouter {
    type From = pattern::Req;
    type To = pattern::Router;
    const LED_BY: usize = 2;

    fn from<G: Ground>(context: &G::Context) -> Socket<pattern::Req, G::Driver> {
        Socket::<pattern::Req>::builder().routing_id("asker").build(context).unwrap()
    }

    fn answer<G: Ground>(
        from: &mut Socket<pattern::Req, G::Driver>,
        to: &mut Socket<pattern::Router, G::Driver>,
    ) {
        to.send_multipart(["asker", "", "answer"]).unwrap();
        assert_eq!(from.recv().unwrap(), "answer");
    }
}

enum DealerRouter {}
impl Duo for DealerRouter {
    type From = pattern::Dealer;
    type To = pattern::Router;
    const LED_BY: usize = 1;
}

enum RouterDealer {}
impl Duo for RouterDealer {
    type From = pattern::Router;
    type To = pattern::Dealer;

    fn to<G: Ground>(context: &G::Context) -> Socket<pattern::Dealer, G::Driver> {
        Socket::<pattern::Dealer>::builder().routing_id("addressee").build(context).unwrap()
    }

    fn lead<G: Ground>(_to: &Socket<pattern::Dealer, G::Driver>) -> Vec<Vec<u8>> {
        vec![b"addressee".to_vec()]
    }

    fn ready<G: Ground>(
        _cell: &Cell<G>,
        from: &mut Socket<pattern::Router, G::Driver>,
        to: &mut Socket<pattern::Dealer, G::Driver>,
    ) {
        to.send("here").unwrap();
        assert_eq!(from.recv_multipart().unwrap(), ["addressee", "here"]);
    }
}

enum RouterRouter {}
impl Duo for RouterRouter {
    type From = pattern::Router;
    type To = pattern::Router;
    const LED_BY: usize = 1;

    fn to<G: Ground>(context: &G::Context) -> Socket<pattern::Router, G::Driver> {
        Socket::<pattern::Router>::builder().routing_id("addressee").build(context).unwrap()
    }

    fn from<G: Ground>(context: &G::Context) -> Socket<pattern::Router, G::Driver> {
        Socket::<pattern::Router>::builder().routing_id("sender").build(context).unwrap()
    }

    fn lead<G: Ground>(_to: &Socket<pattern::Router, G::Driver>) -> Vec<Vec<u8>> {
        vec![b"addressee".to_vec()]
    }

    fn ready<G: Ground>(
        cell: &Cell<G>,
        from: &mut Socket<pattern::Router, G::Driver>,
        to: &mut Socket<pattern::Router, G::Driver>,
    ) {
        // A ROUTER drops what it has nobody for, so one of them tries until it is heard.
        let mut heard = None;
        cell.until(|| {
            to.send_multipart(["sender", "here"]).unwrap();
            heard = from.try_recv_multipart().ok();
            heard.is_some()
        });
        assert_eq!(heard.unwrap(), ["addressee", "here"]);
        to.send_multipart(["sender", "enough"]).unwrap();
        while from.recv_multipart().unwrap()[1] != "enough" {}
    }
}

enum DealerDealer {}
impl Duo for DealerDealer {
    type From = pattern::Dealer;
    type To = pattern::Dealer;
}

enum PairPair {}
impl Duo for PairPair {
    type From = pattern::Pair;
    type To = pattern::Pair;
}

/// The messages to be sent: every size alone, and many in one.
fn messages() -> Vec<Vec<Vec<u8>>> {
    let sized = |sizes: &[usize]| -> Vec<Vec<u8>> {
        sizes.iter().enumerate().map(|(index, &size)| body(index + size, size)).collect()
    };
    let mut messages: Vec<_> = SIZES.iter().map(|&size| sized(&[size])).collect();
    messages.extend([
        sized(&[0, 0, 0]),
        sized(&[1, 2, 3]),
        sized(&[5, 1_048_576, 5]),
        sized(&[0, 65_536, 0, 65_537, 300, 0]),
        sized(&[200_000, 0]),
        sized(&SIZES),
        sized(&(0..200).collect::<Vec<_>>()),
        sized(&(0..200).map(|index| if index == 100 { 300_000 } else { 9 }).collect::<Vec<_>>()),
        sized(&(0..200).map(|index| index * 97 % 9000).collect::<Vec<_>>()),
    ]);
    messages
}

/// Both ends, and who binds.
type Ends<P, G> = (
    Socket<<P as Duo>::From, <G as Ground>::Driver>,
    Socket<<P as Duo>::To, <G as Ground>::Driver>,
);

fn join<P: Duo, G: Ground>(cell: &Cell<G>, sender_binds: bool) -> Ends<P, G> {
    let mut from = P::from::<G>(&cell.context);
    let mut to = P::to::<G>(&cell.context);
    if sender_binds {
        to.connect(&from.bind(&cell.endpoint()).unwrap()).unwrap();
    } else {
        from.connect(&to.bind(&cell.endpoint()).unwrap()).unwrap();
    }
    P::ready(cell, &mut from, &mut to);
    (from, to)
}

fn check(found: &[Message], expected: &[Vec<u8>], led_by: usize) {
    let found = &found[led_by..];
    assert_eq!(found.len(), expected.len(), "frames");
    for (index, (frame, body)) in found.iter().zip(expected).enumerate() {
        assert_same(frame, body, &format!("frame {index} of {}", expected.len()));
        assert_eq!(frame.has_more(), index + 1 < expected.len(), "more after frame {index}");
    }
}

/// Each message alone, borrowed and owned, with either side bound.
fn messages_arrive_as_sent<P: Duo, G: Ground>(cell: &Cell<G>) {
    for sender_binds in [false, true] {
        let (mut from, mut to) = join::<P, G>(cell, sender_binds);
        for message in messages() {
            let frames = || P::lead::<G>(&to).into_iter().chain(message.iter().cloned());
            let frames = [frames(), frames()];
            for (is_owned, frames) in [false, true].into_iter().zip(frames) {
                if is_owned {
                    from.send_multipart(frames.map(Bytes::from)).unwrap();
                } else {
                    let frames: Vec<_> = frames.collect();
                    from.send_multipart(frames.iter().map(Vec::as_slice)).unwrap();
                }
                from.flush().unwrap();
                check(&to.recv_multipart().unwrap(), &message, P::LED_BY);
                P::answer::<G>(&mut from, &mut to);
            }
        }
        cell.watchdog.pat();
    }
}

/// All messages at once, before the first is received.
fn a_burst_arrives_as_sent<P: Duo, G: Ground>(cell: &Cell<G>) {
    let (mut from, mut to) = join::<P, G>(cell, true);
    for message in messages() {
        let lead = P::lead::<G>(&to).into_iter();
        from.send_multipart(lead.chain(message).map(Bytes::from)).unwrap();
    }
    from.flush().unwrap();
    for message in messages() {
        check(&to.recv_multipart().unwrap(), &message, P::LED_BY);
    }
}

/// Frames one by one, as calls of their own.
fn frames_sent_one_by_one_arrive_together<P: Duo, G: Ground>(cell: &Cell<G>) {
    let (mut from, mut to) = join::<P, G>(cell, false);
    for frame in P::lead::<G>(&to) {
        from.send_more(frame).unwrap();
    }
    from.send_more("a").unwrap();
    from.send_more("").unwrap();
    if P::LED_BY == 0 {
        cell.until(|| {
            let early = to.try_recv();
            assert_eq!(early.err(), Some(Error::WouldBlock), "a message that is not finished");
            true
        });
    }
    from.send("c").unwrap();
    from.flush().unwrap();
    for _ in 0..P::LED_BY {
        assert!(to.recv().unwrap().has_more());
    }
    for (frame, has_more) in [("a", true), ("", true), ("c", false)] {
        let message = to.recv().unwrap();
        assert_eq!((&message, message.has_more()), (&Message::from(frame), has_more));
    }
    P::answer::<G>(&mut from, &mut to);
}

macro_rules! for_each_duo {
    ($($duo:ident: $name:ident $(($burst:ident))?;)+) => {$(
        mod $name {
            use super::$duo;
            use tests::{Cell, Ground, cells};

            fn messages_arrive_as_sent<G: Ground>(cell: &Cell<G>) {
                super::messages_arrive_as_sent::<$duo, G>(cell);
            }

            fn frames_sent_one_by_one_arrive_together<G: Ground>(cell: &Cell<G>) {
                super::frames_sent_one_by_one_arrive_together::<$duo, G>(cell);
            }

            cells!(
                [Threads, Caller] x [Tcp, Ipc, Inproc]:
                messages_arrive_as_sent,
                frames_sent_one_by_one_arrive_together,
            );

            mod spinning {
                use super::*;

                cells!(
                    [Spinning] x [Tcp]:
                    messages_arrive_as_sent,
                    frames_sent_one_by_one_arrive_together,
                    $($burst)?
                );
            }

            $(
                fn $burst<G: Ground>(cell: &Cell<G>) {
                    super::$burst::<$duo, G>(cell);
                }

                cells!([Threads, TwoThreads, Caller] x [Tcp, Ipc, Inproc]: $burst);
            )?
        }
    )+};
}

for_each_duo! {
    PushPull: push_to_pull (a_burst_arrives_as_sent);
    PubSub: pub_to_sub (a_burst_arrives_as_sent);
    PubXSub: pub_to_xsub (a_burst_arrives_as_sent);
    XPubSub: xpub_to_sub (a_burst_arrives_as_sent);
    XPubXSub: xpub_to_xsub (a_burst_arrives_as_sent);
    ReqRep: req_to_rep;
    DealerRep: dealer_to_rep;
    ReqRouter: req_to_router;
    DealerRouter: dealer_to_router (a_burst_arrives_as_sent);
    RouterDealer: router_to_dealer (a_burst_arrives_as_sent);
    RouterRouter: router_to_router (a_burst_arrives_as_sent);
    DealerDealer: dealer_to_dealer (a_burst_arrives_as_sent);
    PairPair: pair_to_pair (a_burst_arrives_as_sent);
}

/// Messages of the long runs.
const MANY: u64 = 100_000;

/// The frames of the message with this number: one to three.
fn numbered(value: u64) -> Vec<Bytes> {
    let size = if value.is_multiple_of(1000) { 70_000 } else { (value % 300) as usize };
    let mut frames = vec![Bytes::copy_from_slice(&number(value))];
    frames.resize(1 + (value % 3) as usize, Bytes::from(vec![value as u8; size]));
    frames
}

#[track_caller]
fn check_numbered(found: &[Message], value: u64) {
    assert_eq!(number_in(&found[0]), value, "a number in order");
    let expected = numbered(value);
    assert_eq!(found.len(), expected.len(), "frames of message {value}");
    for (found, expected) in found.iter().zip(&expected).skip(1) {
        assert_same(found, expected, &format!("message {value}"));
    }
}

fn send_many<S: Sends, D: zring::Driver>(from: &mut Socket<S, D>, lead: &[&str]) {
    for value in 0..MANY {
        let lead = lead.iter().map(|text| Bytes::copy_from_slice(text.as_bytes()));
        from.send_multipart(lead.chain(numbered(value))).unwrap();
    }
}

fn receive_many<G: Ground, R: Receives>(
    cell: &Cell<G>,
    to: &mut Socket<R, G::Driver>,
    led_by: usize,
) {
    let mut frames = Vec::new();
    for value in 0..MANY {
        to.recv_multipart_into(&mut frames).unwrap();
        check_numbered(&frames[led_by..], value);
        if value.is_multiple_of(1000) {
            cell.watchdog.pat();
        }
    }
}

/// A hundred thousand messages from thread to thread, over `P` without a lead.
fn order_is_kept<P: Duo, G: Ground>(cell: &Cell<G>) {
    let mut to = P::to::<G>(&cell.context);
    let endpoint = to.bind(&cell.endpoint()).unwrap();
    cell.beside(
        |context| {
            let mut from = P::from::<G>(context);
            from.connect(&endpoint).unwrap();
            send_many(&mut from, &[]);
        },
        |_| receive_many(cell, &mut to, P::LED_BY),
    );
}

fn push_to_pull_keeps_order<G: Ground>(cell: &Cell<G>) {
    order_is_kept::<PushPull, G>(cell);
}

fn dealer_to_router_keeps_order<G: Ground>(cell: &Cell<G>) {
    order_is_kept::<DealerRouter, G>(cell);
}

fn pair_to_pair_keeps_order<G: Ground>(cell: &Cell<G>) {
    order_is_kept::<PairPair, G>(cell);
}

/// Nothing is dropped, for the publisher may wait.
fn xpub_to_sub_keeps_order<G: Ground>(cell: &Cell<G>) {
    let mut sub = Socket::<pattern::Sub>::builder().build(&cell.context).unwrap();
    let endpoint = sub.bind(&cell.endpoint()).unwrap();
    sub.subscribe("").unwrap();
    cell.beside(
        |context| {
            let mut from = Socket::<pattern::XPub>::builder().no_drop(true).build(context).unwrap();
            from.connect(&endpoint).unwrap();
            assert_eq!(from.recv().unwrap(), b"\x01");
            send_many(&mut from, &[]);
        },
        |_| receive_many(cell, &mut sub, 0),
    );
}

cells!(
    [Threads, TwoThreads] x [Tcp, Ipc, Inproc]:
    push_to_pull_keeps_order,
    dealer_to_router_keeps_order,
    pair_to_pair_keeps_order,
    xpub_to_sub_keeps_order,
);

/// Caller-driven sockets of one context share a thread, so inproc takes turns.
fn taking_turns_keeps_order<G: Ground>(cell: &Cell<G>) {
    let (mut from, mut to) = join::<PushPull, G>(cell, false);
    let mut sent = 0;
    let mut received = 0;
    while received < MANY {
        while sent < MANY && from.try_send_multipart(numbered(sent)).is_ok() {
            sent += 1;
        }
        while let Ok(frames) = to.try_recv_multipart() {
            check_numbered(&frames, received);
            received += 1;
        }
        cell.watchdog.pat();
    }
}

#[test]
fn taking_turns_keeps_order_on_one_thread() {
    for transport in [Transport::Tcp, Transport::Ipc, Transport::Inproc] {
        taking_turns_keeps_order(&Cell::<Caller>::new(transport));
    }
    taking_turns_keeps_order(&Cell::<Spinning>::new(Transport::Tcp));
    taking_turns_keeps_order(&Cell::<Sleepless>::new(Transport::Tcp));
}

mod on_two_threads {
    use super::*;

    cells!(
        [Caller] x [Tcp, Ipc]:
        push_to_pull_keeps_order,
        dealer_to_router_keeps_order,
        pair_to_pair_keeps_order,
        xpub_to_sub_keeps_order,
    );
}

mod spinning_on_two_threads {
    use super::*;

    cells!(
        [Spinning] x [Tcp]:
        push_to_pull_keeps_order,
        dealer_to_router_keeps_order,
        pair_to_pair_keeps_order,
        xpub_to_sub_keeps_order,
    );
}
