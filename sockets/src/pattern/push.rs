//! PUSH: sends each message to the next peer with room. RFC 30/PIPELINE.
//!
//! Deliberately absent: dealing out again. What is queued for a peer stays with it, or goes with
//! it.

use zring_transports::message::FrameBody;
use zring_zmtp::SocketType;

use super::{Behaviour, Refusal, Setup};
use crate::pipes::{PipeKey, Pipes};
use crate::route::round_robin::RoundRobin;

/// PUSH: hands work out, each message to one peer, in turn. Without a peer that has room, `send`
/// waits. RFC 30/PIPELINE.
pub struct Push {
    peers: RoundRobin,
}

impl Behaviour for Push {
    const TYPE: SocketType = SocketType::Push;

    fn new(_setup: &Setup) -> Self {
        Self { peers: RoundRobin::default() }
    }

    fn attach(&mut self, _pipes: &mut Pipes, key: PipeKey) {
        self.peers.activate(key);
    }

    /// What a peer sends although it must not does not come as far as here.
    fn readable(&mut self, _pipes: &mut Pipes, _key: PipeKey) {}

    fn writable(&mut self, _pipes: &mut Pipes, key: PipeKey) {
        self.peers.activate(key);
    }

    fn detach(&mut self, pipes: &mut Pipes, key: PipeKey) {
        self.forget(pipes, key);
    }

    fn forget(&mut self, pipes: &mut Pipes, key: PipeKey) {
        self.peers.remove(key);
        pipes.remove(key);
    }

    #[inline(always)]
    fn send(
        &mut self,
        pipes: &mut Pipes,
        body: FrameBody<'_>,
        has_more: bool,
    ) -> Result<(), Refusal> {
        self.peers.send(pipes, body, has_more).map(drop)
    }

    fn has_room(&mut self, pipes: &mut Pipes) -> bool {
        self.peers.has_room(pipes)
    }
}
