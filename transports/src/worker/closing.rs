//! Closing: the end of connections, pipes and ports.
//!
//! A pipe that hangs up sends what it has, until its deadline. Then the connection is shut down for
//! writing and read to its end, because closing with unread bytes would reset it and destroy what
//! the peer has not read. A descriptor is closed after the last completion on it.
//!
//! Deliberately absent: why a connection ends. Sessions, timers and sockets decide that.

use std::time::{Duration, Instant};

use rustix::net::{Shutdown, shutdown};

use super::{Reached, Timer, Worker, fan_out_of};
use crate::notice::{Event, PortId};
use crate::peer::{After, Origin, Peer, Stage};
use crate::pipe::PipeId;

/// How long a peer may take at most to close after we have shut down for writing: no longer than
/// linger.
const DRAIN_TIME: Duration = Duration::from_secs(1);

impl Worker {
    /// The connection is over. Its operations are ended, and with the last of them it is buried.
    pub(super) fn lose(&mut self, key: usize, after: After) {
        let peer = &mut self.peers[key];
        if peer.is_ending() {
            return;
        }
        let stays = after == After::Redial && stays(peer, self.ports.get(&peer.port));
        let after = if stays { After::Redial } else { After::Remove };
        peer.stage = Stage::Ending(after);
        (peer.receiving, peer.ending) = (None, None);
        peer.backlog.clear();
        if let Some(fd) = &peer.fd {
            // Ends receives and polls, and whoever sends through the lane and waits for room; a
            // connection that is already gone needs no more.
            let _result = shutdown(fd, Shutdown::Both);
        }
        if let Some(wire) = &mut peer.wire {
            wire.writer.rollback();
            wire.close_lane();
        }
        if let Some(token) = peer.receive {
            self.reactor.cancel(token);
        }
        self.untime_stage(key);
        self.set_connected(key, false);
        if after == After::Remove {
            self.detach(key);
        }
        self.bury_if_over(key);
    }

    /// Nothing more goes through this pipe.
    fn detach(&mut self, key: usize) {
        let peer = &mut self.peers[key];
        let member = peer.member.take();
        let wire = peer.wire.take();
        let id = peer.port;
        let port = self.ports.get_mut(&id);
        let is_heard = port.as_ref().is_none_or(|port| port.options.is_heard());
        let fan_out = port.and_then(|port| port.fan_out.as_mut());
        if let (Some(member), Some(fan_out)) = (member, fan_out) {
            fan_out.leave(member);
            if fan_out.is_held() {
                self.make_walk_due(id);
            }
        }
        if let Some(wire) = wire {
            self.reached.remove(&wire.id);
            wire.inbox.detach(wire.id, is_heard);
        }
    }

    /// Closes the descriptor of a connection that is over, once nothing is under way on it.
    pub(super) fn bury_if_over(&mut self, key: usize) {
        let Some(peer) = self.peers.get_mut(key) else { return };
        let Stage::Ending(after) = peer.stage else { return };
        if peer.operations > 0 {
            return;
        }
        peer.fd = None;
        peer.greeting = crate::sending::Sending::default();
        match after {
            After::Redial => {
                // Not before the last send has told how much of it left: that is not sent again.
                let skipped = self.hand_over(key) + self.sending(key).handle_loss();
                self.count_sent(key, skipped, 0);
                self.wait_to_redial(key);
            }
            After::Remove => self.remove(key),
        }
    }

    /// Takes over what the socket's thread has begun to send. Answers messages that count as sent.
    fn hand_over(&mut self, key: usize) -> u64 {
        let peer = &mut self.peers[key];
        let Some(lane) = peer.wire.as_ref().and_then(|wire| wire.lane.as_ref()) else { return 0 };
        let (told, minor) = (&mut peer.told, peer.minor);
        lane.take().hand_over(&mut peer.sending, |control, out| told.tell(minor, &control, out))
    }

    fn remove(&mut self, key: usize) {
        let peer = self.peers.remove(key);
        self.crew.remove_load(self.index);
        if let Some(port) = self.ports.get_mut(&peer.port) {
            port.peers -= 1;
            port.hang_ups -= usize::from(peer.hang_up.is_some());
            self.check_closing(peer.port);
        }
    }

    /// The socket gives a peer up, and stays: of what it publishes, so many messages are still for
    /// this peer.
    pub(super) fn part(&mut self, key: usize, deadline: Option<Instant>, published: u64) {
        let Some(peer) = self.peers.get(key) else { return };
        let port = peer.port;
        if let Some((member, fan_out)) = fan_out_of(&mut self.ports, peer) {
            fan_out.part(member, published);
            self.make_walk_due(port);
        }
        self.hang_up(key, deadline);
    }

    /// The socket gives a pipe up: what is queued goes out until the deadline.
    pub(super) fn hang_up(&mut self, key: usize, deadline: Option<Instant>) {
        let Some(peer) = self.peers.get_mut(key) else { return };
        if peer.hang_up.is_some() {
            // The deadline of the first time holds, whose timer runs.
            return;
        }
        peer.hang_up = Some(deadline);
        if let Some(port) = self.ports.get_mut(&peer.port) {
            port.hang_ups += 1;
        }
        let Some(wire) = &peer.wire else { return self.lose(key, After::Remove) };
        let is_heard = self.ports.get(&peer.port).is_none_or(|port| port.options.is_heard());
        wire.inbox.detach(wire.id, is_heard);
        let pipe = wire.id;
        if let Some(deadline) = deadline {
            self.set_timer(deadline, Timer::HangUp(key, pipe));
        }
        self.make_due(key);
        self.check_hang_up(key);
    }

    /// Ends a pipe that hangs up if there is nothing more to send.
    pub(super) fn check_hang_up(&mut self, key: usize) {
        let Some(deadline) = self.peers[key].hang_up else { return };
        let is_late = deadline.is_some_and(|deadline| deadline <= self.clock.now());
        let is_sent = self.is_sent(key);
        let peer = &mut self.peers[key];
        match peer.stage {
            Stage::Ending(_) | Stage::Draining => {}
            Stage::Waiting if is_late || is_sent => self.drop_unconnected(key),
            _ if is_late => self.lose(key, After::Remove),
            Stage::Traffic if is_sent => self.drain(key),
            Stage::Connecting | Stage::Handshake(_) if is_sent => self.lose(key, After::Remove),
            _ => {}
        }
    }

    /// What was published is walked: whoever got nothing of it, and was to go behind it, can go.
    pub(super) fn check_hang_ups(&mut self, id: PortId) {
        if self.ports.get(&id).is_none_or(|port| port.hang_ups == 0) {
            return;
        }
        let goes = |(key, peer): (usize, &Peer)| {
            (peer.port == id && peer.hang_up.is_some()).then_some(key)
        };
        let keys: Vec<usize> = self.peers.iter().filter_map(goes).collect();
        for key in keys {
            self.check_hang_up(key);
        }
    }

    fn drop_unconnected(&mut self, key: usize) {
        self.peers[key].stage = Stage::Ending(After::Remove);
        self.detach(key);
        self.remove(key);
    }

    fn is_sent(&mut self, key: usize) -> bool {
        let peer = &self.peers[key];
        let is_walked = fan_out_of(&mut self.ports, peer)
            .is_none_or(|(member, fan_out)| fan_out.is_past(member));
        let is_empty = self.sending(key).is_empty();
        let lane = self.peers[key].wire.as_ref().and_then(|wire| wire.lane.as_ref());
        is_walked && is_empty && lane.is_none_or(|lane| lane.take().is_empty())
    }

    fn drain(&mut self, key: usize) {
        let peer = &mut self.peers[key];
        peer.stage = Stage::Draining;
        peer.receiving = None;
        peer.backlog.clear();
        if let Some(fd) = &peer.fd {
            // A connection that is already gone ends with its receive.
            let _result = shutdown(fd, Shutdown::Write);
        }
        // Nothing is sent any more, so that nobody waits for it.
        self.set_connected(key, false);
        let deadline = self.peers[key].hang_up.flatten();
        let left = deadline.map(|deadline| deadline.saturating_duration_since(self.clock.now()));
        self.time_stage(key, left.map_or(DRAIN_TIME, |left| left.min(DRAIN_TIME)));
        self.arm_receive(key);
    }

    /// A pipe's linger time is over.
    pub(super) fn end_linger(&mut self, key: usize, pipe: PipeId) {
        if let Some(&Reached::Peer(known)) = self.reached.get(&pipe)
            && known == key
        {
            self.check_hang_up(key);
        }
    }

    /// The socket is closed: all of it goes once it is sent, at the deadline at the latest.
    pub(super) fn close_port(&mut self, id: PortId, deadline: Option<Instant>) {
        let Some(port) = self.ports.get_mut(&id) else { return };
        port.is_closing = true;
        let has_feed = port.fan_out.is_some();
        self.stop_listeners_of(id);
        if has_feed {
            self.make_walk_due(id);
        }
        let belongs = |(key, peer): (usize, &Peer)| (peer.port == id).then_some(key);
        let keys: Vec<usize> = self.peers.iter().filter_map(belongs).collect();
        for key in keys {
            self.hang_up(key, deadline);
        }
        self.check_closing(id);
    }

    /// Forgets a closed port once nothing is left of it.
    pub(super) fn check_closing(&mut self, id: PortId) {
        let Some(port) = self.ports.get_mut(&id) else { return };
        if !port.is_closing || port.peers > 0 || port.listeners > 0 {
            return;
        }
        if let Some(fan_out) = &port.fan_out {
            self.reached.remove(&fan_out.feed_id());
        }
        let port = self.ports.remove(&id).expect("it was there");
        port.options.joint.inbox.post(Event::Closed);
    }
}

/// Whether a peer whose connection broke is to be dialed again.
fn stays(peer: &Peer, port: Option<&super::Port>) -> bool {
    let reconnects = port.is_some_and(|port| port.options.reconnect_interval.is_some());
    matches!(peer.origin, Origin::Dialed(_)) && reconnects
}
