//! Command lines that are taken, and those that are refused with their reason.

use super::Cli;

/// `None`: it is taken.
fn refusal(line: &str) -> Option<String> {
    let words = ["perf"].into_iter().chain(line.split_whitespace());
    let text = Cli::read(words).err()?.to_string();
    Some(text.lines().next().unwrap().trim_start_matches("error: ").to_owned())
}

#[test]
fn a_flag_is_taken_where_it_has_a_use_and_refused_elsewhere() {
    // In the order of the columns below.
    let commands = ["throughput", "latency --pattern pub-sub", "latency", "fanout", "feed"];
    for (flag, expected) in [
        ("--transport ipc", "+++++"),
        ("--size 64", "++++-"),
        ("--subscribers 1", "+++++"),
        ("--subscribers 8", "---++"),
        ("--topics 4", "---+-"),
        ("--topics-per-subscriber 2 --topics 4", "---+-"),
        ("--against libzmq,raw", "+++++"),
        ("--only libzmq", "+++++"),
        ("--runs 3", "+++++"),
        ("--seconds 0.5", "+++++"),
        ("--warm-up 0.1", "+++++"),
        ("--messages 9", "+-+++"),
        ("--hwm 1000", "+++++"),
        ("--rate 9", "-++++"),
        ("--no-drop", "---++"),
        ("--stalled 1", "---+-"),
        ("--stalled-elsewhere --stalled 1 --topics 2 --no-drop", "---+-"),
        ("--idle", "--+--"),
        ("--burst 9", "---+-"),
        ("--cores none", "+++++"),
        ("--patience 9", "+++++"),
        ("--ticks x.csv", "----+"),
        ("--symbols-per-subscriber 0", "----+"),
        ("--json", "+++++"),
        ("--svg x.svg", "+++++"),
    ] {
        for (command, expected) in commands.iter().zip(expected.chars()) {
            let refused = refusal(&format!("{command} {flag}"));
            assert_eq!(refused.is_none(), expected == '+', "{command} {flag}: {refused:?}");
        }
    }
}

#[test]
fn a_refusal_says_why() {
    for (line, expected) in [
        (
            "throughput --subscribers 8",
            "throughput has no use for --subscribers: there is one receiver; many are measured by \
             fanout and feed",
        ),
        (
            "latency --topics 4",
            "latency of round trips has no use for --topics: topics are measured by fanout, and \
             those of feed are its symbols",
        ),
        (
            "latency --pattern pub-sub --messages 9",
            "latency one way has no use for --messages: a paced run ends after --seconds",
        ),
        ("fanout --pattern pub-sub", "fanout has no use for --pattern: it is pub-sub"),
        ("feed --pattern pub-sub", "feed has no use for --pattern: it is pub-sub"),
        ("throughput --pattern req-rep", "req-rep is measured by latency"),
        (
            "latency --rate 9 --messages 9",
            "--messages has no use beside --rate: a paced run ends after --seconds",
        ),
        (
            "latency --rate 9 --idle",
            "--idle has no use beside --rate: a trip at a rate begins when it is due",
        ),
        (
            "latency --idle --seconds 9",
            "--seconds has no use beside --idle: the run ends after --messages",
        ),
        (
            "fanout --topics-per-subscriber 2",
            "--topics-per-subscriber must be at least 1 and at most --topics",
        ),
        (
            "fanout --topics 4 --topics-per-subscriber 5",
            "--topics-per-subscriber must be at least 1 and at most --topics",
        ),
        (
            "fanout --stalled 1 --stalled-elsewhere --topics 2",
            "--stalled-elsewhere needs --stalled, --topics and --no-drop",
        ),
        ("fanout --stalled 1 --no-drop", "--stalled with --no-drop needs --stalled-elsewhere"),
    ] {
        assert_eq!(refusal(line).as_deref(), Some(expected), "{line}");
    }
}
