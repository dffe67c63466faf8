//! PULL: receives from all peers in turn. RFC 30/PIPELINE.
//!
//! Deliberately absent: sending. Nothing goes to a peer.

use zring_transports::message::Message;
use zring_zmtp::SocketType;

use super::{Behaviour, Refusal, Setup};
use crate::pipes::{PipeKey, Pipes};
use crate::route::fair_queue::FairQueue;

/// PULL: takes work in, one message from each peer in turn. RFC 30/PIPELINE.
pub struct Pull {
    peers: FairQueue,
}

impl Behaviour for Pull {
    const TYPE: SocketType = SocketType::Pull;

    fn new(_setup: &Setup) -> Self {
        Self { peers: FairQueue::default() }
    }

    fn attach(&mut self, _pipes: &mut Pipes, key: PipeKey) {
        self.peers.activate(key);
    }

    fn readable(&mut self, _pipes: &mut Pipes, key: PipeKey) {
        self.peers.activate(key);
    }

    fn detach(&mut self, pipes: &mut Pipes, key: PipeKey) {
        pipes.mark_gone(key);
        self.peers.activate(key);
    }

    fn forget(&mut self, pipes: &mut Pipes, key: PipeKey) {
        self.peers.remove(key);
        pipes.remove(key);
    }

    #[inline]
    fn receive(&mut self, pipes: &mut Pipes, frame: &mut Message) -> Result<(), Refusal> {
        self.peers.take(pipes, frame).map(drop).ok_or(Refusal::Full)
    }

    fn has_message(&mut self, pipes: &mut Pipes) -> bool {
        self.peers.has_frame(pipes)
    }
}
