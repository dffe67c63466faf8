//! PAIR: one peer, both ways. RFC 31/EXPAIR.
//!
//! Deliberately absent: a queue of those who come while there is a peer. They are sent away.

use zring_transports::message::{FrameBody, Message};
use zring_zmtp::SocketType;

use super::{Behaviour, Refusal, Setup};
use crate::pipes::{PipeKey, Pipes};
use crate::route::fair_queue::FairQueue;
use crate::route::round_robin::RoundRobin;

/// PAIR: talks to one peer at a time; another that comes meanwhile is sent away. Without the peer,
/// or without room, `send` waits. RFC 31/EXPAIR.
pub struct Pair {
    peer: Option<PipeKey>,
    target: RoundRobin,
    source: FairQueue,
}

impl Behaviour for Pair {
    const TYPE: SocketType = SocketType::Pair;

    fn new(_setup: &Setup) -> Self {
        Self { peer: None, target: RoundRobin::default(), source: FairQueue::default() }
    }

    fn has_place(&self) -> bool {
        self.peer.is_none()
    }

    fn attach(&mut self, _pipes: &mut Pipes, key: PipeKey) {
        self.peer = Some(key);
        self.target.activate(key);
        self.source.activate(key);
    }

    fn readable(&mut self, _pipes: &mut Pipes, key: PipeKey) {
        if self.peer == Some(key) {
            self.source.activate(key);
        }
    }

    fn writable(&mut self, _pipes: &mut Pipes, key: PipeKey) {
        if self.peer == Some(key) {
            self.target.activate(key);
        }
    }

    fn detach(&mut self, pipes: &mut Pipes, key: PipeKey) {
        self.target.remove(key);
        pipes.mark_gone(key);
        if self.peer == Some(key) {
            self.peer = None;
            self.source.activate(key);
        } else {
            pipes.remove(key);
        }
    }

    fn forget(&mut self, pipes: &mut Pipes, key: PipeKey) {
        self.peer = self.peer.filter(|&known| known != key);
        self.target.remove(key);
        self.source.remove(key);
        pipes.remove(key);
    }

    #[inline]
    fn send(
        &mut self,
        pipes: &mut Pipes,
        body: FrameBody<'_>,
        has_more: bool,
    ) -> Result<(), Refusal> {
        self.target.send(pipes, body, has_more).map(drop)
    }

    #[inline]
    fn receive(&mut self, pipes: &mut Pipes, frame: &mut Message) -> Result<(), Refusal> {
        self.source.take(pipes, frame).map(drop).ok_or(Refusal::Full)
    }

    fn has_room(&mut self, pipes: &mut Pipes) -> bool {
        self.target.has_room(pipes)
    }

    fn has_message(&mut self, pipes: &mut Pipes) -> bool {
        self.source.has_frame(pipes)
    }
}
