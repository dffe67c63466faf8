//! REQ and REP, strictly in turn, and what a DEALER or ROUTER in their place sees. RFC 28.

use std::time::Duration;

use tests::bytes::number;
use tests::{Cell, Ground, Transport, cells};
use zring::{Dealer, Error, PeerMisbehaved, Poller, Rep, Req, Router};

fn out_of_turn_is_an_error_and_changes_nothing<G: Ground>(cell: &Cell<G>) {
    let mut rep = Rep::new(&cell.context).unwrap();
    let mut req = Req::new(&cell.context).unwrap();
    req.connect(&rep.bind(&cell.endpoint()).unwrap()).unwrap();
    for _ in 0..3 {
        assert_eq!(req.recv().err(), Some(Error::State));
        assert_eq!(req.try_recv().err(), Some(Error::State));
        assert_eq!(rep.send("early"), Err(Error::State));

        req.send_more("a").unwrap();
        assert_eq!(req.recv().err(), Some(Error::State));
        req.send("question").unwrap();
        assert_eq!(req.send("another"), Err(Error::State));
        assert_eq!(req.try_send_more("another"), Err(Error::State));

        assert_eq!(rep.recv().unwrap(), "a");
        assert_eq!(rep.send("early"), Err(Error::State));
        assert_eq!(rep.recv().unwrap(), "question");
        assert_eq!(rep.recv().err(), Some(Error::State));
        assert_eq!(rep.try_recv().err(), Some(Error::State));

        rep.send_more("an").unwrap();
        assert_eq!(rep.recv().err(), Some(Error::State));
        rep.send("answer").unwrap();
        assert_eq!(rep.send("another"), Err(Error::State));
        assert_eq!(req.recv().unwrap(), "an");
        assert_eq!(req.send("too early"), Err(Error::State));
        assert_eq!(req.recv().unwrap(), "answer");
    }
}

fn waiting_for_an_answer_is_not_out_of_turn<G: Ground>(cell: &Cell<G>) {
    let mut rep = Rep::new(&cell.context).unwrap();
    let mut req = Req::new(&cell.context).unwrap();
    req.connect(&rep.bind(&cell.endpoint()).unwrap()).unwrap();
    assert_eq!(rep.try_recv().err(), Some(Error::WouldBlock));
    req.send("question").unwrap();
    assert_eq!(req.try_recv().err(), Some(Error::WouldBlock));
    assert_eq!(rep.recv().unwrap(), "question");
    assert_eq!(req.try_recv().err(), Some(Error::WouldBlock));
    rep.send("answer").unwrap();
    assert_eq!(req.recv().unwrap(), "answer");
}

fn requests_go_to_each_peer_in_turn<G: Ground>(cell: &Cell<G>) {
    let mut req = Req::new(&cell.context).unwrap();
    let mut reps = Vec::new();
    for _ in 0..3 {
        let mut rep = Rep::new(&cell.context).unwrap();
        req.connect(&rep.bind(&cell.endpoint()).unwrap()).unwrap();
        reps.push(rep);
    }
    for round in 0..9_usize {
        req.send(&[round as u8]).unwrap();
        let rep = &mut reps[round % 3];
        assert_eq!(rep.recv().unwrap(), [round as u8]);
        rep.send(&[round as u8, 1]).unwrap();
        assert_eq!(req.recv().unwrap(), [round as u8, 1]);
    }
    for rep in &mut reps {
        assert_eq!(rep.try_recv().err(), Some(Error::WouldBlock));
    }
}

fn many_ask_one_and_each_gets_its_own_answer<G: Ground>(cell: &Cell<G>) {
    let mut rep = Rep::new(&cell.context).unwrap();
    let endpoint = rep.bind(&cell.endpoint()).unwrap();
    let mut reqs: Vec<_> = (0..10).map(|_| Req::new(&cell.context).unwrap()).collect();
    for req in &mut reqs {
        req.connect(&endpoint).unwrap();
    }
    for round in 0..10_u8 {
        for (asker, req) in (0_u8..).zip(&mut reqs) {
            req.send(&[asker, round]).unwrap();
            req.flush().unwrap();
        }
        for _ in 0..reqs.len() {
            let question = rep.recv().unwrap().to_vec();
            rep.send_multipart([&question[..], b"answered"]).unwrap();
        }
        rep.flush().unwrap();
        for (asker, req) in (0_u8..).zip(&mut reqs) {
            let answer = req.recv_multipart().unwrap();
            assert_eq!(answer, [&[asker, round][..], b"answered"]);
        }
    }
}

fn a_request_without_a_delimiter_is_dropped_whole<G: Ground>(cell: &Cell<G>) {
    let mut rep = Rep::new(&cell.context).unwrap();
    let mut dealer = Dealer::new(&cell.context).unwrap();
    dealer.connect(&rep.bind(&cell.endpoint()).unwrap()).unwrap();
    dealer.send("no delimiter").unwrap();
    dealer.send_multipart(["no", "delimiter", "either"]).unwrap();
    dealer.send_multipart(["ends with it", ""]).unwrap();
    dealer.send_multipart(["", "good"]).unwrap();
    dealer.flush().unwrap();
    assert_eq!(rep.recv_multipart().unwrap(), ["good"]);
    rep.send("answer").unwrap();
    assert_eq!(dealer.recv_multipart().unwrap(), ["", "answer"]);
}

fn the_envelope_leads_the_answer_back<G: Ground>(cell: &Cell<G>) {
    let mut rep = Rep::new(&cell.context).unwrap();
    let mut dealer = Dealer::new(&cell.context).unwrap();
    dealer.connect(&rep.bind(&cell.endpoint()).unwrap()).unwrap();
    let long = "x".repeat(300);
    dealer.send_multipart([&long, "b", "", "question", "", "of three"]).unwrap();
    dealer.flush().unwrap();
    assert_eq!(rep.recv_multipart().unwrap(), ["question", "", "of three"]);
    rep.send_multipart(["an", "", "answer"]).unwrap();
    assert_eq!(dealer.recv_multipart().unwrap(), [&long, "b", "", "an", "", "answer"]);
}

fn only_the_asked_may_answer_and_only_behind_a_delimiter<G: Ground>(cell: &Cell<G>) {
    let mut router = Router::new(&cell.context).unwrap();
    let mut req = Req::builder().routing_id("req").build(&cell.context).unwrap();
    req.connect(&router.bind(&cell.endpoint()).unwrap()).unwrap();
    let mut other = Dealer::new(&cell.context).unwrap();
    let endpoint = other.bind(&cell.endpoint()).unwrap();
    // The ROUTER was connected first, so it is asked first.
    req.send("question").unwrap();
    assert_eq!(router.recv_multipart().unwrap(), ["req", "", "question"]);
    if cell.transport == Transport::Inproc {
        // On the wire that would have ended the connection.
        router.send_multipart(["req", "no delimiter"]).unwrap();
    }
    router.send_multipart(["req", "", "answer"]).unwrap();
    router.send_multipart(["req", "", "unasked"]).unwrap();
    router.flush().unwrap();
    assert_eq!(req.recv_multipart().unwrap(), ["answer"]);

    // What came unasked is no answer to the next question, unless it comes behind that question.
    // Then the right answer is the one that is unasked, and so on, until one comes in time.
    let mut asked = 0;
    cell.until(|| {
        asked += 1;
        req.send("again").unwrap();
        assert_eq!(router.recv_multipart().unwrap(), ["req", "", "again"]);
        router.send_multipart([b"req", &b""[..], &number(asked)]).unwrap();
        router.flush().unwrap();
        req.recv_multipart().unwrap() == [&number(asked)[..]]
    });
    drop((other, endpoint));
}

/// As libzmq's REQ sessions do it, and the endpoint is not connected to again.
fn an_answer_without_a_delimiter_ends_its_connection<G: Ground>(cell: &Cell<G>) {
    for bad in [&["no delimiter"][..], &["no", "", "delimiter"], &[""]] {
        let mut router = Router::new(&cell.context).unwrap();
        let mut req = Req::builder().routing_id("req").build(&cell.context).unwrap();
        req.connect(&router.bind(&cell.endpoint()).unwrap()).unwrap();
        req.send("question").unwrap();
        assert_eq!(router.recv_multipart().unwrap(), ["req", "", "question"]);
        router.send_multipart([&["req"], bad].concat()).unwrap();
        router.flush().unwrap();
        cell.until(|| req.peers() == 0 && router.peers() == 0);
        let error = req.rejections().last.unwrap().error;
        assert_eq!(error, PeerMisbehaved::DelimiterMissing.into());
        assert_eq!(req.try_recv().err(), Some(Error::WouldBlock));
    }
}

fn an_answer_to_a_peer_that_is_gone_is_dropped<G: Ground>(cell: &Cell<G>) {
    let mut rep = Rep::new(&cell.context).unwrap();
    let endpoint = rep.bind(&cell.endpoint()).unwrap();
    let mut gone = Req::builder().linger(Some(Duration::ZERO)).build(&cell.context).unwrap();
    gone.connect(&endpoint).unwrap();
    gone.send("question").unwrap();
    assert_eq!(rep.recv().unwrap(), "question");
    drop(gone);
    cell.until(|| rep.peers() == 0);
    rep.send("to nobody").unwrap();
    let mut req = Req::new(&cell.context).unwrap();
    req.connect(&endpoint).unwrap();
    req.send("another").unwrap();
    assert_eq!(rep.recv().unwrap(), "another");
    rep.send("answer").unwrap();
    assert_eq!(req.recv().unwrap(), "answer");
}

/// Not even one that gets its place among the peers.
fn who_comes_after_the_asked_is_not_heard<G: Ground>(cell: &Cell<G>) {
    let mut req = Req::builder().routing_id("req").build(&cell.context).unwrap();
    let endpoint = req.bind(&cell.endpoint()).unwrap();
    let mut asked = Router::new(&cell.context).unwrap();
    asked.connect(&endpoint).unwrap();
    cell.until(|| req.peers() == 1);
    req.send("question").unwrap();
    assert_eq!(asked.recv_multipart().unwrap(), ["req", "", "question"]);
    drop(asked);
    cell.until(|| req.peers() == 0);
    assert_eq!(req.try_recv().err(), Some(Error::WouldBlock));
    let mut later = Router::new(&cell.context).unwrap();
    later.connect(&endpoint).unwrap();
    let mut poller = Poller::new(&cell.context);
    cell.until(|| {
        later.send_multipart(["req", "", "unasked"]).unwrap();
        later.flush().unwrap();
        let reqs = std::slice::from_mut(&mut req);
        !poller.wait_readable(reqs, Some(Duration::ZERO)).unwrap().is_empty()
    });
    assert_eq!(req.try_recv().err(), Some(Error::WouldBlock));
}

cells!(
    [Threads, Caller] x [Tcp, Ipc, Inproc]:
    out_of_turn_is_an_error_and_changes_nothing,
    waiting_for_an_answer_is_not_out_of_turn,
    requests_go_to_each_peer_in_turn,
    many_ask_one_and_each_gets_its_own_answer,
    a_request_without_a_delimiter_is_dropped_whole,
    the_envelope_leads_the_answer_back,
    only_the_asked_may_answer_and_only_behind_a_delimiter,
    an_answer_to_a_peer_that_is_gone_is_dropped,
    who_comes_after_the_asked_is_not_heard,
);
cells!([Threads, Caller] x [Tcp, Ipc]: an_answer_without_a_delimiter_ends_its_connection);
