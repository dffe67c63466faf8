//! The mechanical half of the house style: what a machine can refuse, it refuses here.
//!
//! [`tree`] finds the files, [`source`] cuts a Rust file into tokens; every other module is a group
//! of rules with its tables on top. Adding an external crate, a file with `unsafe`, or an edge
//! between crates is a change of a table here, and so a decision that a reader can see.
//!
//! Deliberately absent: what needs types (that is clippy's), and taste.
#![forbid(unsafe_code)]

mod documents;
mod edges;
mod purity;
mod shape;
mod source;
mod tree;
mod waiting;

/// Fails with all `problems` at once, each `path:line: what`.
fn refuse(problems: impl IntoIterator<Item = String>) {
    let problems: Vec<_> = problems.into_iter().collect();
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}
