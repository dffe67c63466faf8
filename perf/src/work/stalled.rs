//! Subscribers that connect and then never read, and the filling of their pipes.
//!
//! A stalled subscriber harms nobody before its pipe is full, so the publisher fills it before
//! anything is measured: its receiving mark, the kernel's buffers, its sending mark. Where it
//! wants a topic of its own, that is seen: without loss, a full pipe refuses. Where it takes what
//! all take, messages of known number and size do it, and the others receive them too.
//!
//! Deliberately absent: stopping the process. An application that does not read has I/O threads
//! that do.

use super::Run;
use crate::clock::{self, MILLISECOND};
use crate::error::Result;
use crate::job::{Event, Order};
use crate::payload::{TOPIC_ELSEWHERE, WARM_UP, write_stamp, write_topic};
use crate::side::{Incoming as _, Outgoing, Side, Subscribing as _};

/// Attempts in a row that must find no room before a topic counts as full.
const FULL_AFTER: u32 = 20;
/// Large bodies fill the kernel's buffers: 1,000 of them are 16 MB, more than tcp's limits.
const LARGE_SIZE: usize = 16 * 1024;
const LARGE_COUNT: usize = 1_000;
/// Sent between two pauses, so that those who read keep up.
const BATCH: usize = 100;
const BATCH_PAUSE: u64 = 5 * MILLISECOND;

/// Connects, sees one message on each socket, and never reads again.
pub(crate) fn stall<S: Side>(run: &Run<'_, S>, count: usize) -> Result<()> {
    let mut sockets = Vec::with_capacity(count);
    for _ in 0..count {
        let mut socket = run.side.subscribe()?;
        if run.load.stalled_elsewhere {
            socket.subscribe(&TOPIC_ELSEWHERE.to_be_bytes())?;
        } else {
            socket.subscribe(b"")?;
        }
        run.attach(&mut socket)?;
        sockets.push(socket);
    }
    for socket in &mut sockets {
        while socket.try_recv(|_| ())?.is_none() {
            run.side.pass(clock::now() + MILLISECOND)?;
        }
    }
    run.control.report(Event::Ready)?;
    // Not `wait_for`: a side without threads would move traffic there, and this one is stalled.
    while run.control.try_order() != Some(Order::Stop) {
        clock::sleep_until(clock::now() + MILLISECOND);
    }
    Ok(())
}

/// Publishes until the stalled subscribers' pipes are full, if there are any.
pub(crate) fn fill<S: Side>(run: &Run<'_, S>, socket: &mut impl Outgoing) -> Result<()> {
    match (run.load.stalled, run.load.stalled_elsewhere) {
        (0, _) => Ok(()),
        (_, true) => fill_elsewhere(run, socket),
        (_, false) => fill_everyone(run, socket),
    }
}

fn fill_elsewhere<S: Side>(run: &Run<'_, S>, socket: &mut impl Outgoing) -> Result<()> {
    let mut body = vec![0; run.load.size];
    write_topic(&mut body, TOPIC_ELSEWHERE);
    let mut refused = 0;
    while refused < FULL_AFTER {
        if socket.try_send(&body)? {
            refused = 0;
        } else {
            refused += 1;
            socket.flush()?;
            run.side.pass(clock::now() + MILLISECOND)?;
        }
    }
    Ok(())
}

fn fill_everyone<S: Side>(run: &Run<'_, S>, socket: &mut impl Outgoing) -> Result<()> {
    let mark = run.load.high_water_mark;
    let steps =
        [(run.load.size, mark + mark / 2), (LARGE_SIZE, LARGE_COUNT), (run.load.size, 3 * mark)];
    for (size, count) in steps {
        let mut body = vec![0; size];
        write_stamp(&mut body, WARM_UP, 0);
        for nth in 1..=count {
            socket.send(&body)?;
            if nth % BATCH == 0 {
                socket.flush()?;
                run.side.pass(clock::now() + BATCH_PAUSE)?;
            }
        }
    }
    Ok(())
}
