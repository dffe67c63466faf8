//! Refusals: endpoints that cannot be read or had are told of exactly, and nothing else is harmed.

use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use tests::{Cell, Ground, Transport, cells};
use zring::{Dealer, Errno, Error, Pub, Pull, Push, Router, Socket, TransportError};

use crate::raw::listen;

const MIXED: &str = "source and destination have no address family in common";

fn invalid(endpoint: &str, reason: &'static str) -> Error {
    TransportError::InvalidEndpoint { endpoint: endpoint.to_owned(), reason }.into()
}

fn in_use(endpoint: &str) -> Error {
    TransportError::AddressInUse { endpoint: endpoint.to_owned() }.into()
}

/// It does its work over the transport of the cell.
fn assert_unharmed<G: Ground>(
    cell: &Cell<G>,
    pull: &mut Socket<zring::pattern::Pull, G::Driver>,
    push: &mut Socket<zring::pattern::Push, G::Driver>,
) {
    assert_eq!((pull.last_endpoint(), push.last_endpoint()), (None, None));
    push.connect(&pull.bind(&cell.endpoint()).unwrap()).unwrap();
    push.send("unharmed").unwrap();
    push.flush().unwrap();
    assert_eq!(pull.recv().unwrap(), "unharmed");
}

fn a_wrong_endpoint_is_told_exactly<G: Ground>(cell: &Cell<G>) {
    let mut pull = Pull::new(&cell.context).unwrap();
    let mut push = Push::new(&cell.context).unwrap();
    let long_path = format!("ipc://{}", "p".repeat(108));
    let long_name = format!("inproc://{}", "n".repeat(257));
    for (endpoint, reason) in [
        ("", "there is no :// behind a transport"),
        ("127.0.0.1", "there is no :// behind a transport"),
        ("tcp:/127.0.0.1", "there is no :// behind a transport"),
        ("://127.0.0.1", "there is no transport before ://"),
        ("tcp://", "there is no address behind ://"),
        ("ipc://", "there is no address behind ://"),
        ("inproc://", "there is no address behind ://"),
        ("tcp://127.0.0.1", "there is no port"),
        ("tcp://127.0.0.1:", "the port is neither a number up to 65535 nor *"),
        ("tcp://127.0.0.1:65536", "the port is neither a number up to 65535 nor *"),
        ("tcp://127.0.0.1:+1", "the port is neither a number up to 65535 nor *"),
        ("tcp://127.0.0.1:http", "the port is neither a number up to 65535 nor *"),
        ("tcp://:*", "there is no host"),
        ("tcp://[::1]", "there is no port"),
        ("tcp://[::1:*", "a bracket is not closed"),
        ("tcp://[lo]:*", "between brackets is no address"),
        ("tcp://[fe80::1%]:*", "there is no zone behind %"),
        ("tcp://::1::*", "there is a colon too many, or the IPv6 address is malformed"),
        ("tcp://*:*;*:*;127.0.0.1:*", "there is more than one semicolon"),
        ("tcp://a b:*", "the host has a character that no host has"),
        ("ipc://@", "there is no name behind @"),
        ("ipc://a\0b", "the path has a NUL byte"),
        (&long_path, "the path is longer than 107 bytes"),
        (&long_name, "the name is longer than 256 bytes"),
    ] {
        assert_eq!(pull.bind(endpoint), Err(invalid(endpoint, reason)));
        assert_eq!(push.connect(endpoint), Err(invalid(endpoint, reason)));
    }
    for (endpoint, reason) in [
        ("tcp://*:*", "a connection needs a port, not *"),
        ("tcp://127.0.0.1:*", "a connection needs a port, not *"),
        ("tcp://*:0", "a connection needs a host, not *"),
        ("tcp://127.0.0.1:*;[::1]:0", MIXED),
        ("tcp://[::1]:*;127.0.0.1:0", MIXED),
        ("ipc://*", "a connection needs a path, not *"),
    ] {
        assert_eq!(push.connect(endpoint), Err(invalid(endpoint, reason)));
    }
    let endpoint = "tcp://127.0.0.1:0;127.0.0.1:0";
    let reason = "a listener has no source address";
    assert_eq!(pull.bind(endpoint), Err(invalid(endpoint, reason)));
    assert_unharmed(cell, &mut pull, &mut push);
}

fn a_place_that_is_not_here_is_told_exactly<G: Ground>(cell: &Cell<G>) {
    let mut pull = Pull::new(&cell.context).unwrap();
    let mut push = Push::new(&cell.context).unwrap();
    for endpoint in ["udp://127.0.0.1:0", "TCP://127.0.0.1:0", "ws://127.0.0.1:0"] {
        let unknown = TransportError::UnknownTransport { endpoint: endpoint.to_owned() };
        assert_eq!(pull.bind(endpoint), Err(unknown.clone().into()));
        assert_eq!(push.connect(endpoint), Err(unknown.into()));
    }
    for (endpoint, far) in [
        ("tcp://no-such:0", "tcp://no-such:0;127.0.0.1:0"),
        ("tcp://[fe80::1%no-such]:0", "tcp://[fe80::1%no-such]:0"),
    ] {
        let told = |endpoint: &str| -> Error {
            TransportError::NoSuchDevice { endpoint: endpoint.to_owned() }.into()
        };
        assert_eq!(pull.bind(endpoint), Err(told(endpoint)));
        // It may be there later.
        let mut push = Push::new(&cell.context).unwrap();
        push.connect(far).unwrap();
        cell.until(|| push.failed_connects().count > 1);
        assert_eq!(push.failed_connects().last.map(Error::Transport), Some(told(far)));
    }
    // An address of the documentation's own (RFC 5737).
    let endpoint = String::from("tcp://192.0.2.1:0");
    let error = TransportError::AddressNotAvailable { endpoint: endpoint.clone() };
    assert_eq!(pull.bind(&endpoint), Err(error.into()));
    let endpoint = String::from("ipc:///no/such/folder/socket");
    let refusal = pull.bind(&endpoint).unwrap_err();
    assert!(refusal.to_string().starts_with(&format!("{endpoint}: No such file")), "{refusal}");
    assert_unharmed(cell, &mut pull, &mut push);
}

fn an_endpoint_in_use_is_told_exactly<G: Ground>(cell: &Cell<G>) {
    let mut first = Pull::new(&cell.context).unwrap();
    let endpoint = first.bind(&cell.endpoint()).unwrap();
    let mut second = Pull::new(&cell.context).unwrap();
    let mut push = Push::new(&cell.context).unwrap();
    assert_eq!(first.bind(&endpoint), Err(in_use(&endpoint)));
    assert_eq!(second.bind(&endpoint), Err(in_use(&endpoint)));
    let mut publisher = Pub::new(&cell.context).unwrap();
    assert_eq!(publisher.bind(&endpoint), Err(in_use(&endpoint)));
    assert_unharmed(cell, &mut second, &mut push);
    push.connect(&endpoint).unwrap();
    let ends = [&mut first, &mut second];
    for pull in ends {
        let mut push = Push::new(&cell.context).unwrap();
        push.connect(pull.last_endpoint().unwrap()).unwrap();
        push.send("still here").unwrap();
        push.flush().unwrap();
        assert_eq!(pull.recv().unwrap(), "still here");
    }
}

fn a_port_of_somebody_else_is_told_exactly<G: Ground>(cell: &Cell<G>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let endpoint = format!("tcp://{}", listener.local_addr().unwrap());
    let mut pull = Pull::new(&cell.context).unwrap();
    for _ in 0..3 {
        assert_eq!(pull.bind(&endpoint), Err(in_use(&endpoint)));
    }
    drop(listener);
    assert_eq!(pull.bind(&endpoint).unwrap(), endpoint);
}

/// Types that do not go together find out at once where there is no wire between them.
fn a_name_of_the_wrong_type_is_told_exactly<G: Ground>(cell: &Cell<G>) {
    let mut publisher = Pub::new(&cell.context).unwrap();
    let endpoint = publisher.bind(&Transport::Inproc.endpoint()).unwrap();
    let mut push = Push::new(&cell.context).unwrap();
    let reason = "the socket bound there is of a type that this one cannot talk to";
    assert_eq!(push.connect(&endpoint), Err(invalid(&endpoint, reason)));
    assert_eq!(publisher.peers(), 0);
}

cells!([Threads, Caller] x [Tcp, Inproc]: a_wrong_endpoint_is_told_exactly);
cells!([Threads, Caller] x [Tcp]: a_place_that_is_not_here_is_told_exactly);
cells!([Threads, Caller] x [Tcp, Ipc, Inproc]: an_endpoint_in_use_is_told_exactly);
cells!([Threads, Caller] x [Tcp]: a_port_of_somebody_else_is_told_exactly);
cells!([Threads, Caller] x [Inproc]: a_name_of_the_wrong_type_is_told_exactly);

/// No call fails for it, and it is tried again.
fn why_a_connect_fails_can_be_read<G: Ground>(cell: &Cell<G>) {
    let (listener, refused) = listen();
    drop(listener);
    let port = refused.rsplit(':').next().unwrap();
    let unknown = format!("tcp://{}.invalid:{port}", "h".repeat(64));
    let absent = "ipc:///nobody/is/here".to_owned();
    let kernel =
        |endpoint: &str, errno| TransportError::Kernel { endpoint: endpoint.into(), errno };
    for error in [
        kernel(&refused, Errno::CONNREFUSED),
        kernel(&absent, Errno::NOENT),
        TransportError::HostNotFound { endpoint: unknown.clone() },
    ] {
        cell.watchdog.pat();
        let interval = Some(Duration::from_millis(1));
        let mut push = Push::builder().reconnect_interval(interval).build(&cell.context).unwrap();
        assert_eq!(push.failed_connects().count, 0);
        let (TransportError::Kernel { endpoint, .. } | TransportError::HostNotFound { endpoint }) =
            &error
        else {
            unreachable!("there are no others")
        };
        push.connect(endpoint).unwrap();
        cell.until(|| push.peers() == 1 && push.failed_connects().count >= 2);
        assert_eq!(push.failed_connects().last, Some(error));
    }
}

cells!([Threads, Caller] x [Tcp]: why_a_connect_fails_can_be_read);

/// Where nobody listens, a connection may be given the very port that it is for.
fn a_connection_to_itself_is_no_peer_and_keeps_no_port<G: Ground>(cell: &Cell<G>) {
    let endpoint = cell.transport.fixed_endpoint();
    let address = endpoint.strip_prefix("tcp://").unwrap();
    let interval = Some(Duration::from_millis(1));
    let builder = Dealer::builder().reconnect_interval(interval).linger(Some(Duration::ZERO));
    let mut dealer = builder.build(&cell.context).unwrap();
    dealer.connect(&format!("tcp://{address};{address}")).unwrap();
    dealer.send("to whom it may concern").unwrap();
    cell.until(|| dealer.failed_connects().count >= 10);
    let Some(TransportError::Kernel { errno: Errno::CONNREFUSED, .. }) =
        dealer.failed_connects().last
    else {
        panic!("{:?}", dealer.failed_connects().last)
    };
    assert_eq!(dealer.try_recv().err(), Some(Error::WouldBlock));
    assert_eq!(dealer.rejections().count, 0);
    let mut router = Router::new(&cell.context).unwrap();
    cell.until(|| router.bind(&endpoint).is_ok());
}

cells!([Threads, Caller] x [Tcp]: a_connection_to_itself_is_no_peer_and_keeps_no_port);
