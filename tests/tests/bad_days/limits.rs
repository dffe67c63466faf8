//! Limits: no descriptor is left, or the kernel's rings are forbidden.
//!
//! Deliberately absent: memory. A process without any is ended by Rust's allocator.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;

use nix::libc::{CPU_SETSIZE, SYS_sched_setaffinity};
use nix::sys::personality::{self, Persona};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter_all_threads};
use tests::{Caller, Cell, Ground, Threads, Transport, TwoThreads};
use zring::{Context, Error, Pull, Push, TransportError};

use crate::raw::{dial, frame, handshake};
use crate::{child_arguments, run_child, talking, tell_done};

/// `io_uring_setup(2)` has this number on every architecture.
const IO_URING_SETUP: i64 = 425;
/// `io_uring_enter(2)` likewise.
const IO_URING_ENTER: i64 = 426;
const EPERM: u32 = 1;
const EINVAL: u32 = 22;
/// Descriptors that the child may have, in all.
const DESCRIPTORS: u64 = 64;

fn limit_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(DESCRIPTORS), ..limit }).unwrap();
}

/// Takes every descriptor that is left.
fn take_all() -> Vec<File> {
    std::iter::from_fn(|| File::open("/dev/null").ok()).collect()
}

fn without_descriptors<G: Ground>() {
    let cell = Cell::<G>::new(Transport::Tcp);
    limit_descriptors();
    let (mut push, mut pull) = talking(&cell);
    let endpoint = pull.last_endpoint().unwrap().to_owned();

    let mut files = take_all();
    let any = cell.endpoint();
    let refused: Error = TransportError::TooManyOpenFiles { endpoint: any.clone() }.into();
    assert_eq!(pull.bind(&any), Err(refused.clone()));
    assert_eq!(Pull::new(&cell.context).unwrap().bind(&any), Err(refused));
    let fresh = G::context();
    let refusal = Pull::new(&fresh).unwrap().bind(&any).unwrap_err();
    assert!(refusal.to_string().contains("descriptor"), "{refusal}");
    push.send("meanwhile").unwrap();
    push.flush().unwrap();
    assert_eq!(pull.recv().unwrap(), "meanwhile");

    // Who connects from elsewhere waits for a descriptor, and so does who connects from here.
    drop(files.pop());
    let mut stranger = dial(&endpoint, &handshake("PUSH"));
    stranger.write_all(&frame(0, b"late")).unwrap();
    let mut late = Push::new(&cell.context).unwrap();
    late.connect(&endpoint).unwrap();
    late.send("late").unwrap();
    push.send("meanwhile").unwrap();
    push.flush().unwrap();
    assert_eq!(pull.recv().unwrap(), "meanwhile");

    drop(files);
    for _ in 0..2 {
        assert_eq!(pull.recv().unwrap(), "late");
    }
    pull.bind(&any).unwrap();
    Pull::new(&fresh).unwrap().bind(&any).unwrap();
}

#[test]
#[ignore = "a child's part"]
fn child_without_descriptors() {
    match &child_arguments!()[0][..] {
        "threads" => without_descriptors::<Threads>(),
        _ => without_descriptors::<Caller>(),
    }
    tell_done();
}

#[test]
fn without_descriptors_what_stands_goes_on_and_the_rest_waits() {
    let name = "limits::child_without_descriptors";
    run_child(name, &["threads"]);
    run_child(name, &["caller"]);
}

/// The first I/O thread has its ring some calls before the second has.
#[test]
#[ignore = "a child's part"]
fn child_with_few_descriptors() {
    let _arguments = child_arguments!();
    let cell = Cell::<TwoThreads>::new(Transport::Tcp);
    limit_descriptors();
    let mut files = take_all();
    let mut pull = Pull::new(&cell.context).unwrap();
    let endpoint = loop {
        match pull.bind(&cell.endpoint()) {
            Ok(endpoint) => break endpoint,
            Err(_) => drop(files.pop().unwrap()),
        }
    };
    drop(files);
    let pushes = [(); 4].map(|()| {
        let mut push = Push::new(&cell.context).unwrap();
        push.connect(&endpoint).unwrap();
        push.send("at last").unwrap();
        push
    });
    for _ in &pushes {
        assert_eq!(pull.recv().unwrap(), "at last");
    }
    drop((pull, pushes, cell));
    tell_done();
}

#[test]
fn threads_that_have_descriptors_wait_for_those_that_have_none() {
    run_child("limits::child_with_few_descriptors", &[""]);
}

/// From now on this system call fails, whichever thread makes it.
fn forbid(call: i64, errno: u32) {
    let arch = std::env::consts::ARCH.try_into().unwrap();
    let rules = BTreeMap::from([(call, Vec::new())]);
    let (otherwise, then) = (SeccompAction::Allow, SeccompAction::Errno(errno));
    let filter = SeccompFilter::new(rules, otherwise, then, arch).unwrap();
    apply_filter_all_threads(&BpfProgram::try_from(filter).unwrap()).unwrap();
}

fn without_rings<G: Ground>(says: &str) {
    let cell = Cell::<G>::new(Transport::Tcp);
    let mut pull = Pull::new(&cell.context).unwrap();
    let mut push = Push::new(&cell.context).unwrap();
    for _ in 0..2 {
        for transport in [Transport::Tcp, Transport::Ipc] {
            let refusal = pull.bind(&transport.endpoint()).unwrap_err();
            let is_engine = matches!(refusal, Error::Transport(TransportError::Engine(_)));
            assert!(is_engine && refusal.to_string().contains(says), "{refusal}");
            assert_eq!(push.connect(&transport.fixed_endpoint()), Err(refusal));
        }
    }
    push.connect(&pull.bind(&Transport::Inproc.endpoint()).unwrap()).unwrap();
    push.send("without a ring").unwrap();
    assert_eq!(pull.recv().unwrap(), "without a ring");
}

#[test]
#[ignore = "a child's part"]
fn child_without_rings() {
    let arguments = child_arguments!();
    let errno = arguments[1].parse().unwrap();
    forbid(IO_URING_SETUP, errno);
    if errno == EINVAL {
        // The kernel says to be a 2.6, as it did to programs that knew no other (personality(2)).
        personality::set(Persona::UNAME26).unwrap();
    }
    match &arguments[0][..] {
        "threads" => without_rings::<Threads>(&arguments[2]),
        _ => without_rings::<Caller>(&arguments[2]),
    }
    tell_done();
}

#[test]
fn a_forbidden_io_uring_is_told_exactly_and_inproc_does_without() {
    let forbidden = ["1", "io_uring is forbidden to this process"];
    let absent = ["38", "this kernel has no io_uring"];
    let old = ["22", "is too old for zring's use of io_uring: run Linux 6.1 or newer"];
    for [errno, says] in [forbidden, absent, old] {
        for who in ["threads", "caller"] {
            run_child("limits::child_without_rings", &[who, errno, says]);
        }
    }
}

/// Sockets that talk, until the ring does nothing any more.
fn with_a_broken_ring<G: Ground>(is_told: impl Fn(&Error) -> bool) {
    let cell = Cell::<G>::new(Transport::Tcp);
    let (mut push, mut pull) = talking(&cell);
    forbid(IO_URING_ENTER, EPERM);
    // An I/O thread is in the kernel now, and finds out when it enters it again.
    while push.send("after").is_ok() {}
    let refusal = pull.recv().unwrap_err();
    assert!(is_told(&refusal), "{refusal}");
    let refusal = Pull::new(&cell.context).unwrap().bind(&cell.endpoint()).unwrap_err();
    assert!(is_told(&refusal), "{refusal}");
}

#[test]
#[ignore = "a child's part"]
fn child_with_a_broken_ring() {
    match &child_arguments!()[0][..] {
        "threads" => with_a_broken_ring::<Threads>(|error| {
            let reason = "its ring failed: io_uring failed: Operation not permitted (os error 1)";
            matches!(error, Error::NoThread { reason: told } if told == reason)
        }),
        _ => with_a_broken_ring::<Caller>(|error| {
            matches!(error, Error::Transport(TransportError::Engine(_)))
        }),
    }
    tell_done();
}

#[test]
fn a_ring_that_fails_is_told_to_its_sockets_and_to_new_ones() {
    for who in ["threads", "caller"] {
        run_child("limits::child_with_a_broken_ring", &[who]);
    }
}

#[test]
#[ignore = "a child's part"]
fn child_that_may_not_pin() {
    let _ = child_arguments!();
    forbid(SYS_sched_setaffinity, EPERM);
    let pinned = (0..CPU_SETSIZE as usize).map(|core| Context::builder().pin([core]).build());
    let context = pinned.flatten().next().expect("there is a core for this process");
    let refusal = Pull::new(&context).unwrap().bind("tcp://127.0.0.1:*").unwrap_err();
    assert!(matches!(refusal, Error::InvalidOption { option: "pin", .. }), "{refusal}");
    tell_done();
}

#[test]
fn a_thread_that_cannot_be_pinned_is_refused() {
    run_child("limits::child_that_may_not_pin", &[]);
}
