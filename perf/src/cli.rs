//! The command line.
//!
//! Deliberately absent: settings per side. What is set is set for all.

use clap::{Args, Parser, Subcommand};

use crate::job::{Pattern, Transport, Who, Work};

/// Measures zring beside libzmq, bare sockets and bare tokio-uring.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Messages received per second, one sender and one receiver
    Throughput(Options),
    /// Round trips (req-rep), or one way at a rate (push-pull, pub-sub)
    Latency(Options),
    /// One publisher, many subscribers in one process: deliveries, latency, skew, time in `send`
    Fanout(Options),
    /// Replays a tick file to subscriber processes
    Feed(Options),
    /// Every row to reach, as Markdown
    Targets(TargetOptions),
    /// A process that sends or receives; started by this program itself
    #[command(hide = true)]
    Worker,
}

impl Command {
    /// The options of a measurement.
    pub(crate) fn options(&self) -> Option<&Options> {
        match self {
            Self::Throughput(options)
            | Self::Latency(options)
            | Self::Fanout(options)
            | Self::Feed(options) => Some(options),
            Self::Targets(_) | Self::Worker => None,
        }
    }
}

#[derive(Args, Clone, Debug)]
pub(crate) struct TargetOptions {
    /// Only these rows, separated by commas
    #[arg(long, value_delimiter = ',')]
    pub(crate) rows: Vec<u8>,
    /// Runs per side, taking turns
    #[arg(long, default_value_t = 5)]
    pub(crate) runs: usize,
    /// Write here instead of printing
    #[arg(long)]
    pub(crate) markdown: Option<String>,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// Way that the bytes travel
    #[arg(long, value_enum, default_value = "tcp")]
    pub(crate) transport: Transport,
    /// Bytes per message; several, separated by commas, are measured one after another
    #[arg(long, value_delimiter = ',', default_value = "64")]
    pub(crate) size: Vec<usize>,
    /// Subscribers; several numbers, separated by commas, are measured one after another
    /// [default: 64 for fanout, 8 for feed, 1 otherwise]
    #[arg(long, value_delimiter = ',')]
    pub(crate) subscribers: Vec<usize>,
    /// Pattern of throughput [default: push-pull] and latency [default: req-rep]
    #[arg(long, value_enum)]
    pub(crate) pattern: Option<Pattern>,
    /// Topics, sent in turn; 0: one that all subscribers take
    #[arg(long, default_value_t = 0)]
    pub(crate) topics: usize,
    /// Topics that each subscriber subscribes to
    #[arg(long, default_value_t = 1)]
    pub(crate) topics_per_subscriber: usize,
    /// Whom to measure beside zring
    #[arg(long, value_enum, value_delimiter = ',', default_value = "libzmq,raw")]
    pub(crate) against: Vec<Who>,
    /// Whom to measure, exactly; overrides --against
    #[arg(long, value_enum, value_delimiter = ',')]
    pub(crate) only: Vec<Who>,
    /// Runs per side, taking turns
    #[arg(long, default_value_t = 5)]
    pub(crate) runs: usize,
    /// Length of the measured part of a run
    #[arg(long, default_value_t = 1.0)]
    pub(crate) seconds: f64,
    /// Length of the part before it
    #[arg(long, default_value_t = 0.2)]
    pub(crate) warm_up: f64,
    /// End a run's measured part after so many messages
    #[arg(long)]
    pub(crate) messages: Option<u64>,
    /// High-water mark of both ends, in messages; 0: none
    #[arg(long, default_value_t = 1000)]
    pub(crate) hwm: usize,
    /// Messages per second of paced work [default: 10000 for latency one way and feed, 1000 for
    /// fanout; round trips follow each other without]
    #[arg(long)]
    pub(crate) rate: Option<u64>,
    /// Paced publishers wait at the mark instead of dropping; throughput always does so
    #[arg(long)]
    pub(crate) no_drop: bool,
    /// Subscribers more, which connect and never read; unless --stalled-elsewhere they take part
    /// in the paced runs only, since nothing is lossless with them
    #[arg(long, default_value_t = 0)]
    pub(crate) stalled: usize,
    /// The stalled ones want another topic, which is filled before measuring
    #[arg(long)]
    pub(crate) stalled_elsewhere: bool,
    /// Seconds of silence before each round trip (five trips a run, unless --messages)
    #[arg(long, num_args = 0..=1, default_missing_value = "1.0", default_value_t = 0.0)]
    pub(crate) idle: f64,
    /// Messages per burst in which the time of `send` is taken
    #[arg(long, default_value_t = 500)]
    pub(crate) burst: usize,
    /// Processors of the sending and the receiving process, as in 0,1; or none
    #[arg(long, default_value = "0,1")]
    pub(crate) cores: String,
    /// Seconds after which a run that has not ended is given up
    #[arg(long, default_value_t = 60)]
    pub(crate) patience: u64,
    /// feed: ticks as CSV of time,symbol,bid,ask,size [default: a sample that ships]
    #[arg(long)]
    pub(crate) ticks: Option<String>,
    /// feed: symbols that each subscriber subscribes to; 0: all
    #[arg(long, default_value_t = 10)]
    pub(crate) symbols_per_subscriber: usize,
    /// One JSON line per measured side instead of a table
    #[arg(long)]
    pub(crate) json: bool,
    /// Draw the comparison into this file
    #[arg(long)]
    pub(crate) svg: Option<String>,
}

impl Options {
    /// The sides to be measured, in order: with `--only` exactly those, otherwise those that
    /// can do the work.
    pub(crate) fn sides(&self, work: Work) -> Vec<Who> {
        if !self.only.is_empty() {
            return self.only.clone();
        }
        let is_inproc = self.transport == Transport::Inproc;
        let can = |who: &Who| match (who.is_bare(), work) {
            (false, _) => !(is_inproc && who.is_caller_driven()),
            (true, Work::FeedThroughput) => false,
            (true, Work::FanOutThroughput) if *who == Who::TokioUring => false,
            (true, _) => !is_inproc && self.topics == 0,
        };
        let zring = [Who::ZringIo, Who::ZringCaller];
        zring.iter().chain(&self.against).copied().filter(can).collect()
    }
}
