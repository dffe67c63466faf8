//! The processors that the two ends stay on.
//!
//! Deliberately absent: knowledge of caches and sibling threads. Who has it gives `--cores`.

use std::fmt;

use rustix::thread::{CpuSet, sched_getaffinity};

use crate::error::{Doing as _, Error, Result};
use crate::job::Role;

/// Processors of the sender and of everybody else; `None`: nobody is kept anywhere.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Cores(Option<[usize; 2]>);

impl Cores {
    /// What `--cores` says; without it the first two that this process may run on, if there are
    /// two.
    ///
    /// # Errors
    ///
    /// [`Error::Usage`] if it is no choice, or not this process's.
    pub(crate) fn choose(text: Option<&str>) -> Result<Self> {
        if text == Some("none") {
            return Ok(Self(None));
        }
        let set = sched_getaffinity(None).doing("ask which cores are ours")?;
        let allowed: Vec<_> = (0..CpuSet::MAX_CPU).filter(|&core| set.is_set(core)).collect();
        Self::among(&allowed, text)
    }

    fn among(allowed: &[usize], text: Option<&str>) -> Result<Self> {
        let Some(text) = text else {
            return Ok(Self(allowed.first_chunk().copied()));
        };
        let parse = || {
            let (sender, receiver) = text.split_once(',')?;
            Some([sender.trim().parse().ok()?, receiver.trim().parse().ok()?])
        };
        let cores: [usize; 2] = parse().ok_or_else(|| {
            Error::Usage(format!("--cores wants two numbers or none, not {text}"))
        })?;
        match cores.iter().find(|core| !allowed.contains(core)) {
            None => Ok(Self(Some(cores))),
            Some(core) => Err(Error::Usage(format!(
                "--cores {text}: this process may not run on {core}, only on {allowed:?}"
            ))),
        }
    }

    /// Where to stay in this role.
    pub(crate) fn of(&self, role: &Role) -> Option<usize> {
        self.0.map(|[sender, others]| if matches!(role, Role::Sender) { sender } else { others })
    }
}

impl fmt::Display for Cores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some([sender, others]) => write!(f, "sender to core {sender}, others to core {others}"),
            None => f.write_str("nobody"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_two_that_are_allowed_are_taken_or_none() {
        for (allowed, expected) in
            [(&[0, 1, 2][..], Some([0, 1])), (&[3, 5], Some([3, 5])), (&[4], None)]
        {
            assert_eq!(Cores::among(allowed, None).unwrap(), Cores(expected));
        }
    }

    #[test]
    fn what_is_typed_is_taken_or_refused() {
        let chosen = |text| Cores::among(&[2, 3], Some(text)).map_err(|error| error.to_string());
        assert_eq!(chosen("3, 2"), Ok(Cores(Some([3, 2]))));
        for (text, expected) in [
            ("2", "--cores wants two numbers or none, not 2"),
            ("0,2", "--cores 0,2: this process may not run on 0, only on [2, 3]"),
        ] {
            assert_eq!(chosen(text), Err(expected.to_owned()));
        }
    }
}
