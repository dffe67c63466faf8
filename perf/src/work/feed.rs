//! A tick feed: one publisher process, subscriber processes that each want some symbols.
//!
//! A message has two frames: the topic, which is the symbol and a comma, and a binary body. Marks
//! are single frames. The tick file is replayed in a circle: as fast as will go without loss, or at
//! a rate, where each subscriber notes by sequence how late a tick is; skew and drops follow from
//! all notes together.
//!
//! Deliberately absent: the times of the tick file as the pace. A rate makes runs comparable.

use super::{Meter, Run};
use crate::clock;
use crate::error::{Error, Result};
use crate::job::{FeedLoad, Load, Outcome, Work};
use crate::payload::{MARK_PREFIX, Mark, STAMPED_SIZE_MIN, WARM_UP, read_stamp, write_stamp};
use crate::side::{Incoming as _, Outgoing, Side, Subscribing as _};
use crate::ticks::{Tick, Ticks};

/// Stamp, time, bid, ask and size.
pub(crate) const BODY_SIZE: usize = STAMPED_SIZE_MIN + 28;
const TICKS_PER_LOOK: u64 = 64;

/// Replays the ticks.
pub(crate) fn publish<S: Side, O: Outgoing>(run: &Run<'_, S>, mut socket: O) -> Result<()> {
    let ticks = Ticks::load(feed(run.load)?.ticks.as_deref())?;
    run.attach(&mut socket)?;
    run.greet(&mut socket)?;
    let mut replay = Replay { ticks: &ticks, body: [0; BODY_SIZE] };
    if run.load.work == Work::FeedThroughput {
        replay.pump(&mut socket, clock::now() + run.warm_up_ns(), u64::MAX)?;
        socket.send(&Mark::Begin.bytes())?;
        let meter = Meter::start(run.control);
        let due = clock::now() + run.measured_ns();
        let sent = replay.pump(&mut socket, due, run.messages_max())?;
        socket.flush()?;
        let elapsed_ns = meter.lap();
        run.conclude(&mut socket)?;
        return run.finish_sender(meter.stop(sent, elapsed_ns));
    }
    run.pace(&mut socket, run.warm_up_ns(), |socket, sequence, due| {
        replay.send(socket, sequence | WARM_UP, due)
    })?;
    let meter = Meter::start(run.control);
    let sent = run.pace(&mut socket, run.measured_ns(), |socket, sequence, due| {
        replay.send(socket, sequence, due)
    })?;
    let elapsed_ns = meter.lap();
    run.side.pass(clock::now() + 100 * clock::MILLISECOND)?;
    run.conclude(&mut socket)?;
    run.finish_sender(meter.stop(sent, elapsed_ns))
}

/// One subscriber process: counts, or notes latencies by sequence.
pub(crate) fn subscribe<S: Side>(run: &Run<'_, S>, index: usize) -> Result<()> {
    let feed = feed(run.load)?;
    let ticks = Ticks::load(feed.ticks.as_deref())?;
    let mut socket = run.side.subscribe()?;
    for symbol in ticks.symbols_of(index, feed.symbols_per_subscriber) {
        socket.subscribe(ticks.topics[symbol].as_bytes())?;
    }
    socket.subscribe(&MARK_PREFIX)?;
    run.attach(&mut socket)?;
    run.meet(&mut socket)?;
    let expected = match run.load.work {
        Work::FeedPaced => (run.load.rate as f64 * run.load.seconds) as usize + 1,
        _ => 0,
    };
    let mut latencies = vec![0; expected];
    let mut meter = None;
    let mut count = 0;
    loop {
        let (mark, stamp) =
            socket.recv_pair(|topic, body| (Mark::parse(topic), read_stamp(body)))?;
        match (mark, stamp) {
            (Some(Mark::End), _) => break,
            (Some(Mark::Begin), _) => {
                meter = Some(Meter::start(run.control));
                count = 0;
            }
            (None, Some((sequence, due))) if sequence & WARM_UP == 0 => {
                meter.get_or_insert_with(|| Meter::start(run.control));
                count += 1;
                if let Some(place) = latencies.get_mut(sequence as usize) {
                    *place = clock::now().saturating_sub(due).max(1);
                }
            }
            _ => {}
        }
    }
    let meter = meter.unwrap_or_else(|| Meter::start(run.control));
    let outcome = meter.stop(count, meter.lap());
    run.finish(Outcome { latencies, ..outcome })
}

fn feed(load: &Load) -> Result<&FeedLoad> {
    load.feed.as_ref().ok_or_else(|| Error::Worker("a feed without ticks".into()))
}

struct Replay<'a> {
    ticks: &'a Ticks,
    body: [u8; BODY_SIZE],
}

impl Replay<'_> {
    #[inline]
    fn send(&mut self, socket: &mut impl Outgoing, sequence: u32, due: u64) -> Result<()> {
        let index = (sequence & !WARM_UP) as usize % self.ticks.ticks.len();
        let tick = &self.ticks.ticks[index];
        write_tick(&mut self.body, tick);
        write_stamp(&mut self.body, sequence, due);
        socket.send_pair(self.ticks.topics[tick.symbol].as_bytes(), &self.body)
    }

    fn pump(&mut self, socket: &mut impl Outgoing, due: u64, messages_max: u64) -> Result<u64> {
        let mut sent = 0;
        while sent < messages_max && clock::now() < due {
            for _ in 0..TICKS_PER_LOOK.min(messages_max - sent) {
                self.send(socket, sent as u32 & !WARM_UP, 0)?;
                sent += 1;
            }
        }
        Ok(sent)
    }
}

fn write_tick(body: &mut [u8; BODY_SIZE], tick: &Tick) {
    body[16..24].copy_from_slice(&tick.time_ns.to_le_bytes());
    body[24..32].copy_from_slice(&tick.bid.to_le_bytes());
    body[32..40].copy_from_slice(&tick.ask.to_le_bytes());
    body[40..44].copy_from_slice(&tick.size.to_le_bytes());
}
