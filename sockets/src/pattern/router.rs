//! ROUTER: talks to each peer by its routing id. RFC 28/REQREP.
//!
//! A received message is preceded by a frame with its peer's routing id; a message to send begins
//! with one. A peer that does not say who it is gets an id of five bytes: 0 and a number.
//!
//! Deliberately absent: mandatory, handover, raw and probing ROUTER (`ZMQ_ROUTER_MANDATORY` and its
//! like).

use std::collections::HashMap;

use bytes::Bytes;
use zring_transports::message::{FrameBody, Message};
use zring_zmtp::SocketType;

use super::{Behaviour, Refusal, Setup};
use crate::pipes::{PipeKey, Pipes};
use crate::route::fair_queue::FairQueue;
use crate::route::second_look::SecondLook;

/// ROUTER: the first frame of each message is the routing id of the peer that it comes from or goes
/// to. A message to a peer that is unknown, or has no room, is dropped. A peer whose id another one
/// has already stays connected but is neither heard nor reached. RFC 28/REQREP.
pub struct Router {
    ids: HashMap<Bytes, PipeKey>,
    sources: FairQueue,
    /// The frame behind the routing id that was answered last, and whose it is.
    prefetched: Option<(PipeKey, Message)>,
    sending: Sending,
    second_look: SecondLook,
    next_id: u32,
}

enum Sending {
    /// A routing id is to come.
    No,
    To(PipeKey),
    /// To nobody: swallow.
    Nobody,
}

impl Behaviour for Router {
    const TYPE: SocketType = SocketType::Router;

    fn new(_setup: &Setup) -> Self {
        Self {
            ids: HashMap::new(),
            sources: FairQueue::default(),
            prefetched: None,
            sending: Sending::No,
            second_look: SecondLook::default(),
            next_id: fastrand::u32(..),
        }
    }

    fn attach(&mut self, pipes: &mut Pipes, key: PipeKey) {
        if pipes.get(key).is_some_and(|pipe| pipe.is_connected) {
            self.identify(pipes, key);
        }
    }

    fn identify(&mut self, pipes: &mut Pipes, key: PipeKey) {
        let fresh = self.fresh_id();
        let Some(pipe) = pipes.get_mut(key) else { return };
        if self.ids.get(&pipe.routing_id) == Some(&key) {
            return;
        }
        if pipe.routing_id.is_empty() {
            pipe.routing_id = fresh;
        }
        if !self.ids.contains_key(&pipe.routing_id) {
            self.ids.insert(pipe.routing_id.clone(), key);
            self.sources.activate(key);
        }
    }

    fn readable(&mut self, pipes: &mut Pipes, key: PipeKey) {
        if self.is_known(pipes, key) {
            self.sources.activate(key);
        } else {
            // Neither heard nor reached: dropped, so that nothing piles up.
            pipes.skip(key);
        }
    }

    fn detach(&mut self, pipes: &mut Pipes, key: PipeKey) {
        let is_known = self.is_known(pipes, key);
        self.leave(pipes, key);
        pipes.mark_gone(key);
        if is_known {
            self.sources.activate(key);
        } else {
            pipes.remove(key);
        }
    }

    fn holds(&self, key: PipeKey) -> bool {
        self.prefetched.as_ref().is_some_and(|(known, _)| *known == key)
    }

    fn forget(&mut self, pipes: &mut Pipes, key: PipeKey) {
        self.leave(pipes, key);
        self.prefetched.take_if(|(known, _)| *known == key);
        self.sources.remove(key);
        pipes.remove(key);
    }

    fn send(
        &mut self,
        pipes: &mut Pipes,
        body: FrameBody<'_>,
        has_more: bool,
    ) -> Result<(), Refusal> {
        match self.sending {
            Sending::No if has_more => self.sending = self.find_target(pipes, &body)?,
            // A routing id alone is no message.
            Sending::No => {}
            Sending::To(key) => {
                if let Some(pipe) = pipes.get_mut(key) {
                    pipe.write(body, has_more);
                }
            }
            Sending::Nobody => {}
        }
        if !has_more {
            self.sending = Sending::No;
        }
        Ok(())
    }

    fn receive(&mut self, pipes: &mut Pipes, frame: &mut Message) -> Result<(), Refusal> {
        if let Some((_, message)) = self.prefetched.take() {
            *frame = message;
            return Ok(());
        }
        let is_within = self.sources.is_within();
        let key = self.sources.take(pipes, frame).ok_or(Refusal::Full)?;
        if !is_within {
            let id = pipes.get(key).map(|pipe| pipe.routing_id.clone()).unwrap_or_default();
            self.prefetched = Some((key, std::mem::replace(frame, Message::with_more(id))));
        }
        Ok(())
    }

    fn has_room(&mut self, _pipes: &mut Pipes) -> bool {
        true
    }

    fn has_message(&mut self, pipes: &mut Pipes) -> bool {
        self.prefetched.is_some() || self.sources.has_frame(pipes)
    }
}

impl Router {
    fn fresh_id(&mut self) -> Bytes {
        loop {
            self.next_id = self.next_id.wrapping_add(1);
            let [a, b, c, d] = self.next_id.to_be_bytes();
            let id = Bytes::copy_from_slice(&[0, a, b, c, d]);
            if !self.ids.contains_key(&id) {
                return id;
            }
        }
    }

    fn is_known(&self, pipes: &Pipes, key: PipeKey) -> bool {
        let id = pipes.get(key).map(|pipe| &pipe.routing_id);
        id.and_then(|id| self.ids.get(id)) == Some(&key)
    }

    fn find_target(&mut self, pipes: &mut Pipes, id: &[u8]) -> Result<Sending, Refusal> {
        let Some(&key) = self.ids.get(id) else { return Ok(Sending::Nobody) };
        let Some(pipe) = pipes.get_mut(key) else { return Ok(Sending::Nobody) };
        let has_room = pipe.has_room();
        self.second_look.settle(has_room)?;
        if !has_room {
            pipe.count_dropped();
            return Ok(Sending::Nobody);
        }
        Ok(Sending::To(key))
    }

    fn leave(&mut self, pipes: &Pipes, key: PipeKey) {
        if self.is_known(pipes, key)
            && let Some(pipe) = pipes.get(key)
        {
            self.ids.remove(&pipe.routing_id);
        }
        if let Sending::To(known) = self.sending
            && known == key
        {
            self.sending = Sending::Nobody;
        }
    }
}
