//! Options: one that is out of its range, or that the pattern does not have, is refused exactly.

use std::fs::{read_dir, read_to_string};
use std::time::Duration;

use rustix::thread::{CpuSet, sched_getaffinity};
use tests::{Cell, Ground, Threads, Transport, cells};
use zring::{Context, Dealer, Error, Pair, Pub, Pull, Push, Rep, Req, Router, Sub, XPub, XSub};

fn refused(option: &'static str, reason: &'static str) -> Option<Error> {
    Some(Error::InvalidOption { option, reason })
}

fn a_routing_id_is_255_bytes_of_a_pattern_that_tells_it<G: Ground>(cell: &Cell<G>) {
    let context = &cell.context;
    let [longest, too_long] = [255, 256].map(|len| vec![b'i'; len]);
    let reason = "a routing id has at most 255 bytes";
    for answer in [
        Dealer::builder().routing_id(&too_long).build(context).err(),
        Req::builder().routing_id(&too_long).build(context).err(),
        Router::builder().routing_id(&too_long).build(context).err(),
        Push::builder().routing_id(&too_long).build(context).err(),
    ] {
        assert_eq!(answer, refused("routing_id", reason));
    }
    let reason = "only REQ, DEALER and ROUTER tell theirs";
    for answer in [
        Pair::builder().routing_id("i").build(context).err(),
        Pub::builder().routing_id("i").build(context).err(),
        Pull::builder().routing_id("i").build(context).err(),
        Push::builder().routing_id("i").build(context).err(),
        Rep::builder().routing_id("i").build(context).err(),
        Sub::builder().routing_id("i").build(context).err(),
        XPub::builder().routing_id("i").build(context).err(),
        XSub::builder().routing_id(&longest).build(context).err(),
    ] {
        assert_eq!(answer, refused("routing_id", reason));
    }
    for answer in [
        Dealer::builder().routing_id(&longest).build(context).err(),
        Req::builder().routing_id(&longest).build(context).err(),
        Router::builder().routing_id(&longest).build(context).err(),
        Push::builder().routing_id("").build(context).err(),
    ] {
        assert_eq!(answer, None);
    }
}

fn only_publishers_may_be_told_not_to_drop<G: Ground>(cell: &Cell<G>) {
    let context = &cell.context;
    for answer in [
        Dealer::builder().no_drop(true).build(context).err(),
        Push::builder().no_drop(true).build(context).err(),
        Router::builder().no_drop(true).build(context).err(),
        Sub::builder().no_drop(true).build(context).err(),
        XSub::builder().no_drop(true).build(context).err(),
    ] {
        assert_eq!(answer, refused("no_drop", "only publishers drop"));
    }
    for answer in [
        Push::builder().no_drop(false).build(context).err(),
        Pub::builder().no_drop(true).build(context).err(),
        XPub::builder().no_drop(true).build(context).err(),
    ] {
        assert_eq!(answer, None);
    }
}

const SECOND: Option<Duration> = Some(Duration::from_secs(1));

/// What libzmq takes for none: here that is `None`.
fn times_that_allow_nothing_are_refused<G: Ground>(cell: &Cell<G>) {
    let zero = Some(Duration::ZERO);
    let answer = Pull::builder().handshake_timeout(zero).build(&cell.context).err();
    let reason = "no handshake takes no time; None is no limit";
    assert_eq!(answer, refused("handshake_timeout", reason));
    for short in [zero, Some(Duration::from_micros(999))] {
        let answer = Pull::builder().reconnect_interval(short).build(&cell.context).err();
        let reason = "the pause is 1 ms at least; None does not connect again";
        assert_eq!(answer, refused("reconnect_interval", reason));
        let answer = Pull::builder().reconnect_interval_max(short).build(&cell.context).err();
        let reason = "the pause is 1 ms at least; None does not double it";
        assert_eq!(answer, refused("reconnect_interval_max", reason));
    }
    let builder = Pull::builder().reconnect_interval(None).reconnect_interval_max(SECOND);
    let answer = builder.build(&cell.context).err();
    assert_eq!(answer, refused("reconnect_interval_max", "there is no pause to double"));
    assert_eq!(Pull::builder().linger(zero).build(&cell.context).err(), None);
}

cells!(
    [Threads, Caller] x [Inproc]:
    times_that_allow_nothing_are_refused,
    a_routing_id_is_255_bytes_of_a_pattern_that_tells_it,
    only_publishers_may_be_told_not_to_drop,
);

#[test]
fn a_context_has_1_to_64_io_threads() {
    for (count, answer) in [
        (0, refused("io_threads", "there are 1 to 64 I/O threads")),
        (1, None),
        (64, None),
        (65, refused("io_threads", "there are 1 to 64 I/O threads")),
        (usize::MAX, refused("io_threads", "there are 1 to 64 I/O threads")),
    ] {
        assert_eq!(Context::builder().io_threads(count).build().err(), answer, "{count}");
    }
}

/// A core that this thread may run on.
fn any_core() -> usize {
    let cores = sched_getaffinity(None).unwrap();
    (0..CpuSet::MAX_CPU).find(|core| cores.is_set(*core)).unwrap()
}

#[test]
fn a_core_that_is_not_there_is_refused() {
    for cores in [vec![usize::MAX], vec![any_core(), CpuSet::MAX_CPU]] {
        let answer = Context::builder().io_threads(2).pin(cores).build().err();
        assert_eq!(answer, refused("pin", "no such core, or not for this process"));
    }
}

#[test]
fn a_core_for_no_thread_is_refused() {
    let answer = Context::builder().pin([any_core(), any_core()]).build().err();
    assert_eq!(answer, refused("pin", "there are more cores than I/O threads"));
}

/// The cores that each thread of this process with this name may run on, as the kernel lists them.
fn cores_of_threads(name: &str) -> Vec<String> {
    let field = |status: &str, name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.map(|value| value.trim().to_owned())
    };
    let tasks = read_dir("/proc/self/task").unwrap();
    // A thread may end while it is looked at.
    let statuses = tasks.filter_map(|task| read_to_string(task.ok()?.path().join("status")).ok());
    let named = statuses.filter(|status| field(status, "Name:").as_deref() == Some(name));
    named.filter_map(|status| field(&status, "Cpus_allowed_list:")).collect()
}

/// More threads than cores are named: the second is not pinned.
#[test]
fn a_pinned_thread_is_on_its_core_and_does_its_work() {
    let cell = Cell::<Threads>::new(Transport::Tcp);
    let core = any_core();
    let context = Context::builder().io_threads(2).pin([core]).build().unwrap();
    let mut pull = Pull::new(&context).unwrap();
    let endpoint = pull.bind(&cell.endpoint()).unwrap();
    let mut push = Push::new(&context).unwrap();
    push.connect(&endpoint).unwrap();
    push.send("pinned").unwrap();
    assert_eq!(pull.recv().unwrap(), "pinned");
    let cores = cores_of_threads("zring/0");
    assert!(cores.contains(&core.to_string()), "none on {core} but on {cores:?}");
}
