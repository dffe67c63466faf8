//! Endpoints: bound and connected in any order, several on one socket, and given up.

use std::time::Duration;

use tests::bytes::number;
use tests::{Cell, Ground, Threads, Transport, cells, free_port};
use zring::{Dealer, Error, Pub, Pull, Push, Rep, Req, Router, Sub, TransportError, XPub};

fn not_found(endpoint: &str) -> Error {
    Error::Transport(TransportError::EndpointNotFound { endpoint: endpoint.to_owned() })
}

fn what_is_sent_before_the_peer_binds_waits_for_it<G: Ground>(cell: &Cell<G>) {
    let endpoint = cell.transport.fixed_endpoint();
    let mut push = Push::new(&cell.context).unwrap();
    push.connect(&endpoint).unwrap();
    for value in 0..100 {
        push.send(&number(value)).unwrap();
    }
    let mut pull = Pull::new(&cell.context).unwrap();
    assert_eq!(pull.bind(&endpoint).unwrap(), endpoint);
    for value in 0..100 {
        assert_eq!(pull.recv().unwrap(), number(value));
    }
}

fn a_request_before_the_peer_binds_is_answered<G: Ground>(cell: &Cell<G>) {
    let endpoint = cell.transport.fixed_endpoint();
    let mut req = Req::new(&cell.context).unwrap();
    req.connect(&endpoint).unwrap();
    req.send("early").unwrap();
    let mut rep = Rep::new(&cell.context).unwrap();
    rep.bind(&endpoint).unwrap();
    assert_eq!(rep.recv().unwrap(), "early");
    rep.send("answer").unwrap();
    assert_eq!(req.recv().unwrap(), "answer");
}

fn a_name_told_before_the_peer_binds_is_known_to_it<G: Ground>(cell: &Cell<G>) {
    let endpoint = cell.transport.fixed_endpoint();
    let mut dealer = Dealer::builder().routing_id("early").build(&cell.context).unwrap();
    dealer.connect(&endpoint).unwrap();
    dealer.send("here").unwrap();
    let mut router = Router::new(&cell.context).unwrap();
    router.bind(&endpoint).unwrap();
    assert_eq!(router.recv_multipart().unwrap(), ["early", "here"]);
    router.send_multipart(["early", "there"]).unwrap();
    assert_eq!(dealer.recv().unwrap(), "there");
}

/// The other way round: a ROUTER learns the name of the one it connects to.
fn the_name_of_who_binds_later_is_known_too<G: Ground>(cell: &Cell<G>) {
    let endpoint = cell.transport.fixed_endpoint();
    let mut router = Router::new(&cell.context).unwrap();
    router.connect(&endpoint).unwrap();
    let mut dealer = Dealer::builder().routing_id("late").build(&cell.context).unwrap();
    dealer.bind(&endpoint).unwrap();
    dealer.send("here").unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(router.recv_multipart().unwrap(), ["late", "here"]);
    router.send_multipart(["late", "there"]).unwrap();
    assert_eq!(dealer.recv().unwrap(), "there");
}

fn a_subscription_before_the_publisher_binds_counts<G: Ground>(cell: &Cell<G>) {
    let endpoint = cell.transport.fixed_endpoint();
    let mut sub = Sub::new(&cell.context).unwrap();
    sub.subscribe("a").unwrap();
    sub.connect(&endpoint).unwrap();
    let mut publisher = Pub::new(&cell.context).unwrap();
    publisher.bind(&endpoint).unwrap();
    tests::meet(cell, &mut publisher, &mut sub);
    publisher.send("b").unwrap();
    publisher.send("a").unwrap();
    publisher.flush().unwrap();
    assert_eq!(sub.recv().unwrap(), "a");
}

fn an_endpoint_that_was_unbound_can_be_bound_again<G: Ground>(cell: &Cell<G>) {
    let mut pull = Pull::new(&cell.context).unwrap();
    let endpoint = pull.bind(&cell.endpoint()).unwrap();
    for _ in 0..3 {
        pull.unbind(&endpoint).unwrap();
        assert_eq!(pull.unbind(&endpoint), Err(not_found(&endpoint)));
        let mut other = Pull::new(&cell.context).unwrap();
        assert_eq!(other.bind(&endpoint).unwrap(), endpoint);
        other.unbind(&endpoint).unwrap();
        assert_eq!(pull.bind(&endpoint).unwrap(), endpoint);
    }
    let mut push = Push::new(&cell.context).unwrap();
    push.connect(&endpoint).unwrap();
    push.send("through").unwrap();
    push.flush().unwrap();
    assert_eq!(pull.recv().unwrap(), "through");
}

/// Connections that came through an endpoint end with it, and find whoever binds it next.
fn who_came_through_an_endpoint_leaves_with_it<G: Ground>(cell: &Cell<G>) {
    let mut first = Pull::new(&cell.context).unwrap();
    let endpoint = first.bind(&cell.endpoint()).unwrap();
    let builder = Push::builder().reconnect_interval(Some(Duration::from_millis(1)));
    let mut push = builder.build(&cell.context).unwrap();
    push.connect(&endpoint).unwrap();
    push.send("to the first").unwrap();
    push.flush().unwrap();
    assert_eq!(first.recv().unwrap(), "to the first");
    first.unbind(&endpoint).unwrap();
    cell.until(|| first.peers() == 0);
    let mut second = Pull::new(&cell.context).unwrap();
    second.bind(&endpoint).unwrap();
    // What is under way when the connection ends may be lost, as anywhere.
    let mut heard = None;
    cell.until(|| {
        push.send("to the second").unwrap();
        push.flush().unwrap();
        heard = second.try_recv().ok();
        heard.is_some()
    });
    assert_eq!(heard.unwrap(), "to the second");
    assert_eq!(first.try_recv().err(), Some(Error::WouldBlock));
}

/// Where nothing connects again, a lost connection is the end of its endpoint.
fn an_endpoint_that_was_given_up_can_be_connected_anew<G: Ground>(cell: &Cell<G>) {
    let mut dealer = Dealer::builder().reconnect_interval(None).build(&cell.context).unwrap();
    let mut endpoint = cell.endpoint();
    for _ in 0..3 {
        let mut peer = Dealer::new(&cell.context).unwrap();
        endpoint = peer.bind(&endpoint).unwrap();
        dealer.connect(&endpoint).unwrap();
        dealer.send("here").unwrap();
        dealer.flush().unwrap();
        assert_eq!(peer.recv().unwrap(), "here");
        peer.unbind(&endpoint).unwrap();
        drop(peer);
        cell.until(|| dealer.peers() == 0);
        assert_eq!(dealer.disconnect(&endpoint), Err(not_found(&endpoint)));
    }
}

fn what_was_disconnected_is_neither_sent_to_nor_heard<G: Ground>(cell: &Cell<G>) {
    let mut pulls = [(); 2].map(|()| Pull::new(&cell.context).unwrap());
    let endpoints = [0, 1].map(|index: usize| pulls[index].bind(&cell.endpoint()).unwrap());
    let mut push = Push::new(&cell.context).unwrap();
    for endpoint in &endpoints {
        push.connect(endpoint).unwrap();
    }
    push.send("one").unwrap();
    push.send("two").unwrap();
    push.flush().unwrap();
    assert_eq!(pulls[0].recv().unwrap(), "one");
    assert_eq!(pulls[1].recv().unwrap(), "two");
    push.disconnect(&endpoints[0]).unwrap();
    assert_eq!(push.disconnect(&endpoints[0]), Err(not_found(&endpoints[0])));
    assert_eq!(push.peers(), 1);
    for value in 0..10 {
        push.send(&number(value)).unwrap();
    }
    push.flush().unwrap();
    for value in 0..10 {
        assert_eq!(pulls[1].recv().unwrap(), number(value));
    }
    push.disconnect(&endpoints[1]).unwrap();
    assert_eq!(push.peers(), 0);
    assert_eq!(push.try_send("nobody"), Err(Error::WouldBlock));
    assert_eq!(pulls[0].try_recv().err(), Some(Error::WouldBlock));
    cell.until(|| pulls.iter_mut().all(|pull| pull.peers() == 0));
    push.connect(&endpoints[0]).unwrap();
    push.send("back").unwrap();
    push.flush().unwrap();
    assert_eq!(pulls[0].recv().unwrap(), "back");
}

fn what_was_sent_before_a_disconnect_still_arrives<G: Ground>(cell: &Cell<G>) {
    let mut pull = Pull::new(&cell.context).unwrap();
    let endpoint = pull.bind(&cell.endpoint()).unwrap();
    let mut push = Push::new(&cell.context).unwrap();
    push.connect(&endpoint).unwrap();
    for value in 0..500 {
        push.send(&number(value)).unwrap();
    }
    push.disconnect(&endpoint).unwrap();
    for value in 0..500 {
        assert_eq!(pull.recv().unwrap(), number(value));
    }
}

fn the_last_endpoint_is_the_one_last_bound_or_connected<G: Ground>(cell: &Cell<G>) {
    let mut pull = Pull::new(&cell.context).unwrap();
    assert_eq!(pull.last_endpoint(), None);
    let first = pull.bind(&cell.endpoint()).unwrap();
    assert_eq!(pull.last_endpoint(), Some(&first[..]));
    let second = pull.bind(&cell.endpoint()).unwrap();
    assert_ne!(first, second);
    assert_eq!(pull.last_endpoint(), Some(&second[..]));
    assert!(pull.bind(&second).is_err());
    assert_eq!(pull.last_endpoint(), Some(&second[..]), "a failure changes nothing");
    let mut push = Push::new(&cell.context).unwrap();
    push.connect(&first).unwrap();
    assert_eq!(push.last_endpoint(), Some(&first[..]));
    push.connect(&second).unwrap();
    assert_eq!(push.last_endpoint(), Some(&second[..]));
}

fn one_socket_has_many_endpoints_of_one_transport<G: Ground>(cell: &Cell<G>) {
    let mut pull = Pull::new(&cell.context).unwrap();
    let mut pushes = Vec::new();
    for _ in 0..5 {
        let endpoint = pull.bind(&cell.endpoint()).unwrap();
        let mut push = Push::new(&cell.context).unwrap();
        push.connect(&endpoint).unwrap();
        pushes.push(push);
    }
    for (index, push) in (0_u8..).zip(&mut pushes) {
        push.send(&[index]).unwrap();
        push.flush().unwrap();
    }
    let mut heard: Vec<_> = (0..5).map(|_| pull.recv().unwrap()[0]).collect();
    heard.sort_unstable();
    assert_eq!(heard, [0, 1, 2, 3, 4]);
}

fn connecting_twice_is_one_connection_where_libzmq_says_so<G: Ground>(cell: &Cell<G>) {
    let is_inproc = cell.transport == Transport::Inproc;
    let mut publisher = Pub::new(&cell.context).unwrap();
    let endpoint = publisher.bind(&cell.endpoint()).unwrap();
    let mut sub = Sub::new(&cell.context).unwrap();
    sub.connect(&endpoint).unwrap();
    sub.connect(&endpoint).unwrap();
    assert_eq!(sub.peers(), if is_inproc { 2 } else { 1 });
    let mut pull = Pull::new(&cell.context).unwrap();
    let endpoint = pull.bind(&cell.endpoint()).unwrap();
    let mut push = Push::new(&cell.context).unwrap();
    push.connect(&endpoint).unwrap();
    push.connect(&endpoint).unwrap();
    assert_eq!(push.peers(), 2);
    let mut dealer = Dealer::new(&cell.context).unwrap();
    let endpoint = dealer.bind(&cell.endpoint()).unwrap();
    dealer.connect(&endpoint).unwrap();
    assert_eq!(dealer.peers(), if is_inproc { 2 } else { 0 }, "bound there itself");
}

fn counters_tell_what_left<G: Ground>(cell: &Cell<G>) {
    let mut pull = Pull::new(&cell.context).unwrap();
    let endpoint = pull.bind(&cell.endpoint()).unwrap();
    let mut push = Push::new(&cell.context).unwrap();
    push.connect(&endpoint).unwrap();
    for _ in 0..10 {
        push.send_multipart([&b"ten bytes!"[..], &[0; 300]]).unwrap();
    }
    push.flush().unwrap();
    for _ in 0..10 {
        pull.recv_multipart().unwrap();
    }
    cell.until(|| push.counters()[0].sent == 10);
    let counters = &push.counters()[0];
    assert_eq!((counters.sent, counters.queued, counters.dropped), (10, 0, 0));
    assert_eq!(counters.endpoint, endpoint);
    let is_inproc = cell.transport == Transport::Inproc;
    assert_eq!(counters.bytes, if is_inproc { 0 } else { 10 * (2 + 10 + 9 + 300) });
    let counters = pull.counters();
    assert_eq!(counters.len(), 1);
    assert_eq!((counters[0].sent, counters[0].queued), (0, 0));
}

fn counters_tell_peers_apart<G: Ground>(cell: &Cell<G>) {
    let mut router = Router::new(&cell.context).unwrap();
    let endpoint = router.bind(&cell.endpoint()).unwrap();
    let mut dealers = ["first", "second"].map(|name| {
        let mut dealer = Dealer::builder().routing_id(name).build(&cell.context).unwrap();
        dealer.connect(&endpoint).unwrap();
        dealer.send("here").unwrap();
        dealer.flush().unwrap();
        dealer
    });
    // Whoever has not sent yet would wait for a router that is gone, at the end.
    for _ in &dealers {
        router.recv_multipart().unwrap();
    }
    assert_eq!(router.peers(), 2);
    let mut counters = router.counters();
    counters.sort_by(|a, b| a.routing_id.cmp(&b.routing_id));
    for (counters, name) in counters.iter().zip(["first", "second"]) {
        assert_eq!((&*counters.endpoint, &*counters.routing_id), (&*endpoint, name.as_bytes()));
        assert_eq!(counters.address.is_some(), cell.transport.is_tcp());
    }
    assert_eq!(counters[0].address != counters[1].address, cell.transport.is_tcp());
    assert!(dealers.iter_mut().all(|dealer| dealer.counters()[0].endpoint == endpoint));
}

/// It comes, goes, and comes back where that is waited for.
fn counters_tell_whether_a_peer_is_there<G: Ground>(cell: &Cell<G>) {
    let endpoint = cell.transport.fixed_endpoint();
    let mut push = Push::new(&cell.context).unwrap();
    push.connect(&endpoint).unwrap();
    assert!(!push.counters()[0].is_connected);
    for _ in 0..3 {
        let mut pull = Pull::new(&cell.context).unwrap();
        pull.bind(&endpoint).unwrap();
        cell.until(|| push.counters()[0].is_connected);
        cell.until(|| pull.counters().iter().all(|peer| peer.is_connected) && pull.peers() == 1);
        // It waits until the endpoint is free again.
        pull.unbind(&endpoint).unwrap();
        drop(pull);
        cell.until(|| push.counters().first().is_none_or(|peer| !peer.is_connected));
        if cell.transport == Transport::Inproc {
            assert_eq!(push.counters(), []);
            return;
        }
    }
}

/// Also of a socket that its own thread is waiting with.
fn an_observer_reads_from_any_thread<G: Ground>(cell: &Cell<G>) {
    const MARK: usize = 10;
    let zero = Some(Duration::ZERO);
    let builder = Push::builder().linger(zero).send_high_water_mark(MARK);
    let mut push = builder.send_timeout(zero).build(&cell.context).unwrap();
    let observer = push.observer();
    assert_eq!(observer.counters(), []);
    push.connect(&cell.transport.fixed_endpoint()).unwrap();
    while push.send("waits").is_ok() {}
    let read = || observer.counters().remove(0);
    let counters = std::thread::scope(|scope| scope.spawn(read).join().unwrap());
    assert_eq!((counters.sent, counters.queued), (0, MARK as u64));
    assert_eq!(push.counters(), [counters]);
}

fn counters_are_read_while_a_send_waits(cell: &Cell<Threads>) {
    const MARK: u64 = 10;
    let builder = XPub::builder().no_drop(true).send_high_water_mark(MARK as usize);
    let mut publisher = builder.build(&cell.context).unwrap();
    let mut sub = Sub::builder().receive_high_water_mark(1).build(&cell.context).unwrap();
    sub.connect(&publisher.bind(&cell.endpoint()).unwrap()).unwrap();
    sub.subscribe("").unwrap();
    assert_eq!(publisher.recv().unwrap(), "\u{1}");
    let (observer, large) = (publisher.observer(), vec![0; 16 * 1024]);
    let sender = std::thread::spawn(move || {
        (0..1000).for_each(|_| publisher.send(&large).unwrap());
        publisher
    });
    // Half of them may be sent, and their room not yet given back.
    cell.until(|| observer.counters()[0].queued > MARK / 2);
    (0..1000).for_each(|_| drop(sub.recv().unwrap()));
    let publisher = sender.join().unwrap();
    cell.until(|| observer.counters()[0].sent == 1000);
    drop(publisher);
}

cells!([Threads] x [Tcp, Ipc]: counters_are_read_while_a_send_waits);
cells!(
    [Threads, Caller] x [Tcp, Ipc, Inproc]:
    an_observer_reads_from_any_thread,
    counters_tell_whether_a_peer_is_there,
);

fn counters_tell_what_waits<G: Ground>(cell: &Cell<G>) {
    let zero = Some(Duration::ZERO);
    let mut push = Push::builder().linger(zero).build(&cell.context).unwrap();
    push.connect(&cell.transport.fixed_endpoint()).unwrap();
    for _ in 0..7 {
        push.send_multipart(["a", "b"]).unwrap();
    }
    let counters = &push.counters()[0];
    assert_eq!((counters.sent, counters.queued, counters.dropped, counters.bytes), (0, 7, 0, 0));
}

cells!(
    [Threads, TwoThreads, Caller] x [Tcp, Tcp6, Ipc, Inproc]:
    what_is_sent_before_the_peer_binds_waits_for_it,
    a_request_before_the_peer_binds_is_answered,
    a_name_told_before_the_peer_binds_is_known_to_it,
    the_name_of_who_binds_later_is_known_too,
    a_subscription_before_the_publisher_binds_counts,
    an_endpoint_that_was_unbound_can_be_bound_again,
    an_endpoint_that_was_given_up_can_be_connected_anew,
    what_was_disconnected_is_neither_sent_to_nor_heard,
    what_was_sent_before_a_disconnect_still_arrives,
    the_last_endpoint_is_the_one_last_bound_or_connected,
    one_socket_has_many_endpoints_of_one_transport,
    connecting_twice_is_one_connection_where_libzmq_says_so,
    counters_tell_what_left,
    counters_tell_peers_apart,
    counters_tell_what_waits,
);
cells!(
    [Threads, TwoThreads, Caller] x [Tcp, Tcp6, Ipc]:
    who_came_through_an_endpoint_leaves_with_it,
);

/// One socket, bound to and connected to endpoints of all transports at once.
fn one_socket_speaks_all_transports<G: Ground>(cell: &Cell<G>) {
    let transports = [Transport::Tcp, Transport::Tcp6, Transport::Ipc, Transport::Inproc];
    let transports: Vec<_> = transports.into_iter().filter(|one| one.is_here()).collect();
    let mut dealer = Dealer::new(&cell.context).unwrap();
    let mut peers = Vec::new();
    for transport in &transports {
        let mut came = Dealer::new(&cell.context).unwrap();
        came.connect(&dealer.bind(&transport.endpoint()).unwrap()).unwrap();
        let mut bound = Dealer::new(&cell.context).unwrap();
        dealer.connect(&bound.bind(&transport.endpoint()).unwrap()).unwrap();
        peers.extend([came, bound]);
    }
    for (index, peer) in (0_u8..).zip(&mut peers) {
        peer.send(&[index]).unwrap();
        peer.flush().unwrap();
    }
    let mut heard: Vec<_> = peers.iter().map(|_| dealer.recv().unwrap()[0]).collect();
    heard.sort_unstable();
    assert!(heard.iter().copied().eq(0..peers.len() as u8), "{heard:?}");
    assert_eq!(dealer.peers(), peers.len());
    for value in 0..2 * peers.len() as u64 {
        dealer.send(&number(value)).unwrap();
    }
    dealer.flush().unwrap();
    for peer in &mut peers {
        peer.recv().unwrap();
        peer.recv().unwrap();
        assert_eq!(peer.try_recv().err(), Some(Error::WouldBlock));
    }
}

cells!([Threads, TwoThreads, Caller] x [Tcp]: one_socket_speaks_all_transports);

fn a_socket_file_is_there_as_long_as_a_wildcard_is_bound<G: Ground>(cell: &Cell<G>) {
    for is_unbound in [false, true] {
        let mut pull = Pull::new(&cell.context).unwrap();
        let endpoint = pull.bind("ipc://*").unwrap();
        let path = std::path::PathBuf::from(endpoint.strip_prefix("ipc://").unwrap());
        assert!(path.exists());
        let mut push = Push::new(&cell.context).unwrap();
        push.connect(&endpoint).unwrap();
        push.send("through a file").unwrap();
        push.flush().unwrap();
        assert_eq!(pull.recv().unwrap(), "through a file");
        if is_unbound {
            pull.unbind(&endpoint).unwrap();
        } else {
            drop(pull);
        }
        assert!(!path.exists(), "{}", path.display());
    }
}

cells!([Threads, Caller] x [Ipc]: a_socket_file_is_there_as_long_as_a_wildcard_is_bound);

/// One host that is there and one that is not, whose label is too long for any server to be asked.
fn a_host_that_is_not_found_holds_up_nobody<G: Ground>(cell: &Cell<G>) {
    let mut pull = Pull::new(&cell.context).unwrap();
    let endpoint = pull.bind("tcp://127.0.0.1:*").unwrap();
    let port = endpoint.rsplit(':').next().unwrap();
    let builder = Push::builder().send_high_water_mark(1).linger(Some(Duration::ZERO));
    let mut push = builder.build(&cell.context).unwrap();
    push.connect(&format!("tcp://{}.invalid:{port}", "h".repeat(64))).unwrap();
    push.connect(&format!("tcp://localhost:{port}")).unwrap();
    let values = (0..9).map(number);
    for value in values.clone() {
        push.send(&value).unwrap();
    }
    push.flush().unwrap();
    // One of them waits for the host that is not found; the others come in order.
    let mut waiting: Vec<_> = values.collect();
    for _ in 1..waiting.len() {
        let come = pull.recv().unwrap();
        let known = waiting.iter().position(|value| come == value);
        assert!(known.is_some_and(|index| index <= 1), "{known:?}");
        waiting.remove(known.unwrap());
    }
}

cells!([Threads, Caller] x [Tcp]: a_host_that_is_not_found_holds_up_nobody);

fn another_spelling_of_a_bound_address_unbinds_it<G: Ground>(cell: &Cell<G>) {
    let port = free_port();
    let mut pull = Pull::new(&cell.context).unwrap();
    let endpoint = format!("tcp://127.0.0.1:{port}");
    pull.bind(&endpoint).unwrap();
    pull.unbind(&format!("tcp://lo:{port}")).unwrap();
    pull.bind(&format!("tcp://lo:{port}")).unwrap();
    pull.unbind(&endpoint).unwrap();
}

cells!([Threads, Caller] x [Tcp]: another_spelling_of_a_bound_address_unbinds_it);
