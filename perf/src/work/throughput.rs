//! As many messages as will go, counted where they arrive.
//!
//! Deliberately absent: anything that would pace the sender. The high-water marks do.

use super::{Meter, Run, stalled};
use crate::clock;
use crate::error::Result;
use crate::payload::Mark;
use crate::side::{Incoming, Outgoing, Side};

/// Sends until the time is up.
pub(crate) fn send<S: Side, O: Outgoing>(run: &Run<'_, S>, mut socket: O) -> Result<()> {
    run.attach(&mut socket)?;
    run.greet(&mut socket)?;
    stalled::fill(run, &mut socket)?;
    let mut body = vec![0; run.load.size];
    run.pump(&mut socket, &mut body, clock::now() + run.warm_up_ns(), u64::MAX)?;
    socket.send(&Mark::Begin.bytes())?;
    let meter = Meter::start(run.control);
    let due = clock::now() + run.measured_ns();
    let sent = run.pump(&mut socket, &mut body, due, run.messages_max())?;
    socket.flush()?;
    let elapsed_ns = meter.lap();
    run.conclude(&mut socket)?;
    run.finish_sender(meter.stop(sent, elapsed_ns))
}

/// Counts from `Begin` to `End`. It comes late to the warm-up, so that queues are at their fullest
/// there and not in what is measured.
pub(crate) fn receive<S: Side, R: Incoming>(run: &Run<'_, S>, mut socket: R) -> Result<()> {
    run.attach(&mut socket)?;
    run.meet(&mut socket)?;
    clock::sleep_until(clock::now() + run.warm_up_ns() / 4);
    let mut meter = Meter::start(run.control);
    let mut count = 0;
    loop {
        match socket.recv(Mark::parse)? {
            None => count += 1,
            Some(Mark::Hello) => {}
            Some(Mark::Begin) => {
                meter = Meter::start(run.control);
                count = 0;
            }
            Some(Mark::End) => break,
        }
    }
    run.finish(meter.stop(count, meter.lap()))
}
