//! Errors: why an endpoint cannot be listened at, connected to or given up.
//!
//! Each names the endpoint as the caller wrote it; only what the engine reports has none. Refusals
//! of the kernel that a caller can act upon have a variant of their own: [`Error::refused`] is the
//! one place that tells them apart.
//!
//! Deliberately absent: errors of single messages, and of peers. Those are [`zring_zmtp::Error`]
//! and end a connection, not a call.

use std::io;

use zring_engine::Errno;

/// Why a call about an endpoint failed, sorted by whose fault it is (`zmq_bind(3)`,
/// `zmq_connect(3)`, `zmq_unbind(3)`, `zmq_disconnect(3)`).
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    // The caller's: the text of the endpoint.
    /// The endpoint cannot be read, or cannot be used for what was asked (`EINVAL`; `zmq_tcp(7)`,
    /// `zmq_ipc(7)` and `zmq_inproc(7)` say what can).
    #[error("{endpoint}: {reason}")]
    InvalidEndpoint {
        /// The endpoint as given.
        endpoint: String,
        /// What is wrong with it, as a clause.
        reason: &'static str,
    },
    /// What stands before `://` names no transport of this crate (`EPROTONOSUPPORT`).
    #[error("{endpoint}: no such transport (there are tcp, ipc and inproc)")]
    UnknownTransport {
        /// The endpoint as given.
        endpoint: String,
    },
    /// Nothing was bound or connected under this name (`ENOENT`).
    #[error("{endpoint}: neither bound nor connected")]
    EndpointNotFound {
        /// The endpoint as given.
        endpoint: String,
    },

    // This machine's: the place is not here, is taken, or is not the caller's to take.
    /// No interface has this name. Listeners and sources take no host names (`ENODEV`).
    #[error("{endpoint}: no such network interface (host names are for destinations only)")]
    NoSuchDevice {
        /// The endpoint as given.
        endpoint: String,
    },
    /// The destination's host name has no address now. No call answers this: it is looked up for
    /// each attempt to connect.
    #[error("{endpoint}: no such host")]
    HostNotFound {
        /// The endpoint as given.
        endpoint: String,
    },
    /// No interface of this machine has this address (`EADDRNOTAVAIL`).
    #[error("{endpoint}: not an address of this machine")]
    AddressNotAvailable {
        /// The endpoint as given.
        endpoint: String,
    },
    /// Somebody listens there already, or has this name (`EADDRINUSE`).
    #[error("{endpoint}: address in use")]
    AddressInUse {
        /// The endpoint as given.
        endpoint: String,
    },
    /// The process may not (`EACCES`, `EPERM`).
    #[error("{endpoint}: permission denied")]
    PermissionDenied {
        /// The endpoint as given.
        endpoint: String,
    },

    // The process's and the kernel's limits.
    /// No file descriptor is left (`EMFILE`, `ENFILE`).
    #[error("{endpoint}: too many open files")]
    TooManyOpenFiles {
        /// The endpoint as given.
        endpoint: String,
    },
    /// Any other refusal of the kernel.
    #[error("{endpoint}: {errno}")]
    Kernel {
        /// The endpoint as given.
        endpoint: String,
        /// What the kernel answered.
        errno: Errno,
    },
    /// The ring, not an endpoint (`io_uring_setup(2)`, `io_uring_enter(2)`).
    #[error(transparent)]
    Engine(#[from] zring_engine::Error),
}

impl Error {
    /// The endpoint cannot be read or used, because `reason`.
    pub(crate) fn invalid(endpoint: &str, reason: &'static str) -> Self {
        Self::InvalidEndpoint { endpoint: endpoint.to_owned(), reason }
    }

    /// What a refused system call on behalf of `endpoint` means to the caller.
    pub(crate) fn refused(endpoint: &str, errno: Errno) -> Self {
        let endpoint = endpoint.to_owned();
        match errno {
            Errno::ADDRINUSE => Self::AddressInUse { endpoint },
            Errno::ADDRNOTAVAIL => Self::AddressNotAvailable { endpoint },
            Errno::NODEV => Self::NoSuchDevice { endpoint },
            Errno::ACCESS | Errno::PERM => Self::PermissionDenied { endpoint },
            Errno::MFILE | Errno::NFILE => Self::TooManyOpenFiles { endpoint },
            errno => Self::Kernel { endpoint, errno },
        }
    }

    /// As [`Error::refused`], for calls that go through `std` or `socket2`.
    pub(crate) fn refused_io(endpoint: &str, error: &io::Error) -> Self {
        Self::refused(endpoint, Errno::from_io_error(error).unwrap_or(Errno::IO))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_a_caller_can_act_upon_are_told_apart() {
        let endpoint = String::from("tcp://*:1");
        for (errno, error) in [
            (Errno::ADDRINUSE, Error::AddressInUse { endpoint: endpoint.clone() }),
            (Errno::ADDRNOTAVAIL, Error::AddressNotAvailable { endpoint: endpoint.clone() }),
            (Errno::NODEV, Error::NoSuchDevice { endpoint: endpoint.clone() }),
            (Errno::ACCESS, Error::PermissionDenied { endpoint: endpoint.clone() }),
            (Errno::MFILE, Error::TooManyOpenFiles { endpoint: endpoint.clone() }),
            (Errno::NOBUFS, Error::Kernel { endpoint: endpoint.clone(), errno: Errno::NOBUFS }),
        ] {
            assert_eq!(Error::refused(&endpoint, errno), error);
        }
    }
}
