//! SUB and XSUB: messages by their first bytes, from all publishers in turn. RFC 29/PUBSUB.
//!
//! Every subscription goes to every publisher, a repeated one too; it is taken back there when its
//! last repetition is taken back here (libzmq's `xsub.cpp`). Subscriptions are state: they need no
//! room, and each new publisher is told all of them. SUB looks at what arrives once more.
//!
//! Deliberately absent: what each publisher was told. Its session keeps that, for when it comes
//! back (`transports/src/told.rs`).

use bytes::Bytes;
use zring_transports::message::{FrameBody, Message};
use zring_transports::pipe::Control;
use zring_transports::subscriptions::{Recent, Removal, Subscriptions};
use zring_zmtp::SocketType;

use super::{Behaviour, Refusal, Setup, Subscribing};
use crate::pipes::{Pipe, PipeKey, Pipes};
use crate::route::fair_queue::FairQueue;
use crate::route::second_look::SecondLook;

/// SUB: receives the messages that begin with one of its topics, from each publisher in turn.
/// RFC 29/PUBSUB.
pub struct Sub(Subscriber);

/// XSUB: as SUB, but sends its subscriptions as messages too: 1 and a topic, or 0 and a topic.
/// Other messages go to all publishers. What arrives is not looked at once more. RFC 29/PUBSUB.
pub struct XSub {
    subscriber: Subscriber,
    /// Publishers that get the message under way.
    targets: Vec<PipeKey>,
    is_open: bool,
    /// What was subscribed to and cancelled since that message began: publishers are told behind
    /// it, so that they get it in one piece.
    late: Vec<Control>,
    second_look: SecondLook,
}

struct Subscriber {
    sources: FairQueue,
    topics: Subscriptions<()>,
    recent: Recent<()>,
    /// A first frame that was looked at, and is wanted, and whose it is.
    looked_at: Option<(PipeKey, Message)>,
}

impl Subscriber {
    fn new() -> Self {
        Self {
            sources: FairQueue::default(),
            topics: Subscriptions::new(),
            recent: Recent::default(),
            looked_at: None,
        }
    }

    fn attach(&mut self, pipes: &mut Pipes, key: PipeKey) {
        if let Some(pipe) = pipes.get_mut(key) {
            self.topics.for_each_topic(|topic| {
                pipe.write_control(Control::Subscribe(Bytes::copy_from_slice(topic)));
            });
        }
        self.sources.activate(key);
    }

    fn detach(&mut self, pipes: &mut Pipes, key: PipeKey) {
        pipes.mark_gone(key);
        self.sources.activate(key);
    }

    fn holds(&self, key: PipeKey) -> bool {
        self.looked_at.as_ref().is_some_and(|(known, _)| *known == key)
    }

    fn forget(&mut self, pipes: &mut Pipes, key: PipeKey) {
        self.looked_at.take_if(|(known, _)| *known == key);
        self.sources.remove(key);
        pipes.remove(key);
    }

    fn subscribe(&mut self, pipes: &mut Pipes, prefix: &[u8]) {
        self.topics.insert(prefix, ());
        tell_all(pipes, &Control::Subscribe(Bytes::copy_from_slice(prefix)));
    }

    fn unsubscribe(&mut self, pipes: &mut Pipes, prefix: &[u8]) {
        if self.topics.remove(prefix, ()) == Removal::LastOfTopic {
            tell_all(pipes, &Control::Cancel(Bytes::copy_from_slice(prefix)));
        }
    }

    /// The next frame, of messages that begin with a topic, and whose it is.
    #[inline]
    fn receive_matching(&mut self, pipes: &mut Pipes, frame: &mut Message) -> Option<PipeKey> {
        if let Some((key, message)) = self.looked_at.take() {
            *frame = message;
            return Some(key);
        }
        loop {
            let is_within = self.sources.is_within();
            let key = self.sources.take(pipes, frame)?;
            if is_within || self.matches(frame) {
                return Some(key);
            }
            self.sources.skip_rest(pipes, frame);
        }
    }

    #[inline]
    fn matches(&mut self, message: &[u8]) -> bool {
        self.topics.takes_all_count() > 0 || self.recent.matches(&self.topics, message)
    }

    fn has_matching(&mut self, pipes: &mut Pipes) -> bool {
        if self.looked_at.is_some() {
            return true;
        }
        if self.sources.is_within() {
            return self.sources.has_frame(pipes);
        }
        let mut frame = Message::new();
        self.looked_at = self.receive_matching(pipes, &mut frame).map(|key| (key, frame));
        self.looked_at.is_some()
    }
}

fn tell_all(pipes: &mut Pipes, control: &Control) {
    for (_, pipe) in pipes.iter_mut() {
        pipe.write_control(control.clone());
    }
}

impl Behaviour for Sub {
    const TYPE: SocketType = SocketType::Sub;
    const CONNECTS_ONCE: bool = true;

    fn new(_setup: &Setup) -> Self {
        Self(Subscriber::new())
    }

    fn attach(&mut self, pipes: &mut Pipes, key: PipeKey) {
        self.0.attach(pipes, key);
    }

    fn readable(&mut self, _pipes: &mut Pipes, key: PipeKey) {
        self.0.sources.activate(key);
    }

    fn detach(&mut self, pipes: &mut Pipes, key: PipeKey) {
        self.0.detach(pipes, key);
    }

    fn holds(&self, key: PipeKey) -> bool {
        self.0.holds(key)
    }

    fn forget(&mut self, pipes: &mut Pipes, key: PipeKey) {
        self.0.forget(pipes, key);
    }

    #[inline]
    fn receive(&mut self, pipes: &mut Pipes, frame: &mut Message) -> Result<(), Refusal> {
        self.0.receive_matching(pipes, frame).map(drop).ok_or(Refusal::Full)
    }

    fn has_message(&mut self, pipes: &mut Pipes) -> bool {
        self.0.has_matching(pipes)
    }
}

impl Subscribing for Sub {
    fn subscribe(&mut self, pipes: &mut Pipes, prefix: &[u8]) {
        self.0.subscribe(pipes, prefix);
    }

    fn unsubscribe(&mut self, pipes: &mut Pipes, prefix: &[u8]) {
        self.0.unsubscribe(pipes, prefix);
    }
}

impl Behaviour for XSub {
    const TYPE: SocketType = SocketType::XSub;

    fn new(_setup: &Setup) -> Self {
        Self {
            subscriber: Subscriber::new(),
            targets: Vec::new(),
            is_open: false,
            late: Vec::new(),
            second_look: SecondLook::default(),
        }
    }

    fn attach(&mut self, pipes: &mut Pipes, key: PipeKey) {
        self.subscriber.attach(pipes, key);
    }

    fn readable(&mut self, _pipes: &mut Pipes, key: PipeKey) {
        self.subscriber.sources.activate(key);
    }

    fn detach(&mut self, pipes: &mut Pipes, key: PipeKey) {
        self.targets.retain(|&known| known != key);
        self.subscriber.detach(pipes, key);
    }

    fn forget(&mut self, pipes: &mut Pipes, key: PipeKey) {
        self.targets.retain(|&known| known != key);
        self.subscriber.forget(pipes, key);
    }

    /// A publisher without room loses the message.
    fn send(
        &mut self,
        pipes: &mut Pipes,
        body: FrameBody<'_>,
        has_more: bool,
    ) -> Result<(), Refusal> {
        if !self.is_open {
            match *body {
                [1, ref topic @ ..] if !has_more => {
                    self.subscribe(pipes, topic);
                    return Ok(());
                }
                [0, ref topic @ ..] if !has_more => {
                    self.unsubscribe(pipes, topic);
                    return Ok(());
                }
                _ => {}
            }
            self.find_targets(pipes)?;
        }
        self.is_open = has_more;
        for &key in &self.targets {
            if let Some(pipe) = pipes.get_mut(key) {
                pipe.write(body, has_more);
            }
        }
        if !has_more {
            self.tell_late(pipes);
        }
        Ok(())
    }

    #[inline]
    fn receive(&mut self, pipes: &mut Pipes, frame: &mut Message) -> Result<(), Refusal> {
        self.subscriber.sources.take(pipes, frame).map(drop).ok_or(Refusal::Full)
    }

    fn has_room(&mut self, _pipes: &mut Pipes) -> bool {
        true
    }

    fn has_message(&mut self, pipes: &mut Pipes) -> bool {
        self.subscriber.sources.has_frame(pipes)
    }
}

impl XSub {
    /// All with room, once room was looked for again where there was none.
    fn find_targets(&mut self, pipes: &mut Pipes) -> Result<(), Refusal> {
        self.targets.clear();
        let mut have_room = true;
        for (key, pipe) in pipes.iter_mut().filter(|(_, pipe)| !pipe.is_gone()) {
            if pipe.has_room() {
                self.targets.push(key);
            } else {
                have_room = false;
            }
        }
        self.second_look.settle(have_room)?;
        if !have_room {
            let is_full =
                |(key, pipe): &(PipeKey, &Pipe)| !pipe.is_gone() && !self.targets.contains(key);
            pipes.iter().filter(is_full).for_each(|(_, pipe)| pipe.count_dropped());
        }
        Ok(())
    }

    fn tell_late(&mut self, pipes: &mut Pipes) {
        for control in self.late.drain(..) {
            match control {
                Control::Subscribe(topic) => self.subscriber.subscribe(pipes, &topic),
                Control::Cancel(topic) => self.subscriber.unsubscribe(pipes, &topic),
            }
        }
    }
}

impl Subscribing for XSub {
    fn subscribe(&mut self, pipes: &mut Pipes, prefix: &[u8]) {
        if self.is_open {
            self.late.push(Control::Subscribe(Bytes::copy_from_slice(prefix)));
        } else {
            self.subscriber.subscribe(pipes, prefix);
        }
    }

    fn unsubscribe(&mut self, pipes: &mut Pipes, prefix: &[u8]) {
        if self.is_open {
            self.late.push(Control::Cancel(Bytes::copy_from_slice(prefix)));
        } else {
            self.subscriber.unsubscribe(pipes, prefix);
        }
    }
}
