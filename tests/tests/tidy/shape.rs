//! Sizes, heads and names.
//!
//! Deliberately absent: layout, which is rustfmt's, and whether a head is true.

use crate::refuse;
use crate::source::{Kind, Source};
use crate::tree;

/// Lines of a file. Beyond 500 it is to be questioned, which is for a reader to do.
const FILE_LINES_MAX: usize = 800;

/// Lines of a function, from `fn` to its closing brace.
const FUNCTION_LINES_MAX: usize = 70;

/// Characters of a line.
const LINE_MAX: usize = 100;

/// Functions that were longer when the limit came, with their lengths. May only shrink.
const LONG_FUNCTIONS: [(&str, &str, usize); 0] = [];

/// What users build: the head of each file in it says what is not there.
const LIBRARIES: [&str; 4] = ["engine/src", "transports/zmtp/src", "transports/src", "sockets/src"];

/// What the name of a type or module may not contain: words that say nothing.
const EMPTY_WORDS: [&str; 5] = ["Manager", "Helper", "Smart", "Utils", "helpers"];

#[test]
fn every_file_opens_with_what_it_is() {
    let without_head = tree::files("rs").into_iter().filter(|path| {
        let text = tree::read(path);
        // What `tests.rs` is, its name says, and what it claims, its functions'.
        let is_tests = path.ends_with("/tests.rs");
        !is_tests && !text.starts_with("//! ")
    });
    refuse(without_head.map(|path| format!("{path}:1: does not open with `//! `")));
}

#[test]
fn heads_of_libraries_end_with_what_is_absent() {
    let silent = tree::files("rs").into_iter().filter(|path| {
        let is_library = LIBRARIES.iter().any(|library| tree::is_in(path, library));
        let is_tests = path.ends_with("/tests.rs") || path.contains("/tests/");
        let text = tree::read(path);
        is_library && !is_tests && !last_of_head(&text).starts_with("//! Deliberately absent: ")
    });
    refuse(silent.map(|path| format!("{path}: what would one look for here, and not find?")));
}

/// The last paragraph of a file's head.
fn last_of_head(text: &str) -> &str {
    let head_end = text.find("\n\n").unwrap_or(text.len());
    text[..head_end].rsplit("//!\n").next().unwrap_or_default()
}

#[test]
fn no_file_is_longer_than_800_lines() {
    let lengths = tree::files("rs").into_iter().map(|path| {
        let lines = tree::read(&path).lines().count();
        (path, lines)
    });
    let long = lengths.filter(|(_, lines)| *lines > FILE_LINES_MAX);
    refuse(long.map(|(path, lines)| format!("{path}: {lines} lines: what in it has a name?")));
}

#[test]
fn no_line_is_longer_than_100_characters() {
    let mut long = Vec::new();
    for path in tree::files("rs") {
        for (number, line) in (1..).zip(tree::read(&path).lines()) {
            let length = line.chars().count();
            if length > LINE_MAX {
                long.push(format!("{path}:{number}: {length} characters"));
            }
        }
    }
    refuse(long);
}

#[test]
fn no_function_is_longer_than_70_lines() {
    let mut problems = Vec::new();
    for source in Source::all() {
        for function in source.functions() {
            let listed = LONG_FUNCTIONS
                .iter()
                .find(|(path, name, _)| *path == source.path && *name == function.name);
            let limit = listed.map_or(FUNCTION_LINES_MAX, |(_, _, lines)| *lines);
            if function.line_count > limit {
                problems.push(format!(
                    "{}:{}: `{}` has {} lines",
                    source.path, function.line, function.name, function.line_count
                ));
            }
        }
    }
    refuse(problems);
}

#[test]
fn modules_are_files_of_their_own_name() {
    let named_mod = tree::files("rs").into_iter().filter(|path| path.ends_with("/mod.rs"));
    refuse(named_mod.map(|path| format!("{path}: the file of a module bears its name")));
}

#[test]
fn every_file_is_part_of_a_crate() {
    let sources = Source::all();
    let dead = sources.iter().filter(|file| {
        !is_root(&file.path) && !sources.iter().any(|source| declares(source, &file.path))
    });
    refuse(dead.map(|file| format!("{}: no `mod` names it", file.path)));
}

/// Whether `source` is where a module of the file `path` would be declared, and does so.
fn declares(source: &Source, path: &str) -> bool {
    let (directory, file) = path.rsplit_once('/').unwrap_or(("", path));
    let name = file.trim_end_matches(".rs");
    let is_parent = source.path.strip_prefix(directory).is_some_and(|rest| {
        ["/lib.rs", "/main.rs", ".rs"].contains(&rest)
            || is_root(&source.path) && rest.starts_with('/') && !rest[1..].contains('/')
    });
    is_parent
        && source
            .positions("mod")
            .any(|at| source.name_after(at).is_some_and(|token| token.text == name))
}

/// Whether Cargo finds the file without being told.
fn is_root(path: &str) -> bool {
    let mut parts = path.rsplit('/');
    let file = parts.next().unwrap_or_default();
    let directory = parts.next().unwrap_or_default();
    let above = parts.next().unwrap_or_default();
    match directory {
        "src" => ["lib.rs", "main.rs"].contains(&file),
        "tests" | "benches" | "examples" | "fuzz_targets" => above != "src",
        "bin" => above == "src",
        _ => ["main.rs", "build.rs"].contains(&file),
    }
}

#[test]
fn names_say_something() {
    let mut problems = Vec::new();
    for source in Source::all() {
        let name_of = |at| source.name_after(at);
        for token in source.positions("fn").filter_map(name_of) {
            if token.text.starts_with("get_") && token.text != "get_mut" {
                problems.push(format!("{}:{}: `{}`", source.path, token.line, token.text));
            }
        }
        for keyword in ["struct", "enum", "trait", "type", "mod"] {
            for token in source.positions(keyword).filter_map(name_of) {
                let is_empty = EMPTY_WORDS.iter().any(|word| token.text.contains(word));
                if is_empty || token.text.ends_with("Impl") {
                    problems.push(format!("{}:{}: `{}`", source.path, token.line, token.text));
                }
            }
        }
    }
    refuse(problems);
}

#[test]
fn nothing_is_left_open() {
    let notes = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X:")];
    let mut problems = Vec::new();
    for source in Source::all() {
        for (number, line) in (1..).zip(source.text.lines()) {
            if let Some(note) = notes.iter().find(|note| line.contains(**note)) {
                problems.push(format!("{}:{number}: {note}", source.path));
            }
        }
        for name in ["dbg", "todo", "unimplemented"] {
            let calls = source.positions(name).filter(|at| source.reads(at + 1, &["!"]));
            problems.extend(
                calls.map(|at| format!("{}:{}: {name}!", source.path, source.tokens[at].line)),
            );
        }
    }
    refuse(problems);
}

#[test]
fn an_ignored_test_says_why() {
    let mut problems = Vec::new();
    for source in Source::all() {
        let bare = source.positions("ignore").filter(|at| {
            let is_attribute = *at > 1 && source.reads(at - 2, &["#", "["]);
            is_attribute && source.tokens[at + 1].kind == Kind::Close
        });
        let lines = bare.map(|at| source.tokens[at].line);
        problems.extend(lines.map(|line| format!("{}:{line}: ignored, and why?", source.path)));
    }
    refuse(problems);
}
