//! The pipes of one socket, by key.
//!
//! A pipe whose peer is gone stays until what it had sent was read; it cannot be written to.
//!
//! Deliberately absent: an order. Routes keep theirs.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use rustc_hash::FxBuildHasher;
use slab::Slab;
use zring_transports::message::{FrameBody, Message};
use zring_transports::notice::{Event, Remnant, SocketInbox};
use zring_transports::pipe::{Control, Counters, Item, PipeEnd, PipeId};

use crate::observer::{Ledger, Record};

/// What one look takes of a wire peer that sends for ever what is not to be received, so that it
/// does not keep the socket's thread: subscriptions and messages.
pub(crate) const LOOK_MAX: usize = 1000;

/// Names a pipe within its socket.
pub(crate) type PipeKey = u32;

/// One peer, as its socket sees it.
pub(crate) struct Pipe {
    end: PipeEnd,
    /// What the peer calls itself; empty if it did not say, or has not yet.
    pub(crate) routing_id: Bytes,
    /// Where it came to, or where we connected to.
    pub(crate) endpoint: Arc<str>,
    /// Where it came from over tcp.
    pub(crate) address: Option<SocketAddr>,
    /// Whether the peer's handshake is done.
    pub(crate) is_connected: bool,
    is_gone: bool,
    /// It is gone, and has left something to be read.
    pub(crate) remnant: Option<Remnant>,
    /// The publisher's message that it was last found to want, counted from 1.
    pub(crate) wanted: u64,
    /// An XPUB has no room to receive what comes next.
    pub(crate) is_put_off: bool,
}

impl Pipe {
    pub(crate) fn new(end: PipeEnd, routing_id: Bytes, endpoint: Arc<str>) -> Self {
        Self {
            end,
            routing_id,
            endpoint,
            address: None,
            is_connected: false,
            is_gone: false,
            remnant: None,
            wanted: 0,
            is_put_off: false,
        }
    }

    pub(crate) fn end(&self) -> &PipeEnd {
        &self.end
    }

    /// Whether the peer is gone, so that nothing can be written.
    pub(crate) fn is_gone(&self) -> bool {
        self.is_gone
    }

    /// Whether the socket writes to it, and not to a fan-out log.
    pub(crate) fn is_written_to(&self) -> bool {
        self.end.outbound.is_some()
    }

    /// Whether a message can begin now.
    #[inline]
    pub(crate) fn has_room(&mut self) -> bool {
        !self.is_gone && self.end.outbound.as_mut().is_some_and(|out| out.has_room())
    }

    /// As [`has_room`](Self::has_room); if not, an event tells when there is.
    pub(crate) fn want_room(&mut self) -> bool {
        !self.is_gone && self.end.outbound.as_mut().is_some_and(|out| out.want_room())
    }

    /// Writes a frame. The room was settled at the first frame of its message.
    #[inline(always)]
    pub(crate) fn write(&mut self, body: FrameBody<'_>, has_more: bool) {
        if !self.is_gone {
            self.end.write(body, has_more);
        }
    }

    pub(crate) fn write_control(&mut self, control: Control) {
        if let Some(outbound) = &mut self.end.outbound
            && !self.is_gone
        {
            outbound.write_control(control);
        }
    }

    /// Takes back the frames of a message that will not be finished.
    pub(crate) fn rollback(&mut self) {
        if let Some(outbound) = &mut self.end.outbound {
            outbound.rollback();
        }
    }

    #[inline]
    pub(crate) fn read(&mut self, frame: &mut Message) -> Option<Item> {
        self.end.inbound.read(frame)
    }

    /// What comes next, if that is no message.
    pub(crate) fn read_control(&mut self) -> Option<Control> {
        self.end.inbound.read_control()
    }

    pub(crate) fn has_item(&mut self) -> bool {
        self.end.inbound.has_item()
    }

    /// A message was dropped for want of room.
    pub(crate) fn count_dropped(&self) {
        self.end.counters.dropped.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts an inproc peer as there or not; of others the worker knows more.
    fn note_presence(&self) {
        if self.end.worker().is_none() {
            let is_here = self.is_connected && !self.is_gone;
            self.end.counters.is_connected.store(is_here, Ordering::Relaxed);
        }
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.end.counters
    }

    /// An inproc peer has come, whose mark adds to ours.
    pub(crate) fn raise_mark(&mut self, by: usize) {
        if let Some(outbound) = &mut self.end.outbound {
            outbound.raise_mark(by);
        }
    }
}

/// See the [module](self).
pub(crate) struct Pipes {
    slab: Slab<Pipe>,
    keys: HashMap<PipeId, PipeKey, FxBuildHasher>,
    ledger: Ledger,
    /// The socket's own.
    inbox: Arc<SocketInbox>,
}

impl Pipes {
    pub(crate) fn new(ledger: Ledger, inbox: Arc<SocketInbox>) -> Self {
        Self { slab: Slab::new(), keys: HashMap::default(), ledger, inbox }
    }

    /// This pipe was not read to its end: the socket is told once more that it can be.
    pub(crate) fn look_again(&self, key: PipeKey) {
        if let Some(pipe) = self.slab.get(key as usize) {
            self.inbox.post(Event::Readable(pipe.end.id));
        }
    }

    /// Reads what is of no interest to anybody.
    pub(crate) fn skip(&mut self, key: PipeKey) {
        let Some(pipe) = self.slab.get_mut(key as usize) else { return };
        let mut frame = Message::new();
        if (0..LOOK_MAX).all(|_| pipe.read(&mut frame).is_some()) {
            self.look_again(key);
        }
    }

    /// Enters what is known of a pipe into the ledger.
    pub(crate) fn enter(&self, key: PipeKey) {
        let Some(pipe) = self.slab.get(key as usize) else { return };
        pipe.note_presence();
        let Pipe { end, routing_id, endpoint, address, .. } = pipe;
        let record = Record {
            endpoint: endpoint.clone(),
            address: *address,
            routing_id: routing_id.clone(),
            counters: end.counters.clone(),
        };
        self.ledger.enter(end.id, record);
    }

    pub(crate) fn insert(&mut self, pipe: Pipe) -> PipeKey {
        let id = pipe.end.id;
        let key = self.slab.insert(pipe) as PipeKey;
        self.keys.insert(id, key);
        key
    }

    pub(crate) fn key(&self, id: PipeId) -> Option<PipeKey> {
        self.keys.get(&id).copied()
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, key: PipeKey) -> Option<&mut Pipe> {
        self.slab.get_mut(key as usize)
    }

    pub(crate) fn get(&self, key: PipeKey) -> Option<&Pipe> {
        self.slab.get(key as usize)
    }

    pub(crate) fn remove(&mut self, key: PipeKey) -> Option<Pipe> {
        let pipe = self.slab.try_remove(key as usize)?;
        self.keys.remove(&pipe.end.id);
        self.ledger.strike(pipe.end.id);
        Some(pipe)
    }

    /// The peer is gone. What it had sent can still be read.
    pub(crate) fn mark_gone(&mut self, key: PipeKey) {
        if let Some(pipe) = self.slab.get_mut(key as usize) {
            pipe.is_gone = true;
            pipe.note_presence();
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (PipeKey, &Pipe)> {
        self.slab.iter().map(|(key, pipe)| (key as PipeKey, pipe))
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (PipeKey, &mut Pipe)> {
        self.slab.iter_mut().map(|(key, pipe)| (key as PipeKey, pipe))
    }

    /// Pipes whose peer is not gone.
    pub(crate) fn present(&self) -> usize {
        self.slab.iter().filter(|(_, pipe)| !pipe.is_gone).count()
    }
}
