//! In the steady state, messages of up to 1 KiB within the default high-water marks call no
//! allocator, on no thread.
//!
//! Each cell is measured in a process of its own, for the allocator counts for a whole one. First
//! it is warmed up: with messages of several times the size, that are sent until nobody takes more
//! and kept when they are received, and where messages may pile up in pieces with as many pieces,
//! so that more memory is in use at once than later ever will be.
//!
//! Deliberately absent: what a message is turned into. `Message::into_bytes` may allocate.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed there")]

use tests::child;
use tests::{Caller, Cell, Ground, Threads, Transport, cells};

mod counting;
mod one_way;
mod round_trips;

/// Bytes of the messages that are measured.
const SIZES: [usize; 4] = [16, 64, 256, 1024];
/// Messages of each size that are measured.
const COUNT: u64 = 25_000;
/// Bytes of a message that warms up.
const WARM_UP_SIZE: usize = 4 * 1024;

fn pushing_and_pulling_allocates_nothing<G: Ground>(cell: &Cell<G>) {
    measure_alone(cell, "push");
}

fn publishing_and_subscribing_allocates_nothing<G: Ground>(cell: &Cell<G>) {
    measure_alone(cell, "publish");
}

fn asking_and_answering_allocates_nothing<G: Ground>(cell: &Cell<G>) {
    measure_alone(cell, "ask");
}

cells!([Threads, Caller] x [Tcp, Ipc, Inproc]:
    pushing_and_pulling_allocates_nothing,
    publishing_and_subscribing_allocates_nothing,
    asking_and_answering_allocates_nothing,
);

/// What a child says at its end, so that it is known to have run.
const DONE: &str = "done";

fn measure_alone<G: Ground>(cell: &Cell<G>, what: &str) {
    let driver = if G::IS_LOCAL { "Caller" } else { "Threads" };
    let transport = format!("{:?}", cell.transport);
    let mut child = child::spawn("child_measures", &[what, driver, &transport]);
    for size in SIZES {
        assert_eq!(child.hear(), size.to_string());
        cell.watchdog.pat();
    }
    assert_eq!(child.succeed(), [DONE]);
}

#[test]
#[ignore = "a child's"]
fn child_measures() {
    let Some(arguments) = child::arguments() else { return };
    let [what, driver, transport] = &arguments[..] else { panic!("{arguments:?}") };
    let transport = match &**transport {
        "Tcp" => Transport::Tcp,
        "Ipc" => Transport::Ipc,
        _ => Transport::Inproc,
    };
    match &**driver {
        "Caller" => measure::<Caller>(what, transport),
        _ => measure::<Threads>(what, transport),
    }
    child::tell(DONE);
}

fn measure<G: Ground>(what: &str, transport: Transport) {
    let cell = Cell::<G>::new(transport);
    match what {
        "push" => one_way::measure::<one_way::PushPull, G>(&cell),
        "publish" => one_way::measure::<one_way::PubSub, G>(&cell),
        _ => round_trips::measure(&cell),
    }
}

/// Fails if `work` calls an allocator, on whatever thread, and says where.
fn refuse_allocations<G: Ground>(cell: &Cell<G>, size: usize, work: impl FnOnce()) {
    cell.watchdog.pat();
    counting::start();
    work();
    if let Some(place) = counting::stop() {
        panic!("an allocation with messages of {size} bytes:\n{place}");
    }
    child::tell(&size.to_string());
}

#[test]
fn an_allocation_on_another_thread_is_found() {
    counting::start();
    std::thread::spawn(|| drop(std::hint::black_box(Box::new(1)))).join().unwrap();
    assert!(counting::stop().is_some());
}
