//! Round-robin: each message to the next peer that has room (libzmq's `lb.cpp`).
//!
//! Peers stand in the order in which they came. One without room leaves the circle until it is
//! told to have room again. A message stays with the peer of its first frame; if that peer goes,
//! the rest of the message is swallowed.
//!
//! Deliberately absent: weights, and the shortest queue. A slow peer gets less only by having no
//! room.

use zring_transports::message::FrameBody;

use crate::pattern::Refusal;
use crate::pipes::{PipeKey, Pipes};

/// See the [module](self).
#[derive(Default)]
pub(crate) struct RoundRobin {
    active: Vec<PipeKey>,
    next: usize,
    open: Open,
}

/// Whether a message is under way.
#[derive(Clone, Copy, Default, Eq, PartialEq)]
enum Open {
    #[default]
    No,
    To(PipeKey),
    /// Its peer is gone.
    Swallow,
}

impl RoundRobin {
    /// This pipe can be written to, for the first time or again.
    pub(crate) fn activate(&mut self, key: PipeKey) {
        if !self.active.contains(&key) {
            self.active.push(key);
        }
    }

    /// This pipe is gone.
    pub(crate) fn remove(&mut self, key: PipeKey) {
        if let Some(index) = self.active.iter().position(|&known| known == key) {
            self.leave(index);
        }
        if self.open == Open::To(key) {
            self.open = Open::Swallow;
        }
    }

    fn leave(&mut self, index: usize) {
        self.active.remove(index);
        if index < self.next {
            self.next -= 1;
        }
        if self.next >= self.active.len() {
            self.next = 0;
        }
    }

    /// Finds the pipe for the next message, if any has room.
    pub(crate) fn pick(&mut self, pipes: &mut Pipes) -> Option<PipeKey> {
        while let Some(&key) = self.active.get(self.next) {
            let pipe = pipes.get_mut(key);
            if pipe.is_some_and(|pipe| pipe.has_room() || pipe.want_room()) {
                return Some(key);
            }
            self.leave(self.next);
        }
        None
    }

    /// Writes a frame to the peer whose turn it is, and answers who that was. `None`: the rest of
    /// a message whose peer is gone was swallowed.
    ///
    /// # Errors
    /// [`Refusal::Full`] if no peer has room.
    #[inline(always)]
    pub(crate) fn send(
        &mut self,
        pipes: &mut Pipes,
        body: FrameBody<'_>,
        has_more: bool,
    ) -> Result<Option<PipeKey>, Refusal> {
        if self.open == Open::No
            && !has_more
            && let Some(&key) = self.active.get(self.next)
            && let Some(pipe) = pipes.get_mut(key)
            && pipe.has_room()
        {
            pipe.write(body, false);
            self.advance();
            return Ok(Some(key));
        }
        self.send_frame(pipes, &{ body }, has_more)
    }

    #[inline(never)]
    fn send_frame(
        &mut self,
        pipes: &mut Pipes,
        body: &FrameBody<'_>,
        has_more: bool,
    ) -> Result<Option<PipeKey>, Refusal> {
        let key = match self.open {
            Open::No => self.pick(pipes).ok_or(Refusal::Full)?,
            Open::To(key) => key,
            Open::Swallow => {
                if !has_more {
                    self.open = Open::No;
                }
                return Ok(None);
            }
        };
        if let Some(pipe) = pipes.get_mut(key) {
            pipe.write(*body, has_more);
        }
        if has_more {
            self.open = Open::To(key);
        } else {
            self.open = Open::No;
            self.advance();
        }
        Ok(Some(key))
    }

    #[inline]
    fn advance(&mut self) {
        // Most often there is one peer, whose turn it stays.
        if self.active.len() > 1 {
            self.next = (self.next + 1) % self.active.len();
        }
    }

    /// Whether a frame could be written now.
    pub(crate) fn has_room(&mut self, pipes: &mut Pipes) -> bool {
        self.open != Open::No || self.pick(pipes).is_some()
    }
}
