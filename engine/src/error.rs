//! What the kernel refused, and what to do about it.
//!
//! An error of set-up names the one thing that stands in the way and how to move it. Errors of a
//! single operation are not here: they come up as [`Errno`] in that operation's outcome.
//!
//! Deliberately absent: strings and boxes. An error is a few words that can be copied and compared.

use std::io;

use crate::ring::features::Release;

/// The kernel's own number for what went wrong with one operation.
pub use rustix::io::Errno;

/// Why there is no ring, or why a turn ended early.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The kernel lacks `IORING_SETUP_DEFER_TASKRUN` or lent-buffer groups.
    #[error("Linux {found} is too old for zring's use of io_uring: run Linux 6.1 or newer")]
    KernelTooOld {
        /// The running kernel.
        found: Release,
    },

    /// The administrator switched io_uring off (1: for most processes, 2: for all).
    #[error(
        "io_uring is switched off by kernel.io_uring_disabled = {level}: set it to 0 with \
         `sysctl -w kernel.io_uring_disabled=0`{}",
        if *level == 1 { ", or join the group in kernel.io_uring_group" } else { "" }
    )]
    Disabled {
        /// The value of the sysctl.
        level: u8,
    },

    /// Something forbids io_uring to this process; not the sysctl.
    #[error(
        "io_uring is forbidden to this process, most likely by the seccomp filter of a container: \
         allow io_uring_setup, io_uring_enter and io_uring_register in its profile"
    )]
    Forbidden,

    /// The system call does not exist: not compiled in, or hidden by a filter.
    #[error(
        "this kernel has no io_uring: it was built without CONFIG_IO_URING, or a seccomp filter \
         hides the system call"
    )]
    Absent,

    /// No descriptor is left for the ring (`EMFILE`, `ENFILE`).
    #[error("no descriptor is left for a ring: raise the limit with `ulimit -n` (RLIMIT_NOFILE)")]
    DescriptorLimit,

    /// No memory may be used for the ring (`ENOMEM`).
    #[error(
        "no memory for a ring: raise the limit with `ulimit -l` (RLIMIT_MEMLOCK), or the memory \
         limit of the control group"
    )]
    MemoryLimit,

    /// A signal ended a blocking turn. Nothing is lost: turn again.
    #[error("interrupted by a signal")]
    Interrupted,

    /// The process was forked after the ring was made; the ring stays with the parent.
    #[error("a ring does not follow its process through fork: create a new one in the child")]
    Forked,

    /// The kernel refused with a number that none of the above explains.
    #[error("io_uring failed: {0}")]
    Kernel(Errno),
}

impl Error {
    /// What a failed enter or registration means, apart from set-up.
    pub(crate) fn from_io(error: &io::Error) -> Self {
        Self::from_errno(errno(error))
    }

    pub(crate) fn from_errno(errno: Errno) -> Self {
        match errno {
            Errno::INTR => Self::Interrupted,
            Errno::NOMEM => Self::MemoryLimit,
            Errno::MFILE | Errno::NFILE => Self::DescriptorLimit,
            errno => Self::Kernel(errno),
        }
    }
}

/// The number inside an error that a system call answered.
pub(crate) fn errno(error: &io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}
