//! Endings: forks, signals, shutdowns, and sockets that are dropped while everybody talks to them.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel, sync_channel};
use std::time::Duration;

use fork::{Fork, fork, waitpid};
use nix::sys::pthread::{pthread_kill, pthread_self};
use nix::sys::signal::Signal;
use tests::bytes::{assert_same, body, number, number_in};
use tests::{Caller, Cell, Ground, Threads, Transport, cells, join, or_give_up};
use zring::{
    Bytes, Context, EngineError, Error, LocalContext, Poller, Pub, Pull, Push, Sub, TransportError,
};

use crate::{child_arguments, run_child, talking, tell_done};

/// How often something is dropped.
const ROUNDS: usize = 10;

fn forks<G: Ground>() {
    let cell = Cell::<G>::new(Transport::Tcp);
    let (mut push, mut pull) = talking(&cell);
    let endpoint = pull.last_endpoint().unwrap().to_owned();
    for value in 0..10 {
        push.send(&number(value)).unwrap();
    }
    let mut poller = Poller::new(&cell.context);
    poller.wait_readable(std::slice::from_mut(&mut pull), None).unwrap();
    match fork().unwrap() {
        Fork::Child => {
            // The harness of the tests must not go on here.
            let status = or_give_up(|| {
                let answers = [
                    push.send("from the child").err(),
                    push.try_send("from the child").err(),
                    pull.recv().err(),
                    pull.try_recv().err(),
                    pull.bind(&cell.endpoint()).err(),
                    push.connect(&endpoint).err(),
                    pull.unbind(&endpoint).err(),
                    push.disconnect(&endpoint).err(),
                    Pull::new(&cell.context).err(),
                    poller.wait_readable(std::slice::from_mut(&mut pull), None).err(),
                ];
                let is_told = |answer: &Option<Error>| {
                    *answer == Some(TransportError::Engine(EngineError::Forked).into())
                };
                let wrong = answers.iter().position(|answer| !is_told(answer));
                drop((push, pull, poller, cell));
                // A context of its own works as anywhere.
                let own = Cell::<G>::new(Transport::Tcp);
                let mut pull = Pull::new(&own.context).unwrap();
                let mut push = Push::new(&own.context).unwrap();
                push.connect(&pull.bind(&own.endpoint()).unwrap()).unwrap();
                push.send("own").unwrap();
                assert_eq!(pull.recv().unwrap(), "own");
                wrong.map_or(0, |index| index as i32 + 1)
            });
            std::process::exit(status);
        }
        Fork::Parent(id) => assert_eq!(waitpid(id).unwrap(), 0, "status of the forked process"),
    }
    for value in 10..20 {
        push.send(&number(value)).unwrap();
    }
    push.flush().unwrap();
    for value in 0..20 {
        assert_eq!(pull.recv().unwrap(), number(value));
    }
    assert_eq!((pull.peers(), push.peers()), (1, 1));
    drop((pull, push));
}

/// It polls for its parent.
fn forks_with_a_descriptor() {
    let cell = Cell::<Caller>::new(Transport::Tcp);
    let sockets = talking(&cell);
    cell.context.with_fd(|_| ()).unwrap().unwrap();
    match fork().unwrap() {
        Fork::Child => {
            let status = or_give_up(|| {
                let answer = cell.context.with_fd(|_| ());
                drop((sockets, cell));
                i32::from(answer != Err(TransportError::Engine(EngineError::Forked).into()))
            });
            std::process::exit(status);
        }
        Fork::Parent(id) => assert_eq!(waitpid(id).unwrap(), 0, "status of the forked process"),
    }
}

#[test]
#[ignore = "a child's part"]
fn child_forks() {
    match &child_arguments!()[0][..] {
        "threads" => forks::<Threads>(),
        "descriptor" => forks_with_a_descriptor(),
        _ => forks::<Caller>(),
    }
    tell_done();
}

#[test]
fn a_forked_process_is_refused_and_its_parent_goes_on() {
    run_child("endings::child_forks", &["threads"]);
    run_child("endings::child_forks", &["caller"]);
    run_child("endings::child_forks", &["descriptor"]);
}

/// Nothing is lost by it: the next call receives.
fn a_handled_signal_interrupts_a_wait<G: Ground>(cell: &Cell<G>) {
    let is_handled = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(Signal::SIGUSR1 as i32, is_handled.clone()).unwrap();
    let (told, heard) = channel();
    let (go_on, may_go_on) = sync_channel(1);
    cell.beside(
        move |context| {
            let mut pull = Pull::new(context).unwrap();
            let endpoint = pull.bind(&Transport::Tcp.endpoint()).unwrap();
            told.send((endpoint, pthread_self())).unwrap();
            let answer = pull.recv().err();
            told.send((format!("{answer:?}"), pthread_self())).unwrap();
            may_go_on.recv().unwrap();
            assert_eq!(pull.recv().unwrap(), "after all");
        },
        |context| {
            let (endpoint, thread) = heard.recv().unwrap();
            // It may not yet wait when a signal comes.
            let answer = loop {
                match heard.try_recv() {
                    Ok((answer, _)) => break answer,
                    Err(_) => pthread_kill(thread, Signal::SIGUSR1).unwrap(),
                }
                std::thread::park_timeout(Duration::from_millis(1));
            };
            assert_eq!(answer, format!("{:?}", Some(Error::Interrupted)));
            assert!(is_handled.load(Ordering::SeqCst));
            go_on.send(()).unwrap();
            let mut push = Push::new(context).unwrap();
            push.connect(&endpoint).unwrap();
            push.send("after all").unwrap();
        },
    );
}

cells!([Threads, Caller] x [Tcp]: a_handled_signal_interrupts_a_wait);

fn a_shutdown_ends_every_wait(cell: &Cell<Threads>) {
    let context = Context::new();
    let mut pull = Pull::new(&context).unwrap();
    let endpoint = pull.bind(&cell.endpoint()).unwrap();
    let zero = Some(Duration::ZERO);
    let mut push = Push::builder().linger(zero).build(&context).unwrap();
    push.connect(&Transport::Tcp.fixed_endpoint()).unwrap();
    while push.try_send("nobody takes it").is_ok() {}
    let mut lonely = Push::new(&context).unwrap();
    let mut idle = Sub::new(&context).unwrap();
    std::thread::scope(|scope| {
        let (ready, is_ready) = channel();
        let waits = [ready.clone(), ready.clone(), ready];
        let [to_pull, to_push, to_lonely] = waits;
        let (pull, push, lonely) = (&mut pull, &mut push, &mut lonely);
        let pulls = scope.spawn(move || {
            or_give_up(|| {
                to_pull.send(()).unwrap();
                assert_eq!(pull.recv().err(), Some(Error::Terminated));
            });
        });
        let pushes = scope.spawn(move || {
            or_give_up(|| {
                to_push.send(()).unwrap();
                assert_eq!(push.send("one more"), Err(Error::Terminated));
            });
        });
        let is_lonely = scope.spawn(move || {
            or_give_up(|| {
                to_lonely.send(()).unwrap();
                assert_eq!(lonely.send("to nobody"), Err(Error::Terminated));
            });
        });
        assert_eq!(is_ready.iter().take(3).count(), 3);
        context.shutdown();
        join([pulls, pushes, is_lonely]);
    });
    assert_eq!(pull.try_recv().err(), Some(Error::Terminated));
    assert_eq!(push.try_send("later"), Err(Error::Terminated));
    assert_eq!(pull.unbind(&endpoint), Err(Error::Terminated));
    assert_eq!(idle.subscribe(""), Err(Error::Terminated));
    assert_eq!(idle.recv().err(), Some(Error::Terminated));
    assert_eq!(Pull::new(&context).err(), Some(Error::Terminated));
    drop((pull, push, lonely, idle, context));
}

#[test]
fn a_shutdown_wakes_who_waits_and_refuses_who_comes() {
    a_shutdown_ends_every_wait(&Cell::new(Transport::Tcp));
    a_shutdown_ends_every_wait(&Cell::new(Transport::Ipc));
}

/// Until told to stop, by somebody with a context of its own.
fn flood(endpoint: &str, is_over: &AtomicBool) {
    let interval = Some(Duration::from_millis(1));
    let builder = Push::builder().linger(Some(Duration::ZERO)).reconnect_interval(interval);
    let mut push = builder.build(&Context::new()).unwrap();
    push.connect(endpoint).unwrap();
    for count in 0_u64.. {
        let frames = [&number(count)[..], &body(count as usize % 100, 2000)];
        while push.try_send_multipart(frames) == Err(Error::WouldBlock) {
            if is_over.load(Ordering::Relaxed) {
                return;
            }
            std::thread::yield_now();
        }
        if is_over.load(Ordering::Relaxed) {
            return;
        }
    }
}

fn a_flooded_socket_can_be_dropped_and_another_bound<G: Ground>(cell: &Cell<G>) {
    let endpoint = cell.transport.fixed_endpoint();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let floods = [(); 3].map(|()| scope.spawn(|| or_give_up(|| flood(&endpoint, &is_over))));
        or_give_up(|| {
            for round in 0..ROUNDS {
                cell.watchdog.pat();
                // A socket of a context that stays, and one whose context goes with it.
                let own = G::context();
                let context = if round % 2 == 0 { &cell.context } else { &own };
                let mut pull = Pull::new(context).unwrap();
                pull.bind(&endpoint).unwrap();
                for _ in 0..200 {
                    let frames = pull.recv_multipart().unwrap();
                    assert_eq!(frames.len(), 2);
                    let seed = number_in(&frames[0]) as usize % 100;
                    assert_same(&frames[1], &body(seed, 2000), "the body");
                }
                if round % 4 < 2 {
                    pull.unbind(&endpoint).unwrap();
                    drop(pull);
                } else {
                    drop(pull);
                    wait_until_free(cell, &endpoint);
                }
            }
            is_over.store(true, Ordering::Relaxed);
        });
        join(floods);
    });
}

/// What a dropped socket was bound to is free soon after.
fn wait_until_free<G: Ground>(cell: &Cell<G>, endpoint: &str) {
    let mut probe = Pull::new(&cell.context).unwrap();
    cell.until(|| probe.bind(endpoint).is_ok());
    probe.unbind(endpoint).unwrap();
}

cells!([Threads, Caller] x [Tcp, Ipc]: a_flooded_socket_can_be_dropped_and_another_bound);

/// Both ends may go while messages are under way, in either order.
fn a_publisher_can_be_dropped_while_it_floods<G: Ground>(cell: &Cell<G>) {
    for round in 0..ROUNDS {
        cell.watchdog.pat();
        let linger = Some(Duration::ZERO);
        let mut publisher = Pub::builder().linger(linger).build(&cell.context).unwrap();
        let endpoint = publisher.bind(&cell.endpoint()).unwrap();
        let mut subs = [(); 4].map(|()| {
            let mut sub = Sub::new(&cell.context).unwrap();
            sub.subscribe("").unwrap();
            sub.connect(&endpoint).unwrap();
            sub
        });
        let mut heard = [false; 4];
        let mut count = 0;
        cell.until(|| {
            for _ in 0..100 {
                let body = body(count as usize % 100, 2000);
                publisher.send_multipart([&number(count)[..], &body]).unwrap();
                count += 1;
            }
            for (sub, heard) in subs.iter_mut().zip(&mut heard) {
                let Ok(frames) = sub.try_recv_multipart() else { continue };
                assert_eq!(frames.len(), 2);
                let seed = number_in(&frames[0]) as usize % 100;
                assert_same(&frames[1], &body(seed, 2000), "the body");
                *heard = true;
            }
            heard.iter().all(|heard| *heard)
        });
        if round % 2 == 0 {
            drop(publisher);
            drop(subs);
        } else {
            drop(subs);
            drop(publisher);
        }
    }
}

cells!([Threads, Caller] x [Tcp, Ipc, Inproc]: a_publisher_can_be_dropped_while_it_floods);

/// A body that is the last to know its context, which then goes on an I/O thread of its own.
struct LastOne {
    context: Option<Context>,
    gone: Sender<()>,
}

impl AsRef<[u8]> for LastOne {
    fn as_ref(&self) -> &[u8] {
        &[7; 100_000]
    }
}

impl Drop for LastOne {
    fn drop(&mut self) {
        drop(self.context.take());
        self.gone.send(()).unwrap();
    }
}

fn a_message_may_hold_the_last_of_its_context(cell: &Cell<Threads>) {
    let context = Context::new();
    let mut push = Push::new(&context).unwrap();
    let mut pull = Pull::new(&cell.context).unwrap();
    push.connect(&pull.bind(&cell.endpoint()).unwrap()).unwrap();
    let (gone, told) = channel();
    push.send(Bytes::from_owner(LastOne { context: Some(context), gone })).unwrap();
    drop(push);
    assert_eq!(pull.recv().unwrap().len(), 100_000);
    told.recv().unwrap();
}

cells!([Threads] x [Tcp, Ipc]: a_message_may_hold_the_last_of_its_context);

/// Where a destructor may send from, and how often it could not since it was called by itself.
#[derive(Default)]
struct Notes {
    way: RefCell<Option<(LocalContext, Push<zring::Caller>)>>,
    missed: std::cell::Cell<usize>,
}

thread_local! {
    static NOTES: Notes = Notes::default();
}

/// A body that says so when it is dropped.
struct Noting(Vec<u8>);

impl AsRef<[u8]> for Noting {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Noting {
    fn drop(&mut self) {
        NOTES.with(|notes| {
            let Ok(mut way) = notes.way.try_borrow_mut() else {
                return notes.missed.set(notes.missed.get() + 1);
            };
            let Some((context, push)) = &mut *way else { return };
            push.send("dropped").unwrap();
            context.flush().unwrap();
            let _is_due = context.deadline();
            let (turned, waits) = (context.turn(Some(Duration::ZERO)), context.with_fd(|_| ()));
            assert!(
                [turned, waits.map(drop)]
                    .iter()
                    .all(|answer| { matches!(answer, Ok(()) | Err(Error::WouldBlock)) })
            );
        });
    }
}

/// It runs within a call of the context, or within the `send`.
fn a_destructor_of_a_body_may_call_the_context(cell: &Cell<Caller>) {
    const BODIES: usize = 100;
    let [(mut push, mut pull), (notes, mut noted)] = std::array::from_fn(|_| {
        let mut pull = Pull::new(&cell.context).unwrap();
        let mut push = Push::new(&cell.context).unwrap();
        push.connect(&pull.bind(&cell.endpoint()).unwrap()).unwrap();
        (push, pull)
    });
    NOTES.with(|known| known.way.replace(Some((cell.context.clone(), notes))));
    // Sent from the log, and from where it lies.
    let sizes = || (0..BODIES).map(|index| [10_000, 1_000_000][index % 2]);
    sizes().for_each(|size| push.send(Bytes::from_owner(Noting(vec![7; size]))).unwrap());
    sizes().for_each(|size| assert_eq!(pull.recv().unwrap().len(), size));
    let missed = || NOTES.with(|notes| notes.missed.get());
    let mut heard = 0;
    cell.until(|| {
        heard += std::iter::from_fn(|| noted.try_recv().ok()).count();
        heard + missed() == BODIES
    });
    NOTES.with(|notes| notes.way.take());
}

/// A socket, where it is bound, and what refused to unbind it.
type Bound = (Pull<zring::Caller>, String, Vec<Error>);

thread_local! {
    static BOUND: RefCell<Option<Bound>> = const { RefCell::new(None) };
}

/// A body that unbinds that socket when it is dropped, and binds it again.
struct Unbinding;

impl AsRef<[u8]> for Unbinding {
    fn as_ref(&self) -> &[u8] {
        &[7; 10_000]
    }
}

impl Drop for Unbinding {
    fn drop(&mut self) {
        BOUND.with_borrow_mut(|bound| {
            let (pull, endpoint, refusals) = bound.as_mut().unwrap();
            match pull.unbind(endpoint) {
                Ok(()) => drop(pull.bind(endpoint).unwrap()),
                Err(refusal) => refusals.push(refusal),
            }
        });
    }
}

/// Within a call of the context it would have to wait, and changes nothing.
fn a_destructor_unbinds_or_is_refused(cell: &Cell<Caller>) {
    let mut bound = Pull::new(&cell.context).unwrap();
    let endpoint = bound.bind(&cell.endpoint()).unwrap();
    BOUND.set(Some((bound, endpoint, Vec::new())));
    let endpoint = cell.transport.fixed_endpoint();
    let mut push = Push::new(&cell.context).unwrap();
    push.connect(&endpoint).unwrap();
    // It waits for the connection, and leaves by a turn of the context.
    push.send(Bytes::from_owner(Unbinding)).unwrap();
    let mut pull = Pull::new(&cell.context).unwrap();
    pull.bind(&endpoint).unwrap();
    assert_eq!(pull.recv().unwrap().len(), 10_000);
    let (mut bound, endpoint, refusals) = BOUND.take().unwrap();
    assert_eq!(refusals, [Error::WouldBlock]);
    push.connect(&endpoint).unwrap();
    (0..2).for_each(|_| push.send("to each").unwrap());
    assert_eq!([pull.recv().unwrap(), bound.recv().unwrap()], ["to each"; 2]);
    bound.unbind(&endpoint).unwrap();
}

cells!(
    [Caller] x [Tcp, Ipc]:
    a_destructor_of_a_body_may_call_the_context,
    a_destructor_unbinds_or_is_refused,
);
