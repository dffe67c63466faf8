//! Other programs: every one is printed, as it could be typed, before it runs.
//!
//! Deliberately absent: a shell. Arguments are what they are.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process;

use crate::Failure;

/// A program with its arguments, to run in the root of the workspace.
pub(crate) struct Command {
    inner: process::Command,
}

impl Command {
    /// `line` is the program and its arguments, with spaces between them.
    pub(crate) fn new(line: &str) -> Self {
        let mut words = line.split_whitespace();
        let mut inner = process::Command::new(words.next().unwrap_or_default());
        inner.args(words).current_dir(root());
        Self { inner }
    }

    pub(crate) fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.inner.arg(argument);
        self
    }

    pub(crate) fn args(mut self, arguments: impl IntoIterator<Item: AsRef<OsStr>>) -> Self {
        self.inner.args(arguments);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.inner.env(name, value);
        self
    }

    /// Runs it with our own output. An error if it cannot be started or does not succeed.
    pub(crate) fn run(mut self) -> Result<(), Failure> {
        eprintln!("$ {self}");
        match self.inner.status() {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(format!("`{self}`: {status}")),
            Err(error) => Err(format!("`{self}`: {error}")),
        }
    }

    /// Runs it and takes what it prints on its standard output. Errors as of [`run`](Self::run).
    pub(crate) fn read(mut self) -> Result<String, Failure> {
        eprintln!("$ {self}");
        self.inner.stderr(process::Stdio::inherit());
        match self.inner.output() {
            Ok(output) if output.status.success() => {
                Ok(String::from_utf8_lossy(&output.stdout).into_owned())
            }
            Ok(output) => Err(format!("`{self}`: {}", output.status)),
            Err(error) => Err(format!("`{self}`: {error}")),
        }
    }

    /// Runs it in silence. The error is what it printed.
    pub(crate) fn check(mut self) -> Result<(), Failure> {
        let output = self.inner.output().map_err(|error| format!("`{self}`: {error}"))?;
        if output.status.success() {
            return Ok(());
        }
        let printed = [output.stdout, output.stderr].concat();
        Err(format!("{}\n{}", String::from_utf8_lossy(&printed), output.status))
    }

    /// What it prints on its standard output; a question, and so not printed. `None`: it failed.
    pub(crate) fn ask(mut self) -> Option<String> {
        let output = self.inner.stderr(process::Stdio::null()).output().ok()?;
        let is_success = output.status.success();
        is_success.then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in self.inner.get_envs() {
            let value = value.unwrap_or_default().to_string_lossy();
            write!(f, "{}={} ", name.to_string_lossy(), quoted(&value))?;
        }
        write!(f, "{}", self.inner.get_program().to_string_lossy())?;
        for argument in self.inner.get_args() {
            write!(f, " {}", quoted(&argument.to_string_lossy()))?;
        }
        Ok(())
    }
}

fn quoted(word: &str) -> String {
    if word.contains(' ') { format!("'{word}'") } else { word.to_owned() }
}

/// The directory of the workspace: Cargo says where that is now, and said where it was built.
pub(crate) fn root() -> PathBuf {
    let now = std::env::var("CARGO_MANIFEST_DIR").ok();
    let here = Path::new(now.as_deref().unwrap_or(env!("CARGO_MANIFEST_DIR")));
    here.parent().expect("the crate lies in the workspace").to_path_buf()
}

/// A directory of its own for what is built in the way of `name`: different flags would otherwise
/// make Cargo build everything anew each time.
pub(crate) fn target_directory(name: &str) -> PathBuf {
    let shared = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    shared.unwrap_or_else(|| root().join("target")).join(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_as_it_could_be_typed() {
        let command = Command::new("cargo doc --no-deps").env("RUSTDOCFLAGS", "-D warnings");
        assert_eq!(command.to_string(), "RUSTDOCFLAGS='-D warnings' cargo doc --no-deps");
    }
}
