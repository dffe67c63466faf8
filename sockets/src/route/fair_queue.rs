//! Fair queuing: one whole message from each peer that has any, in turn (libzmq's `fq.cpp`).
//!
//! A pipe stands in the queue from when it is told to have something until nothing is left in it.
//! The turn passes on after the last frame of a message, never within one.
//!
//! Deliberately absent: weights, and a look at pipes that nobody told of.

use std::collections::VecDeque;

use zring_transports::message::Message;
use zring_transports::pipe::Item;

use crate::pipes::{PipeKey, Pipes};

/// See the [module](self).
#[derive(Default)]
pub(crate) struct FairQueue {
    front: Option<PipeKey>,
    behind: VecDeque<PipeKey>,
    /// By key, whether that pipe is in front or behind.
    is_queued: Vec<bool>,
    /// Whether the pipe in front has a message under way.
    is_within: bool,
}

impl FairQueue {
    /// Whether the message whose frame was taken last has more of them. The rest of a message goes
    /// with its pipe.
    #[inline]
    pub(crate) fn is_within(&self) -> bool {
        self.is_within
    }

    /// This pipe may have something.
    pub(crate) fn activate(&mut self, key: PipeKey) {
        let place = key as usize;
        if self.is_queued.len() <= place {
            self.is_queued.resize(place + 1, false);
        }
        if std::mem::replace(&mut self.is_queued[place], true) {
            return;
        }
        match self.front {
            None => self.front = Some(key),
            Some(_) => self.behind.push_back(key),
        }
    }

    /// This pipe is not to be read from any more.
    pub(crate) fn remove(&mut self, key: PipeKey) {
        if self.front == Some(key) {
            self.pop();
        } else {
            self.behind.retain(|&known| known != key);
        }
        if let Some(is_queued) = self.is_queued.get_mut(key as usize) {
            *is_queued = false;
        }
    }

    /// Takes the next frame into `frame`, skipping what is no message, and answers whose it is. A
    /// pipe that is gone and was read to its end is removed.
    #[inline]
    pub(crate) fn take(&mut self, pipes: &mut Pipes, frame: &mut Message) -> Option<PipeKey> {
        loop {
            let key = self.front?;
            match pipes.get_mut(key).and_then(|pipe| pipe.read(frame)) {
                Some(Item::Frame) => {
                    self.is_within = frame.has_more();
                    if !self.is_within
                        && let Some(next) = self.behind.pop_front()
                    {
                        self.behind.push_back(key);
                        self.front = Some(next);
                    }
                    return Some(key);
                }
                Some(Item::Control(_)) => {}
                None => self.leave(pipes, key),
            }
        }
    }

    /// Takes the rest of a message whose last frame taken was `frame`.
    pub(crate) fn skip_rest(&mut self, pipes: &mut Pipes, frame: &mut Message) {
        while frame.has_more() && self.take(pipes, frame).is_some() {}
    }

    /// Whether [`take`](Self::take) would answer something.
    pub(crate) fn has_frame(&mut self, pipes: &mut Pipes) -> bool {
        while let Some(key) = self.front {
            if pipes.get_mut(key).is_some_and(|pipe| pipe.has_item()) {
                return true;
            }
            self.leave(pipes, key);
        }
        false
    }

    fn pop(&mut self) {
        self.front = self.behind.pop_front();
        self.is_within = false;
    }

    fn leave(&mut self, pipes: &mut Pipes, key: PipeKey) {
        self.remove(key);
        if pipes.get(key).is_some_and(|pipe| pipe.is_gone()) {
            pipes.remove(key);
        }
    }
}
