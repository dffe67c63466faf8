//! Set-up and the commands that are more than one `cargo` call: `cargo xtask`.
//!
//! `test` is what has to pass before a change goes in, `feed` shows what zring does, `sanitize` and
//! `stress` are for hours in which a machine has nothing better to do. Each first looks for what it
//! needs, says what is missing and how to install it, and prints every command before it runs it.
//!
//! Deliberately absent: knowledge of the code. Whatever is checked is a test, a lint or a program
//! elsewhere, and runs without this crate.
#![forbid(unsafe_code)]

mod arguments;
mod command;
mod feed;
mod prerequisites;
mod sanitize;
mod stress;
mod suite;

use std::process::ExitCode;

/// What went wrong, in a sentence for the person at the terminal.
type Failure = String;

const HELP: &str = "\
cargo xtask test [--list] [--only|--skip STEP,…]   everything that has to pass, step by step
cargo xtask feed [ARGUMENTS OF perf feed]         replay ticks to subscribers, zring beside libzmq
cargo xtask sanitize [address] [thread]           the tests under the sanitizers; needs nightly
cargo xtask stress [--runs N]                     concurrency tests N times, then N under load";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or_default();
    let rest: Vec<_> = arguments.collect();
    let outcome = match name.as_str() {
        "test" => suite::run(&rest),
        "feed" => feed::run(&rest),
        "sanitize" => sanitize::run(&rest),
        "stress" => stress::run(&rest),
        "help" | "--help" | "-h" => {
            eprintln!("{HELP}");
            Ok(())
        }
        _ => Err(format!("no command `{name}`\n\n{HELP}")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("\nxtask: {failure}");
            ExitCode::FAILURE
        }
    }
}
