//! `cargo xtask sanitize`: the tests under the address and the thread sanitizer.
//!
//! Both are flags of the nightly compiler. With the sources of the standard library at hand it is
//! built with the same flag. Without them its precompiled form is linked: what it does within
//! itself is not seen, and what the thread sanitizer then takes for a race is suppressed by
//! `thread-sanitizer.txt`.
//!
//! Deliberately absent: tests that run libzmq. It is not built with the sanitizers.

use crate::Failure;
use crate::arguments::refuse_rest;
use crate::command::{Command, root, target_directory};
use crate::prerequisites;

/// `-Zsanitizer` needs a target that is named, so that build scripts stay what they are.
const TARGET: &str = "x86_64-unknown-linux-gnu";

const SANITIZERS: [&str; 2] = ["address", "thread"];

/// What is run, in the words of `cargo test`.
const TESTS: [&str; 5] = [
    "--package zring-engine --lib",
    "--package zring-zmtp --lib",
    "--package zring-transports --lib",
    "--package zring --lib",
    "--package tests --test conformance",
];

pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    let (chosen, rest): (Vec<_>, Vec<_>) =
        arguments.iter().cloned().partition(|argument| SANITIZERS.contains(&argument.as_str()));
    refuse_rest(&rest)?;
    prerequisites::for_building()?;
    prerequisites::for_running()?;
    prerequisites::for_nightly(None)?;
    let has_sources = prerequisites::for_nightly(Some("rust-src"))
        .inspect_err(|missing| eprintln!("!! {missing}\n!! Goes on without `-Zbuild-std`."))
        .is_ok();
    for sanitizer in SANITIZERS {
        if chosen.is_empty() || chosen.iter().any(|name| name == sanitizer) {
            TESTS.iter().try_for_each(|tests| test_under(sanitizer, tests, has_sources))?;
        }
    }
    Ok(())
}

fn test_under(sanitizer: &str, tests: &str, has_sources: bool) -> Result<(), Failure> {
    let mut command = Command::new("cargo +nightly test").args(tests.split(' '));
    command = command.arg("--target").arg(TARGET);
    command = command.arg("--target-dir").arg(target_directory(sanitizer));
    let mut flags = format!("-Zsanitizer={sanitizer}");
    if has_sources {
        command = command.arg("-Zbuild-std");
    } else {
        flags.push_str(" -Cunsafe-allow-abi-mismatch=sanitizer");
        let suppressions = root().join("xtask/thread-sanitizer.txt");
        let options = format!("suppressions={}", suppressions.display());
        command = command.env("TSAN_OPTIONS", &options);
    }
    command.env("RUSTFLAGS", &flags).run()
}
