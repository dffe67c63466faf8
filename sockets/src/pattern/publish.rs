//! PUB and XPUB: each message to all whose topics it begins with. RFC 29/PUBSUB.
//!
//! A message is appended once to the fan-out log, which workers walk for all wire subscribers.
//! Subscribers in this process have a pipe each and are matched here. XPUB, and a lossless PUB,
//! know the topics of all; PUB otherwise only those of its inproc subscribers.
//!
//! Deliberately absent: matching and dropping for wire subscribers, which is the walk's
//! (`transports/src/fan_out`), and the verbose, manual and welcoming kinds of XPUB.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use rustc_hash::FxBuildHasher;
use zring_transports::fan_out::{FanOutFeed, FanOutLog};
use zring_transports::message::{FrameBody, Message};
use zring_transports::notice::Mailbox;
use zring_transports::pipe::{Control, Item};
use zring_transports::subscriptions::{Holding, Insertion, Removal, Subscriptions};
use zring_zmtp::SocketType;

use super::{Behaviour, Refusal, Setup};
use crate::pipes::{LOOK_MAX, Pipe, PipeKey, Pipes};
use crate::route::reports::Reports;
use crate::route::room::Room;

/// PUB: sends each message to all subscribers whose topics it begins with. A subscriber without
/// room loses it and nobody else does; `send` never waits for a subscriber, unless the socket is
/// built with [`no_drop`](crate::Builder::no_drop). Without threads, what is published
/// over tcp and ipc [gathers](crate::LocalContext#bursts) and leaves with a later call. RFC
/// 29/PUBSUB.
pub struct Pub(Publisher);

/// XPUB: as PUB, and receives the subscriptions: a frame of 1 and a topic for the first subscriber
/// of that topic, one of 0 and a topic after the last. What else an XSUB sends is received too.
/// RFC 29/PUBSUB.
pub struct XPub(Publisher);

struct Publisher {
    log: FanOutLog,
    table: Subscriptions<PipeKey>,
    /// Of those who hold a topic, and of some who did.
    holdings: HashMap<PipeKey, Holding, FxBuildHasher>,
    /// Inproc subscribers that get the message under way.
    targets: Vec<PipeKey>,
    /// Messages for which those were looked for.
    stamp: u64,
    is_open: bool,
    send_mark: usize,
    /// What a lossless publisher knows of its wire subscribers.
    room: Option<Room>,
    /// Pipes that are written to here.
    inproc_count: usize,
    /// What an XPUB has to receive.
    received: Option<Reports>,
    /// Pipes that were not read to their end, for want of room to receive.
    put_off: VecDeque<PipeKey>,
}

impl Publisher {
    fn new(setup: &Setup, received: Option<Reports>) -> Self {
        Self {
            log: FanOutLog::new(setup.pools.clone(), setup.is_local),
            table: Subscriptions::new(),
            holdings: HashMap::default(),
            targets: Vec::new(),
            stamp: 0,
            is_open: false,
            send_mark: setup.send_mark,
            room: setup.is_lossless.then(|| Room::new(setup.send_mark)),
            inproc_count: 0,
            received,
            put_off: VecDeque::new(),
        }
    }

    fn attach(&mut self, pipes: &mut Pipes, key: PipeKey) {
        let is_inproc = pipes.get(key).is_some_and(Pipe::is_written_to);
        self.inproc_count += usize::from(is_inproc);
        if let Some(room) = &mut self.room
            && !is_inproc
        {
            room.attach(key);
        }
        self.read(pipes, key, false);
    }

    /// Nothing more goes to this pipe.
    fn part(&mut self, key: PipeKey) {
        self.targets.retain(|&known| known != key);
        if let Some(room) = &mut self.room {
            room.leave(key);
        }
    }

    /// The pipe is read to its end. The topics that nobody else holds are reported as given up.
    fn forget(&mut self, pipes: &mut Pipes, key: PipeKey) {
        if self.received.is_some() {
            self.read(pipes, key, true);
        }
        self.part(key);
        let Some(pipe) = pipes.remove(key) else { return };
        self.inproc_count -= usize::from(pipe.is_written_to());
        if pipe.is_put_off {
            self.put_off.retain(|&known| known != key);
        }
        let Some(holding) = self.holdings.remove(&key) else { return };
        let Self { table, received, .. } = self;
        table.remove_holding(key, &holding, |topic, removal| {
            if removal == Removal::LastOfTopic
                && let Some(received) = received
            {
                received.push_report(&Control::Cancel(Bytes::copy_from_slice(topic)));
            }
        });
    }

    /// Takes in what a peer has sent, up to a message that there is no room to receive; what is
    /// behind that waits with its pipe. A pipe that is gone is forgotten at its end.
    fn look(&mut self, pipes: &mut Pipes, key: PipeKey) {
        self.read(pipes, key, false);
        let is_gone = |pipe: &&mut Pipe| pipe.is_gone() && !pipe.is_put_off;
        if let Some(pipe) = pipes.get_mut(key).filter(is_gone) {
            // Whoever finds something by asking is told of it no more.
            if pipe.has_item() { pipes.look_again(key) } else { self.forget(pipes, key) }
        }
    }

    /// Takes in subscriptions, and to be received what they are news of and messages. With
    /// `is_last` to the end, otherwise as far as one look takes of a wire peer's. A message is
    /// taken as a whole, so that nothing of another peer comes between its frames.
    fn read(&mut self, pipes: &mut Pipes, key: PipeKey, is_last: bool) {
        let mut frame = Message::new();
        let (mut taken, mut is_within) = (0, false);
        while let Some(pipe) = pipes.get_mut(key) {
            if taken >= LOOK_MAX && !is_within && !is_last && !pipe.is_written_to() {
                return pipes.look_again(key);
            }
            let may_take = is_last || is_within || self.has_room_to_receive();
            let item = if may_take {
                pipe.read(&mut frame)
            } else {
                pipe.read_control().map(Item::Control)
            };
            match item {
                Some(Item::Frame) => {
                    is_within = frame.has_more();
                    if let Some(received) = &mut self.received {
                        received.push_frame(std::mem::take(&mut frame));
                    }
                }
                Some(Item::Control(control)) => self.take_control(key, &control),
                None => {
                    if !may_take && pipe.has_item() && !pipe.is_put_off {
                        pipe.is_put_off = true;
                        self.put_off.push_back(key);
                    }
                    return;
                }
            }
            taken += usize::from(!is_within);
        }
    }

    fn take_control(&mut self, key: PipeKey, control: &Control) {
        if self.apply(key, control)
            && let Some(received) = &mut self.received
        {
            received.push_report(control);
        }
    }

    fn has_room_to_receive(&self) -> bool {
        self.received.as_ref().is_none_or(Reports::has_room)
    }

    /// Goes on with pipes whose messages there is room for now.
    #[cold]
    fn read_on(&mut self, pipes: &mut Pipes) {
        for _ in 0..self.put_off.len() {
            if !self.has_room_to_receive() {
                return;
            }
            let Some(key) = self.put_off.pop_front() else { return };
            if let Some(pipe) = pipes.get_mut(key) {
                pipe.is_put_off = false;
                self.look(pipes, key);
            }
        }
    }

    fn has_message(&mut self, pipes: &mut Pipes) -> bool {
        self.read_on(pipes);
        self.received.as_ref().is_some_and(|received| !received.is_empty())
    }

    /// Applies a subscription, and answers whether it was the first, or the last, of its topic.
    fn apply(&mut self, key: PipeKey, control: &Control) -> bool {
        if let Some(room) = &mut self.room
            && let Control::Subscribe(topic) | Control::Cancel(topic) = control
            && topic.is_empty()
        {
            room.note_takes_all(key, matches!(control, Control::Subscribe(_)));
        }
        match control {
            Control::Subscribe(topic) => {
                let insertion = self.table.insert(topic, key);
                if insertion == Insertion::Again {
                    // A peer holds a topic once, however often it says so.
                    self.table.remove(topic, key);
                } else {
                    self.holdings.entry(key).or_default().note(&self.table, topic, key);
                }
                insertion == Insertion::FirstOfTopic
            }
            Control::Cancel(topic) => self.table.remove(topic, key) == Removal::LastOfTopic,
        }
    }

    #[inline]
    fn send(
        &mut self,
        pipes: &mut Pipes,
        body: FrameBody<'_>,
        has_more: bool,
    ) -> Result<(), Refusal> {
        if !self.put_off.is_empty() {
            self.read_on(pipes);
        }
        if !self.is_open {
            if !self.log.has_room() && !self.log.want_room() {
                return Err(Refusal::Full);
            }
            if self.room.is_some() {
                self.settle_room(pipes, &body)?;
            }
            if self.inproc_count > 0 {
                self.find_targets(pipes, &body);
            }
        }
        self.is_open = has_more;
        self.log.write(body, has_more);
        for &key in &self.targets {
            if let Some(pipe) = pipes.get_mut(key) {
                pipe.write(body, has_more);
            }
        }
        if !has_more {
            self.targets.clear();
        }
        Ok(())
    }

    /// Finds inproc subscribers that get a message: those that want it and have room.
    fn find_targets(&mut self, pipes: &mut Pipes, topic: &[u8]) {
        self.stamp += 1;
        let (stamp, targets) = (self.stamp, &mut self.targets);
        self.table.for_each_match(topic, |key| {
            let Some(pipe) = pipes.get_mut(key) else { return };
            let is_first = std::mem::replace(&mut pipe.wanted, stamp) != stamp;
            if is_first && pipe.is_written_to() && !pipe.is_gone() {
                if pipe.has_room() {
                    targets.push(key);
                } else {
                    pipe.count_dropped();
                }
            }
        });
    }

    /// Makes sure that every subscriber that wants this message has room for it.
    #[inline]
    fn settle_room(&mut self, pipes: &mut Pipes, topic: &[u8]) -> Result<(), Refusal> {
        if self.inproc_count > 0 && self.is_anyone_full(pipes, topic) {
            return Err(Refusal::Full);
        }
        let Some(room) = &mut self.room else { return Ok(()) };
        if room.claim(&self.log, pipes, &self.table, topic) {
            return Ok(());
        }
        // Asked for before the last look, so that what changes after it is told.
        let _has_room = self.log.want_room();
        let has_room = room.claim(&self.log, pipes, &self.table, topic);
        if has_room { Ok(()) } else { Err(Refusal::Full) }
    }

    /// Whether an inproc subscriber that wants this message has no room for it.
    fn is_anyone_full(&self, pipes: &mut Pipes, topic: &[u8]) -> bool {
        let mut is_full = false;
        self.table.for_each_match(topic, |key| {
            if let Some(pipe) = pipes.get_mut(key)
                && pipe.is_written_to()
                && !pipe.is_gone()
            {
                is_full |= !pipe.has_room() && !pipe.want_room();
            }
        });
        is_full
    }

    fn has_room(&mut self) -> bool {
        // As in libzmq, also where a lossless `send` would wait: who is full depends on the topic.
        self.is_open || self.log.has_room() || self.log.want_room()
    }
}

/// What PUB and XPUB do alike.
macro_rules! publish {
    () => {
        const PUBLISHES: bool = true;

        fn attach(&mut self, pipes: &mut Pipes, key: PipeKey) {
            self.0.attach(pipes, key);
        }

        fn readable(&mut self, pipes: &mut Pipes, key: PipeKey) {
            self.0.look(pipes, key);
        }

        /// What it has sent is taken in though it is gone, as far as there is room now.
        fn detach(&mut self, pipes: &mut Pipes, key: PipeKey) {
            self.0.part(key);
            pipes.mark_gone(key);
            self.0.look(pipes, key);
        }

        fn forget(&mut self, pipes: &mut Pipes, key: PipeKey) {
            self.0.forget(pipes, key);
        }

        #[inline]
        fn send(
            &mut self,
            pipes: &mut Pipes,
            body: FrameBody<'_>,
            has_more: bool,
        ) -> Result<(), Refusal> {
            self.0.send(pipes, body, has_more)
        }

        fn has_room(&mut self, _pipes: &mut Pipes) -> bool {
            self.0.has_room()
        }

        fn published(&self) -> u64 {
            self.0.log.published()
        }

        fn feed(&mut self, mailbox: &Arc<Mailbox>) -> Option<FanOutFeed> {
            Some(self.0.log.feed(mailbox, self.0.send_mark))
        }
    };
}

impl Behaviour for Pub {
    const TYPE: SocketType = SocketType::Pub;
    const CONNECTS_ONCE: bool = true;

    fn new(setup: &Setup) -> Self {
        Self(Publisher::new(setup, None))
    }

    publish!();
}

impl Behaviour for XPub {
    const TYPE: SocketType = SocketType::XPub;

    fn new(setup: &Setup) -> Self {
        Self(Publisher::new(setup, Some(Reports::new(setup.receive_mark))))
    }

    publish!();

    fn receive(&mut self, pipes: &mut Pipes, frame: &mut Message) -> Result<(), Refusal> {
        self.0.has_message(pipes);
        *frame = self.0.received.as_mut().and_then(Reports::pop).ok_or(Refusal::Full)?;
        Ok(())
    }

    fn has_message(&mut self, pipes: &mut Pipes) -> bool {
        self.0.has_message(pipes)
    }
}
