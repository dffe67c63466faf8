//! What every kind of work shares: meeting, greeting, pacing, metering, ending.
//!
//! A run has a script. The binding end reports its endpoint; the sender says hello until it is
//! told to go; receivers report ready at the first hello; warm-up, `Begin`, the measured part,
//! `End`, which is repeated until the coordinator says stop, because a publisher may drop it.
//!
//! Deliberately absent: anything about one side. Drivers see `side.rs` only.

pub(crate) mod fan_out;
pub(crate) mod feed;
pub(crate) mod latency;
pub(crate) mod stalled;
pub(crate) mod throughput;

use crate::allocations;
use crate::clock::{self, MILLISECOND};
use crate::error::{Error, Result};
use crate::job::{Event, Load, Order, Outcome, Part, Pattern, Place, Role, Work};
use crate::payload::{MARK_PREFIX, Mark, TOPIC_ELSEWHERE, write_topic};
use crate::side::{Connectable, Incoming, Outgoing, Side, Subscribing};
use crate::worker::Control;

/// One part of one run, on its own thread.
pub(crate) struct Run<'a, S> {
    pub(crate) side: &'a S,
    pub(crate) load: &'a Load,
    pub(crate) part: &'a Part,
    pub(crate) control: &'a Control,
}

/// Time between hellos, and between repeated ends.
const MARK_INTERVAL: u64 = 2 * MILLISECOND;
/// Bytes between two looks at the clock, in work without pace.
const BYTES_PER_LOOK: usize = 16 * 1024;

impl<S: Side> Run<'_, S> {
    /// Does the part's work and reports what it measured.
    pub(crate) fn perform(&self) -> Result<()> {
        match (&self.part.role, self.load.work) {
            (Role::Stalled(count), _) => stalled::stall(self, *count),
            (Role::Sender, Work::Throughput) => {
                self.send_as_pattern(throughput::send, throughput::send)
            }
            (Role::Sender, Work::Latency) => self.send_as_pattern(latency::send, latency::send),
            (Role::Sender, Work::RoundTrip) => latency::request(self, self.side.request()?),
            (Role::Sender, Work::FanOutThroughput) => throughput::send(self, self.side.publish()?),
            (Role::Sender, Work::FanOutPaced) => fan_out::send_paced(self, self.side.publish()?),
            (Role::Sender, Work::FeedThroughput | Work::FeedPaced) => {
                feed::publish(self, self.side.publish()?)
            }
            (Role::Receiver, Work::Throughput) => {
                self.receive_as_pattern(throughput::receive, throughput::receive)
            }
            (Role::Receiver, Work::Latency) => {
                self.receive_as_pattern(latency::receive, latency::receive)
            }
            (Role::Receiver, Work::RoundTrip) => latency::reply(self, self.side.reply()?),
            (Role::Receiver, _) => fan_out::receive(self),
            (Role::Subscriber(index), _) => feed::subscribe(self, *index),
        }
    }

    fn send_as_pattern(
        &self,
        push: impl FnOnce(&Self, S::Push) -> Result<()>,
        publish: impl FnOnce(&Self, S::Publish) -> Result<()>,
    ) -> Result<()> {
        match self.load.pattern {
            Pattern::PushPull => push(self, self.side.push()?),
            Pattern::PubSub => publish(self, self.side.publish()?),
            Pattern::ReqRep => Err(Error::Unsupported("req-rep is measured by `latency`")),
        }
    }

    fn receive_as_pattern(
        &self,
        pull: impl FnOnce(&Self, S::Pull) -> Result<()>,
        subscribe: impl FnOnce(&Self, S::Subscribe) -> Result<()>,
    ) -> Result<()> {
        match self.load.pattern {
            Pattern::PushPull => pull(self, self.side.pull()?),
            Pattern::PubSub => {
                let mut socket = self.side.subscribe()?;
                socket.subscribe(b"")?;
                subscribe(self, socket)
            }
            Pattern::ReqRep => Err(Error::Unsupported("req-rep is measured by `latency`")),
        }
    }

    /// Binds or connects, as the part says.
    fn attach(&self, socket: &mut impl Connectable) -> Result<()> {
        match &self.part.place {
            Place::Bind(endpoint) => {
                let resolved = socket.bind(endpoint)?;
                self.control.report(Event::Bound(resolved))
            }
            Place::Connect(endpoint) => socket.connect(endpoint),
        }
    }

    /// Says hello until told to go.
    fn greet(&self, socket: &mut impl Outgoing) -> Result<()> {
        self.repeat_until(Order::Go, || {
            socket.try_send(&Mark::Hello.bytes())?;
            if self.load.stalled_elsewhere {
                socket.try_send(&TOPIC_ELSEWHERE.to_be_bytes())?;
            }
            socket.flush()
        })
    }

    /// Says that nothing follows until told to stop.
    fn conclude(&self, socket: &mut impl Outgoing) -> Result<()> {
        self.repeat_until(Order::Stop, || {
            socket.try_send(&Mark::End.bytes())?;
            socket.flush()
        })
    }

    /// Lets the side go on moving its traffic until told.
    fn wait_for(&self, order: Order) -> Result<()> {
        self.repeat_until(order, || Ok(()))
    }

    fn repeat_until(&self, order: Order, mut act: impl FnMut() -> Result<()>) -> Result<()> {
        while self.control.try_order() != Some(order) {
            act()?;
            self.side.pass(clock::now() + MARK_INTERVAL)?;
        }
        Ok(())
    }

    /// Waits for the first hello and reports ready.
    fn meet(&self, socket: &mut impl Incoming) -> Result<()> {
        while socket.recv(Mark::parse)?.is_none() {}
        self.control.report(Event::Ready)
    }

    /// Reports the outcome and stays until told to stop, so that nothing is cut off.
    fn finish(&self, mut outcome: Outcome) -> Result<()> {
        outcome.features = self.side.features();
        self.control.report(Event::Done(Box::new(outcome)))?;
        self.wait_for(Order::Stop)
    }

    /// Reports the outcome of a sender, which was told to stop already.
    fn finish_sender(&self, mut outcome: Outcome) -> Result<()> {
        outcome.features = self.side.features();
        self.control.report(Event::Done(Box::new(outcome)))
    }

    fn warm_up_ns(&self) -> u64 {
        clock::from_seconds(self.load.warm_up_seconds)
    }

    fn measured_ns(&self) -> u64 {
        clock::from_seconds(self.load.seconds)
    }

    fn messages_max(&self) -> u64 {
        self.load.messages_max.unwrap_or(u64::MAX)
    }

    /// Sends `body` as fast as the socket takes, topics in turn, until `due`; answers how often.
    fn pump(
        &self,
        socket: &mut impl Outgoing,
        body: &mut [u8],
        due: u64,
        messages_max: u64,
    ) -> Result<u64> {
        let topics = u32::try_from(self.load.topics.max(1)).expect("topics fit their field");
        let per_look = (BYTES_PER_LOOK / self.load.size).clamp(1, 256) as u64;
        let (mut sent, mut topic) = (0, 0);
        while sent < messages_max && clock::now() < due {
            let count = per_look.min(messages_max - sent);
            for _ in 0..count {
                write_topic(body, topic);
                socket.send(body)?;
                topic += 1;
                if topic == topics {
                    topic = 0;
                }
            }
            sent += count;
        }
        Ok(sent)
    }

    /// Calls `send` with (sequence, time due) at the rate, for `duration`; answers how many.
    ///
    /// A call that comes late does not move those behind it, and every message carries the time
    /// at which it was due: waiting is counted, not omitted.
    fn pace<O: Outgoing>(
        &self,
        socket: &mut O,
        duration: u64,
        mut send: impl FnMut(&mut O, u32, u64) -> Result<()>,
    ) -> Result<u64> {
        let interval = clock::SECOND as f64 / self.load.rate as f64;
        let start = clock::now() + MILLISECOND;
        let count = (duration as f64 / interval) as u64;
        for sequence in 0..count {
            let due = start + (sequence as f64 * interval) as u64;
            if clock::now() < due {
                socket.flush()?;
                self.side.pass(due)?;
            }
            send(socket, sequence as u32, due)?;
        }
        socket.flush()?;
        Ok(count)
    }
}

/// Subscribes to everything, or to the topics of this subscriber; to marks always.
fn subscribe_to_topics(
    socket: &mut impl Subscribing,
    load: &Load,
    subscriber: usize,
) -> Result<()> {
    if load.topics == 0 {
        return socket.subscribe(b"");
    }
    for nth in 0..load.topics_per_subscriber {
        let topic = topic_of(load, subscriber, nth);
        socket.subscribe(&topic.to_be_bytes())?;
    }
    socket.subscribe(&MARK_PREFIX)
}

/// The `nth` topic of a subscriber: neighbours, wrapping around, so that topics are evenly wanted.
fn topic_of(load: &Load, subscriber: usize, nth: usize) -> u32 {
    let topic = (subscriber * load.topics_per_subscriber + nth) % load.topics;
    u32::try_from(topic).expect("topics fit their field")
}

/// How many subscribers want each topic.
pub(crate) fn subscribers_by_topic(load: &Load) -> Vec<u32> {
    if load.topics == 0 {
        return vec![u32::try_from(load.subscribers).expect("subscribers fit")];
    }
    let mut wanted = vec![0; load.topics];
    for subscriber in 0..load.subscribers {
        for nth in 0..load.topics_per_subscriber {
            wanted[topic_of(load, subscriber, nth) as usize] += 1;
        }
    }
    wanted
}

/// Time, processor time and allocations between two points.
struct Meter<'a> {
    control: &'a Control,
    started: u64,
    cpu_started: u64,
}

impl<'a> Meter<'a> {
    fn start(control: &'a Control) -> Self {
        allocations::start();
        Self { control, started: clock::now(), cpu_started: control.cpu() }
    }

    /// Stops the clock, and counting allocations; answers the nanoseconds since the start.
    fn lap(&self) -> u64 {
        allocations::stop();
        clock::now() - self.started
    }

    /// What was measured since the start. `elapsed_ns` is what [`lap`](Self::lap) answered, because
    /// a sender's clock stops before the end is agreed upon, and its processor time after.
    fn stop(&self, messages: u64, elapsed_ns: u64) -> Outcome {
        let allocations = allocations::counted();
        let cpu_ns = self.control.cpu() - self.cpu_started;
        Outcome { messages, elapsed_ns, cpu_ns, allocations, ..Outcome::default() }
    }
}
