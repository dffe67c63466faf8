//! What the processes tell each other, one JSON line each.
//!
//! The coordinator writes one [`Job`] and then [`Order`]s to a worker's stdin; the worker answers
//! with [`Report`]s on its stdout. A job has one part per process, or, over inproc, both ends as
//! two parts (threads) of one process.
//!
//! Deliberately absent: messages that are measured, and clocks. Times travel within the messages
//! (`payload.rs`).

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::statistics::Percentiles;

/// Who is measured.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Who {
    /// zring with one I/O thread, blocking calls.
    ZringIo,
    /// zring with one I/O thread, receiving by asking again and again.
    ZringIoSpin,
    /// zring turned by its caller, blocking.
    ZringCaller,
    /// zring turned by its caller, spinning.
    ZringCallerSpin,
    /// libzmq, one I/O thread, blocking calls.
    Libzmq,
    /// libzmq, receiving by asking again and again.
    LibzmqSpin,
    /// Bare sockets, blocking.
    Raw,
    /// Bare sockets, receiving by asking again and again.
    RawSpin,
    /// Bare sockets on the tokio-uring runtime.
    TokioUring,
}

impl Who {
    /// The name in tables and JSON.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ZringIo => "zring-io",
            Self::ZringIoSpin => "zring-io-spin",
            Self::ZringCaller => "zring-caller",
            Self::ZringCallerSpin => "zring-caller-spin",
            Self::Libzmq => "libzmq",
            Self::LibzmqSpin => "libzmq-spin",
            Self::Raw => "raw",
            Self::RawSpin => "raw-spin",
            Self::TokioUring => "tokio-uring",
        }
    }

    /// Whether it receives by asking again and again instead of sleeping.
    pub(crate) fn spins(self) -> bool {
        matches!(self, Self::ZringIoSpin | Self::ZringCallerSpin | Self::LibzmqSpin | Self::RawSpin)
    }

    /// Whether its sockets stay on one thread, so that inproc has nobody at its other end.
    pub(crate) fn is_caller_driven(self) -> bool {
        matches!(self, Self::ZringCaller | Self::ZringCallerSpin)
    }

    /// Whether it is sockets without a protocol, which know neither topics nor inproc.
    pub(crate) fn is_bare(self) -> bool {
        matches!(self, Self::Raw | Self::RawSpin | Self::TokioUring)
    }

    /// Whether Rust's allocator sees all of its allocations.
    pub(crate) fn allocates_in_rust(self) -> bool {
        !matches!(self, Self::Libzmq | Self::LibzmqSpin)
    }
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Transport {
    Tcp,
    Ipc,
    Inproc,
}

impl Transport {
    /// The name in tables and JSON.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Ipc => "ipc",
            Self::Inproc => "inproc",
        }
    }
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Pattern {
    PushPull,
    PubSub,
    ReqRep,
}

impl Pattern {
    /// The name in tables and JSON.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::PushPull => "push-pull",
            Self::PubSub => "pub-sub",
            Self::ReqRep => "req-rep",
        }
    }
}

/// What a side is started with; the same for every side.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Setup {
    pub(crate) who: Who,
    pub(crate) transport: Transport,
    /// Publishers wait at the mark instead of dropping.
    pub(crate) no_drop: bool,
    /// Connections the binding end will get, for sides that must accept by themselves.
    pub(crate) peers: usize,
}

/// What is to be moved, and how; the same in every process of a run.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Load {
    pub(crate) work: Work,
    pub(crate) pattern: Pattern,
    /// Bytes per message.
    pub(crate) size: usize,
    /// Length of the measured part.
    pub(crate) seconds: f64,
    /// Length of what goes before it.
    pub(crate) warm_up_seconds: f64,
    /// Ends the measured part earlier.
    pub(crate) messages_max: Option<u64>,
    /// Messages per second of paced work.
    pub(crate) rate: u64,
    /// Silence before each round trip.
    pub(crate) idle_seconds: f64,
    pub(crate) subscribers: usize,
    /// Topics sent in turn; 0: one, that all take.
    pub(crate) topics: usize,
    pub(crate) topics_per_subscriber: usize,
    /// Subscribers that connect and never read.
    pub(crate) stalled: usize,
    /// The stalled subscribers want a topic of their own, which is filled before measuring.
    pub(crate) stalled_elsewhere: bool,
    /// High-water mark of both ends, in messages; 0 is none.
    pub(crate) high_water_mark: usize,
    /// Messages per timed burst of `send`.
    pub(crate) burst: usize,
    pub(crate) feed: Option<FeedLoad>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct FeedLoad {
    /// Tick file; none: the one that ships.
    pub(crate) ticks: Option<String>,
    /// 0: all.
    pub(crate) symbols_per_subscriber: usize,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Work {
    /// As many messages as will go, one receiver.
    Throughput,
    /// One way, at a rate.
    Latency,
    /// There and back.
    RoundTrip,
    /// As many as will go, to many subscribers in one process.
    FanOutThroughput,
    /// Timed bursts of `send`, then a rate, to many subscribers in one process.
    FanOutPaced,
    /// Ticks, as many as will go, to subscribers in processes of their own.
    FeedThroughput,
    /// Ticks at a rate, to subscribers in processes of their own.
    FeedPaced,
}

/// One end of the work.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) enum Role {
    /// The end that drives: push, publisher, requester.
    Sender,
    /// The end that is counted: pull, replier, or all subscribers of one process.
    Receiver,
    /// One subscriber process of a feed, by its index.
    Subscriber(usize),
    /// Subscribers (so many) that connect and then never read.
    Stalled(usize),
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Part {
    pub(crate) role: Role,
    /// The processor to stay on.
    pub(crate) core: Option<usize>,
    pub(crate) place: Place,
}

/// How a part meets its peers.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) enum Place {
    Bind(String),
    Connect(String),
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Job {
    pub(crate) setup: Setup,
    pub(crate) load: Load,
    pub(crate) parts: Vec<Part>,
}

/// What the coordinator tells the sender.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) enum Order {
    /// Everyone is there.
    Go,
    /// Everyone has everything.
    Stop,
}

#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Report {
    /// Index of the part within its job.
    pub(crate) part: usize,
    pub(crate) event: Event,
}

#[derive(Debug, Deserialize, Serialize)]
pub(crate) enum Event {
    /// The endpoint that others connect to.
    Bound(String),
    /// The peer has been heard.
    Ready,
    Done(Box<Outcome>),
    Failed(String),
}

/// What one part measured.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Outcome {
    /// Messages of the measured part: sent, or received over all subscribers.
    pub(crate) messages: u64,
    /// From the first to the last of them.
    pub(crate) elapsed_ns: u64,
    pub(crate) cpu_ns: u64,
    pub(crate) allocations: u64,
    pub(crate) latency: Option<Percentiles>,
    pub(crate) skew: Option<Percentiles>,
    /// Per message of a burst: the time in its `send`, and its share of the flush behind the burst.
    pub(crate) send_ns: Option<f64>,
    pub(crate) flush_ns: Option<f64>,
    /// Feed: latency in ns by sequence, 0 where nothing came.
    pub(crate) latencies: Vec<u64>,
    pub(crate) features: Option<String>,
}
