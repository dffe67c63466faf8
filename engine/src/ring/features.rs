//! What the running kernel can do, found out once per process by trying.
//!
//! The floor is Linux 6.1: `DEFER_TASKRUN`, lent-buffer groups and multishot receive are assumed
//! beyond it. What lies above the floor is tried at the first ring and remembered. A refusal is
//! explained from the error number, the release and `kernel.io_uring_disabled`.
//!
//! Deliberately absent: a throw-away ring to ask questions of. The first ring answers them.

use std::fmt;
use std::io;
use std::sync::OnceLock;

use io_uring::{IoUring, squeue};
use rustix::io::Errno;

use super::Config;
use crate::error::{Error, errno};

/// What the ring of one reactor makes use of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Features {
    /// The running kernel.
    pub release: Release,
    /// The submission queue has no index array (Linux 6.6).
    pub no_sqarray: bool,
    /// The ring is entered by index, without a descriptor look-up. A thread has 16 such places.
    pub registered_ring: bool,
}

impl fmt::Display for Features {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { release, no_sqarray, registered_ring } = self;
        write!(f, "Linux {release}, no_sqarray {no_sqarray}, registered_ring {registered_ring}")
    }
}

/// A kernel release, as far as features depend on it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Release {
    /// The 6 of 6.1.
    pub major: u16,
    /// The 1 of 6.1.
    pub minor: u16,
}

impl Release {
    /// The oldest release on which a ring is made.
    pub(crate) const FLOOR: Self = Self { major: 6, minor: 1 };

    fn running() -> Self {
        Self::parse(&rustix::system::uname().release().to_string_lossy())
    }

    /// Reads the first two numbers; what is missing or odd counts as 0.
    fn parse(text: &str) -> Self {
        let mut numbers = text.split(|c: char| !c.is_ascii_digit());
        let mut next = || numbers.next().and_then(|number| number.parse().ok()).unwrap_or(0);
        Self { major: next(), minor: next() }
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// Completion entries: every buffer of a group and every armed operation may complete in one turn.
const CQ_ENTRIES_MIN: u32 = 4096;

/// Whether the running kernel knows `NO_SQARRAY`, once that was tried.
static NO_SQARRAY: OnceLock<bool> = OnceLock::new();

/// Makes a ring with all that the kernel offers, or says what stands in the way.
pub(super) fn open(config: &Config) -> Result<(IoUring, Features), Error> {
    let release = Release::running();
    let features = |no_sqarray| Features { release, no_sqarray, registered_ring: false };
    if NO_SQARRAY.get() != Some(&false) {
        match build(config, true) {
            Ok(ring) => {
                NO_SQARRAY.get_or_init(|| true);
                return Ok((ring, features(true)));
            }
            Err(error) if errno(&error) == Errno::INVAL => {}
            Err(error) => return Err(refusal(errno(&error), release, disabled_level())),
        }
    }
    match build(config, false) {
        Ok(ring) => {
            NO_SQARRAY.get_or_init(|| false);
            Ok((ring, features(false)))
        }
        Err(error) => Err(refusal(errno(&error), release, disabled_level())),
    }
}

fn build(config: &Config, no_sqarray: bool) -> io::Result<IoUring> {
    let mut builder = IoUring::<squeue::Entry>::builder();
    builder
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_taskrun_flag()
        .setup_submit_all()
        .setup_clamp()
        .setup_cqsize(CQ_ENTRIES_MIN.max(config.entries.saturating_mul(16)));
    if no_sqarray {
        builder.setup_no_sqarray();
    }
    builder.build(config.entries.max(1))
}

/// `kernel.io_uring_disabled`; 0 where the sysctl does not exist (before Linux 6.6).
fn disabled_level() -> u8 {
    std::fs::read_to_string("/proc/sys/kernel/io_uring_disabled")
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(0)
}

/// Which of the possible obstacles `io_uring_setup` met.
fn refusal(errno: Errno, release: Release, disabled_level: u8) -> Error {
    match errno {
        Errno::PERM | Errno::ACCESS if disabled_level > 0 => {
            Error::Disabled { level: disabled_level }
        }
        Errno::INVAL | Errno::NOSYS if release < Release::FLOOR => {
            Error::KernelTooOld { found: release }
        }
        Errno::PERM | Errno::ACCESS => Error::Forbidden,
        Errno::NOSYS => Error::Absent,
        errno => Error::from_errno(errno),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_read_from_what_uname_says() {
        let release = |major, minor| Release { major, minor };
        for (text, expected) in [
            ("6.1.0-13-amd64", release(6, 1)),
            ("6.18.44", release(6, 18)),
            ("5.15-rc3", release(5, 15)),
            ("7", release(7, 0)),
            ("", release(0, 0)),
        ] {
            assert_eq!(Release::parse(text), expected, "{text:?}");
        }
        assert!(Release::running() >= Release::FLOOR);
    }

    #[test]
    fn a_refusal_names_its_obstacle_and_the_advice() {
        let old = Release { major: 5, minor: 15 };
        let new = Release { major: 6, minor: 8 };
        for (errno, release, level, advice) in [
            (Errno::INVAL, old, 0, "Linux 5.15 is too old"),
            (Errno::NOSYS, old, 0, "6.1 or newer"),
            (Errno::PERM, new, 2, "kernel.io_uring_disabled = 2"),
            (Errno::PERM, new, 1, "kernel.io_uring_group"),
            (Errno::PERM, new, 0, "seccomp"),
            (Errno::NOSYS, new, 0, "CONFIG_IO_URING"),
            (Errno::MFILE, new, 0, "RLIMIT_NOFILE"),
            (Errno::NOMEM, new, 0, "RLIMIT_MEMLOCK"),
            (Errno::INVAL, new, 0, "io_uring failed"),
        ] {
            let text = refusal(errno, release, level).to_string();
            assert!(text.contains(advice), "{errno:?}: {text}");
        }
    }
}
