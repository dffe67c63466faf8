//! Addresses: where tcp listens and connections come from, and what that is called. zmq_tcp(7).

use std::net::{Ipv6Addr, SocketAddr};

use tests::{Cell, Ground, Transport, cells, free_port};
use zring::{Error, Rep, Req, TransportError};

/// A request over an endpoint, and its answer. Answers where the request came from.
fn converse<G: Ground>(cell: &Cell<G>, rep: &mut Rep<G::Driver>, endpoint: &str) -> SocketAddr {
    let mut req = Req::new(&cell.context).unwrap();
    req.connect(endpoint).unwrap();
    assert_eq!(req.last_endpoint(), Some(endpoint));
    req.send("there?").unwrap();
    assert_eq!(rep.recv().unwrap(), "there?");
    rep.send("here").unwrap();
    assert_eq!(req.recv().unwrap(), "here");
    let from = rep.counters()[0].address.unwrap();
    drop(req);
    cell.until(|| rep.peers() == 0);
    from
}

/// Binds, with the option on or off. Answers the port, behind an address that is to be this one.
fn bind<G: Ground>(
    cell: &Cell<G>,
    is_ipv6: bool,
    endpoint: &str,
    address: &str,
) -> (Rep<G::Driver>, String) {
    let mut rep = Rep::builder().ipv6(is_ipv6).build(&cell.context).unwrap();
    let bound = rep.bind(endpoint).unwrap();
    assert_eq!(rep.last_endpoint(), Some(&bound[..]));
    let port = bound.rsplit(':').next().unwrap().to_owned();
    assert_eq!(bound, format!("tcp://{address}:{port}"), "{endpoint}, IPv6: {is_ipv6}");
    assert_ne!(port, "0");
    (rep, port)
}

fn an_ipv6_address_is_talked_over_with_the_option_on_or_off<G: Ground>(cell: &Cell<G>) {
    for is_ipv6 in [false, true] {
        for endpoint in ["tcp://[::1]:*", "tcp://[::1]:0", "tcp://::1:*", "tcp://[0:0::1]:*"] {
            let (mut rep, port) = bind(cell, is_ipv6, endpoint, "[::1]");
            let from = converse(cell, &mut rep, &format!("tcp://[::1]:{port}"));
            assert_eq!(from.ip(), Ipv6Addr::LOCALHOST);
            rep.unbind(&format!("tcp://[0::0:1]:{port}")).unwrap();
        }
    }
}

/// Who listens there has a socket of that family, which takes no other.
fn a_wildcard_and_an_interface_are_ipv4_with_the_option_off<G: Ground>(cell: &Cell<G>) {
    for (endpoint, address) in [("tcp://*:*", "0.0.0.0"), ("tcp://lo:*", "127.0.0.1")] {
        let (mut rep, port) = bind(cell, false, endpoint, address);
        converse(cell, &mut rep, &format!("tcp://127.0.0.1:{port}"));
    }
}

fn a_wildcard_takes_both_families_with_the_option_on<G: Ground>(cell: &Cell<G>) {
    let (mut rep, port) = bind(cell, true, "tcp://*:*", "[::]");
    for host in ["127.0.0.1", "[::ffff:127.0.0.1]", "[::1]"] {
        let from = converse(cell, &mut rep, &format!("tcp://{host}:{port}"));
        assert!(from.ip().to_canonical().is_loopback(), "{from}");
    }
}

fn an_interface_and_an_ipv4_address_are_ipv6_with_the_option_on<G: Ground>(cell: &Cell<G>) {
    let (mut rep, port) = bind(cell, true, "tcp://lo:*", "[::1]");
    converse(cell, &mut rep, &format!("tcp://[::1]:{port}"));
    let (mut rep, port) = bind(cell, true, "tcp://127.0.0.1:*", "[::ffff:127.0.0.1]");
    converse(cell, &mut rep, &format!("tcp://[::ffff:127.0.0.1]:{port}"));
    converse(cell, &mut rep, &format!("tcp://127.0.0.1:{port}"));
}

fn a_connection_comes_from_the_source_it_was_given<G: Ground>(cell: &Cell<G>) {
    let (mut rep, port) = bind(cell, false, "tcp://*:*", "0.0.0.0");
    for (source, address) in [("127.0.0.2:0", "127.0.0.2"), ("lo:*", "127.0.0.1")] {
        let from = converse(cell, &mut rep, &format!("tcp://{source};127.0.0.1:{port}"));
        assert_eq!(from.ip().to_string(), address);
    }
    let source = format!("127.0.0.3:{}", free_port());
    let from = converse(cell, &mut rep, &format!("tcp://{source};127.0.0.1:{port}"));
    assert_eq!(from.to_string(), source);
}

fn an_ipv6_connection_comes_from_the_source_it_was_given<G: Ground>(cell: &Cell<G>) {
    let (mut rep, port) = bind(cell, false, "tcp://[::1]:*", "[::1]");
    let given = Transport::Tcp6.fixed_endpoint();
    let given = given.strip_prefix("tcp://").unwrap();
    for source in ["[::1]:0", "lo:*", "*:*", given] {
        let from = converse(cell, &mut rep, &format!("tcp://{source};[::1]:{port}"));
        assert!(source != given || from.to_string() == given, "{from} is not {given}");
    }
}

fn an_ipv6_address_of_another_machine_is_told_exactly<G: Ground>(cell: &Cell<G>) {
    // An address of the documentation's own (RFC 3849).
    let endpoint = String::from("tcp://[2001:db8::1]:*");
    let refused: Error = TransportError::AddressNotAvailable { endpoint: endpoint.clone() }.into();
    for is_ipv6 in [false, true] {
        let mut rep = Rep::builder().ipv6(is_ipv6).build(&cell.context).unwrap();
        assert_eq!(rep.bind(&endpoint), Err(refused.clone()));
        assert_eq!(rep.last_endpoint(), None);
    }
}

cells!(
    [Threads, Caller] x [Tcp]:
    a_wildcard_and_an_interface_are_ipv4_with_the_option_off,
    a_connection_comes_from_the_source_it_was_given,
);
cells!(
    [Threads, Caller] x [Tcp6]:
    an_ipv6_address_is_talked_over_with_the_option_on_or_off,
    a_wildcard_takes_both_families_with_the_option_on,
    an_interface_and_an_ipv4_address_are_ipv6_with_the_option_on,
    an_ipv6_connection_comes_from_the_source_it_was_given,
    an_ipv6_address_of_another_machine_is_told_exactly,
);
