//! Files that this program writes: a drawing, a text.
//!
//! Runs take minutes, so whether a file can be written is found out before them.
//!
//! Deliberately absent: removing what was begun. A file that was not there stays, empty, if the
//! runs are broken off.

use std::fs::OpenOptions;

use crate::error::{Error, Result};

/// Makes sure that the file can be written; leaves what is in it.
pub(crate) fn prepare(path: &str) -> Result<()> {
    let opened = OpenOptions::new().create(true).append(true).open(path);
    opened.map(drop).map_err(|source| refused(path, source))
}

/// Writes the file anew.
pub(crate) fn write(path: &str, text: &str) -> Result<()> {
    std::fs::write(path, text).map_err(|source| refused(path, source))
}

fn refused(path: &str, source: std::io::Error) -> Error {
    Error::File { path: path.to_owned(), source }
}
