//! What can end a measurement.
//!
//! Deliberately absent: recovery. A failed run fails its side's row, and the message says where.

use std::io;
use std::process::ExitCode;

/// `Result` of everything in this program.
pub(crate) type Result<T> = std::result::Result<T, Error>;

/// Why a measurement gave no number.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The system refused something this program asked for.
    #[error("{doing}: {source}")]
    Io { doing: &'static str, source: io::Error },
    /// A file that was asked for cannot be written.
    #[error("cannot write {path}: {source}")]
    File { path: String, source: io::Error },
    /// A measured side answered an error.
    #[error("{who}: {doing}: {text}")]
    Side { who: &'static str, doing: &'static str, text: String },
    /// The side cannot do this kind of work at all.
    #[error("{0}")]
    Unsupported(&'static str),
    /// The command line or an input file makes no sense.
    #[error("{0}")]
    Usage(String),
    /// A worker process reported an error, or ended without a result.
    #[error("{0}")]
    Worker(String),
    /// The watchdog: something that had to happen did not.
    #[error("no {what} within {seconds} s")]
    Timeout { what: &'static str, seconds: u64 },
    /// A line between the processes did not parse.
    #[error("line between processes: {0}")]
    Line(#[from] serde_json::Error),
}

impl Error {
    /// How the program ends: what was typed is refused with clap's own code.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Usage(_) => ExitCode::from(USAGE),
            _ => ExitCode::FAILURE,
        }
    }
}

const USAGE: u8 = 2;

/// Names what was being done when the system refused.
pub(crate) trait Doing<T> {
    /// Wraps the error with what was being done.
    fn doing(self, doing: &'static str) -> Result<T>;
}

impl<T, E: Into<io::Error>> Doing<T> for std::result::Result<T, E> {
    fn doing(self, doing: &'static str) -> Result<T> {
        self.map_err(|source| Error::Io { doing, source: source.into() })
    }
}
