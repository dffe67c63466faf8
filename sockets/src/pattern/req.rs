//! REQ: asks one peer after the other, and waits for each answer. RFC 28/REQREP.
//!
//! A request goes out behind an empty delimiter frame. Only the peer that was asked may answer, and
//! an answer without the delimiter is none.
//!
//! Deliberately absent: asking again, or another before the answer (`ZMQ_REQ_RELAXED`,
//! `ZMQ_REQ_CORRELATE`).

use zring_transports::message::{FrameBody, Message};
use zring_zmtp::SocketType;

use super::{Behaviour, Refusal, Setup};
use crate::pipes::{PipeKey, Pipes};
use crate::route::fair_queue::FairQueue;
use crate::route::round_robin::RoundRobin;

/// REQ: sends a request to the next peer with room, then receives its answer, then may send again.
/// Out of turn, calls answer [`Error::State`](crate::Error::State). RFC 28/REQREP.
pub struct Req {
    targets: RoundRobin,
    sources: FairQueue,
    state: State,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    /// A request may begin.
    Idle,
    /// More frames of the request are to come.
    Asking(Option<PipeKey>),
    /// The answer is awaited. Without a peer, it will never come.
    Awaiting(Option<PipeKey>),
    /// More frames of the answer are to be read. They go with the peer that it comes from.
    Answered(PipeKey),
}

impl Behaviour for Req {
    const TYPE: SocketType = SocketType::Req;
    const CONNECTS_ONCE: bool = true;

    fn new(_setup: &Setup) -> Self {
        Self { targets: RoundRobin::default(), sources: FairQueue::default(), state: State::Idle }
    }

    fn attach(&mut self, _pipes: &mut Pipes, key: PipeKey) {
        // Another had this place, and is gone.
        self.leave(key);
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
        self.leave(key);
        self.targets.remove(key);
        self.sources.remove(key);
        pipes.remove(key);
    }

    fn send(
        &mut self,
        pipes: &mut Pipes,
        body: FrameBody<'_>,
        has_more: bool,
    ) -> Result<(), Refusal> {
        let asked = match self.state {
            State::Idle => {
                self.targets.pick(pipes).ok_or(Refusal::Full)?;
                // What came unasked is no answer to what is asked now.
                let mut unasked = Message::new();
                while self.sources.take(pipes, &mut unasked).is_some() {}
                self.targets.send(pipes, FrameBody::default(), true)?
            }
            State::Asking(asked) => asked,
            State::Awaiting(_) | State::Answered(_) => return Err(Refusal::State),
        };
        let reached = self.targets.send(pipes, body, has_more)?;
        let asked = asked.and(reached);
        self.state = if has_more { State::Asking(asked) } else { State::Awaiting(asked) };
        Ok(())
    }

    fn receive(&mut self, pipes: &mut Pipes, frame: &mut Message) -> Result<(), Refusal> {
        match self.state {
            State::Idle | State::Asking(_) => return Err(Refusal::State),
            State::Awaiting(asked) => self.await_answer(pipes, asked, frame)?,
            State::Answered(_) => {
                self.sources.take(pipes, frame).ok_or(Refusal::Full)?;
            }
        }
        if !frame.has_more() {
            self.state = State::Idle;
        }
        Ok(())
    }

    fn has_room(&mut self, pipes: &mut Pipes) -> bool {
        match self.state {
            State::Idle => self.targets.has_room(pipes),
            State::Asking(_) => true,
            State::Awaiting(_) | State::Answered(_) => false,
        }
    }

    fn has_message(&mut self, pipes: &mut Pipes) -> bool {
        match self.state {
            State::Idle | State::Asking(_) => false,
            State::Awaiting(_) | State::Answered(_) => self.sources.has_frame(pipes),
        }
    }
}

impl Req {
    /// Nothing more comes from a peer.
    fn leave(&mut self, key: PipeKey) {
        self.state = match self.state {
            State::Awaiting(Some(known)) if known == key => State::Awaiting(None),
            State::Answered(known) if known == key => State::Idle,
            state => state,
        };
    }

    /// The first frame of the answer behind its delimiter. What is no answer is skipped.
    fn await_answer(
        &mut self,
        pipes: &mut Pipes,
        asked: Option<PipeKey>,
        frame: &mut Message,
    ) -> Result<(), Refusal> {
        loop {
            let key = self.sources.take(pipes, frame).ok_or(Refusal::Full)?;
            let is_delimiter = frame.is_empty() && frame.has_more();
            if asked == Some(key) && is_delimiter {
                self.sources.take(pipes, frame).ok_or(Refusal::Full)?;
                self.state = State::Answered(key);
                return Ok(());
            }
            self.sources.skip_rest(pipes, frame);
        }
    }
}
