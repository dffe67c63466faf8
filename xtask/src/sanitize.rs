//! `cargo xtask sanitize`: the tests under the address and the thread sanitizer.
//!
//! Both are flags of the nightly compiler. With the sources of the standard library at hand it is
//! built with the same flag. Without them its precompiled form is linked: what it does within
//! itself is not seen, and what the thread sanitizer then takes for a race is suppressed by
//! `thread-sanitizer.txt`, line by line with its reason.
//!
//! Deliberately absent: the fuzz targets, which are built with the address sanitizer as they are.

use crate::Failure;
use crate::arguments::refuse_rest;
use crate::command::{Command, root, target_directory};
use crate::prerequisites;

/// `-Zsanitizer` needs a target that is named, so that build scripts stay what they are.
const TARGET: &str = "x86_64-unknown-linux-gnu";

const SANITIZERS: [&str; 2] = ["address", "thread"];

/// For the thread sanitizer. Our own locks and counts are then such as it sees (the engine's
/// `sync.rs`), and memory is mapped by libc, whose `mmap` it intercepts: behind its back, what one
/// thread unmaps and another maps anew looks like one piece of memory.
const SEEN: &str = "--cfg instrumented --cfg rustix_use_libc";

/// Of the thread sanitizer: it looks at nothing in a forked process that starts threads, instead of
/// ending it, and says in the end which suppressions were used how often.
const OPTIONS: &str = "die_after_fork=0 print_suppressions=1";

/// What is run, in the words of `cargo test`.
const TESTS: [&str; 8] = [
    "--package zring-engine --lib",
    "--package zring-engine --test descriptor_limit",
    "--package zring-zmtp --lib",
    "--package zring-transports --lib",
    "--package zring --lib",
    "--package tests --test conformance",
    "--package tests --test bad_days",
    INTEROP,
];

const INTEROP: &str = "--package tests --test interop";

/// What one sanitizer cannot judge.
struct LeftOut {
    sanitizer: &'static str,
    /// One of [`TESTS`], or one test by its full name.
    what: &'static str,
    why: &'static str,
}

const LEFT_OUT: [LeftOut; 9] = [
    LeftOut {
        sanitizer: "thread",
        what: INTEROP,
        why: "libzmq is not built with it, so that nothing orders what its threads hand over",
    },
    LeftOut {
        sanitizer: "thread",
        what: "crowds::a_subscriber_of_too_much_is_sent_away::Threads::Tcp",
        why: "it walks through tens of millions of nodes, which takes minutes there",
    },
    LeftOut {
        sanitizer: "thread",
        what: "crowds::topics_of_earlier_subscribers_do_not_shut_out_who_comes_next::Threads::Tcp",
        why: "as the one before",
    },
    LeftOut {
        sanitizer: "address",
        what: "crowds::a_subscriber_of_too_much_is_sent_away::Threads::Tcp",
        why: "it walks through tens of millions of nodes, which takes more than a minute there",
    },
    LeftOut {
        sanitizer: "address",
        what: "crowds::topics_of_earlier_subscribers_do_not_shut_out_who_comes_next::Threads::Tcp",
        why: "as the one before",
    },
    LeftOut {
        sanitizer: "thread",
        what: "limits::threads_that_have_descriptors_wait_for_those_that_have_none",
        why: "without a descriptor for the symbolizer a report has no names to suppress it by",
    },
    LeftOut {
        sanitizer: "address",
        what: "limits::a_ring_that_fails_is_told_to_its_sockets_and_to_new_ones",
        why: "memory that a broken ring may still write to is leaked on purpose",
    },
    LeftOut {
        sanitizer: "address",
        what: "crowds::a_stalled_subscriber_costs_others_nothing_and_little_memory",
        why: "it measures memory, and freed memory is kept for a while to catch its use",
    },
    LeftOut {
        sanitizer: "address",
        what: "endings::a_forked_process_is_refused_and_its_parent_goes_on",
        why: "the child frees nothing of what its parent's threads have, which is a leak there",
    },
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
            run_under(sanitizer, has_sources)?;
        }
    }
    Ok(())
}

fn run_under(sanitizer: &str, has_sources: bool) -> Result<(), Failure> {
    let left_out: Vec<_> = LEFT_OUT.iter().filter(|left| left.sanitizer == sanitizer).collect();
    for LeftOut { what, why, .. } in &left_out {
        eprintln!("!! LEFT OUT under the {sanitizer} sanitizer: {what}: {why}");
    }
    let left_out = left_out.iter().map(|left| left.what);
    let (whole, single): (Vec<_>, Vec<_>) = left_out.partition(|what| TESTS.contains(what));
    TESTS.iter().filter(|tests| !whole.contains(tests)).try_for_each(|tests| {
        let skips = single.iter().flat_map(|what| ["--skip", what]);
        let command = test_under(sanitizer, tests, has_sources);
        command.args(["--", "--exact"]).args(skips).run()
    })
}

/// What follows `--` is to be added.
fn test_under(sanitizer: &str, tests: &str, has_sources: bool) -> Command {
    let mut command = Command::new("cargo +nightly test").args(tests.split(' '));
    command = command.arg("--target").arg(TARGET);
    command = command.arg("--target-dir").arg(target_directory(sanitizer));
    let mut flags = format!("-Zsanitizer={sanitizer}");
    let mut options = OPTIONS.to_owned();
    if has_sources {
        command = command.arg("-Zbuild-std");
    } else {
        flags.push_str(" -Cunsafe-allow-abi-mismatch=sanitizer");
        let suppressions = root().join("xtask/thread-sanitizer.txt");
        options.push_str(&format!(" suppressions={}", suppressions.display()));
    }
    if sanitizer == "thread" {
        flags.push(' ');
        flags.push_str(SEEN);
        command = command.env("TSAN_OPTIONS", &options);
    }
    command.env("RUSTFLAGS", &flags)
}
