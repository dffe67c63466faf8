//! The command line.
//!
//! Deliberately absent: settings per side. What is set is set for all.

pub(crate) mod limits;
#[cfg(test)]
mod tests;
mod uses;

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use self::limits::{
    BURST_MAX, DAY, HIGH_WATER_MARK_MAX, MESSAGES_MAX, RATE_MAX, RUNS_MAX, SIZE_MAX,
    SUBSCRIBERS_MAX, TOPICS_MAX, seconds, seconds_or_none, within,
};
use crate::job::{Pattern, Transport, Who, Work};

/// Measures zring beside libzmq, bare sockets and bare tokio-uring.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Cli {
    /// Reads a command line, the program's name first.
    ///
    /// # Errors
    ///
    /// What clap refuses, and flags that the command has no use for.
    pub(crate) fn read(
        words: impl IntoIterator<Item: Into<OsString> + Clone>,
    ) -> Result<Self, clap::Error> {
        let mut program = program();
        let matches = program.try_get_matches_from_mut(words)?;
        let cli = Self::from_arg_matches(&matches)?;
        let Some((name, given)) = matches.subcommand() else { return Ok(cli) };
        let is_given = |field: &str| given.value_source(field) == Some(ValueSource::CommandLine);
        match (uses::refusal(&cli.command, is_given), program.find_subcommand_mut(name)) {
            (Some(refusal), Some(command)) => {
                Err(command.error(ErrorKind::ArgumentConflict, refusal))
            }
            _ => Ok(cli),
        }
    }
}

/// The program as clap knows it. The help of a command leaves out what the command has no use for.
/// A number below zero is the value of the flag before it, whose refusal then names it.
fn program() -> clap::Command {
    let program = Cli::command().mut_subcommands(|command| {
        command.mut_args(|arg| {
            let takes_values = arg.get_action().takes_values();
            arg.allow_negative_numbers(takes_values)
        })
    });
    uses::hide_unused(program)
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Messages received per second, one sender and one receiver
    Throughput(Options),
    /// Round trips in a closed loop (req-rep), or paced, without coordinated omission (--rate)
    ///
    /// Without --rate, req-rep is a closed loop of ping-pong: a request leaves when the reply to
    /// the one before has come, and its time is that of the trip. With --rate its trips are paced,
    /// and push-pull and pub-sub, one way, always are: a message is due at a fixed time, whatever
    /// became of those before, and its latency counts from then, so that no wait is omitted.
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

    /// What a measurement does, and with which pattern.
    pub(crate) fn work(&self) -> Option<(Work, Pattern)> {
        Some(match self {
            Self::Throughput(options) => {
                (Work::Throughput, options.pattern.unwrap_or(Pattern::PushPull))
            }
            Self::Latency(options) => match options.pattern.unwrap_or(Pattern::ReqRep) {
                Pattern::ReqRep => (Work::RoundTrip, Pattern::ReqRep),
                pattern => (Work::Latency, pattern),
            },
            Self::Fanout(_) => (Work::FanOutThroughput, Pattern::PubSub),
            Self::Feed(_) => (Work::FeedThroughput, Pattern::PubSub),
            Self::Targets(_) | Self::Worker => return None,
        })
    }
}

#[derive(Args, Clone, Debug)]
pub(crate) struct TargetOptions {
    /// Only these rows, separated by commas
    #[arg(long, value_delimiter = ',')]
    pub(crate) rows: Vec<u8>,
    /// Runs per side, taking turns
    #[arg(long, default_value_t = 5, value_parser = within::<usize>(1..=RUNS_MAX))]
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
    /// Bytes per message; several, separated by commas, are measured one after another; not for
    /// feed, whose ticks have their own size
    #[arg(long, value_delimiter = ',', default_value = "64")]
    #[arg(value_parser = within::<usize>(1..=SIZE_MAX))]
    pub(crate) size: Vec<usize>,
    /// fanout, feed: subscribers; several numbers, separated by commas, are measured one after
    /// another [default: 64 for fanout, 8 for feed]
    #[arg(long, value_delimiter = ',', value_parser = within::<usize>(1..=SUBSCRIBERS_MAX))]
    pub(crate) subscribers: Vec<usize>,
    /// Pattern of throughput [default: push-pull] and latency [default: req-rep]
    #[arg(long, value_enum)]
    pub(crate) pattern: Option<Pattern>,
    /// fanout: topics, sent in turn; 0: one that all subscribers take
    #[arg(long, default_value_t = 0, value_parser = within::<usize>(0..=TOPICS_MAX))]
    pub(crate) topics: usize,
    /// fanout: topics that each subscriber subscribes to
    #[arg(long, default_value_t = 1, value_parser = within::<usize>(1..=TOPICS_MAX))]
    pub(crate) topics_per_subscriber: usize,
    /// Whom to measure beside zring; who cannot do the work is left out, with a message
    #[arg(long, value_enum, value_delimiter = ',', default_value = "libzmq,raw")]
    pub(crate) against: Vec<Who>,
    /// Whom to measure, exactly
    #[arg(long, value_enum, value_delimiter = ',', conflicts_with = "against")]
    pub(crate) only: Vec<Who>,
    /// Runs per side, taking turns
    #[arg(long, default_value_t = 5, value_parser = within::<usize>(1..=RUNS_MAX))]
    pub(crate) runs: usize,
    /// Length of the measured part of a run
    #[arg(long, default_value_t = 1.0, value_parser = seconds)]
    pub(crate) seconds: f64,
    /// Length of the part before it
    #[arg(long, default_value_t = 0.2, value_parser = seconds_or_none)]
    pub(crate) warm_up: f64,
    /// End a run's measured part after so many messages; not if it is paced
    #[arg(long, value_parser = within::<u64>(1..=MESSAGES_MAX))]
    pub(crate) messages: Option<u64>,
    /// High-water mark of both ends, in messages; 0: none
    #[arg(long, default_value_t = 1000, value_parser = within::<usize>(0..=HIGH_WATER_MARK_MAX))]
    pub(crate) hwm: usize,
    /// Messages per second of paced work, whose latency counts from when each was due: without
    /// coordinated omission [default: 10000 for latency one way and feed, 1000 for fanout; none for
    /// round trips, which are then a closed loop of ping-pong]
    #[arg(long, value_parser = within::<u64>(1..=RATE_MAX))]
    pub(crate) rate: Option<u64>,
    /// fanout, feed: paced publishers wait at the mark instead of dropping; others always do
    #[arg(long)]
    pub(crate) no_drop: bool,
    /// fanout: subscribers more, which connect and never read; unless --stalled-elsewhere they take
    /// part in the paced runs only, since nothing is lossless with them
    #[arg(long, default_value_t = 0, value_parser = within::<usize>(0..=SUBSCRIBERS_MAX))]
    pub(crate) stalled: usize,
    /// fanout: the stalled ones want another topic, which is filled before measuring; with
    /// --topics and --no-drop
    #[arg(long)]
    pub(crate) stalled_elsewhere: bool,
    /// latency: seconds of silence before each round trip (five trips a run, unless --messages);
    /// 1, if no number follows [default: none]
    #[arg(long, num_args = 0..=1, default_missing_value = "1.0", value_parser = seconds)]
    pub(crate) idle: Option<f64>,
    /// fanout: messages per burst whose time in `send`, and in the flush behind it, is taken
    #[arg(long, default_value_t = 500, value_parser = within::<usize>(1..=BURST_MAX))]
    pub(crate) burst: usize,
    /// Processors of the sending and the receiving end, as in 0,1; or none [default: the first two
    /// that this process may run on; none if there is one]
    #[arg(long)]
    pub(crate) cores: Option<String>,
    /// Seconds after which a run that has not ended is given up
    #[arg(long, default_value_t = 60, value_parser = within::<u64>(1..=DAY))]
    pub(crate) patience: u64,
    /// feed: ticks as CSV of time,symbol,bid,ask,size; the topic is the symbol and a comma, so that
    /// GOOG is not also GOOGL [default: a sample that ships]
    #[arg(long)]
    pub(crate) ticks: Option<String>,
    /// feed: symbols that each subscriber subscribes to; 0: all
    #[arg(long, default_value_t = 10, value_parser = within::<usize>(0..=TOPICS_MAX))]
    pub(crate) symbols_per_subscriber: usize,
    /// One JSON line per measured side instead of a table; `min` and `max` are those of `value`
    /// over the runs, so the longest latency is called `max_us`, and the longest skew
    /// `skew_max_us`; a side that failed has `error` in place of what is measured
    #[arg(long)]
    pub(crate) json: bool,
    /// Draw the comparison into this file
    #[arg(long)]
    pub(crate) svg: Option<String>,
}

impl Options {
    /// The sides to be measured, each once, in order: with `--only` exactly those, otherwise those
    /// that can do the work.
    pub(crate) fn sides(&self, work: Work, pattern: Pattern) -> Vec<Who> {
        if !self.only.is_empty() {
            return each_once(self.only.iter().copied());
        }
        let can = |who: &Who| self.obstacle(*who, work, pattern).is_none();
        self.candidates().into_iter().filter(can).collect()
    }

    /// The sides that are not, and why.
    pub(crate) fn left_out(&self, work: Work, pattern: Pattern) -> Vec<(Who, &'static str)> {
        if !self.only.is_empty() {
            return Vec::new();
        }
        let obstacle = |who| Some((who, self.obstacle(who, work, pattern)?));
        self.candidates().into_iter().filter_map(obstacle).collect()
    }

    fn candidates(&self) -> Vec<Who> {
        let own = [Who::ZringIo, Who::ZringCaller];
        each_once(own.into_iter().chain(self.against.iter().copied()))
    }

    /// Why a side cannot do the work, if it cannot.
    fn obstacle(&self, who: Who, work: Work, pattern: Pattern) -> Option<&'static str> {
        match (who.is_bare(), self.transport) {
            (false, Transport::Inproc) if who.is_caller_driven() => {
                Some("its sockets stay on one thread, so that inproc has nobody at its other end")
            }
            (false, _) => None,
            (true, Transport::Inproc) => Some("bare sockets have no inproc"),
            (true, _) if work == Work::FeedThroughput || self.topics > 0 => {
                Some("bare sockets have no topics")
            }
            (true, _) if self.stalled > 0 => Some("bare sockets have no marks to drop at"),
            (true, _) if who == Who::TokioUring && pattern == Pattern::PubSub => {
                Some("tokio-uring is measured with streams and ping-pong")
            }
            (true, _) => None,
        }
    }
}

fn each_once(sides: impl Iterator<Item = Who>) -> Vec<Who> {
    let mut seen = Vec::new();
    for who in sides {
        if !seen.contains(&who) {
            seen.push(who);
        }
    }
    seen
}
