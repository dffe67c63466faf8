//! Tests wait for events, not for the clock, and take the ports they are given.
//!
//! Deliberately absent: programs and benches, which may wait as they like.

use crate::refuse;
use crate::source::{Kind, Source};

/// Calls whose literal argument is a place that really is opened.
const OPENING: [&str; 6] = ["bind", "connect", "connect_timeout", "dial", "listen", "unbind"];

#[test]
fn tests_do_not_sleep() {
    let mut problems = Vec::new();
    for source in Source::all() {
        for name in ["sleep", "sleep_ms", "sleep_until", "usleep", "nanosleep"] {
            let calls = source
                .positions(name)
                .filter(|at| source.reads(at + 1, &["("]) && is_free(&source, *at))
                .filter(|at| source.is_test(*at));
            problems.extend(
                calls.map(|at| format!("{}:{}: {name}", source.path, source.tokens[at].line)),
            );
        }
    }
    refuse(problems);
}

/// Whether the name at `at` is that of a free function which is called there.
fn is_free(source: &Source, at: usize) -> bool {
    let before = at.checked_sub(1).map_or("", |index| &source.tokens[index].text);
    before != "." && before != "fn"
}

#[test]
fn tests_take_any_free_port() {
    let mut problems = Vec::new();
    for source in Source::all() {
        for name in OPENING {
            for at in source.positions(name) {
                let Some(Kind::Open(end)) = source.tokens.get(at + 1).map(|token| token.kind)
                else {
                    continue;
                };
                if !source.is_test(at) {
                    continue;
                }
                let arguments = &source.tokens[at + 1..end];
                let fixed = arguments.iter().filter(|token| {
                    token.kind == Kind::Literal && fixed_port(&token.text).is_some()
                });
                problems.extend(
                    fixed.map(|token| format!("{}:{}: {}", source.path, token.line, token.text)),
                );
            }
        }
    }
    refuse(problems);
}

#[test]
fn a_fixed_port_is_told_from_a_free_one() {
    for (literal, port) in [
        (r#""tcp://127.0.0.1:5555""#, Some(5555)),
        (r#""tcp://[::1]:80""#, Some(80)),
        (r#""127.0.0.1:9""#, Some(9)),
        (r#""tcp://127.0.0.1:0""#, None),
        (r#""tcp://127.0.0.1:*""#, None),
        (r#""tcp://127.0.0.1:99999""#, None),
        (r#""tcp://127.0.0.1:{port}""#, None),
        (r#""ipc://@zring:12""#, None),
        (r#""inproc://a:12""#, None),
        ("5555", None),
    ] {
        assert_eq!(fixed_port(literal), port, "{literal}");
    }
}

/// The port that a string literal asks for by number.
fn fixed_port(literal: &str) -> Option<u16> {
    let text = literal.strip_prefix('"')?.strip_suffix('"')?;
    if text.starts_with("ipc://") || text.starts_with("inproc://") {
        return None;
    }
    let (_, port) = text.rsplit_once(':')?;
    port.parse().ok().filter(|port| *port != 0)
}
