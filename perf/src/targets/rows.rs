//! The rows to reach: what is measured for each, and what it must come to.
//!
//! A figure names the command that gives it, so that every row can be repeated by hand; commands
//! that several rows share run once. Ratios are to a figure of the same command where there is
//! one, and otherwise to one of a command that takes turns with it, and so of the same minutes.
//!
//! Deliberately absent: rows of things that are measured elsewhere (C ABI, CURVE).

use crate::job::Who;
use crate::report::Row;

/// One claim: a figure, compared with another or with a number.
pub(crate) struct Check {
    /// Number of the row.
    pub(crate) row: u8,
    pub(crate) work: String,
    pub(crate) figure: Figure,
    pub(crate) against: Option<Figure>,
    pub(crate) reach: Reach,
}

impl Check {
    /// What is compared, and with what.
    pub(crate) fn figures(&self) -> impl Iterator<Item = &Figure> + Clone {
        [Some(&self.figure), self.against.as_ref()].into_iter().flatten()
    }
}

/// A number that a command measures for one side.
#[derive(Clone)]
pub(crate) struct Figure {
    /// The arguments of `perf`.
    pub(crate) command: String,
    pub(crate) who: Who,
    pub(crate) metric: Metric,
}

/// What the ratio, or the figure itself, must be.
#[derive(Clone, Copy)]
pub(crate) enum Reach {
    AtLeast(f64),
    AtMost(f64),
}

impl Reach {
    /// Whether `value` is what was to be reached.
    pub(crate) fn is_met_by(self, value: f64) -> bool {
        match self {
            Self::AtLeast(bound) => value >= bound,
            Self::AtMost(bound) => value <= bound,
        }
    }
}

/// Which number of a row.
#[derive(Clone, Copy)]
pub(crate) enum Metric {
    Value,
    Published,
    P50,
    P99,
    P999,
    SkewP50,
    SkewP99,
    SkewP999,
    SendNs,
    CpuPerMillion,
    Allocations,
}

impl Metric {
    /// The number, if the row has it.
    pub(crate) fn of(self, row: &Row) -> Option<f64> {
        match self {
            Self::Value => Some(row.value()),
            Self::Published => row.published(),
            Self::P50 => row.latency().map(|of| of.p50),
            Self::P99 => row.latency().map(|of| of.p99),
            Self::P999 => row.latency().map(|of| of.p999),
            Self::SkewP50 => row.skew().map(|of| of.p50),
            Self::SkewP99 => row.skew().map(|of| of.p99),
            Self::SkewP999 => row.skew().map(|of| of.p999),
            Self::SendNs => row.send_ns(),
            Self::CpuPerMillion => Some(row.cpu_s_per_million()),
            Self::Allocations => row.allocations_per_message(),
        }
    }

    /// How the number is called in a row's text.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Value => "median",
            Self::Published => "published/s",
            Self::P50 => "p50 µs",
            Self::P99 => "p99 µs",
            Self::P999 => "p99.9 µs",
            Self::SkewP50 => "skew p50 µs",
            Self::SkewP99 => "skew p99 µs",
            Self::SkewP999 => "skew p99.9 µs",
            Self::SendNs => "ns in send",
            Self::CpuPerMillion => "CPU s/M",
            Self::Allocations => "allocations/message",
        }
    }
}

/// Sizes of rows 1 to 5, with the reach caller-driven and with an I/O thread.
const STREAMS: [(u8, usize, f64, f64); 5] = [
    (1, 16, 10.0, 7.0),
    (2, 64, 9.0, 6.0),
    (3, 256, 6.0, 4.0),
    (4, 1024, 4.5, 3.5),
    (5, 16_384, 4.0, 3.0),
];
const MIB: usize = 1 << 20;
const ZRING: [Who; 2] = [Who::ZringCaller, Who::ZringIo];
const FAN_OUT: &str = "--seconds 1.5 --warm-up 0.1 --only zring-io,zring-caller,libzmq";
/// In runs twice as long as the others, three messages make the 99.9th percentile, and not one.
const TAIL: &str = "fanout --subscribers 64 --seconds 3 --warm-up 0.1 --only zring-io,zring-caller";

/// All rows, in order.
pub(crate) fn all() -> Vec<Check> {
    let mut checks = Vec::new();
    streams(&mut checks);
    round_trips(&mut checks);
    fan_out(&mut checks);
    stalled(&mut checks);
    silence(&mut checks);
    costs(&mut checks);
    checks
}

fn stream(size: usize, transport: &str, mark: usize) -> String {
    let sides = match transport {
        "inproc" => "zring-io,libzmq",
        "ipc" => "zring-io,zring-caller,libzmq,raw",
        _ => "zring-io,zring-caller,libzmq,raw,tokio-uring",
    };
    format!(
        "throughput --size {size} --transport {transport} --hwm {mark} --seconds 0.3 \
         --warm-up 0.3 --only {sides}"
    )
}

/// Rows 1 to 8.
fn streams(checks: &mut Vec<Check>) {
    for (transport, mark) in [("tcp", 1000), ("tcp", 0), ("ipc", 1000), ("ipc", 0)] {
        let text = if mark == 0 { ", no marks" } else { "" };
        for (row, size, caller, io) in STREAMS {
            let row = if transport == "ipc" { 7 } else { row };
            for (who, bound) in [(Who::ZringCaller, caller), (Who::ZringIo, io)] {
                let work = format!("PUSH→PULL {transport} {size} B{text}, msg/s");
                let command = stream(size, transport, mark);
                checks.push(ratio(
                    row,
                    work,
                    (command, who, Metric::Value),
                    Who::Libzmq,
                    Reach::AtLeast(bound),
                ));
            }
        }
        for who in ZRING {
            let work = format!("PUSH→PULL {transport} 1 MiB{text}, msg/s");
            let command = stream(MIB, transport, mark);
            let row = if transport == "ipc" { 7 } else { 6 };
            checks.push(ratio(
                row,
                work,
                (command, who, Metric::Value),
                Who::Raw,
                Reach::AtLeast(0.8),
            ));
        }
    }
    for (mark, text) in [(1000, ""), (0, ", no marks")] {
        let figure = (stream(64, "inproc", mark), Who::ZringIo, Metric::Value);
        let work = format!("PUSH→PULL inproc 64 B{text}, msg/s");
        checks.push(ratio(8, work, figure, Who::Libzmq, Reach::AtLeast(10.0)));
    }
}

fn tcp_round_trip() -> String {
    "latency --seconds 0.5 --warm-up 0.1 \
     --only zring-io,zring-caller,zring-caller-spin,libzmq,raw,raw-spin,tokio-uring"
        .to_owned()
}

/// Rows 9 and 10.
fn round_trips(checks: &mut Vec<Check>) {
    for (who, against, bound) in [
        (Who::ZringCaller, Who::Raw, 1.15),
        (Who::ZringCallerSpin, Who::RawSpin, 1.3),
        (Who::ZringIo, Who::Libzmq, 0.7),
    ] {
        let figure = (tcp_round_trip(), who, Metric::P50);
        let work = "REQ/REP round trip tcp 64 B, µs".to_owned();
        checks.push(ratio(9, work, figure, against, Reach::AtMost(bound)));
    }
    let command = "latency --transport inproc --seconds 0.5 --warm-up 0.1 \
                   --only zring-io,zring-io-spin,libzmq,libzmq-spin";
    let work = "REQ/REP round trip inproc 64 B, µs".to_owned();
    let spin = (command.to_owned(), Who::ZringIoSpin, Metric::P50);
    checks.push(absolute(10, work.clone(), spin, Reach::AtMost(1.0)));
    let block = (command.to_owned(), Who::ZringIo, Metric::P50);
    checks.push(ratio(10, work, block, Who::Libzmq, Reach::AtMost(0.8)));
}

fn publish(subscribers: usize, more: &str) -> String {
    format!("fanout --subscribers {subscribers} {FAN_OUT}{more}")
}

/// Rows 11 to 14, and 21.
fn fan_out(checks: &mut Vec<Check>) {
    for subscribers in [1, 64, 256] {
        for who in ZRING {
            let work = format!("time in PUB `send`, 64 B, {subscribers} subscribers, ns");
            let figure = (publish(subscribers, ""), who, Metric::SendNs);
            checks.push(absolute(11, work, figure, Reach::AtMost(100.0)));
        }
    }
    for (row, size, more, bound) in [(12, 64, "", 6.0), (13, 1024, " --size 1024", 3.5)] {
        for who in ZRING {
            let work = format!("PUB→64 SUB tcp {size} B, deliveries/s");
            let figure = (publish(64, more), who, Metric::Value);
            checks.push(ratio(row, work, figure, Who::Libzmq, Reach::AtLeast(bound)));
        }
    }
    use Metric::{P50, P99, P999, SkewP50, SkewP99, SkewP999};
    for metric in [P50, P99, P999, SkewP50, SkewP99, SkewP999] {
        for who in ZRING {
            let work = format!("PUB→64 SUB tcp 64 B paced, {}", metric.name());
            let figure = (publish(64, ""), who, metric);
            checks.push(ratio(14, work, figure, Who::Libzmq, Reach::AtMost(1.0)));
        }
    }
    for who in ZRING {
        let work = "PUB→64 SUB, 20 of 1,000 topics each, published/s".to_owned();
        let command = publish(64, " --topics 1000 --topics-per-subscriber 20");
        let figure = (command, who, Metric::Published);
        checks.push(ratio(21, work, figure, Who::Libzmq, Reach::AtLeast(4.0)));
    }
}

/// Row 15. The figure to compare with is the side's own, without the stalled subscriber.
fn stalled(checks: &mut Vec<Check>) {
    let lossless = " --topics 2 --topics-per-subscriber 2 --no-drop";
    for (text, more, without) in [
        ("one stalled", " --stalled 1".to_owned(), String::new()),
        (
            "no-drop, one stalled on another topic",
            format!("{lossless} --stalled 1 --stalled-elsewhere"),
            lossless.to_owned(),
        ),
    ] {
        for who in ZRING {
            let figure = Figure { command: format!("{TAIL}{more}"), who, metric: Metric::P999 };
            let against = Figure { command: format!("{TAIL}{without}"), ..figure.clone() };
            let work = format!("PUB→64 SUB paced, {text}: the others' p99.9 µs");
            let reach = Reach::AtMost(1.1);
            checks.push(Check { row: 15, work, figure, against: Some(against), reach });
        }
    }
}

/// Row 16. The figure to compare with is the side's own busy round trip. Bare sockets show what of
/// it is the machine's.
fn silence(checks: &mut Vec<Check>) {
    let command = "latency --idle 1 --messages 2 --warm-up 0.1 \
         --only zring-io,zring-caller,zring-caller-spin,libzmq,raw,raw-spin";
    for who in [Who::ZringCaller, Who::ZringCallerSpin, Who::ZringIo] {
        let figure = Figure { command: command.to_owned(), who, metric: Metric::P50 };
        let against = Figure { command: tcp_round_trip(), ..figure.clone() };
        let work = "REQ/REP round trip tcp 64 B after 1 s of silence, µs".to_owned();
        let reach = Reach::AtMost(1.5);
        checks.push(Check { row: 16, work, figure, against: Some(against), reach });
    }
}

/// Rows 17 and 18.
fn costs(checks: &mut Vec<Check>) {
    for (_, size, ..) in STREAMS.iter().filter(|(_, size, ..)| *size <= 1024) {
        for who in ZRING {
            let work = format!("allocations per message, PUSH→PULL tcp {size} B");
            let figure = (stream(*size, "tcp", 1000), who, Metric::Allocations);
            checks.push(absolute(17, work, figure, Reach::AtMost(0.0)));
        }
    }
    for (command, text) in [(stream(64, "tcp", 1000), "row 2"), (publish(64, ""), "row 12")] {
        for who in ZRING {
            let work = format!("CPU s per million messages, {text}");
            let figure = (command.clone(), who, Metric::CpuPerMillion);
            checks.push(ratio(18, work, figure, Who::Libzmq, Reach::AtMost(0.25)));
        }
    }
}

/// A figure against another side's of the same command.
fn ratio(
    row: u8,
    work: String,
    (command, who, metric): (String, Who, Metric),
    against: Who,
    reach: Reach,
) -> Check {
    let figure = Figure { command, who, metric };
    let against = Figure { who: against, ..figure.clone() };
    Check { row, work, figure, against: Some(against), reach }
}

/// A figure that must reach a number by itself.
fn absolute(
    row: u8,
    work: String,
    (command, who, metric): (String, Who, Metric),
    reach: Reach,
) -> Check {
    Check { row, work, figure: Figure { command, who, metric }, against: None, reach }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;

    #[test]
    fn every_command_parses_and_measures_the_sides_that_are_compared() {
        for check in all() {
            for figure in check.figures() {
                let words = ["perf"].into_iter().chain(figure.command.split_whitespace());
                let command = Cli::read(words).unwrap().command;
                let only = &command.options().unwrap().only;
                assert!(only.contains(&figure.who), "{}", figure.command);
            }
        }
    }

    #[test]
    fn every_row_that_this_program_answers_for_is_there() {
        let checks = all();
        for row in (1..=18).chain([21]) {
            assert!(checks.iter().any(|check| check.row == row), "row {row}");
        }
    }
}
