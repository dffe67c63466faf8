//! Accepting without a descriptor left. The limit is the process's, so this test has one of its
//! own.
//!
//! Deliberately absent: accepting again by itself. That is the worker's
//! (`transports/src/worker/listening.rs`), and tried in `bad_days`.

use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use zring_engine::{Completion, Config, Errno, Outcome, Reactor, Wait};

fn next(reactor: &mut Reactor) -> Completion {
    let watchdog = Instant::now() + Duration::from_secs(20);
    let mut out = Vec::new();
    while out.is_empty() {
        assert!(Instant::now() < watchdog, "nothing came");
        reactor.turn(Wait::Until(Some(watchdog)), &mut out).expect("no signal comes");
    }
    assert_eq!(out.len(), 1, "{out:?}");
    out.remove(0)
}

#[test]
fn an_accept_without_a_descriptor_ends_and_keeps_the_connection_waiting() {
    let mut reactor = Reactor::new(&Config::default()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let _dialed = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let limit = getrlimit(Resource::Nofile);
    let lowest_free = listener.as_fd().try_clone_to_owned().unwrap().as_raw_fd() as u64;
    setrlimit(Resource::Nofile, Rlimit { current: Some(lowest_free), ..limit }).unwrap();

    let accept = reactor.accept(1, listener.as_fd());
    let refused = next(&mut reactor);
    assert_eq!(refused.token, accept);
    let outcome = refused.outcome;
    assert!(matches!(outcome, Outcome::AcceptEnded(Err(Errno::MFILE))), "{outcome:?}");

    setrlimit(Resource::Nofile, limit).unwrap();
    reactor.accept(1, listener.as_fd());
    assert!(matches!(next(&mut reactor).outcome, Outcome::Accepted(_)));
}
