//! Addresses: libzmq and we find each other over IPv6, and call what we listen at the same.

use tests::{Cell, Ground, cells};
use zmq::SocketType;
use zring::Pull;

use crate::duo::{PUB_SUB, PUSH_PULL, REQ_REP, Role, introduce, play};

/// libzmq needs its option for an IPv6 literal; we do not.
fn messages_go_both_ways<G: Ground>(cell: &Cell<G>) {
    let message = [vec![vec![1; 300], vec![2]]];
    for duo in [REQ_REP, PUSH_PULL, PUB_SUB] {
        for role in Role::BOTH {
            for we_bind in [true, false] {
                let (mut ours, mut theirs) = introduce(cell, duo, role, we_bind);
                play(role, &mut ours, &mut theirs, |talk, role, party| {
                    talk.converse(duo, role, party, &message);
                });
                cell.watchdog.pat();
            }
        }
    }
}

/// Ports differ.
fn without_port(endpoint: &str) -> &str {
    let (address, port) = endpoint.rsplit_once(':').unwrap();
    assert_ne!(port.parse(), Ok(0));
    address
}

/// Interfaces by name are not compared, since this build of libzmq knows none.
fn both_call_what_they_listen_at_the_same<G: Ground>(cell: &Cell<G>) {
    let context = zmq::Context::new();
    for (is_ipv6, endpoints) in [
        (false, &["tcp://*:*", "tcp://127.0.0.1:*"][..]),
        (true, &["tcp://*:*", "tcp://127.0.0.1:*", "tcp://[::1]:*", "tcp://::1:*"]),
    ] {
        for endpoint in endpoints {
            let theirs = context.socket(SocketType::PULL).unwrap();
            theirs.set_ipv6(is_ipv6).unwrap();
            theirs.bind(endpoint).unwrap();
            let theirs = theirs.get_last_endpoint().unwrap().unwrap();
            let mut ours = Pull::builder().ipv6(is_ipv6).build(&cell.context).unwrap();
            let ours = ours.bind(endpoint).unwrap();
            assert_eq!(without_port(&ours), without_port(&theirs), "{endpoint}, {is_ipv6}");
        }
    }
}

fn an_ipv6_literal_is_refused_by_libzmq_alone_with_the_option_off<G: Ground>(cell: &Cell<G>) {
    let theirs = zmq::Context::new().socket(SocketType::PULL).unwrap();
    assert_eq!(theirs.bind("tcp://[::1]:*"), Err(zmq::Error::ENODEV));
    let mut ours = Pull::builder().ipv6(false).build(&cell.context).unwrap();
    assert_eq!(without_port(&ours.bind("tcp://[::1]:*").unwrap()), "tcp://[::1]");
}

cells!(
    [Threads, Caller] x [Tcp6]:
    messages_go_both_ways,
    both_call_what_they_listen_at_the_same,
    an_ipv6_literal_is_refused_by_libzmq_alone_with_the_option_off,
);
