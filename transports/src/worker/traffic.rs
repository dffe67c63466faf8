//! Traffic: starting sends, and what follows from how they end.
//!
//! Deliberately absent: what a send is made of (`sending.rs`), and turns among connections. Each
//! that is due starts one send.

use std::os::fd::AsFd;

use rustix::net::{Shutdown, shutdown};
use zring_engine::Errno;
use zring_zmtp::Error as ProtocolError;

use super::{Worker, fan_out_of};
use crate::notice::Event;
use crate::peer::{After, Peer, Stage};

impl Worker {
    /// Has a send of this peer started before the next enter.
    pub(super) fn make_due(&mut self, key: usize) {
        let peer = &mut self.peers[key];
        if !peer.is_due {
            peer.is_due = true;
            self.due.push(key);
        }
    }

    /// Sends what the only connection that has something has, with a call of its own: for a single
    /// message that is shorter than the way through the ring. What does not leave stays due.
    pub(super) fn send_lone(&mut self) {
        let &[key] = &self.due[..] else { return };
        let Some(peer) = self.peers.get_mut(key) else { return };
        let lane = peer.wire.as_ref().and_then(|wire| wire.lane.as_ref());
        if peer.is_free() && peer.skipped == 0 && lane.is_some_and(|lane| lane.take().send_now()) {
            peer.is_due = false;
            self.due.clear();
        }
    }

    pub(super) fn start_sends(&mut self) {
        let mut due = std::mem::take(&mut self.due);
        for key in due.drain(..) {
            if let Some(peer) = self.peers.get_mut(key) {
                peer.is_due = false;
                self.start_send(key);
            }
        }
        // Nothing became due meanwhile that was not already handled.
        due.append(&mut self.due);
        self.due = due;
    }

    /// Starts a send if the connection can take one and there is something.
    pub(super) fn start_send(&mut self, key: usize) {
        let peer = &mut self.peers[key];
        let owner = key as u32;
        if peer.is_ending() {
            return;
        }
        if peer.is_in_traffic() && !fill(peer) {
            return;
        }
        let Some(fd) = &peer.fd else { return };
        if peer.greeting.is_in_flight() || !peer.greeting.is_empty() {
            peer.operations += u32::from(peer.greeting.start(&mut self.reactor, owner, fd.as_fd()));
            return;
        }
        if !peer.is_in_traffic() {
            return;
        }
        let sending = match fan_out_of(&mut self.ports, peer) {
            Some((member, fan_out)) => fan_out.sending(member),
            None => &mut peer.sending,
        };
        peer.operations += u32::from(sending.start(&mut self.reactor, owner, fd.as_fd()));
        let skipped = std::mem::take(&mut peer.skipped);
        if skipped > 0 {
            self.count_sent(key, skipped, 0);
        }
        if self.peers[key].hang_up.is_some() {
            self.check_hang_up(key);
        }
    }

    pub(super) fn handle_sent(&mut self, key: usize, result: Result<usize, Errno>) {
        let bytes = result.unwrap_or(0);
        self.sent_at_once = self.sent_at_once.max(bytes);
        let peer = &mut self.peers[key];
        if let Stage::Ending(After::Remove) = peer.stage {
            // Its pipe is gone, and what it had to send too.
            return;
        }
        let is_greeting = peer.greeting.is_in_flight();
        let sending = if is_greeting { &mut peer.greeting } else { self.sending(key) };
        let outcome = sending.handle_sent(result);
        let is_blocked = sending.is_blocked();
        match outcome {
            Ok(messages) if !is_greeting => self.count_sent(key, messages, bytes as u64),
            Ok(_) => {}
            Err(_) => return self.end_sending(key),
        }
        if self.peers[key].is_ending() {
            return;
        }
        if is_blocked {
            self.await_writable(key);
        } else if !self.is_done_sending(key) {
            self.make_due(key);
        }
    }

    /// Nothing can be sent any more. What the peer has sent still counts, and the connection ends
    /// behind it; a peer that only stopped reading would not end it by itself.
    fn end_sending(&mut self, key: usize) {
        let peer = &mut self.peers[key];
        if peer.is_ending() {
            return;
        }
        if peer.hang_up.is_some() {
            return self.lose(key, After::Redial);
        }
        if let Some(fd) = &peer.fd {
            // One that is gone has ended already.
            let _result = shutdown(fd, Shutdown::Read);
        }
        self.set_connected(key, false);
    }

    /// Whether nothing follows what was sent, and the lane is open. Otherwise a send is due.
    fn is_done_sending(&mut self, key: usize) -> bool {
        let peer = &mut self.peers[key];
        peer.member.is_none()
            && peer.is_in_traffic()
            && fill(peer)
            && peer.is_free()
            && peer.skipped == 0
    }

    fn await_writable(&mut self, key: usize) {
        let peer = &mut self.peers[key];
        if let Some(fd) = &peer.fd {
            self.reactor.poll_writable(key as u32, fd.as_fd());
            peer.operations += 1;
        }
    }

    pub(super) fn handle_writable(&mut self, key: usize, _result: Result<(), Errno>) {
        // Whether it can be written to or has failed, the next send tells.
        let peer = &mut self.peers[key];
        if peer.is_ending() {
            return;
        }
        if peer.greeting.is_blocked() {
            peer.greeting.handle_writable();
        } else {
            self.sending(key).handle_writable();
        }
        self.make_due(key);
    }

    /// Counts messages that the kernel took, or that are lost, and tells who waits for it.
    pub(super) fn count_sent(&mut self, key: usize, messages: u64, bytes: u64) {
        let peer = &mut self.peers[key];
        if let Some((member, fan_out)) = fan_out_of(&mut self.ports, peer) {
            fan_out.count_sent(member, messages, bytes);
            if fan_out.is_held() && messages > 0 {
                let port = peer.port;
                self.make_walk_due(port);
            }
            return;
        }
        let Some(wire) = &peer.wire else { return };
        if let Some(lane) = &wire.lane
            && lane.take().count_sent(messages, bytes)
        {
            wire.inbox.post(Event::Writable(wire.id));
            self.has_granted = true;
        }
    }

    /// The stage has lasted as long as it may.
    pub(super) fn end_stage(&mut self, key: usize, generation: u64) {
        let Some(peer) = self.peers.get(key) else { return };
        if peer.generation != generation {
            return;
        }
        match peer.stage {
            Stage::Waiting => self.connect(key),
            Stage::Connecting => self.lose(key, After::Redial),
            Stage::Handshake(_) => {
                self.note_rejection(key, ProtocolError::HandshakeTimeout);
                self.lose(key, After::Redial);
            }
            Stage::Draining => self.lose(key, After::Remove),
            Stage::Traffic | Stage::Ending(_) => {}
        }
    }
}

/// Takes what one send can carry from the pipe's log. With nothing to be sent, the socket's thread
/// may send the next message itself. False: it is doing so, and the connection is not free.
fn fill(peer: &mut Peer) -> bool {
    let Some(wire) = &peer.wire else { return true };
    let Some(lane) = &wire.lane else { return true };
    let Some(mut way) = lane.try_take() else { return false };
    way.close();
    let (minor, told) = (peer.minor, &mut peer.told);
    if told.is_late() {
        if !peer.sending.has_room() {
            return true;
        }
        peer.sending.push_command(|out| told.catch_up(minor, out));
        peer.sending.end_run();
    }
    peer.skipped += way.fill(&mut peer.sending, |control, out| told.tell(minor, &control, out));
    if let Some(fd) = &peer.fd
        && peer.is_free()
    {
        way.open(fd);
    }
    true
}
