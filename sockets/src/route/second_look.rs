//! The second look: where a message would be dropped, room is looked for once more before.
//!
//! Without a thread, room comes back in calls only, so that what a first look finds may be old. The
//! socket lets the worker turn in between, and tries again.
//!
//! Deliberately absent: the turn, which is the socket's.

use crate::pattern::Refusal;

/// See the [module](self).
#[derive(Default)]
pub(crate) struct SecondLook {
    /// Whether the message at hand found no room a moment ago.
    is_next: bool,
}

impl SecondLook {
    /// `Err`: without room the message is not dropped yet, and is to be tried again.
    pub(crate) fn settle(&mut self, has_room: bool) -> Result<(), Refusal> {
        let is_second = std::mem::take(&mut self.is_next);
        self.is_next = !has_room && !is_second;
        if self.is_next { Err(Refusal::Late) } else { Ok(()) }
    }
}
