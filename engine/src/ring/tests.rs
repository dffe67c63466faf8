use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::fork::child;
use crate::{Config, Error, Outcome, Reactor, Wait};

extern "C" fn ignore(_signal: libc::c_int) {}

#[test]
fn a_signal_ends_a_turn_that_sleeps() {
    // SAFETY: all-zero bytes are a valid `sigaction`: no flags, an empty mask.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = ignore as *const () as usize;
    action.sa_flags = libc::SA_RESTART;
    // SAFETY: the handler does nothing, which is safe at any time.
    assert_eq!(unsafe { libc::sigaction(libc::SIGUSR1, &raw const action, ptr::null_mut()) }, 0);
    // SAFETY: the call has no preconditions.
    let sleeper = unsafe { libc::pthread_self() };
    let has_ended = AtomicBool::new(false);

    thread::scope(|scope| {
        scope.spawn(|| {
            while !has_ended.load(Ordering::Relaxed) {
                // SAFETY: the sleeper joins this thread before it ends.
                assert_eq!(unsafe { libc::pthread_kill(sleeper, libc::SIGUSR1) }, 0);
                thread::yield_now();
            }
        });
        let mut reactor = Reactor::new(&Config::default()).unwrap();
        let (near, _far) = UnixStream::pair().unwrap();
        // There is something to submit, too, which must not hide the signal.
        reactor.receive(0, near.as_fd());
        let watchdog = Instant::now() + Duration::from_secs(20);
        let turned = reactor.turn(Wait::Until(Some(watchdog)), &mut Vec::new());
        has_ended.store(true, Ordering::Relaxed);
        assert_eq!(turned, Err(Error::Interrupted));
    });
}

/// Called in a forked child; `reactor` is the parent's.
fn see(mut reactor: Reactor, near: &UnixStream) -> bool {
    reactor.poll_writable(1, near.as_fd());
    let is_refused = reactor.turn(Wait::No, &mut Vec::new()) == Err(Error::Forked);
    drop(reactor);
    let own = Reactor::new(&Config::default());
    is_refused && own.is_ok_and(|mut own| own.turn(Wait::No, &mut Vec::new()).is_ok())
}

#[test]
fn a_forked_child_leaves_its_parents_ring_alone_and_has_its_own() {
    let (near, mut far) = UnixStream::pair().unwrap();
    let (mut go, mut wait_for_go) = UnixStream::pair().unwrap();
    let mut reactor = Reactor::new(&Config::default()).unwrap();
    let mut out = Vec::new();
    reactor.turn(Wait::No, &mut out).unwrap();

    let mut reactor = Some(reactor);
    let child = child::fork(|| {
        let may_go = wait_for_go.read_exact(&mut [0]).is_ok();
        may_go && see(reactor.take().unwrap(), &near)
    });
    let mut reactor = reactor.unwrap();
    // The child pushes while this entry is pushed and not yet submitted.
    let receive = reactor.receive(2, near.as_fd());
    go.write_all(b"!").unwrap();
    child.join();

    far.write_all(b"x").unwrap();
    reactor.turn(Wait::Until(None), &mut out).unwrap();
    let [come] = &out[..] else { panic!("{out:?}") };
    assert_eq!((come.owner, come.token), (2, receive));
    assert!(matches!(come.outcome, Outcome::Received(_)), "{come:?}");
}
