//! What each kind of work has a use for.
//!
//! A flag that is ignored gives numbers for something else than was asked for. So one that was
//! typed and has no use is refused, and so are values that no run can be made of.
//!
//! Deliberately absent: defaults, which nobody typed, and what a side cannot do
//! ([`Options::obstacle`]).

use super::{Command, Options};
use crate::job::{Pattern, Work};
use Work::{FanOutThroughput, FeedThroughput, Latency, RoundTrip, Throughput};

/// Fields of [`Options`] that some works have no use for: those that do, and what holds for the
/// others.
const USES: [(&str, &[Work], &str); 14] = [
    ("size", &[Throughput, Latency, RoundTrip, FanOutThroughput], "a tick has its own size"),
    ("subscribers", &[FanOutThroughput, FeedThroughput], SUBSCRIBERS),
    ("pattern", &[Throughput, Latency, RoundTrip], "it is pub-sub"),
    ("topics", &[FanOutThroughput], TOPICS),
    ("topics_per_subscriber", &[FanOutThroughput], TOPICS),
    ("messages", &[Throughput, RoundTrip, FanOutThroughput, FeedThroughput], PACED),
    ("rate", &[Latency, RoundTrip, FanOutThroughput, FeedThroughput], "it is not paced"),
    ("no_drop", &[FanOutThroughput, FeedThroughput], "it never drops"),
    ("stalled", &[FanOutThroughput], STALLED),
    ("stalled_elsewhere", &[FanOutThroughput], STALLED),
    ("idle", &[RoundTrip], "silence comes before round trips"),
    ("burst", &[FanOutThroughput], "the time of `send` is measured by fanout"),
    ("ticks", &[FeedThroughput], TICKS),
    ("symbols_per_subscriber", &[FeedThroughput], TICKS),
];

const SUBSCRIBERS: &str = "there is one receiver; many are measured by fanout and feed";
const TOPICS: &str = "topics are measured by fanout, and those of feed are its symbols";
const PACED: &str = "a paced run ends after --seconds";
const STALLED: &str = "stalled subscribers are measured by fanout";
const TICKS: &str = "ticks are measured by feed";

/// The works of each command.
const WORKS: [(&str, &[Work]); 4] = [
    ("throughput", &[Throughput]),
    ("latency", &[Latency, RoundTrip]),
    ("fanout", &[FanOutThroughput]),
    ("feed", &[FeedThroughput]),
];

/// Of round trips: a flag, one that has no use beside it, and why.
const PAIRS: [(&str, &str, &str); 3] = [
    ("rate", "messages", PACED),
    ("rate", "idle", "a trip at a rate begins when it is due"),
    ("idle", "seconds", "the run ends after --messages"),
];

/// Hides from the help of each command what none of its works has a use for.
pub(super) fn hide_unused(program: clap::Command) -> clap::Command {
    WORKS.iter().fold(program, |program, (name, works)| {
        let is_unused = |users: &[Work]| works.iter().all(|work| !users.contains(work));
        let unused = USES.iter().filter(|(_, users, _)| is_unused(users));
        program.mut_subcommand(name, |command| {
            unused
                .fold(command, |command, (field, ..)| command.mut_arg(field, |arg| arg.hide(true)))
        })
    })
}

/// Why the command line cannot be run as it was typed, if so. `is_given` answers whether a field of
/// [`Options`] was typed.
pub(super) fn refusal(command: &Command, is_given: impl Fn(&str) -> bool) -> Option<String> {
    let (options, (work, pattern)) = (command.options()?, command.work()?);
    let is_one = options.subscribers.iter().all(|&count| count == 1);
    let has_no_use = |(field, works, _): &&(&str, &[Work], &str)| {
        let is_true_anyway = *field == "subscribers" && is_one;
        is_given(field) && !works.contains(&work) && !is_true_anyway
    };
    if let Some((field, _, otherwise)) = USES.iter().find(has_no_use) {
        return Some(format!("{} has no use for {}: {otherwise}", name(work), flag(field)));
    }
    let pair = PAIRS.iter().find(|(first, second, _)| is_given(first) && is_given(second));
    match (work, pair) {
        (Throughput, _) if pattern == Pattern::ReqRep => {
            Some("req-rep is measured by latency".to_owned())
        }
        (RoundTrip, Some((first, second, why))) => {
            Some(format!("{} has no use beside {}: {why}", flag(second), flag(first)))
        }
        (FanOutThroughput, _) => fan_out_refusal(options, is_given).map(str::to_owned),
        _ => None,
    }
}

fn fan_out_refusal(options: &Options, is_given: impl Fn(&str) -> bool) -> Option<&'static str> {
    let Options { stalled, stalled_elsewhere, no_drop, topics, .. } = *options;
    if is_given("topics_per_subscriber") && options.topics_per_subscriber > topics {
        return Some("--topics-per-subscriber must be at most --topics");
    }
    match (stalled > 0, stalled_elsewhere, no_drop) {
        (is_stalled, true, _) if !(is_stalled && no_drop && topics > 0) => {
            Some("--stalled-elsewhere needs --stalled, --topics and --no-drop")
        }
        (true, false, true) => Some("--stalled with --no-drop needs --stalled-elsewhere"),
        _ => None,
    }
}

/// What the work is called in a refusal.
fn name(work: Work) -> &'static str {
    match work {
        Throughput => "throughput",
        Latency => "latency one way",
        RoundTrip => "latency of round trips",
        FanOutThroughput | Work::FanOutPaced => "fanout",
        FeedThroughput | Work::FeedPaced => "feed",
    }
}

/// How a field of [`Options`] is typed.
fn flag(field: &str) -> String {
    format!("--{}", field.replace('_', "-"))
}
