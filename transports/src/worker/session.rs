//! Sessions: from the first byte of a connection to its end.
//!
//! The handshake's bytes go out before anything else. Once it is done the peer gets its pipe, and
//! its bytes become messages. How a connection ends decides what follows: a broken one is dialed
//! again, one whose peer broke the protocol is not.
//!
//! Deliberately absent: sending, which is in `traffic.rs`, and PINGs of our own. A peer's are
//! answered.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use zring_engine::Errno;
use zring_engine::block::Slice;
use zring_zmtp::{Error, Handshake, Local, PeerMisbehaved, SocketType, command};

use super::{Reached, Timer, Worker, fan_out_of};
use crate::fan_out::TOPICS_SIZE_MAX;
use crate::incidents::RejectedPeer;
use crate::notice::{Attachment, Event};
use crate::peer::{After, Origin, Peer, Stage};
use crate::pipe::{Control, Counters, PipeId};
use crate::port::PortOptions;
use crate::receiving::{Incoming, Intake, Receiving, TTL_UNIT, append};

/// Bytes that a turn is charged for as for a command: long ones take their time.
const BYTES_PER_COMMAND: usize = 64;

impl Worker {
    pub(super) fn start_handshake(&mut self, key: usize) {
        let peer = &mut self.peers[key];
        let Some(port) = self.ports.get(&peer.port) else { return };
        let options = &port.options;
        let mut handshake = Handshake::new(Local {
            socket_type: options.socket_type,
            routing_id: options.routing_id.clone(),
        });
        while let Some(bytes) = handshake.poll_transmit() {
            peer.greeting.push_command(|out| out.extend_from_slice(&bytes));
        }
        peer.stage = Stage::Handshake(Box::new(handshake));
        let timeout = options.handshake_timeout;
        self.untime_stage(key);
        if let Some(timeout) = timeout {
            self.time_stage(key, timeout);
        }
        self.arm_receive(key);
        self.make_due(key);
    }

    pub(super) fn arm_receive(&mut self, key: usize) {
        let peer = &mut self.peers[key];
        let Some(fd) = &peer.fd else { return };
        if peer.receive.is_none() {
            peer.receive = Some(self.reactor.receive(key as u32, fd.as_fd()));
            peer.operations += 1;
            peer.is_stopping = false;
        }
    }

    pub(super) fn handle_received(&mut self, key: usize, slice: Slice) {
        self.peers[key].silent_until = None;
        match &mut self.peers[key].stage {
            Stage::Handshake(_) => self.continue_handshake(key, slice),
            Stage::Traffic => {
                self.peers[key].backlog.push_back(slice);
                self.take_backlog(key);
            }
            _ => {}
        }
    }

    fn continue_handshake(&mut self, key: usize, mut slice: Slice) {
        let peer = &mut self.peers[key];
        let Stage::Handshake(handshake) = &mut peer.stage else {
            unreachable!("the caller looked")
        };
        let len = match handshake.handle_input(&slice) {
            Ok(len) => len,
            Err(error) => return self.reject(key, error),
        };
        while let Some(bytes) = handshake.poll_transmit() {
            peer.greeting.push_command(|out| out.extend_from_slice(&bytes));
        }
        let is_done = handshake.peer().is_some();
        self.make_due(key);
        if is_done {
            slice.advance(len);
            self.start_traffic(key, slice);
        }
    }

    /// Ends the connection for good, and notes why.
    fn reject(&mut self, key: usize, error: Error) {
        self.note_rejection(key, error);
        self.lose(key, After::Remove);
    }

    /// Tells the socket why a connection ends.
    pub(super) fn note_rejection(&self, key: usize, error: Error) {
        let peer = &self.peers[key];
        let endpoint = match &peer.origin {
            Origin::Accepted { endpoint, .. } => endpoint.clone(),
            Origin::Dialed(dialer) => dialer.target.endpoint().to_string().into(),
        };
        let address = peer.address();
        let reason = match &peer.stage {
            Stage::Handshake(handshake) => handshake.refusal().unwrap_or_default(),
            _ => &[],
        };
        let reason = Bytes::copy_from_slice(reason);
        if let Some(port) = self.ports.get(&peer.port) {
            port.options.rejections.note(RejectedPeer { endpoint, address, error, reason });
        }
    }

    fn start_traffic(&mut self, key: usize, rest: Slice) {
        self.untime_stage(key);
        let peer = &mut self.peers[key];
        let stage = std::mem::replace(&mut peer.stage, Stage::Traffic);
        let Stage::Handshake(handshake) = stage else { unreachable!("the caller looked") };
        let theirs = handshake.into_peer().expect("the handshake is done");
        peer.minor = theirs.minor;
        let Some(port) = self.ports.get(&peer.port) else { return };
        let options = &port.options;
        peer.receiving = Some(Receiving::new(options.frame_size_max, intake(options)));
        (peer.silent_until, peer.silence_timer) = (None, None);
        let address = peer.address();
        let inbox = options.joint.inbox.clone();
        match &mut peer.origin {
            Origin::Accepted { listener, endpoint } => {
                let (listener, endpoint) = (Some(*listener), endpoint.clone());
                let (pipe, wire) = options.joint.to_worker(&self.mailbox, options.fans_out());
                self.reached.insert(wire.id, Reached::Peer(key));
                let counters = wire.counters.clone();
                peer.wire = Some(wire);
                let routing_id = theirs.routing_id;
                let attachment = Attachment { pipe, routing_id, endpoint, address, listener };
                self.join_fan_out(key, counters);
                self.set_connected(key, true);
                inbox.arrive(attachment);
            }
            Origin::Dialed(dialer) => {
                dialer.pause = None;
                let is_back = std::mem::replace(&mut dialer.was_connected, true);
                let pipe = peer.wire.as_ref().expect("a dialed peer has its pipe").id;
                let subscribes = options.subscribes();
                self.set_connected(key, true);
                if !is_back {
                    inbox.post(Event::Connected(pipe, theirs.routing_id));
                }
                if subscribes {
                    self.tell_all(key, is_back);
                }
            }
        }
        self.make_due(key);
        self.peers[key].backlog.push_back(rest);
        self.take_backlog(key);
    }

    /// Makes a publisher's peer a member of its fan-out.
    pub(super) fn join_fan_out(&mut self, key: usize, counters: Arc<Counters>) {
        let peer = &mut self.peers[key];
        let Some(port) = self.ports.get_mut(&peer.port) else { return };
        let mark = port.options.joint.marks.send;
        if let Some(fan_out) = &mut port.fan_out {
            peer.member = Some(fan_out.join(key, mark, counters));
        }
    }

    /// A peer's connection stands, or is over.
    pub(super) fn set_connected(&mut self, key: usize, is_connected: bool) {
        let peer = &self.peers[key];
        if let Some(wire) = &peer.wire {
            wire.counters.is_connected.store(is_connected, Ordering::Relaxed);
        }
        if let Some((member, fan_out)) = fan_out_of(&mut self.ports, peer) {
            fan_out.set_connected(member, is_connected);
        }
    }

    /// Tells a dialed peer all that is wanted already. If it came back, what was queued for it is
    /// dropped, as libzmq does (`session_base.cpp`, reconnect), but for subscriptions.
    fn tell_all(&mut self, key: usize, is_back: bool) {
        let peer = &mut self.peers[key];
        let (minor, told) = (peer.minor, &mut peer.told);
        let mut dropped = 0;
        if is_back {
            let wire = peer.wire.as_ref().expect("a dialed peer has its pipe");
            let lane = wire.lane.as_ref().expect("a subscriber writes to its pipe");
            dropped = peer.sending.clear() + lane.take().clear(|control| told.put_off(control));
        }
        peer.sending.push_command(|out| told.tell_all(minor, out));
        self.count_sent(key, dropped, 0);
    }

    /// Many subscriptions were written to a pipe. What its peer cannot be told now is taken out of
    /// the log, where it would grow with every change of mind.
    pub(super) fn condense(&mut self, pipe: PipeId) {
        let Some(&Reached::Peer(key)) = self.reached.get(&pipe) else { return };
        let peer = &mut self.peers[key];
        if peer.is_ending() || peer.is_in_traffic() && peer.sending.has_room() {
            return self.make_due(key);
        }
        let lane = peer.wire.as_ref().and_then(|wire| wire.lane.as_ref());
        let Some(mut way) = lane.and_then(|lane| lane.try_take()) else { return };
        way.close();
        let told = &mut peer.told;
        peer.skipped += way.take_all(&mut peer.sending, |control, _| told.put_off(control));
    }

    /// Takes what was received, as far as this peer's share of the turn goes. What is left is for
    /// the next one, and what is still to come stays in the kernel until then.
    fn take_backlog(&mut self, key: usize) {
        while let Some(peer) = self.peers.get_mut(key)
            && peer.is_in_traffic()
            && let Some(mut slice) = peer.backlog.pop_front()
        {
            if peer.is_served(self.turns) {
                peer.backlog.push_front(slice);
                self.behind.push(key);
                return self.stop_receiving(key);
            }
            let part_size = peer.receiving.as_ref().expect("traffic is received").part_size();
            if slice.len() > part_size {
                let part = slice.slice(0..part_size);
                slice.advance(part_size);
                peer.backlog.push_front(slice);
                slice = part;
            }
            self.take_received(key, slice);
        }
    }

    /// Goes on with peers that had more than their share of the last turn.
    pub(super) fn catch_up(&mut self) {
        let mut behind = std::mem::take(&mut self.behind);
        behind.sort_unstable();
        behind.dedup();
        for key in behind {
            self.take_backlog(key);
            self.go_on_receiving(key);
        }
    }

    /// Receives on, or ends a connection that has ended, once all is taken and there is room.
    fn go_on_receiving(&mut self, key: usize) {
        let Some(peer) = self.peers.get(key) else { return };
        if !peer.is_in_traffic() || !peer.backlog.is_empty() {
            return;
        }
        let ending = peer.ending;
        // Each time that a dialed one came back it would bring more to a pipe that is full.
        let goes = ending.is_some() && matches!(peer.origin, Origin::Accepted { .. });
        if !goes && !self.has_room(key) {
            return;
        }
        match ending {
            Some(after) => self.lose(key, after),
            None => self.arm_receive(key),
        }
    }

    /// Hands up what was received, and answers what was asked. What comes for a full pipe goes up
    /// as well, for it takes as much memory here, and is the last before the socket has read.
    fn take_received(&mut self, key: usize, slice: Slice) {
        let has_room = self.has_room(key);
        let mut incoming = std::mem::take(&mut self.incoming);
        let peer = &mut self.peers[key];
        let receiving = peer.receiving.as_mut().expect("traffic is received");
        let wire = peer.wire.as_mut().expect("traffic has a pipe");
        let before = wire.allowance.written();
        let len = slice.len();
        let result = receiving.receive(slice, wire, &mut incoming, &mut self.spares);
        if !incoming.is_empty() {
            peer.charge(self.turns, incoming.len() + len / BYTES_PER_COMMAND);
        }
        for item in incoming.drain(..) {
            // What came before may have ended the connection.
            if self.is_in_traffic(key) {
                self.handle_incoming(key, item);
            }
        }
        self.incoming = incoming;
        if !self.is_in_traffic(key) {
            return;
        }
        match result {
            Ok(()) if has_room || !self.has_brought_more(key, before) => {}
            Ok(()) => self.stop_receiving(key),
            Err(error) => self.reject(key, error),
        }
    }

    fn is_in_traffic(&self, key: usize) -> bool {
        self.peers.get(key).is_some_and(Peer::is_in_traffic)
    }

    /// Whether there is more for the socket than so many messages, or will be: commands alone,
    /// which are answered here, do not stop a connection.
    fn has_brought_more(&self, key: usize, messages: u64) -> bool {
        let Peer { wire: Some(wire), receiving: Some(receiving), .. } = &self.peers[key] else {
            return false;
        };
        let is_within_message = receiving.is_within_frame() || wire.writer.has_unpublished();
        is_within_message || wire.allowance.written() > messages
    }

    /// Whether the pipe is below its receive mark, against which reports of subscriptions count
    /// too: a peer which changes its mind for ever waits for a socket that does not look.
    fn has_room(&mut self, key: usize) -> bool {
        let wire = self.peers[key].wire.as_mut();
        wire.is_none_or(|wire| wire.allowance.room() > 0 || wire.allowance.want())
    }

    /// The peer is to be given up after so much silence from now on.
    fn expect_more(&mut self, key: usize, ttl: Option<Duration>) {
        let Some(deadline) = ttl.and_then(|ttl| self.clock.after(ttl)) else { return };
        let peer = &mut self.peers[key];
        peer.silent_until = Some(deadline);
        // One timer for each peer, however often it pings: it is set again when it finds more time,
        // and void once an earlier one is set.
        if peer.silence_timer.is_none_or(|at| deadline < at) {
            peer.silence_timer = Some(deadline);
            let generation = peer.generation;
            self.set_timer(deadline, Timer::Silence(key, generation, deadline));
        }
    }

    /// The peer was silent for long enough, unless it was not, or could not be heard.
    pub(super) fn end_silence(&mut self, key: usize, generation: u64, at: Instant) {
        let Some(peer) = self.peers.get_mut(key) else { return };
        if !peer.is_silence_timed(generation, at) {
            return;
        }
        peer.silence_timer = None;
        let Some(deadline) = peer.silent_until else { return };
        let is_heard = peer.receive.is_some() && !peer.is_stopping;
        if !is_heard || deadline > self.clock.now() {
            let left = deadline.saturating_duration_since(self.clock.now());
            return self.expect_more(key, Some(if is_heard { left } else { left.max(TTL_UNIT) }));
        }
        self.lose(key, After::Redial);
    }

    fn handle_incoming(&mut self, key: usize, incoming: Incoming) {
        match incoming {
            Incoming::Ping(context, ttl) => {
                self.expect_more(key, ttl);
                self.sending(key).push_answer(|out| command::encode_pong(&context, out));
                self.make_due(key);
            }
            Incoming::Subscribe(topic) => self.subscribe(key, Control::Subscribe(topic)),
            Incoming::Cancel(topic) => self.subscribe(key, Control::Cancel(topic)),
            Incoming::Frame(frame, has_more) => {
                // None: it was sent away for what came before.
                let Some(wire) = &mut self.peers[key].wire else { return };
                append(&mut wire.writer, &frame);
                if !has_more {
                    wire.publish(1);
                }
            }
        }
    }

    /// Applies a subscription to the walk first, and reports it to the socket afterwards.
    fn subscribe(&mut self, key: usize, control: Control) {
        let peer = &mut self.peers[key];
        let Some(port) = self.ports.get_mut(&peer.port) else { return };
        let (Some(member), Some(fan_out)) = (peer.member, &mut port.fan_out) else { return };
        if let Control::Subscribe(topic) = &control
            && !fan_out.may_subscribe(member, topic)
        {
            return self.end_subscribing(key);
        }
        let has_changed = match &control {
            Control::Subscribe(topic) => fan_out.subscribe(member, topic),
            Control::Cancel(topic) => fan_out.cancel(member, topic),
        };
        let is_held = fan_out.is_held();
        if has_changed && port.options.reports_subscriptions {
            let wire = peer.wire.as_mut().expect("traffic has a pipe");
            wire.report(control);
        }
        if is_held {
            // Who holds the walk may not want the message any more.
            let port = peer.port;
            self.make_walk_due(port);
        }
    }

    /// The peer wants more topics than one may. If earlier peers of its endpoint have left some,
    /// all are forgotten, and once it is connected again it says anew what it wants.
    fn end_subscribing(&mut self, key: usize) {
        let peer = &mut self.peers[key];
        let Some(port) = self.ports.get_mut(&peer.port) else { return };
        let (Some(member), Some(fan_out)) = (peer.member, &mut port.fan_out) else { return };
        let mut wire = peer.wire.as_mut().filter(|_| port.options.reports_subscriptions);
        let report = |topic: &[u8]| {
            if let Some(wire) = &mut wire {
                wire.report(Control::Cancel(Bytes::copy_from_slice(topic)));
            }
        };
        if !fan_out.forget_inherited(member, report) {
            let size_max = TOPICS_SIZE_MAX;
            return self.reject(key, PeerMisbehaved::TooManySubscriptions { size_max }.into());
        }
        self.lose(key, After::Redial);
    }

    /// The pipe is full: what comes stays in the kernel.
    fn stop_receiving(&mut self, key: usize) {
        let peer = &mut self.peers[key];
        if let Some(token) = peer.receive
            && !peer.is_stopping
        {
            peer.is_stopping = true;
            self.reactor.cancel(token);
        }
    }

    /// The socket has read from its pipe, which was full.
    pub(super) fn handle_writable_pipe(&mut self, pipe: PipeId) {
        if let Some(&Reached::Peer(key)) = self.reached.get(&pipe) {
            self.go_on_receiving(key);
        }
    }

    pub(super) fn handle_receive_ended(&mut self, key: usize, result: Result<(), Errno>) {
        let peer = &mut self.peers[key];
        peer.receive = None;
        let was_stopped = std::mem::take(&mut peer.is_stopping);
        if peer.is_ending() {
            return;
        }
        let is_over = !(was_stopped && result.is_ok());
        if peer.is_in_traffic() {
            peer.ending = is_over.then_some(After::Redial);
            self.go_on_receiving(key);
        } else if is_over {
            self.lose(key, After::Redial);
        } else {
            self.arm_receive(key);
        }
    }
}

impl Worker {
    /// What a peer has to send: its own, or its share of a fan-out.
    pub(super) fn sending(&mut self, key: usize) -> &mut crate::sending::Sending {
        let peer = &mut self.peers[key];
        match fan_out_of(&mut self.ports, peer) {
            Some((member, fan_out)) => fan_out.sending(member),
            None => &mut peer.sending,
        }
    }
}

fn intake(options: &PortOptions) -> Intake {
    match options.socket_type {
        SocketType::Pub => Intake::Subscriptions,
        SocketType::XPub => Intake::SubscriptionsAndMessages,
        SocketType::Push => Intake::Nothing,
        SocketType::Req => Intake::Answers,
        _ => Intake::Messages,
    }
}
