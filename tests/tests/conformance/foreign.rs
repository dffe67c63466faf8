//! Foreign loops: a caller-driven context within a poll(2) loop that knows nothing of it but a
//! descriptor and a deadline, and turns it without waiting.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tests::bytes::number;
use tests::{Cell, Waits, cells, or_give_up};
use zring::{Context, Error, LocalContext, Pull, Push};

/// Whether the ring is readable, at once or at some time before `until`; without it, for ever.
fn is_readable(context: &LocalContext, until: Option<Instant>) -> bool {
    let left = until.map(|until| until.saturating_duration_since(Instant::now()));
    let left = left.map(|left| Timespec::try_from(left).unwrap());
    let polled = context.with_fd(|fd| poll(&mut [PollFd::new(&fd, PollFlags::IN)], left.as_ref()));
    polled.unwrap().expect("there is a ring").unwrap() > 0
}

fn turn(context: &LocalContext) {
    context.turn(Some(Duration::ZERO)).unwrap();
}

/// One round of the loop.
fn go_round(context: &LocalContext) {
    let _is_readable = is_readable(context, context.deadline());
    turn(context);
}

fn a_foreign_loop_receives_by_the_descriptor<W: Waits>(cell: &Cell<W>) {
    let context = &cell.context;
    assert_eq!(context.with_fd(|_| ()), Ok(None));
    assert_eq!(context.deadline(), None);
    let mut pull = Pull::new(context).unwrap();
    let endpoint = pull.bind(&cell.endpoint()).unwrap();
    let (go_on, may_go_on) = channel();
    std::thread::scope(|scope| {
        let sender = scope.spawn(|| {
            or_give_up(|| {
                let mut push = Push::new(&Context::new()).unwrap();
                push.connect(&endpoint).unwrap();
                for value in may_go_on {
                    push.send(&number(value)).unwrap();
                }
            });
        });
        or_give_up(|| {
            // Without a call on the socket that could do the work.
            while pull.peers() == 0 {
                go_round(context);
            }
            for value in 0..100 {
                // Until then it rests, or the loop would go round and round.
                cell.until(|| {
                    turn(context);
                    !is_readable(context, Some(Instant::now()))
                });
                assert_eq!(pull.try_recv().err(), Some(Error::WouldBlock));
                go_on.send(value).unwrap();
                while !is_readable(context, context.deadline()) {
                    turn(context);
                }
                let message = loop {
                    match pull.try_recv() {
                        Ok(message) => break message,
                        Err(error) => assert_eq!(error, Error::WouldBlock),
                    }
                    go_round(context);
                };
                assert_eq!(message, number(value));
            }
            drop(go_on);
        });
        tests::join([sender]);
    });
}

/// A refused connection is tried again in time, though nothing happens until then.
fn a_foreign_loop_connects_again_by_the_deadline<W: Waits>(cell: &Cell<W>) {
    let context = &cell.context;
    let endpoint = cell.transport.fixed_endpoint();
    let interval = Some(Duration::from_millis(1));
    let mut push = Push::builder().reconnect_interval(interval).build(context).unwrap();
    push.connect(&endpoint).unwrap();
    push.send("at last").unwrap();
    let mut late = 0;
    while late < 3 {
        late += usize::from(!is_readable(context, context.deadline()));
        turn(context);
    }
    let is_heard = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let hears = scope.spawn(|| {
            or_give_up(|| {
                let mut pull = Pull::new(&Context::new()).unwrap();
                pull.bind(&endpoint).unwrap();
                assert_eq!(pull.recv().unwrap(), "at last");
                is_heard.store(true, Ordering::Relaxed);
            });
        });
        // The end of the connection, behind what is told here, ends the last wait.
        while !is_heard.load(Ordering::Relaxed) {
            go_round(context);
        }
        tests::join([hears]);
    });
}

/// The host's name is looked up in another thread, whose answer is heard of elsewhere.
fn a_foreign_loop_connects_to_a_host_by_its_name<W: Waits>(cell: &Cell<W>) {
    let context = &cell.context;
    let mut pull = Pull::new(&Context::new()).unwrap();
    let endpoint = pull.bind(&cell.endpoint()).unwrap();
    let port = endpoint.rsplit(':').next().unwrap();
    let mut push = Push::new(context).unwrap();
    push.connect(&format!("tcp://localhost:{port}")).unwrap();
    push.send("by name").unwrap();
    while push.counters()[0].sent == 0 {
        go_round(context);
    }
    assert_eq!(pull.recv().unwrap(), "by name");
}

cells!([Caller, Spinning] x [Tcp]: a_foreign_loop_connects_to_a_host_by_its_name);
cells!(
    [Caller, Spinning] x [Tcp, Ipc]:
    a_foreign_loop_receives_by_the_descriptor,
    a_foreign_loop_connects_again_by_the_deadline,
);
