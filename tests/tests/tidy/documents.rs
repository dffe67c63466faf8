//! Documents: their links lead somewhere, their code compiles, their numbers were measured, and
//! what they and the comments of sources name between backticks is there.
//!
//! Deliberately absent: links out of the tree. A test does not ask the network.

use std::path::{Component, Path, PathBuf};

use crate::refuse;
use crate::tree;

/// The crate root that shows the README to rustdoc, which then compiles its code.
const README_ROOT: &str = "tests/src/lib.rs";

#[test]
fn links_lead_somewhere() {
    let mut problems = Vec::new();
    for path in tree::files("md") {
        let directory = Path::new(&path).parent().expect("a file lies in a directory");
        for (number, link) in links(&tree::read(&path)) {
            let (file, heading) = link.split_once('#').unwrap_or((&link, ""));
            let target = if file.is_empty() {
                PathBuf::from(&path)
            } else {
                normalise(&directory.join(file))
            };
            if !tree::exists(&target) {
                problems.push(format!("{path}:{number}: {link}: no such file"));
            } else if !heading.is_empty() && !has_heading(&target, heading) {
                problems.push(format!("{path}:{number}: {link}: no such heading"));
            }
        }
    }
    refuse(problems);
}

#[test]
fn code_of_the_readme_is_compiled() {
    let readme = tree::read("README.md");
    let fences = readme.lines().filter(|line| line.starts_with("```rust"));
    let unread = fences.filter(|fence| fence.contains("ignore"));
    refuse(unread.map(|fence| format!("README.md: `{fence}` is not compiled")));
    let includes_readme = tree::read(README_ROOT).contains(r#"include_str!("../../README.md")"#);
    assert!(includes_readme, "{README_ROOT} does not show the README to rustdoc");
}

#[test]
fn what_the_readme_says_was_measured_stands_in_the_page_that_was_printed() {
    let (readme, printed) = (tree::read("README.md"), tree::read("docs/PERFORMANCE.md"));
    let is_verdict = |line: &&str| line.ends_with("| won |") || line.ends_with("| **lost** |");
    let claims: Vec<_> = readme.lines().filter(is_verdict).collect();
    assert!(claims.iter().any(|line| line.contains("lost")), "a lost row is shown like a won one");
    let unprinted = claims.iter().filter(|claim| !printed.lines().any(|line| line == **claim));
    refuse(unprinted.map(|claim| format!("README.md: {claim}: not in docs/PERFORMANCE.md")));
}

#[test]
fn places_that_prose_names_are_there() {
    let files: Vec<_> = ["md", "rs", "toml"].into_iter().flat_map(tree::files).collect();
    let mut problems = Vec::new();
    for path in files.iter().filter(|path| !path.ends_with(".toml")) {
        for (number, place) in places(&tree::read(path), path.ends_with(".rs")) {
            if !files.iter().any(|file| is_at(file, &place)) {
                problems.push(format!("{path}:{number}: `{place}`: no such file"));
            }
        }
    }
    refuse(problems);
}

/// Whether a file is, or lies in, what prose calls `place`: a path from anywhere in the tree.
fn is_at(file: &str, place: &str) -> bool {
    format!("/{file}/").contains(&format!("/{}/", place.trim_end_matches('/')))
}

/// The files and directories that stand between backticks in a document, or in the comments of a
/// source, each with its line. Code is left out, and so are patterns with `*`.
fn places(text: &str, is_source: bool) -> Vec<(usize, String)> {
    let mut places = Vec::new();
    let mut is_code = false;
    for (number, line) in (1..).zip(text.lines().map(str::trim_start)) {
        is_code ^= !is_source && line.starts_with("```");
        if is_code || is_source && !line.starts_with("//") {
            continue;
        }
        let named = line.split('`').skip(1).step_by(2).filter(|token| is_place(token));
        places.extend(named.flat_map(each_of_group).map(|place| (number, place)));
    }
    places
}

/// Whether what stands between backticks looks like a file or directory of the tree.
fn is_place(token: &str) -> bool {
    let is_path = |letter: char| letter.is_ascii_alphanumeric() || "/._-{,}".contains(letter);
    let is_file = [".md", ".rs", ".toml"].iter().any(|ending| token.ends_with(ending));
    let (top, _) = token.split_once('/').unwrap_or_default();
    token.chars().all(is_path) && (is_file || !top.is_empty() && tree::exists(Path::new(top)))
}

/// A path for each name in braces: two for `worker/{dialing,listening}.rs`.
fn each_of_group(token: &str) -> Vec<String> {
    let group =
        token.split_once('{').and_then(|(front, rest)| Some((front, rest.split_once('}')?)));
    let Some((front, (names, back))) = group else { return vec![token.to_owned()] };
    names.split(',').map(|name| format!("{front}{name}{back}")).collect()
}

/// The relative links of a document, each with its line. Code is left out.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut links = Vec::new();
    let mut is_code = false;
    for (number, line) in (1..).zip(text.lines()) {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        }
        if is_code {
            continue;
        }
        for part in line.split("](").skip(1) {
            let Some((link, _)) = part.split_once(')') else { continue };
            if !link.contains("://") && !link.starts_with("mailto:") {
                links.push((number, link.to_owned()));
            }
        }
    }
    links
}

/// `path` without `.` and `..`.
fn normalise(path: &Path) -> PathBuf {
    let mut parts = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                parts.pop();
            }
            Component::CurDir => {}
            part => parts.push(part),
        }
    }
    parts
}

/// Whether the document at `path` has a heading whose anchor is `anchor`.
fn has_heading(path: &Path, anchor: &str) -> bool {
    let text = tree::read(&path.to_string_lossy());
    text.lines()
        .filter_map(|line| line.strip_prefix('#'))
        .any(|heading| to_anchor(heading.trim_start_matches('#')) == anchor)
}

/// What a heading is called in a link to it.
fn to_anchor(heading: &str) -> String {
    let kept = heading.trim().chars().filter_map(|letter| match letter {
        ' ' => Some('-'),
        '-' | '_' => Some(letter),
        letter if letter.is_alphanumeric() => Some(letter.to_ascii_lowercase()),
        _ => None,
    });
    kept.collect()
}

#[test]
fn a_place_is_told_from_other_words() {
    let text = "`tests/{a,b}.rs` of `READY/ERROR`, `c.rs`\n```\n`d.rs`\n```\n`tests/e*` `tests/f`";
    let names: Vec<_> = places(text, false).into_iter().map(|(_, place)| place).collect();
    assert_eq!(names, ["tests/a.rs", "tests/b.rs", "c.rs", "tests/f"]);
    assert_eq!(places("let a = `b.rs`;\n// `c.rs`", true), [(2, "c.rs".to_owned())]);
    let file = "tests/tests/tidy/documents.rs";
    assert!(
        is_at(file, "tidy/documents.rs") && is_at(file, "tests/tests/") && !is_at(file, "s.rs")
    );
}

#[test]
fn a_link_is_found_and_code_is_not() {
    let text = "see [a](b.md) and [c](d.md#e)\n```rust\nx[0](y)\n```\n[w](https://w)";
    assert_eq!(links(text), [(1, "b.md".to_owned()), (1, "d.md#e".to_owned())]);
    assert_eq!(to_anchor(" Order, and `why`"), "order-and-why");
}
