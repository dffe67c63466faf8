//! DEALER: sends round-robin and receives fair-queued. RFC 28/REQREP.
//!
//! Deliberately absent: the empty delimiter. To talk to a REP, the application sends and receives
//! it.

use zring_transports::message::{FrameBody, Message};
use zring_zmtp::SocketType;

use super::{Behaviour, Refusal, Setup};
use crate::pipes::{PipeKey, Pipes};
use crate::route::fair_queue::FairQueue;
use crate::route::round_robin::RoundRobin;

/// DEALER: each message goes to the next peer with room, and comes from each peer in turn. Without
/// a peer that has room, `send` waits. RFC 28/REQREP.
pub struct Dealer {
    targets: RoundRobin,
    sources: FairQueue,
}

impl Behaviour for Dealer {
    const TYPE: SocketType = SocketType::Dealer;
    const CONNECTS_ONCE: bool = true;

    fn new(_setup: &Setup) -> Self {
        Self { targets: RoundRobin::default(), sources: FairQueue::default() }
    }

    fn attach(&mut self, _pipes: &mut Pipes, key: PipeKey) {
        self.targets.activate(key);
        self.sources.activate(key);
    }

    fn readable(&mut self, _pipes: &mut Pipes, key: PipeKey) {
        self.sources.activate(key);
    }

    fn writable(&mut self, _pipes: &mut Pipes, key: PipeKey) {
        self.targets.activate(key);
    }

    fn detach(&mut self, pipes: &mut Pipes, key: PipeKey) {
        self.targets.remove(key);
        pipes.mark_gone(key);
        self.sources.activate(key);
    }

    fn forget(&mut self, pipes: &mut Pipes, key: PipeKey) {
        self.targets.remove(key);
        self.sources.remove(key);
        pipes.remove(key);
    }

    #[inline]
    fn send(
        &mut self,
        pipes: &mut Pipes,
        body: FrameBody<'_>,
        has_more: bool,
    ) -> Result<(), Refusal> {
        self.targets.send(pipes, body, has_more).map(drop)
    }

    #[inline]
    fn receive(&mut self, pipes: &mut Pipes, frame: &mut Message) -> Result<(), Refusal> {
        self.sources.take(pipes, frame).map(drop).ok_or(Refusal::Full)
    }

    fn has_room(&mut self, pipes: &mut Pipes) -> bool {
        self.targets.has_room(pipes)
    }

    fn has_message(&mut self, pipes: &mut Pipes) -> bool {
        self.sources.has_frame(pipes)
    }
}
