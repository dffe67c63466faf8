//! IPC endpoints: Unix stream sockets at a path, under an abstract name (`@`), or in a fresh
//! directory of their own (`*`).
//!
//! A listener unlinks a socket file that it finds at its path, whether or not somebody still
//! listens there, and leaves its own behind: libzmq does both, and a server that crashed can start
//! again. Abstract names and `*` leave nothing behind.
//!
//! Deliberately absent: unlinking what is not a socket (libzmq takes any file away; here it is an
//! address in use), and credentials of peers.

#[cfg(test)]
mod tests;

use std::collections::hash_map::RandomState;
use std::env;
use std::ffi::OsStr;
use std::fmt;
use std::fs::{self, DirBuilder};
use std::hash::BuildHasher;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt};
use std::path::{Path, PathBuf};

use socket2::{Domain, SockAddr, Socket};

use crate::endpoint::{Listening, Route, Tuning, backlog, open_stream, tune};
use crate::error::Error;

/// What stands behind `ipc://`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct IpcEndpoint {
    place: Place,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Place {
    /// `*`: a path that the listener chooses.
    Any,
    /// A name without its `@`, outside of every file system. Not empty.
    Abstract(String),
    /// Relative to the working directory unless it begins with a slash.
    Path(String),
}

impl IpcEndpoint {
    /// Reads what stands behind `ipc://`, or says why it cannot.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        if text.len() > PATH_LEN_MAX {
            return Err("the path is longer than 107 bytes");
        }
        if text.contains('\0') {
            return Err("the path has a NUL byte");
        }
        let place = match (text, text.strip_prefix('@')) {
            ("*", _) => Place::Any,
            // libzmq reads a wildcard here, and the rest of the name is lost.
            _ if text.starts_with('*') => return Err("a wildcard stands alone"),
            (_, Some("")) => return Err("there is no name behind @"),
            (_, Some(name)) => Place::Abstract(name.to_owned()),
            (path, None) => Place::Path(path.to_owned()),
        };
        Ok(Self { place })
    }
}

impl fmt::Display for IpcEndpoint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Any => write!(out, "ipc://*"),
            Place::Abstract(name) => write!(out, "ipc://@{name}"),
            Place::Path(path) => write!(out, "ipc://{path}"),
        }
    }
}

/// Listens at the path or name of the endpoint.
pub(crate) fn listen(endpoint: &IpcEndpoint, tuning: &Tuning) -> Result<Listening, Error> {
    let text = endpoint.to_string();
    let refused = |error: io::Error| Error::refused_io(&text, &error);
    let path = match &endpoint.place {
        Place::Any => return listen_anywhere(&text, tuning),
        Place::Abstract(name) => abstract_path(name),
        Place::Path(path) => {
            let path = PathBuf::from(path);
            unlink_socket(&path).map_err(refused)?;
            path
        }
    };
    let socket = listen_at(&path, tuning).map_err(refused)?;
    Ok(Listening { fd: socket.into(), endpoint: text, socket_file: None })
}

/// Listens in a directory of its own under the directory for temporary files.
fn listen_anywhere(endpoint: &str, tuning: &Tuning) -> Result<Listening, Error> {
    let refused = |error: io::Error| Error::refused_io(endpoint, &error);
    let directory = create_directory(&env::temp_dir()).map_err(refused)?;
    let path = directory.join("socket");
    let listening = match path.to_str() {
        Some(text) if text.len() <= PATH_LEN_MAX => {
            listen_at(&path, tuning).map_err(refused).map(|socket| Listening {
                fd: socket.into(),
                endpoint: format!("ipc://{text}"),
                socket_file: Some(path.clone()),
            })
        }
        _ => Err(Error::invalid(endpoint, "TMPDIR is too long for a socket, or not UTF-8")),
    };
    if listening.is_err() {
        remove_socket_file(&path);
    }
    listening
}

/// Takes away a socket file that [`Listening::socket_file`] names, with the directory that was
/// made for it. What is gone already is no error, and there is nobody to tell of another one.
pub fn remove_socket_file(path: &Path) {
    let _ = fs::remove_file(path);
    if let Some(directory) = path.parent() {
        // Fails, as it should, if somebody put a file of their own there.
        let _ = fs::remove_dir(directory);
    }
}

/// The way to a listener.
pub(crate) fn route(endpoint: &IpcEndpoint) -> Result<Route, Error> {
    let path = match &endpoint.place {
        Place::Any => {
            let reason = "a connection needs a path, not *";
            return Err(Error::invalid(&endpoint.to_string(), reason));
        }
        Place::Abstract(name) => abstract_path(name),
        Place::Path(path) => PathBuf::from(path),
    };
    let destination =
        SockAddr::unix(&path).map_err(|error| Error::refused_io(&endpoint.to_string(), &error))?;
    Ok(Route { destination, source: None })
}

fn listen_at(path: &Path, tuning: &Tuning) -> io::Result<Socket> {
    let socket = open_stream(Domain::UNIX)?;
    tune(&socket, tuning, false)?;
    socket.bind(&SockAddr::unix(path)?)?;
    socket.listen(backlog(tuning))?;
    Ok(socket)
}

/// An abstract name is a path that begins with a NUL byte (unix(7)); its length is part of it.
fn abstract_path(name: &str) -> PathBuf {
    let mut path = Vec::with_capacity(1 + name.len());
    path.push(0);
    path.extend_from_slice(name.as_bytes());
    PathBuf::from(OsStr::from_bytes(&path))
}

/// Makes way for a listener at `path`.
fn unlink_socket(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        },
        // Whatever else is there, or keeps us from looking, `bind` will name.
        _ => Ok(()),
    }
}

/// Makes a directory that was not there and that only this user may enter.
fn create_directory(parent: &Path) -> io::Result<PathBuf> {
    let mut taken = io::Error::from(io::ErrorKind::AlreadyExists);
    for _ in 0..DIRECTORY_ATTEMPTS_MAX {
        // Each `RandomState` has keys of its own: 64 bits that nobody else can foretell.
        let random = RandomState::new().hash_one(0_u8);
        let directory = parent.join(format!("zring-{random:016x}"));
        match DirBuilder::new().mode(0o700).create(&directory) {
            Ok(()) => return Ok(directory),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => taken = error,
            Err(error) => return Err(error),
        }
    }
    Err(taken)
}

/// `sun_path` has 108 bytes (unix(7)), and one is for the NUL behind a path. libzmq holds abstract
/// names, `@` included, to the same limit.
const PATH_LEN_MAX: usize = 107;

/// One is enough unless somebody guesses 64 random bits.
const DIRECTORY_ATTEMPTS_MAX: usize = 8;
