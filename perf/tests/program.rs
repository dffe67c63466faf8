//! The program as it is started: what it measures, and how it ends.
//!
//! Deliberately absent: numbers. A run is as short as it can be, and only has to succeed.

use std::process::{Command, Output};

/// Runs of every kind are short, and one that hangs is given up.
const SHORT: &str = "--runs 1 --seconds 0.05 --warm-up 0.02 --patience 30 --cores none --json";

fn perf(line: &str) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_perf"));
    program.args(line.split_whitespace()).output().expect("the program is there")
}

/// A path of this test alone.
fn path(name: &str) -> String {
    format!("{}/{name}", env!("CARGO_TARGET_TMPDIR"))
}

#[test]
fn a_feed_keeps_symbols_apart_that_begin_others() {
    let ticks = path("prefixes.csv");
    let symbols = ["GOOG", "GOOGL", "F", "FOX", "A", "AB"];
    let lines = symbols.map(|symbol| format!("1,{symbol},2.5,2.6,100\n"));
    std::fs::write(&ticks, lines.concat()).unwrap();
    let done = perf(&format!(
        "feed --ticks {ticks} --subscribers 3 --symbols-per-subscriber 1 \
         --only zring-io,zring-caller,libzmq {SHORT}"
    ));
    assert!(done.status.success(), "{done:?}");
}

#[test]
fn a_refused_command_line_ends_with_2_and_names_its_flag() {
    for (line, expected) in [
        ("throughput --runs 0", "--runs"),
        ("throughput --seconds -1", "--seconds"),
        ("throughput --cores 1", "--cores"),
        ("throughput --size 1", "--size"),
        ("latency --topics 4", "--topics"),
        ("latency --rate 10 --seconds 0.01", "--rate times --seconds"),
        ("latency --rate 10000000 --seconds 11", "--rate times --seconds"),
        ("latency --idle 10000 --messages 9", "--idle times --messages"),
        ("fanout --hwm 10 --burst 10", "--burst"),
        ("feed --ticks /nowhere.csv", "/nowhere.csv"),
        ("targets --rows 99", "--rows"),
    ] {
        let done = perf(line);
        assert_eq!(done.status.code(), Some(2), "{line}: {done:?}");
        assert!(String::from_utf8_lossy(&done.stderr).contains(expected), "{line}: {done:?}");
    }
}

#[test]
fn a_file_that_cannot_be_written_is_named_before_anything_is_measured() {
    let nowhere = path("nowhere/x");
    for line in [
        format!("throughput --seconds 86400 --svg {nowhere}"),
        format!("targets --rows 1 --markdown {nowhere}"),
    ] {
        let done = perf(&line);
        assert_eq!(done.status.code(), Some(1), "{line}: {done:?}");
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(said.starts_with(&format!("perf: cannot write {nowhere}: ")), "{line}: {said}");
    }
}

#[test]
fn a_drawing_takes_the_place_of_what_was_there() {
    let drawing = path("drawing.svg");
    std::fs::write(&drawing, "old").unwrap();
    let refused = perf(&format!("throughput --size 1 --svg {drawing}"));
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    assert_eq!(std::fs::read_to_string(&drawing).unwrap(), "old");
    let done = perf(&format!("throughput --only zring-io --svg {drawing} {SHORT}"));
    assert!(done.status.success(), "{done:?}");
    assert!(std::fs::read_to_string(&drawing).unwrap().starts_with("<svg"));
}
