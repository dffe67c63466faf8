//! The keys of a JSON line, and numbers as people read them.

use super::*;
use crate::cli::Cli;

/// A row of two runs, for the work of a command. Its value is 3 in whatever unit.
pub(crate) fn row(command: &str, who: Who) -> Row {
    let command = Cli::read(["perf", command]).unwrap().command;
    let (work, pattern) = command.work().unwrap();
    let percentiles = Percentiles { p50: 1.0, p90: 2.0, p99: 3.0, p999: 4.0, max: 5.0 };
    let is_fan_out = work == Work::FanOutThroughput;
    let sample = |value| Sample {
        value,
        published: is_fan_out.then_some(1.0),
        cpu_s_per_million: 0.5,
        allocations_per_message: 0.0,
        latency: (work != Work::Throughput).then_some(percentiles),
        skew: is_fan_out.then_some(percentiles),
        send_ns: is_fan_out.then_some(7.0),
        flush_ns: is_fan_out.then_some(8.0),
        drops: is_fan_out.then_some(1),
        pace: Pace::measure(),
    };
    Row {
        who,
        work,
        pattern,
        transport: Transport::Tcp,
        size: 64,
        subscribers: 1,
        samples: vec![sample(2.0), sample(4.0)],
        features: None,
        failure: None,
    }
}

fn keys(line: &Value) -> Vec<&str> {
    line.as_object().unwrap().keys().map(String::as_str).collect()
}

const COMMON: [&str; 12] = [
    "work",
    "pattern",
    "transport",
    "size",
    "subscribers",
    "who",
    "value",
    "unit",
    "min",
    "max",
    "runs",
    "cpu_s_per_million",
];
const LATENCY: [&str; 5] = ["p50", "p90", "p99", "p999", "max_us"];
const SKEW: [&str; 5] = ["skew_p50", "skew_p90", "skew_p99", "skew_p999", "skew_max_us"];
const ALLOCATIONS: &str = "allocations_per_message";

#[test]
fn a_line_has_exactly_its_keys_in_order() {
    let fan_out = ["published", "send_ns", "flush_ns", ALLOCATIONS, "drops"];
    for (command, more) in [
        ("throughput", vec![ALLOCATIONS]),
        ("latency", [&LATENCY[..], &[ALLOCATIONS]].concat()),
        ("fanout", [&LATENCY[..], &SKEW, &fan_out].concat()),
    ] {
        let line = row(command, Who::ZringIo).json();
        assert_eq!(keys(&line), [&COMMON[..], &more].concat(), "{command}");
        assert_eq!(line["work"], command);
        // As a program reads it.
        let read: Value = serde_json::from_str(&line.to_string()).unwrap();
        assert_eq!(keys(&read), keys(&line));
    }
}

#[test]
fn a_side_that_allocates_elsewhere_says_nothing_of_it() {
    let line = row("throughput", Who::Libzmq).json();
    assert_eq!(keys(&line), COMMON);
}

#[test]
fn both_maxima_are_there() {
    let line = row("latency", Who::ZringIo).json();
    assert_eq!((&line["value"], &line["unit"]), (&json!(3.0), &json!("us")));
    assert_eq!((&line["min"], &line["max"], &line["runs"]), (&json!(2.0), &json!(4.0), &json!(2)));
    assert_eq!(line["max_us"], json!(5.0));
}

#[test]
fn a_side_that_failed_says_why_and_gives_no_number() {
    let failed = Row { failure: Some("no ring".to_owned()), ..row("latency", Who::ZringIo) };
    let line = failed.json();
    assert_eq!(keys(&line), [&COMMON[..6], &["error"]].concat());
    assert_eq!(line["error"], "no ring");
}

#[test]
fn more_runs_are_added_to_those_of_the_same_side() {
    let failed = Row { failure: Some("no ring".to_owned()), ..row("latency", Who::Libzmq) };
    let mut rows = vec![row("latency", Who::ZringIo), failed];
    Row::add(
        &mut rows,
        [Who::ZringIo, Who::Libzmq, Who::Raw].map(|who| row("latency", who)).into(),
    );
    let counts = rows.iter().map(|row| (row.who, row.samples.len(), row.failure.is_some()));
    let expected = [(Who::ZringIo, 4, false), (Who::Libzmq, 4, true), (Who::Raw, 2, false)];
    assert_eq!(counts.collect::<Vec<_>>(), expected);
}

#[test]
fn three_digits_count() {
    for (value, expected) in [
        (0.123, "0.12"),
        (12.34, "12.3"),
        (1234.0, "1234"),
        (45_600.0, "45.6 k"),
        (3.3e6, "3.30 M"),
    ] {
        assert_eq!(short(value), expected);
    }
}
