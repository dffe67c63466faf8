//! perf: measures zring beside libzmq, bare sockets and bare `tokio-uring`.
//!
//! The program re-executes itself: one process sends, another receives, and this one only gives
//! orders over pipes and adds up. Every side runs the same driver code (`work/`) through the same
//! small traits (`side.rs`); sides take turns run by run, so that a noisy minute hits all of them.
//!
//! Invariant: no wait is unbounded. A side that hangs loses its row, with a message, and the
//! others go on.
//!
//! Deliberately absent: absolute claims. Only what ran side by side on one machine is compared.
#![deny(unsafe_code)]
#![allow(clippy::print_stdout, reason = "this program's output is its tables and JSON lines")]

mod allocations;
mod cli;
mod clock;
mod coordinator;
mod cores;
mod crew;
mod error;
mod file;
mod job;
mod machine;
mod pace;
mod payload;
mod report;
mod side;
mod statistics;
mod svg;
mod targets;
mod ticks;
mod work;
mod worker;

use std::process::ExitCode;

use cli::{Cli, Command};

fn main() -> ExitCode {
    let done = match Cli::read(std::env::args_os()).unwrap_or_else(|error| error.exit()).command {
        Command::Worker => return worker::main(),
        Command::Targets(options) => targets::run(&options),
        command => coordinator::run(&command),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("perf: {error}");
            error.exit_code()
        }
    }
}
