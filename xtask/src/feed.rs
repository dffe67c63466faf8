//! `cargo xtask feed`: builds what it takes, then replays ticks, zring beside libzmq.
//!
//! Deliberately absent: what is replayed, and the numbers. That is `perf`.

use crate::Failure;
use crate::command::Command;
use crate::prerequisites;

/// `arguments` go to the program as they are.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    prerequisites::for_running()?;
    prerequisites::for_building()?;
    Command::new("cargo run --release --package perf -- feed").args(arguments).run()
}
