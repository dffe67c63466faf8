//! One way at a rate, and there and back.
//!
//! One way, each message carries the time at which it was due. There and back, a request that
//! waits for its reply is the load, so nothing is omitted; with a rate, a trip counts from when
//! it was due.
//!
//! Deliberately absent: halving round trips.

use super::{Meter, Run};
use crate::clock;
use crate::error::Result;
use crate::job::{Event, Order};
use crate::payload::{Mark, WARM_UP, read_stamp, write_stamp};
use crate::side::{Incoming, Outgoing, Side};
use crate::statistics::{Percentiles, histogram};

/// Sends at the rate.
pub(crate) fn send<S: Side, O: Outgoing>(run: &Run<'_, S>, mut socket: O) -> Result<()> {
    run.attach(&mut socket)?;
    run.greet(&mut socket)?;
    let mut body = vec![0; run.load.size];
    run.pace(&mut socket, run.warm_up_ns(), |socket, sequence, due| {
        write_stamp(&mut body, sequence | WARM_UP, due);
        socket.send(&body)
    })?;
    let meter = Meter::start(run.control);
    let sent = run.pace(&mut socket, run.measured_ns(), |socket, sequence, due| {
        write_stamp(&mut body, sequence, due);
        socket.send(&body)
    })?;
    let elapsed_ns = meter.lap();
    run.conclude(&mut socket)?;
    run.finish_sender(meter.stop(sent, elapsed_ns))
}

/// Records how late each message is.
pub(crate) fn receive<S: Side, R: Incoming>(run: &Run<'_, S>, mut socket: R) -> Result<()> {
    run.attach(&mut socket)?;
    run.meet(&mut socket)?;
    let mut latency = histogram();
    let mut meter = None;
    loop {
        let (mark, stamp) = socket.recv(|body| (Mark::parse(body), read_stamp(body)))?;
        match (mark, stamp) {
            (Some(Mark::End), _) => break,
            (None, Some((sequence, due))) if sequence & WARM_UP == 0 => {
                meter.get_or_insert_with(|| Meter::start(run.control));
                latency.saturating_record(clock::now().saturating_sub(due));
            }
            _ => {}
        }
    }
    let meter = meter.unwrap_or_else(|| Meter::start(run.control));
    let mut outcome = meter.stop(latency.len(), meter.lap());
    outcome.latency = Percentiles::of(&latency);
    run.finish(outcome)
}

/// Sends a request, waits for its reply, again and again.
pub(crate) fn request<S: Side, C: Outgoing + Incoming>(
    run: &Run<'_, S>,
    mut socket: C,
) -> Result<()> {
    run.attach(&mut socket)?;
    exchange(&mut socket, &Mark::Hello.bytes())?;
    run.control.report(Event::Ready)?;
    run.wait_for(Order::Go)?;
    let body = vec![0; run.load.size];
    let idle_ns = clock::from_seconds(run.load.idle_seconds);
    let due = clock::now() + run.warm_up_ns();
    while clock::now() < due {
        exchange(&mut socket, &body)?;
    }
    exchange(&mut socket, &Mark::Begin.bytes())?;
    let mut latency = histogram();
    let meter = Meter::start(run.control);
    let trip = |socket: &mut C, _, due| {
        exchange(socket, &body)?;
        latency.saturating_record(clock::now() - due);
        Ok(())
    };
    if run.load.rate > 0 {
        run.pace(&mut socket, run.measured_ns(), trip)?;
    } else {
        ping_pong(run, &mut socket, idle_ns, trip)?;
    }
    let mut outcome = meter.stop(latency.len(), meter.lap());
    outcome.latency = Percentiles::of(&latency);
    exchange(&mut socket, &Mark::End.bytes())?;
    run.wait_for(Order::Stop)?;
    run.finish_sender(outcome)
}

/// The next trip begins when the last has ended, or after a silence.
fn ping_pong<S: Side, C: Outgoing + Incoming>(
    run: &Run<'_, S>,
    socket: &mut C,
    idle_ns: u64,
    mut trip: impl FnMut(&mut C, u32, u64) -> Result<()>,
) -> Result<()> {
    let end = clock::now() + run.measured_ns();
    let mut count = 0;
    while count < run.messages_max() && (idle_ns > 0 || clock::now() < end) {
        if idle_ns > 0 {
            run.side.pass(clock::now() + idle_ns)?;
        }
        trip(socket, count as u32, clock::now())?;
        count += 1;
    }
    Ok(())
}

/// Sends every request back.
pub(crate) fn reply<S: Side, C: Outgoing + Incoming>(
    run: &Run<'_, S>,
    mut socket: C,
) -> Result<()> {
    run.attach(&mut socket)?;
    let mut body = Vec::with_capacity(run.load.size);
    let mut meter = Meter::start(run.control);
    let mut count = 0;
    loop {
        let mark = socket.recv(|request| {
            body.clear();
            body.extend_from_slice(request);
            Mark::parse(request)
        })?;
        match mark {
            Some(Mark::Begin) => {
                meter = Meter::start(run.control);
                count = 0;
            }
            None => count += 1,
            Some(Mark::Hello | Mark::End) => {}
        }
        socket.send(&body)?;
        socket.flush()?;
        if mark == Some(Mark::End) {
            break;
        }
    }
    run.finish(meter.stop(count, meter.lap()))
}

#[inline]
fn exchange(socket: &mut (impl Outgoing + Incoming), body: &[u8]) -> Result<()> {
    socket.send(body)?;
    socket.flush()?;
    socket.recv(|_| ())
}
