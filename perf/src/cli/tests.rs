//! Command lines that are taken, and those that are refused with their reason.

use super::{Cli, Command, Options};
use crate::job::{Transport, Who};

fn read(line: &str) -> Result<Cli, clap::Error> {
    Cli::read(["perf"].into_iter().chain(line.split_whitespace()))
}

/// `None`: it is taken.
fn refusal(line: &str) -> Option<String> {
    let text = read(line).err()?.to_string();
    Some(text.lines().next().unwrap().trim_start_matches("error: ").to_owned())
}

/// The flags that all four commands have.
const FLAGS: &str = "--transport ipc --against libzmq,raw --runs 3 --json --svg x.svg";

#[test]
fn the_four_commands_are_read_with_all_their_flags() {
    for line in [
        "throughput --size 64 --subscribers 1 --pattern push-pull",
        "latency --size 64 --subscribers 1 --pattern req-rep --rate 9",
        "fanout --size 64 --subscribers 8 --topics 100 --topics-per-subscriber 10 --rate 9",
        "feed --subscribers 8 --ticks x.csv --rate 9 --symbols-per-subscriber 10",
    ] {
        let command = read(&format!("{line} {FLAGS}")).unwrap().command;
        let is_named = match line.split(' ').next().unwrap() {
            "throughput" => matches!(command, Command::Throughput(_)),
            "latency" => matches!(command, Command::Latency(_)),
            "fanout" => matches!(command, Command::Fanout(_)),
            _ => matches!(command, Command::Feed(_)),
        };
        assert!(is_named, "{line}: {command:?}");
        let Options { transport, against, runs, json, svg, .. } = command.options().unwrap();
        assert_eq!((*transport, *runs, *json), (Transport::Ipc, 3, true), "{line}");
        assert_eq!((&against[..], svg.as_deref()), (&[Who::Libzmq, Who::Raw][..], Some("x.svg")));
    }
}

#[test]
fn values_arrive_where_they_belong() {
    let of = |line| read(line).unwrap().command.options().unwrap().clone();
    let fanout = of("fanout --size 16,64 --subscribers 8,9 --topics 100 --topics-per-subscriber 7");
    assert_eq!((&fanout.size[..], &fanout.subscribers[..]), (&[16, 64][..], &[8, 9][..]));
    assert_eq!((fanout.topics, fanout.topics_per_subscriber), (100, 7));
    let feed = of("feed --ticks x.csv --rate 9 --symbols-per-subscriber 5");
    assert_eq!((feed.ticks.as_deref(), feed.rate), (Some("x.csv"), Some(9)));
    assert_eq!(feed.symbols_per_subscriber, 5);
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
        ("fanout --topics-per-subscriber 2", "--topics-per-subscriber must be at most --topics"),
        (
            "fanout --topics 4 --topics-per-subscriber 5",
            "--topics-per-subscriber must be at most --topics",
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

#[test]
fn a_number_that_no_run_can_be_made_of_is_refused_by_its_flag() {
    for (command, flag, refused, taken) in [
        ("throughput", "size", "0 1073741825 -1 1.5 64,0", "1 1073741824"),
        ("throughput", "runs", "0 10001 -1", "1 10000"),
        ("targets", "runs", "0 10001 -1", "1 10000"),
        ("throughput", "seconds", "0 -1 -1e3 1e-9 86401 nan inf infinity x", "1e-6 86400"),
        ("throughput", "warm-up", "-0.1 86401 nan inf", "0 86400"),
        ("throughput", "messages", "0 1000000000001 18446744073709551616", "1 1000000000000"),
        ("throughput", "hwm", "-1 2147483648", "0 2147483647"),
        ("throughput", "patience", "0 86401 -1 0.5", "1 86400"),
        ("latency", "idle", "0 -1 86401 nan inf", "0.1 86400"),
        ("latency", "rate", "0 10000001 18446744073709551615", "1 10000000"),
        ("fanout", "subscribers", "0 4097 8,0", "1 4096"),
        ("fanout", "topics", "-1 100001", "0 100000"),
        ("fanout --topics 100000", "topics-per-subscriber", "0 100001", "1 100000"),
        ("fanout", "stalled", "-1 4097", "0 4096"),
        ("fanout", "burst", "0 100001", "1 100000"),
        ("feed", "symbols-per-subscriber", "-1 100001", "0 100000"),
    ] {
        for value in refused.split(' ') {
            let text = refusal(&format!("{command} --{flag} {value}")).expect(value);
            assert!(text.contains(&format!("'--{flag} ")), "{flag} {value}: {text}");
        }
        for value in taken.split(' ') {
            assert_eq!(refusal(&format!("{command} --{flag} {value}")), None, "{flag} {value}");
        }
    }
}

#[test]
fn a_side_that_is_named_twice_is_measured_once() {
    use Who::{Libzmq, Raw, ZringCaller, ZringIo};
    for (flag, expected) in [
        ("--only libzmq,zring-io,libzmq", &[Libzmq, ZringIo][..]),
        ("--against raw,zring-io,libzmq,raw", &[ZringIo, ZringCaller, Raw, Libzmq]),
        ("--against zring-caller", &[ZringIo, ZringCaller]),
    ] {
        let command = read(&format!("throughput {flag}")).unwrap().command;
        let (work, pattern) = command.work().unwrap();
        assert_eq!(command.options().unwrap().sides(work, pattern), expected, "{flag}");
    }
    let command = read("throughput --transport inproc --against raw,raw").unwrap().command;
    let (work, pattern) = command.work().unwrap();
    let left_out = command.options().unwrap().left_out(work, pattern);
    assert_eq!(left_out.iter().map(|(who, _)| *who).collect::<Vec<_>>(), [ZringCaller, Raw]);
}

#[test]
fn the_help_of_a_command_lists_what_it_takes() {
    for (command, expected, unexpected) in [
        ("throughput", "--pattern --size --messages", "--rate --subscribers --ticks --idle"),
        ("latency", "--pattern --rate --idle --messages", "--topics --burst --no-drop"),
        ("fanout", "--topics --burst --rate --stalled", "--ticks --idle --pattern"),
        ("feed", "--ticks --rate --no-drop --messages", "--size --topics --stalled --pattern"),
    ] {
        let text = read(&format!("{command} --help")).unwrap_err().to_string();
        let has = |flag: &str| text.lines().any(|line| line.trim().split(' ').next() == Some(flag));
        for flag in expected.split(' ') {
            assert!(has(flag), "{command} {flag}: {text}");
        }
        for flag in unexpected.split(' ') {
            assert!(!has(flag), "{command} {flag}: {text}");
        }
    }
}
