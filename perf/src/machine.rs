//! What a number was measured on: the command, the kernel, the processors, who was kept on which,
//! and how fast they were meanwhile.
//!
//! Deliberately absent: the host's name.

use std::fmt::Write as _;

use crate::cores::Cores;
use crate::pace::Spread;
use crate::report::{self, Row};

/// The lines printed with every table.
pub(crate) fn heading(cores: &Cores, rows: &[Row]) -> String {
    let mut text = format!("command  {}\n", command());
    let system = rustix::system::uname();
    let count = std::thread::available_parallelism().map_or(0, usize::from);
    let _ = writeln!(
        text,
        "machine  {} {} {}, {count} cores",
        system.sysname().to_string_lossy(),
        system.release().to_string_lossy(),
        system.machine().to_string_lossy(),
    );
    let _ = writeln!(text, "pinned   {cores}");
    let paces: Vec<_> =
        rows.iter().flat_map(|row| &row.samples).map(|sample| sample.pace).collect();
    if !paces.is_empty() {
        let _ = writeln!(text, "pace     {}", Spread(&paces));
    }
    for (who, line) in report::features(rows) {
        let _ = writeln!(text, "{who:<8} {line}");
    }
    if cfg!(debug_assertions) {
        text.push_str("warning  built without optimisation: these numbers mean nothing\n");
    }
    text
}

/// This program's command line, as one would type it.
pub(crate) fn command() -> String {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    format!("cargo run --release -p perf -- {}", arguments.join(" "))
}
