//! PAIR: one peer at a time. RFC 31.

use std::time::Duration;

use tests::{Cell, Ground, cells};
use zring::{Error, Pair, TransportError};

fn a_second_peer_is_sent_away_and_the_first_stays<G: Ground>(cell: &Cell<G>) {
    let mut pair = Pair::new(&cell.context).unwrap();
    let endpoint = pair.bind(&cell.endpoint()).unwrap();
    let mut first = Pair::new(&cell.context).unwrap();
    first.connect(&endpoint).unwrap();
    first.send("first").unwrap();
    assert_eq!(pair.recv().unwrap(), "first");
    let zero = Some(Duration::ZERO);
    let mut second = Pair::builder().linger(zero).build(&cell.context).unwrap();
    second.connect(&endpoint).unwrap();
    second.send("second").unwrap();
    second.flush().unwrap();
    for _ in 0..10 {
        first.send("again").unwrap();
        assert_eq!(pair.recv().unwrap(), "again");
        pair.send("to the first").unwrap();
        assert_eq!(first.recv().unwrap(), "to the first");
        assert_eq!(pair.peers(), 1);
    }
    assert_eq!(second.try_recv().err(), Some(Error::WouldBlock));
}

fn who_was_sent_away_takes_no_later_peers_place<G: Ground>(cell: &Cell<G>) {
    let mut peers = [(); 3].map(|()| Pair::new(&cell.context).unwrap());
    let [first, second, third] =
        std::array::from_fn(|index| peers[index].bind(&cell.endpoint()).unwrap());
    let mut pair = Pair::new(&cell.context).unwrap();
    pair.connect(&first).unwrap();
    pair.connect(&second).unwrap();
    cell.until(|| peers[1].peers() == 0);
    assert_eq!(peers[1].try_send("to nobody"), Err(Error::WouldBlock));
    pair.disconnect(&first).unwrap();
    pair.connect(&third).unwrap();
    peers[2].send("hello").unwrap();
    assert_eq!(pair.recv().unwrap(), "hello");
    pair.send("and back").unwrap();
    assert_eq!(peers[2].recv().unwrap(), "and back");
}

/// Nor is it there itself, once somebody binds the name.
fn who_was_sent_away_waits_at_no_name<G: Ground>(cell: &Cell<G>) {
    let [mut pair, mut first, mut later, mut third] =
        std::array::from_fn(|_| Pair::new(&cell.context).unwrap());
    pair.connect(&first.bind(&cell.endpoint()).unwrap()).unwrap();
    let (bound, unbound) = (cell.endpoint(), cell.endpoint());
    third.bind(&bound).unwrap();
    for name in [&bound, &unbound] {
        pair.connect(name).unwrap();
        let endpoint = name.clone();
        let not_found = TransportError::EndpointNotFound { endpoint };
        assert_eq!(pair.disconnect(name), Err(Error::Transport(not_found)));
    }
    later.bind(&unbound).unwrap();
    assert_eq!([later.peers(), third.peers()], [0, 0]);
    third.connect(&unbound).unwrap();
    third.send("hello").unwrap();
    assert_eq!(later.recv().unwrap(), "hello");
}

fn when_the_peer_is_gone_the_next_may_come<G: Ground>(cell: &Cell<G>) {
    let mut pair = Pair::new(&cell.context).unwrap();
    let endpoint = pair.bind(&cell.endpoint()).unwrap();
    for round in 0..3_u8 {
        let mut peer = Pair::new(&cell.context).unwrap();
        peer.connect(&endpoint).unwrap();
        peer.send(&[round]).unwrap();
        assert_eq!(pair.recv().unwrap(), [round]);
        pair.send(&[round, round]).unwrap();
        assert_eq!(peer.recv().unwrap(), [round, round]);
        drop(peer);
        cell.until(|| pair.peers() == 0);
    }
}

fn without_a_peer_nothing_is_sent<G: Ground>(cell: &Cell<G>) {
    let mut pair = Pair::new(&cell.context).unwrap();
    pair.bind(&cell.endpoint()).unwrap();
    assert_eq!(pair.try_send("nobody"), Err(Error::WouldBlock));
}

cells!(
    [Threads, Caller] x [Tcp, Ipc, Inproc]:
    a_second_peer_is_sent_away_and_the_first_stays,
    when_the_peer_is_gone_the_next_may_come,
    who_was_sent_away_takes_no_later_peers_place,
    without_a_peer_nothing_is_sent,
);
cells!([Threads, Caller] x [Inproc]: who_was_sent_away_waits_at_no_name);
