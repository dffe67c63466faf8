//! The files of the project, wherever it was unpacked.
//!
//! Deliberately absent: version control. An archive without history can be tested as well.

use std::fs;
use std::path::{Path, PathBuf};

/// Directories that hold nothing we wrote.
const FOREIGN: [&str; 4] = ["target", "artifacts", "corpus", "node_modules"];

/// The directory of the workspace's manifest.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("the crate lies in the workspace").to_path_buf()
}

/// Every file whose name ends in `.{extension}`, relative to the root, with `/`, sorted.
pub(crate) fn files(extension: &str) -> Vec<String> {
    let root = root();
    let mut found = Vec::new();
    let mut waiting = vec![root.clone()];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(&directory).expect("a directory of the project can be read") {
            let path = entry.expect("an entry can be read").path();
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
            let name = name.expect("an entry has a name");
            if path.is_dir() {
                if !name.starts_with('.') && !FOREIGN.contains(&name.as_str()) {
                    waiting.push(path);
                }
            } else if path.extension().is_some_and(|ending| ending == extension) {
                let path = path.strip_prefix(&root).expect("below the root");
                found.push(path.to_string_lossy().into_owned());
            }
        }
    }
    found.sort();
    found
}

/// The text of a file of the project. Panics if it cannot be read.
pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Whether `path`, relative to the root, is there.
pub(crate) fn exists(path: &Path) -> bool {
    root().join(path).exists()
}

/// Whether `path` is `prefix`, or lies in the directory or module of that name.
pub(crate) fn is_in(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || rest == ".rs")
}
