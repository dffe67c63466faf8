//! `cargo xtask stress`: concurrent code many times, on an idle machine and on a busy one.
//!
//! A test that fails once in a thousand runs fails here. The load is one spinning thread for each
//! core, so that every hand-over between threads meets a core that is taken.
//!
//! Deliberately absent: a seed. What interleaves is the machine's business; the loom models are for
//! the rest.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::Failure;
use crate::arguments::{refuse_rest, take_value};
use crate::command::Command;
use crate::prerequisites;

/// Package, target of Cargo, and what the names of its concurrency tests have in common.
const TESTS: [(&str, &str, &str); 2] =
    [("zring-engine", "--lib", ""), ("tests", "--test=conformance", "")];

const RUNS: u32 = 300;

pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    let mut arguments = arguments.to_vec();
    let runs = match take_value(&mut arguments, "--runs")? {
        Some(value) => value.parse().map_err(|_| format!("--runs {value}: not a number"))?,
        None => RUNS,
    };
    refuse_rest(&arguments)?;
    prerequisites::for_building()?;
    prerequisites::for_running()?;
    let mut programs = Vec::new();
    for (package, target, filter) in TESTS {
        programs.extend(build(package, target)?.into_iter().map(|path| (path, filter)));
    }
    repeat(&programs, runs, "idle")?;
    under_load(|| repeat(&programs, runs, "busy"))
}

/// Builds the tests and names their programs.
fn build(package: &str, target: &str) -> Result<Vec<String>, Failure> {
    let line = "cargo test --release --no-run --message-format=json --package";
    let messages = Command::new(line).arg(package).arg(target).read()?;
    let programs = messages.split(r#""executable":""#).skip(1);
    Ok(programs.filter_map(|rest| rest.split_once('"')).map(|(path, _)| path.to_owned()).collect())
}

fn repeat(programs: &[(String, &str)], runs: u32, how: &str) -> Result<(), Failure> {
    for (path, filter) in programs {
        eprintln!("$ {path} {filter} # {runs} times, the machine {how}");
        for number in 1..=runs {
            let command = Command::new(path).args(filter.split_whitespace());
            command
                .check()
                .map_err(|output| format!("run {number} of {runs}, {how}:\n{output}"))?;
        }
    }
    Ok(())
}

/// Calls `work` while every core has something else to do as well.
fn under_load<T>(work: impl FnOnce() -> T) -> T {
    let is_done = AtomicBool::new(false);
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                while !is_done.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        let outcome = work();
        is_done.store(true, Ordering::Relaxed);
        outcome
    })
}
