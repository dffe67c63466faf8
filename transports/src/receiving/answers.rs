//! Answers: what a REQ may be sent, frame by frame. RFC 28/REQREP, libzmq's `req.cpp`.
//!
//! A message begins with an empty frame, or with four bytes (a request id) and an empty frame, and
//! has at least one frame behind it. Anything else ends the connection.
//!
//! Deliberately absent: whose turn it is. The socket drops what it has not asked for.

use zring_zmtp::{Error, PeerMisbehaved, frame};

/// Size of a request id, in bytes.
const REQUEST_ID_SIZE: usize = 4;

/// Where in a message a connection is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Answers {
    #[default]
    Start,
    /// Behind a request id.
    Delimiter,
    Body,
}

/// Whole messages, and how far they reach, in front of one that is no answer.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Misfit {
    pub(super) messages_end: usize,
    pub(super) messages: usize,
}

impl Answers {
    /// Goes through whole frames.
    pub(super) fn check(&mut self, frames: &[u8]) -> Result<(), Misfit> {
        let (mut at, mut messages_end, mut messages) = (0, 0, 0);
        while at < frames.len() {
            let (header, _) = frame::split(&frames[at..]);
            at += header.frame_len();
            *self = match (*self, header.more, header.size) {
                (Self::Start | Self::Delimiter, true, 0) | (Self::Body, true, _) => Self::Body,
                (Self::Start, true, REQUEST_ID_SIZE) => Self::Delimiter,
                (Self::Body, false, _) => Self::Start,
                _ => return Err(Misfit { messages_end, messages }),
            };
            if !header.more {
                (messages_end, messages) = (at, messages + 1);
            }
        }
        Ok(())
    }
}

impl From<Misfit> for Error {
    fn from(_misfit: Misfit) -> Self {
        PeerMisbehaved::DelimiterMissing.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frames of one message, each with its size.
    fn message(sizes: &[u8]) -> Vec<u8> {
        let last = sizes.len() - 1;
        let frame = |(index, &size)| {
            let flags = u8::from(index < last);
            [vec![flags, size], vec![b'x'; usize::from(size)]].concat()
        };
        sizes.iter().enumerate().flat_map(frame).collect()
    }

    #[test]
    fn an_answer_is_a_delimiter_and_a_body_behind_a_request_id_or_none() {
        for sizes in [&[0, 0][..], &[0, 9], &[0, 9, 0, 4], &[4, 0, 9], &[4, 0, 4, 0]] {
            let (mut answers, twice) = (Answers::default(), message(sizes).repeat(2));
            assert_eq!(answers.check(&twice), Ok(()), "{sizes:?}");
            assert_eq!(answers, Answers::Start);
        }
        for sizes in [&[0][..], &[9], &[9, 0, 9], &[4], &[4, 0], &[4, 4, 0, 9], &[5, 0, 9]] {
            let good = message(&[0, 1]);
            let frames = [good.clone(), good.clone(), message(sizes)].concat();
            let misfit = Misfit { messages_end: 2 * good.len(), messages: 2 };
            assert_eq!(Answers::default().check(&frames), Err(misfit), "{sizes:?}");
        }
    }

    #[test]
    fn frames_may_come_one_by_one() {
        let mut answers = Answers::default();
        for (frame, state) in
            [(&[1, 0][..], Answers::Body), (&[1, 1, 7], Answers::Body), (&[0, 0], Answers::Start)]
        {
            assert_eq!(answers.check(frame), Ok(()));
            assert_eq!(answers, state);
        }
    }
}
