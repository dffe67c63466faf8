//! One publisher, many subscriber sockets polled by one thread of one process.
//!
//! Two kinds of runs: without pace and without loss (the sender of `throughput.rs`), and paced,
//! where a message counts from when it was due to when each subscriber has it; its skew is the
//! time from the first of them to the last. Paced runs begin with bursts below the high-water
//! mark, of which the time spent in `send` is taken, and in the flush of those sides that gather.
//!
//! Deliberately absent: a thread per subscriber. One thread sees all of them in one order, so
//! skew needs no clock of several cores.

use hdrhistogram::Histogram;

use super::{Meter, Run, stalled, subscribe_to_topics, subscribers_by_topic};
use crate::clock::{self, MILLISECOND};
use crate::error::Result;
use crate::job::{Event, Load, Outcome, Work};
use crate::payload::{Mark, WARM_UP, read_stamp, write_stamp, write_topic};
use crate::side::{Incoming as _, Outgoing, Polling as _, Side};
use crate::statistics::{Percentiles, histogram, median};

/// Messages taken from one socket before the next has its turn.
const TAKE_MAX: u32 = 1024;
/// A poll that finds nothing returns after this.
const POLL_NS: u64 = 100 * MILLISECOND;
const BURSTS: usize = 23;
const BURSTS_OF_WARM_UP: usize = 3;
/// What a delivery is given to drain after a burst, so that the next finds empty pipes; and more
/// for each of its bytes.
const DRAIN_NS: u64 = 600;
const DRAIN_NS_PER_BYTE: u64 = 2;
/// Messages still on their way when the pace ends have this long.
const TAIL_NS: u64 = 100 * MILLISECOND;

/// Publishes bursts, then at the rate.
pub(crate) fn send_paced<S: Side, O: Outgoing>(run: &Run<'_, S>, mut socket: O) -> Result<()> {
    run.attach(&mut socket)?;
    run.greet(&mut socket)?;
    stalled::fill(run, &mut socket)?;
    let topics = u32::try_from(run.load.topics.max(1)).expect("topics fit their field");
    let mut body = vec![0; run.load.size];
    let [send_ns, flush_ns] = send_bursts(run, &mut socket, &mut body, topics)?;
    let mut send = |socket: &mut O, sequence: u32, due| {
        write_topic(&mut body, (sequence & !WARM_UP) % topics);
        write_stamp(&mut body, sequence, due);
        socket.send(&body)
    };
    run.pace(&mut socket, run.warm_up_ns(), |socket, sequence, due| {
        send(socket, sequence | WARM_UP, due)
    })?;
    let meter = Meter::start(run.control);
    let sent = run.pace(&mut socket, run.measured_ns(), &mut send)?;
    let elapsed_ns = meter.lap();
    run.side.pass(clock::now() + TAIL_NS)?;
    run.conclude(&mut socket)?;
    let mut outcome = meter.stop(sent, elapsed_ns);
    outcome.send_ns = Some(send_ns);
    outcome.flush_ns = Some(flush_ns);
    run.finish_sender(outcome)
}

/// The medians over bursts of the time per message in `send`, and in the flush behind the burst.
fn send_bursts<S: Side>(
    run: &Run<'_, S>,
    socket: &mut impl Outgoing,
    body: &mut [u8],
    topics: u32,
) -> Result<[f64; 2]> {
    let burst = run.load.burst;
    let delivery_ns = DRAIN_NS + DRAIN_NS_PER_BYTE * run.load.size as u64;
    let drain_ns = MILLISECOND + burst as u64 * run.load.subscribers as u64 * delivery_ns;
    let [mut sends, mut flushes] = [(); 2].map(|()| Vec::with_capacity(BURSTS));
    write_stamp(body, WARM_UP, 0);
    for _ in 0..BURSTS {
        let started = clock::now();
        for message in 0..burst {
            write_topic(body, message as u32 % topics);
            socket.send(body)?;
        }
        let sent = clock::now();
        socket.flush()?;
        let flushed = clock::now();
        sends.push((sent - started) as f64 / burst as f64);
        flushes.push((flushed - sent) as f64 / burst as f64);
        run.side.pass(clock::now() + drain_ns)?;
    }
    Ok([sends, flushes].map(|times| median(times.into_iter().skip(BURSTS_OF_WARM_UP))))
}

/// Receives for all subscribers.
pub(crate) fn receive<S: Side>(run: &Run<'_, S>) -> Result<()> {
    let mut sockets = Vec::with_capacity(run.load.subscribers);
    for subscriber in 0..run.load.subscribers {
        let mut socket = run.side.subscribe()?;
        subscribe_to_topics(&mut socket, run.load, subscriber)?;
        run.attach(&mut socket)?;
        sockets.push(socket);
    }
    let mut audience = Audience::new(run, sockets)?;
    audience.meet()?;
    run.control.report(Event::Ready)?;
    let outcome = match run.load.work {
        Work::FanOutPaced => audience.receive_paced()?,
        _ => audience.receive_all()?,
    };
    run.finish(outcome)
}

/// All subscriber sockets and their poller.
struct Audience<'a, S: Side> {
    run: &'a Run<'a, S>,
    sockets: Vec<S::Subscribe>,
    poller: S::Poller,
    ready: Vec<usize>,
}

impl<'a, S: Side> Audience<'a, S> {
    fn new(run: &'a Run<'a, S>, sockets: Vec<S::Subscribe>) -> Result<Self> {
        let poller = run.side.poller(&sockets)?;
        let ready = Vec::with_capacity(sockets.len());
        Ok(Self { run, sockets, poller, ready })
    }

    /// Waits once and calls `take` with (socket, body) for what is there.
    fn turn(&mut self, mut take: impl FnMut(usize, &[u8])) -> Result<()> {
        self.poller.wait(&mut self.sockets, &mut self.ready, clock::now() + POLL_NS)?;
        for &index in &self.ready {
            for _ in 0..TAKE_MAX {
                if self.sockets[index].try_recv(|body| take(index, body))?.is_none() {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Until every socket has seen a hello.
    fn meet(&mut self) -> Result<()> {
        let mut met = Each::none_of(self.sockets.len());
        while !met.is_all() {
            self.turn(|index, body| {
                if Mark::parse(body).is_some() {
                    met.add(index);
                }
            })?;
        }
        Ok(())
    }

    /// Counts from the first `Begin` to the last `End`.
    fn receive_all(&mut self) -> Result<Outcome> {
        let control = self.run.control;
        let mut ended = Each::none_of(self.sockets.len());
        let mut meter = None;
        let mut begun = Each::none_of(self.sockets.len());
        let mut count = 0;
        while !ended.is_all() {
            self.turn(|index, body| match Mark::parse(body) {
                None => count += u64::from(begun.contains(index)),
                Some(Mark::Begin) => {
                    meter.get_or_insert_with(|| Meter::start(control));
                    begun.add(index);
                }
                Some(Mark::End) => ended.add(index),
                Some(Mark::Hello) => {}
            })?;
        }
        let meter = meter.unwrap_or_else(|| Meter::start(control));
        Ok(meter.stop(count, meter.lap()))
    }

    /// Records latency and skew until the last `End`.
    fn receive_paced(&mut self) -> Result<Outcome> {
        let control = self.run.control;
        let mut ended = Each::none_of(self.sockets.len());
        let mut arrivals = Arrivals::new(self.run.load);
        let mut meter = None;
        while !ended.is_all() {
            self.turn(|index, body| match (Mark::parse(body), read_stamp(body)) {
                (Some(Mark::End), _) => ended.add(index),
                (None, Some((sequence, due))) if sequence & WARM_UP == 0 => {
                    meter.get_or_insert_with(|| Meter::start(control));
                    arrivals.record(sequence as usize, due, clock::now());
                }
                _ => {}
            })?;
        }
        let meter = meter.unwrap_or_else(|| Meter::start(control));
        let mut outcome = meter.stop(arrivals.latency.len(), meter.lap());
        outcome.latency = Percentiles::of(&arrivals.latency);
        outcome.skew = Percentiles::of(&arrivals.skew);
        Ok(outcome)
    }
}

/// When each message came to its first subscriber, and what follows from that.
struct Arrivals {
    latency: Histogram<u64>,
    skew: Histogram<u64>,
    /// By sequence: time of the first arrival, and how many there were.
    first: Vec<(u64, u32)>,
    /// By topic: how many subscribers want it.
    wanted: Vec<u32>,
}

impl Arrivals {
    fn new(load: &Load) -> Self {
        let expected = (load.rate as f64 * load.seconds) as usize + 1;
        Self {
            latency: histogram(),
            skew: histogram(),
            first: vec![(0, 0); expected],
            wanted: subscribers_by_topic(load),
        }
    }

    #[inline]
    fn record(&mut self, sequence: usize, due: u64, now: u64) {
        self.latency.saturating_record(now.saturating_sub(due));
        let Some((first, count)) = self.first.get_mut(sequence) else { return };
        if *count == 0 {
            *first = now;
        }
        *count += 1;
        let wanted = self.wanted[sequence % self.wanted.len()];
        if *count == wanted && wanted > 1 {
            self.skew.saturating_record(now - *first);
        }
    }
}

/// Which of the sockets.
struct Each {
    has: Vec<bool>,
    missing: usize,
}

impl Each {
    fn none_of(count: usize) -> Self {
        Self { has: vec![false; count], missing: count }
    }

    fn add(&mut self, index: usize) {
        if !std::mem::replace(&mut self.has[index], true) {
            self.missing -= 1;
        }
    }

    fn contains(&self, index: usize) -> bool {
        self.has[index]
    }

    fn is_all(&self) -> bool {
        self.missing == 0
    }
}
