//! Where `unsafe` may be, and what pure code may not name.
//!
//! Deliberately absent: whether a `SAFETY` comment is there and true. The first is clippy's, the
//! second a reader's.

use crate::refuse;
use crate::source::Source;
use crate::tree::is_in;

/// Files and modules with `unsafe` in them. Each says at its `SAFETY` comments why it is sound.
const UNSAFE: [&str; 7] = [
    "engine/src/block",
    "engine/src/group",
    "engine/src/op",
    "engine/src/ring",
    // An allocator that counts is `unsafe` by its trait.
    "perf/src/allocations",
    "tests/tests/allocations/counting",
    // An option that only libzmq's C interface has.
    "perf/src/side/libzmq",
];

/// The crate root that cannot forbid `unsafe`, since modules below it are allowed to have it.
const UNSAFE_ROOT: &str = "engine/src/lib.rs";

/// Bytes, messages and `now` come in as arguments; bytes, events and deadlines go out.
const PURE: [&str; 4] = [
    "transports/zmtp/src",
    "transports/src/subscriptions",
    "sockets/src/pattern",
    "sockets/src/route",
];

/// What pure code does not name: descriptors, files, clocks, threads and the ring.
const IMPURE: [&str; 16] = [
    "std::net",
    "std::fs",
    "std::os",
    "std::io",
    "std::thread",
    "std::process",
    "std::time::Instant::now",
    "std::time::SystemTime",
    "Instant::now",
    "SystemTime::now",
    "libc",
    "rustix",
    "socket2",
    "io_uring",
    "zring_engine::reactor",
    "zring_engine::Reactor",
];

#[test]
fn unsafe_is_where_it_is_listed_and_nowhere_else() {
    let mut problems = Vec::new();
    for source in Source::all() {
        if UNSAFE.iter().any(|allowed| is_in(&source.path, allowed)) {
            continue;
        }
        let lines = source.positions("unsafe").map(|at| source.tokens[at].line);
        problems.extend(lines.map(|line| format!("{}:{line}: unsafe", source.path)));
    }
    refuse(problems);
}

#[test]
fn crate_roots_forbid_unsafe() {
    let roots = Source::all().into_iter().filter(|source| {
        let is_root = source.path.ends_with("src/lib.rs") || source.path.ends_with("src/main.rs");
        is_root && source.path != UNSAFE_ROOT
    });
    let lax = roots.filter(|source| {
        let mut lints = source.positions("unsafe_code");
        !lints.any(|at| {
            source.reads(at - 2, &["forbid", "("]) || source.reads(at - 2, &["deny", "("])
        })
    });
    refuse(lax.map(|source| format!("{}: no `#![forbid(unsafe_code)]`", source.path)));
}

#[test]
fn pure_code_names_no_descriptor_clock_or_thread() {
    let mut problems = Vec::new();
    for source in Source::all() {
        if !PURE.iter().any(|pure| is_in(&source.path, pure)) {
            continue;
        }
        for (path, line) in source.paths() {
            if IMPURE.iter().any(|impure| begins(&path, impure)) {
                problems.push(format!("{}:{line}: {path}", source.path));
            }
        }
    }
    refuse(problems);
}

/// Whether `path` is `prefix` or goes on behind it.
fn begins(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}
