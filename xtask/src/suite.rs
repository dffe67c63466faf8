//! `cargo xtask test`: the steps that have to pass, cheapest first.
//!
//! A step that lacks what it needs fails if everybody can have it, and is skipped with a loud
//! notice if it takes tools that a user of the stable toolchain does not have.
//!
//! Deliberately absent: what a step checks. Each is a `cargo` call that can be typed alone.

use std::fs;
use std::time::Instant;

use crate::Failure;
use crate::arguments::{refuse_rest, take_flag, take_value};
use crate::command::{Command, root, target_directory};
use crate::prerequisites;

struct Step {
    name: &'static str,
    what: &'static str,
    /// Opens rings, so needs a kernel that lets us.
    needs_ring: bool,
    run: fn() -> Result<Outcome, Failure>,
}

/// How a step that did not fail ended.
enum Outcome {
    Passed,
    /// And why.
    Skipped(String),
}

const STEPS: [Step; 8] = [
    Step { name: "fmt", what: "the layout of the sources", needs_ring: false, run: fmt },
    Step { name: "clippy", what: "lints, warnings denied", needs_ring: false, run: clippy },
    Step { name: "doc", what: "documentation, warnings denied", needs_ring: false, run: doc },
    Step { name: "test", what: "all tests of the workspace", needs_ring: true, run: test },
    Step { name: "loom", what: "queues in every interleaving", needs_ring: false, run: loom },
    Step { name: "fuzz", what: "a few seconds of each fuzz target", needs_ring: false, run: fuzz },
    Step { name: "bench", what: "each bench once", needs_ring: true, run: bench },
    Step { name: "perf", what: "the measuring program, briefly", needs_ring: true, run: perf },
];

/// Seconds for each fuzz target; enough to replay its corpus and to see that it starts.
const FUZZ_SECONDS: u32 = 5;

/// How often a model's threads are interrupted at most, unless it says so itself. Most faults need
/// two; each more multiplies the time.
const PREEMPTIONS_MAX: &str = "3";

pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    let mut arguments = arguments.to_vec();
    let is_list = take_flag(&mut arguments, "--list");
    let only = take_steps(&mut arguments, "--only")?;
    let skip = take_steps(&mut arguments, "--skip")?.unwrap_or_default();
    refuse_rest(&arguments)?;
    if is_list {
        STEPS.iter().for_each(|step| eprintln!("{:8}{}", step.name, step.what));
        return Ok(());
    }
    let is_chosen = |step: &&Step| {
        let is_named = |names: &Vec<String>| names.iter().any(|name| name == step.name);
        only.as_ref().is_none_or(is_named) && !is_named(&skip)
    };
    let steps: Vec<_> = STEPS.iter().filter(is_chosen).collect();
    prerequisites::for_judging()?;
    prerequisites::for_building()?;
    if steps.iter().any(|step| step.needs_ring) {
        prerequisites::for_running()?;
    }
    run_steps(&steps)
}

/// Runs `steps` to the first that fails, and ends with a line for each.
fn run_steps(steps: &[&Step]) -> Result<(), Failure> {
    let mut summary = String::new();
    for step in steps {
        eprintln!("\n== {}: {}", step.name, step.what);
        let start = Instant::now();
        let outcome = (step.run)().map_err(|failure| {
            format!("{}: {failure}\nAgain: cargo xtask test --only {}", step.name, step.name)
        })?;
        let seconds = start.elapsed().as_secs();
        let line = match outcome {
            Outcome::Passed => format!("{:8}passed in {seconds} s", step.name),
            Outcome::Skipped(why) => {
                eprintln!("!! SKIPPED {}: {why}", step.name);
                format!("{:8}SKIPPED: {why}", step.name)
            }
        };
        summary.push_str(&line);
        summary.push('\n');
    }
    eprintln!("\n{summary}");
    Ok(())
}

/// The steps that the flag `name` lists. An error if it names one that is not there.
fn take_steps(arguments: &mut Vec<String>, name: &str) -> Result<Option<Vec<String>>, Failure> {
    let Some(value) = take_value(arguments, name)? else { return Ok(None) };
    let names: Vec<_> = value.split(',').map(str::to_owned).collect();
    match names.iter().find(|name| STEPS.iter().all(|step| step.name != *name)) {
        Some(unknown) => Err(format!("no step `{unknown}`; --list names them")),
        None => Ok(Some(names)),
    }
}

fn fmt() -> Result<Outcome, Failure> {
    passed(Command::new("cargo fmt --all --check"))
}

fn clippy() -> Result<Outcome, Failure> {
    passed(Command::new("cargo clippy --workspace --all-targets -- -D warnings"))
}

fn doc() -> Result<Outcome, Failure> {
    let command = Command::new("cargo doc --workspace --no-deps --document-private-items");
    passed(command.env("RUSTDOCFLAGS", "-D warnings"))
}

fn test() -> Result<Outcome, Failure> {
    passed(Command::new("cargo test --workspace"))
}

/// The modules named `model` only: the other tests are not written for loom's atomics.
fn loom() -> Result<Outcome, Failure> {
    let models = || {
        Command::new("cargo test --release --package zring-engine --lib")
            .arg("--target-dir")
            .arg(target_directory("loom"))
            .arg("model::")
            .env("RUSTFLAGS", "--cfg loom")
            .env("LOOM_MAX_PREEMPTIONS", PREEMPTIONS_MAX)
    };
    if !models().args(["--", "--list"]).read()?.contains("model::") {
        return skipped("the engine has no module `model`");
    }
    passed(models())
}

fn fuzz() -> Result<Outcome, Failure> {
    if !root().join("fuzz/Cargo.toml").exists() {
        return skipped("there is no directory `fuzz`");
    }
    if let Err(why) = prerequisites::for_fuzzing() {
        return skipped(&why);
    }
    let targets = Command::new("cargo +nightly fuzz list").read()?;
    for target in targets.lines() {
        // What is found goes to the first directory: a smoke run leaves the sources alone.
        let found = target_directory("fuzz").join(target);
        fs::create_dir_all(&found).map_err(|error| format!("{}: {error}", found.display()))?;
        let command = Command::new("cargo +nightly fuzz run").arg(target).arg(found);
        let command = command.arg(root().join("fuzz/corpus").join(target));
        command.arg("--").arg(format!("-max_total_time={FUZZ_SECONDS}")).run()?;
    }
    Ok(Outcome::Passed)
}

fn bench() -> Result<Outcome, Failure> {
    passed(Command::new("cargo bench --package benches -- --test"))
}

/// Each kind of work, and each way out of the program and of the bytes.
fn perf() -> Result<Outcome, Failure> {
    let drawing = target_directory("perf").join("smoke.svg");
    let directory = drawing.parent().expect("it was joined");
    fs::create_dir_all(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    for arguments in [
        "throughput --size 64 --messages 20000 --against libzmq,raw,tokio-uring",
        "throughput --seconds 0.1 --transport inproc --against libzmq --json",
        "latency --size 64 --messages 200 --against libzmq,raw,tokio-uring",
        "latency --seconds 0.1 --transport ipc --against libzmq,raw,tokio-uring --json",
        "fanout --size 64 --subscribers 4 --messages 2000 --seconds 0.2 --against libzmq",
        "feed --subscribers 2 --symbols-per-subscriber 4 --messages 2000 --seconds 0.2 \
         --against libzmq",
    ] {
        let line = "cargo run --release --package perf --";
        let command = Command::new(line).args(arguments.split_whitespace());
        command.args(["--runs", "1", "--warm-up", "0.1", "--svg"]).arg(&drawing).run()?;
    }
    Ok(Outcome::Passed)
}

fn passed(command: Command) -> Result<Outcome, Failure> {
    command.run().map(|()| Outcome::Passed)
}

fn skipped(why: &str) -> Result<Outcome, Failure> {
    Ok(Outcome::Skipped(why.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_that_is_not_there_is_refused() {
        let mut arguments = vec!["--only".to_owned(), "fmt,lint".to_owned()];
        assert_eq!(
            take_steps(&mut arguments, "--only"),
            Err("no step `lint`; --list names them".to_owned())
        );
    }
}
