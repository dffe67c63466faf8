use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::{Config, Error, Reactor, Wait};

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
        let (near, _far) = std::os::unix::net::UnixStream::pair().unwrap();
        // There is something to submit, too, which must not hide the signal.
        use std::os::fd::AsFd;
        reactor.receive(0, near.as_fd());
        let watchdog = Instant::now() + Duration::from_secs(20);
        let turned = reactor.turn(Wait::Until(Some(watchdog)), &mut Vec::new());
        has_ended.store(true, Ordering::Relaxed);
        assert_eq!(turned, Err(Error::Interrupted));
    });
}

#[test]
fn a_forked_child_cannot_turn_and_has_rings_of_its_own() {
    use std::os::fd::AsFd;
    let (near, _far) = std::os::unix::net::UnixStream::pair().unwrap();
    let mut reactor = Reactor::new(&Config::default()).unwrap();
    let mut out = Vec::new();
    reactor.turn(Wait::No, &mut out).unwrap();

    // SAFETY: the child of this process with many threads uses its own memory and the allocator,
    // which glibc makes usable in children, and ends without unwinding.
    let child = unsafe { libc::fork() };
    if child == 0 {
        reactor.poll_writable(1, near.as_fd());
        let is_refused = reactor.turn(Wait::No, &mut out) == Err(Error::Forked);
        drop(reactor);
        let is_own = Reactor::new(&Config::default())
            .is_ok_and(|mut own| own.turn(Wait::No, &mut Vec::new()).is_ok());
        // SAFETY: the call ends the process, and has no preconditions.
        unsafe { libc::_exit(if is_refused && is_own { 0 } else { 1 }) };
    }
    let mut status = 0;
    // SAFETY: the status is written to a local that outlives the call.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    assert_eq!(status, 0, "the child saw what it should");

    // What the child pushed and dropped has not reached the parent's ring.
    reactor.turn(Wait::Until(Some(Instant::now())), &mut out).unwrap();
    assert!(out.is_empty());
    let writable = reactor.poll_writable(2, near.as_fd());
    reactor.turn(Wait::Until(None), &mut out).unwrap();
    assert_eq!((out.len(), out[0].owner, out[0].token), (1, 2, writable));
}
