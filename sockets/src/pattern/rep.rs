//! REP: answers one request after the other. RFC 28/REQREP.
//!
//! The frames up to the empty delimiter are the request's envelope; they are kept and lead the
//! answer back. A message without a delimiter is dropped as a whole.
//!
//! Deliberately absent: several requests at a time. That is a ROUTER.

use zring_transports::message::{FrameBody, Message, Payload};
use zring_zmtp::SocketType;

use super::{Behaviour, Refusal, Setup};
use crate::pipes::{PipeKey, Pipes};
use crate::route::fair_queue::FairQueue;

/// REP: receives a request, one from each peer in turn, then sends its answer, then may receive
/// again. An answer to a peer that is gone, or has no room, is dropped. Out of turn, calls answer
/// [`Error::State`](crate::Error::State). RFC 28/REQREP.
pub struct Rep {
    sources: FairQueue,
    /// Kept for its memory; leads the answer back.
    envelope: Vec<Message>,
    state: State,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    /// A request may be received.
    Idle,
    /// More frames of the request are to be read.
    Asked(PipeKey),
    /// The answer is due. Without a peer it is swallowed.
    Due(Option<PipeKey>),
    /// More frames of the answer are to come. Without a peer they are swallowed.
    Answering(Option<PipeKey>),
}

impl Behaviour for Rep {
    const TYPE: SocketType = SocketType::Rep;

    fn new(_setup: &Setup) -> Self {
        Self { sources: FairQueue::default(), envelope: Vec::new(), state: State::Idle }
    }

    fn attach(&mut self, _pipes: &mut Pipes, key: PipeKey) {
        self.sources.activate(key);
    }

    fn readable(&mut self, _pipes: &mut Pipes, key: PipeKey) {
        self.sources.activate(key);
    }

    fn detach(&mut self, pipes: &mut Pipes, key: PipeKey) {
        pipes.mark_gone(key);
        self.leave(key);
        self.sources.activate(key);
    }

    fn forget(&mut self, pipes: &mut Pipes, key: PipeKey) {
        self.leave(key);
        if self.state == State::Asked(key) {
            // The rest of the request goes with its peer.
            self.state = State::Idle;
        }
        self.sources.remove(key);
        pipes.remove(key);
    }

    fn send(
        &mut self,
        pipes: &mut Pipes,
        body: FrameBody<'_>,
        has_more: bool,
    ) -> Result<(), Refusal> {
        let target = match self.state {
            State::Due(asker) => asker.and_then(|key| self.begin_answer(pipes, key)),
            State::Answering(target) => target,
            State::Idle | State::Asked(_) => return Err(Refusal::State),
        };
        if let Some(pipe) = target.and_then(|key| pipes.get_mut(key)) {
            pipe.write(body, has_more);
        }
        self.state = if has_more { State::Answering(target) } else { State::Idle };
        Ok(())
    }

    fn receive(&mut self, pipes: &mut Pipes, frame: &mut Message) -> Result<(), Refusal> {
        let key = match self.state {
            State::Idle => self.begin_request(pipes, frame)?,
            State::Asked(_) => self.sources.take(pipes, frame).ok_or(Refusal::Full)?,
            State::Due(_) | State::Answering(_) => return Err(Refusal::State),
        };
        // Who is gone may have been read to its end just now, and its place go to another.
        let asker = pipes.get(key).filter(|pipe| !pipe.is_gone()).map(|_| key);
        self.state = if frame.has_more() { State::Asked(key) } else { State::Due(asker) };
        Ok(())
    }

    fn has_room(&mut self, _pipes: &mut Pipes) -> bool {
        matches!(self.state, State::Due(_) | State::Answering(_))
    }

    fn has_message(&mut self, pipes: &mut Pipes) -> bool {
        matches!(self.state, State::Idle | State::Asked(_)) && self.sources.has_frame(pipes)
    }
}

impl Rep {
    /// Reads an envelope, and the first frame behind it.
    fn begin_request(
        &mut self,
        pipes: &mut Pipes,
        frame: &mut Message,
    ) -> Result<PipeKey, Refusal> {
        self.envelope.clear();
        loop {
            let key = self.sources.take(pipes, frame).ok_or(Refusal::Full)?;
            let is_delimiter = frame.is_empty();
            if !frame.has_more() {
                self.envelope.clear();
                continue;
            }
            self.envelope.push(std::mem::take(frame));
            if is_delimiter {
                self.sources.take(pipes, frame).ok_or(Refusal::Full)?;
                return Ok(key);
            }
        }
    }

    /// Writes the envelope, if the peer is there and has room.
    fn begin_answer(&mut self, pipes: &mut Pipes, key: PipeKey) -> Option<PipeKey> {
        let pipe = pipes.get_mut(key)?;
        if !pipe.has_room() {
            pipe.count_dropped();
            return None;
        }
        for frame in self.envelope.drain(..) {
            pipe.write(Payload::from(&frame).lend(), true);
        }
        Some(key)
    }

    /// The peer is gone: its answer has nowhere to go.
    fn leave(&mut self, key: PipeKey) {
        self.state = match self.state {
            State::Answering(Some(known)) if known == key => State::Answering(None),
            State::Due(Some(known)) if known == key => State::Due(None),
            state => state,
        };
    }
}
