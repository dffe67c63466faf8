//! Scheduling: whether waking a ring's thread interrupts whoever runs on its core.
//!
//! Deliberately absent: real-time policies and niceness, which are for users to set.

use std::io;

use crate::error::Error;

/// A policy of `sched(7)` for threads without real-time priority.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Scheduling {
    /// `SCHED_OTHER`: once woken, the thread may take the core at once.
    Normal,
    /// `SCHED_BATCH`: it waits until the core is free, or its turn has come.
    Batch,
}

impl Scheduling {
    /// That of the calling thread. `None`: another one, which somebody has chosen.
    #[must_use]
    pub fn current() -> Option<Self> {
        // SAFETY: the call takes no memory; 0 is the calling thread.
        match unsafe { libc::sched_getscheduler(0) } {
            libc::SCHED_OTHER => Some(Self::Normal),
            libc::SCHED_BATCH => Some(Self::Batch),
            _ => None,
        }
    }

    /// Makes it that of the calling thread.
    ///
    /// # Errors
    /// What `sched_setscheduler(2)` answers: between these two, nothing on an ordinary Linux.
    pub fn apply(self) -> Result<(), Error> {
        let policy = match self {
            Self::Normal => libc::SCHED_OTHER,
            Self::Batch => libc::SCHED_BATCH,
        };
        let parameters = libc::sched_param { sched_priority: 0 };
        // SAFETY: the call reads the parameters, which outlive it; 0 is the calling thread.
        match unsafe { libc::sched_setscheduler(0, policy, &raw const parameters) } {
            0 => Ok(()),
            _ => Err(Error::from_io(&io::Error::last_os_error())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_changes_to_and_fro() {
        for policy in [Scheduling::Batch, Scheduling::Normal] {
            policy.apply().unwrap();
            assert_eq!(Scheduling::current(), Some(policy));
        }
    }
}
