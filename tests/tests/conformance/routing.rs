//! ROUTER: peers by their routing ids. RFC 28.

use tests::bytes::number;
use tests::{Cell, Ground, cells};
use zring::{Dealer, Error, Req, Router};

fn who_says_no_name_gets_one_of_five_bytes_that_begins_with_0<G: Ground>(cell: &Cell<G>) {
    let mut router = Router::new(&cell.context).unwrap();
    let endpoint = router.bind(&cell.endpoint()).unwrap();
    let mut dealers: Vec<_> = (0..3).map(|_| Dealer::new(&cell.context).unwrap()).collect();
    let mut ids = Vec::new();
    for (index, dealer) in (0_u8..).zip(&mut dealers) {
        dealer.connect(&endpoint).unwrap();
        dealer.send(&[index]).unwrap();
        dealer.flush().unwrap();
        let frames = router.recv_multipart().unwrap();
        assert_eq!(frames[1], [index]);
        assert_eq!((frames[0].len(), frames[0][0]), (5, 0), "{:?}", &frames[0][..]);
        assert!(!ids.contains(&frames[0].to_vec()), "an id of its own");
        ids.push(frames[0].to_vec());
    }
    for (index, id) in (0_u8..).zip(&ids) {
        router.send_multipart([&id[..], &[index]]).unwrap();
    }
    router.flush().unwrap();
    for (index, dealer) in (0_u8..).zip(&mut dealers) {
        assert_eq!(dealer.recv_multipart().unwrap(), [[index]]);
    }
    // The same id again, for as long as the peer stays.
    dealers[1].send("again").unwrap();
    dealers[1].flush().unwrap();
    assert_eq!(router.recv_multipart().unwrap(), [&ids[1][..], b"again"]);
}

fn a_peer_is_called_what_it_calls_itself<G: Ground>(cell: &Cell<G>) {
    let mut router = Router::new(&cell.context).unwrap();
    let endpoint = router.bind(&cell.endpoint()).unwrap();
    let long = [7; 255];
    let names: [&[u8]; 4] = [b"a", b"\0zero", &long, b"\xff\0\xfe"];
    let mut dealers = Vec::new();
    for name in names {
        let mut dealer = Dealer::builder().routing_id(name).build(&cell.context).unwrap();
        dealer.connect(&endpoint).unwrap();
        dealer.send("here").unwrap();
        dealer.flush().unwrap();
        assert_eq!(router.recv_multipart().unwrap(), [name, b"here"]);
        dealers.push(dealer);
    }
    for name in names.iter().rev() {
        router.send_multipart([name, &b"to "[..], name]).unwrap();
    }
    router.flush().unwrap();
    for (name, dealer) in names.iter().zip(&mut dealers) {
        assert_eq!(dealer.recv_multipart().unwrap(), [&b"to "[..], name]);
    }
}

fn of_two_with_one_name_the_second_is_neither_heard_nor_reached<G: Ground>(cell: &Cell<G>) {
    let mut router = Router::new(&cell.context).unwrap();
    let endpoint = router.bind(&cell.endpoint()).unwrap();
    let same = || Dealer::builder().routing_id("same").build(&cell.context).unwrap();
    let (mut first, mut second) = (same(), same());
    let mut other = Dealer::builder().routing_id("other").build(&cell.context).unwrap();
    first.connect(&endpoint).unwrap();
    first.send("first").unwrap();
    first.flush().unwrap();
    assert_eq!(router.recv_multipart().unwrap(), ["same", "first"]);
    second.connect(&endpoint).unwrap();
    second.send("second").unwrap();
    cell.until(|| router.peers() == 2);
    other.connect(&endpoint).unwrap();
    other.send("other").unwrap();
    other.flush().unwrap();
    assert_eq!(router.recv_multipart().unwrap(), ["other", "other"]);
    for _ in 0..10 {
        second.send("again").unwrap();
        second.flush().unwrap();
        first.send("again").unwrap();
        first.flush().unwrap();
        assert_eq!(router.recv_multipart().unwrap(), ["same", "again"]);
        router.send_multipart(["same", "to the first"]).unwrap();
        router.flush().unwrap();
        assert_eq!(first.recv().unwrap(), "to the first");
    }
    assert_eq!(router.try_recv().err(), Some(Error::WouldBlock));
    assert_eq!(second.try_recv().err(), Some(Error::WouldBlock));
}

fn a_name_is_free_again_once_its_peer_is_gone<G: Ground>(cell: &Cell<G>) {
    let mut router = Router::new(&cell.context).unwrap();
    let endpoint = router.bind(&cell.endpoint()).unwrap();
    for round in 0..3_u8 {
        let mut dealer = Dealer::builder().routing_id("same").build(&cell.context).unwrap();
        dealer.connect(&endpoint).unwrap();
        dealer.send(&[round]).unwrap();
        dealer.flush().unwrap();
        assert_eq!(router.recv_multipart().unwrap(), [&b"same"[..], &[round]]);
        router.send_multipart([&b"same"[..], &[round]]).unwrap();
        router.flush().unwrap();
        assert_eq!(dealer.recv().unwrap(), [round]);
        drop(dealer);
        cell.until(|| router.peers() == 0);
    }
}

fn a_message_to_nobody_is_dropped_whole<G: Ground>(cell: &Cell<G>) {
    let mut router = Router::new(&cell.context).unwrap();
    let mut dealer = Dealer::builder().routing_id("known").build(&cell.context).unwrap();
    dealer.connect(&router.bind(&cell.endpoint()).unwrap()).unwrap();
    dealer.send("here").unwrap();
    dealer.flush().unwrap();
    assert_eq!(router.recv_multipart().unwrap(), ["known", "here"]);
    router.send_multipart(["unknown", "known", "a"]).unwrap();
    router.send_multipart(["", "known", "b"]).unwrap();
    router.send("known").unwrap();
    router.send_more("unknown").unwrap();
    router.send_more("known").unwrap();
    router.send("c").unwrap();
    router.send_multipart(["known", "", "d"]).unwrap();
    router.flush().unwrap();
    assert_eq!(dealer.recv_multipart().unwrap(), ["", "d"]);
    assert_eq!(dealer.try_recv().err(), Some(Error::WouldBlock));
}

/// A broker: requests come in at a ROUTER, go out of a DEALER, and the answers find back.
fn a_broker_of_router_and_dealer_passes_everything_on<G: Ground>(cell: &Cell<G>) {
    let mut front = Router::new(&cell.context).unwrap();
    let mut back = Dealer::new(&cell.context).unwrap();
    let mut reqs: Vec<_> = (0..3).map(|_| Req::new(&cell.context).unwrap()).collect();
    let mut reps: Vec<_> = (0..2).map(|_| zring::Rep::new(&cell.context).unwrap()).collect();
    let (front_at, back_at) =
        (front.bind(&cell.endpoint()).unwrap(), back.bind(&cell.endpoint()).unwrap());
    for rep in &mut reps {
        rep.connect(&back_at).unwrap();
    }
    cell.until(|| back.peers() == 2);
    for req in &mut reqs {
        req.connect(&front_at).unwrap();
    }
    for round in 0..20_usize {
        let asker = round % 3;
        reqs[asker].send(&[asker as u8, round as u8]).unwrap();
        back.send_multipart(front.recv_multipart().unwrap()).unwrap();
        back.flush().unwrap();
        let rep = &mut reps[round % 2];
        let question = rep.recv().unwrap();
        rep.send_multipart([&question[..], b"answered"]).unwrap();
        front.send_multipart(back.recv_multipart().unwrap()).unwrap();
        front.flush().unwrap();
        let answer = reqs[asker].recv_multipart().unwrap();
        assert_eq!(answer, [&[asker as u8, round as u8][..], b"answered"]);
    }
}

/// What is written gathers beyond the mark, though the peer takes all that is sent.
fn a_burst_to_a_peer_that_has_room_loses_nothing<G: Ground>(cell: &Cell<G>) {
    for (mark, size, count) in [(1000, 8, 3000), (16, 16 * 1024, 100)] {
        let builder = Router::builder().send_high_water_mark(mark);
        let mut router = builder.build(&cell.context).unwrap();
        let mut dealer = Dealer::builder().routing_id("d").build(&cell.context).unwrap();
        dealer.connect(&router.bind(&cell.endpoint()).unwrap()).unwrap();
        dealer.send("here").unwrap();
        dealer.flush().unwrap();
        assert_eq!(router.recv_multipart().unwrap(), ["d", "here"]);
        let body = |value| number(value).repeat(size / 8);
        for value in 0..count {
            router.send_multipart([b"d", &body(value)[..]]).unwrap();
        }
        router.flush().unwrap();
        for value in 0..count {
            assert_eq!(dealer.recv().unwrap(), body(value), "{value} of {count} at mark {mark}");
        }
    }
}

cells!([Caller] x [Tcp, Ipc]: a_burst_to_a_peer_that_has_room_loses_nothing);
cells!(
    [Threads, Caller] x [Tcp, Ipc, Inproc]:
    who_says_no_name_gets_one_of_five_bytes_that_begins_with_0,
    a_peer_is_called_what_it_calls_itself,
    of_two_with_one_name_the_second_is_neither_heard_nor_reached,
    a_name_is_free_again_once_its_peer_is_gone,
    a_message_to_nobody_is_dropped_whole,
    a_broker_of_router_and_dealer_passes_everything_on,
);
