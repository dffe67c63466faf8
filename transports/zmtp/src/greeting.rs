//! The greeting: 64 bytes in which both peers tell version and mechanism.
//!
//! ```text
//!   0         1 .. 8        9      10      11      12 .. 31     32          33 .. 63
//! +------+-------------+------+-------+-------+-----------+-----------+-------------+
//! | 0xff |   padding   | 0x7f | major | minor | mechanism | as-server |   filler    |
//! +------+-------------+------+-------+-------+-----------+-----------+-------------+
//!  \______ signature ________/ \______________________ rest ______________________/
//! ```
//!
//! Follows 37/ZMTP, "Formal Grammar" and "Version Negotiation". We send the signature at once and
//! the rest when the peer's signature has come, as libzmq does; the peer may send all at once.
//! The padding holds the size of our routing id plus one, as libzmq's does, so that the bytes are
//! the same; nobody may read it.
//!
//! Invariant: a flaw is reported with the byte that shows it, however the stream was split.
//!
//! Deliberately absent: ZMTP 1.0 and 2.0, and any look at padding, as-server and filler.

use crate::{Error, PeerIncompatible};

/// Bytes of a whole greeting.
pub(crate) const GREETING_LEN: usize = 64;

/// Bytes of its first part.
pub(crate) const SIGNATURE_LEN: usize = 10;

/// Bytes of the mechanism field in a greeting (37/ZMTP, "Formal Grammar").
pub const MECHANISM_LEN: usize = 20;

/// The newest minor version that we speak.
const MINOR: u8 = 1;
const MAJOR: u8 = 3;

const SIGNATURE_FIRST: u8 = 0xff;
const SIGNATURE_LAST: u8 = 0x7f;
const SIGNATURE_LAST_AT: usize = SIGNATURE_LEN - 1;
const MAJOR_AT: usize = 10;
const MINOR_AT: usize = 11;
const MECHANISM_AT: usize = 12;

/// The name, NUL padded.
const NULL: [u8; MECHANISM_LEN] = *b"NULL\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

const _: () = assert!(MECHANISM_AT + MECHANISM_LEN < GREETING_LEN);

/// What of the peer's greeting has come.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    bytes: [u8; GREETING_LEN],
    len: usize,
}

impl Received {
    pub(crate) const fn new() -> Self {
        Self { bytes: [0; GREETING_LEN], len: 0 }
    }

    /// Takes what still belongs to the greeting, and says how much that was.
    ///
    /// # Errors
    ///
    /// [`PeerIncompatible`]: `Signature`, `Version` or `Mechanism`.
    pub(crate) fn handle_input(&mut self, input: &[u8]) -> Result<usize, Error> {
        let taken = input.len().min(GREETING_LEN - self.len);
        self.bytes[self.len..self.len + taken].copy_from_slice(&input[..taken]);
        self.len += taken;
        self.check()?;
        Ok(taken)
    }

    /// The peer's signature has come.
    pub(crate) const fn has_signature(&self) -> bool {
        self.len >= SIGNATURE_LEN
    }

    /// All 64 bytes have come, and we can talk to the peer.
    pub(crate) const fn is_whole(&self) -> bool {
        self.len == GREETING_LEN
    }

    /// The minor version of ZMTP 3 that both peers speak. Of a whole greeting only.
    pub(crate) fn minor(&self) -> u8 {
        debug_assert!(self.is_whole(), "a minor version is known with the whole greeting");
        // A newer peer has to come down to us (37/ZMTP, "Version Negotiation").
        if self.bytes[MAJOR_AT] > MAJOR { MINOR } else { self.bytes[MINOR_AT].min(MINOR) }
    }

    fn check(&self) -> Result<(), Error> {
        let came = &self.bytes[..self.len];
        let differs = |at: usize, byte: u8| came.get(at).is_some_and(|came| *came != byte);
        if differs(0, SIGNATURE_FIRST) || differs(SIGNATURE_LAST_AT, SIGNATURE_LAST) {
            return Err(PeerIncompatible::Signature.into());
        }
        if let Some(&revision) = came.get(MAJOR_AT)
            && revision < MAJOR
        {
            return Err(PeerIncompatible::Version { revision }.into());
        }
        match came.get(MECHANISM_AT..).and_then(<[u8]>::first_chunk::<MECHANISM_LEN>) {
            Some(&mechanism) if mechanism != NULL => {
                Err(PeerIncompatible::Mechanism { mechanism }.into())
            }
            _ => Ok(()),
        }
    }
}

/// Our greeting. `routing_id_size` goes into the padding.
pub(crate) fn encode(routing_id_size: usize) -> [u8; GREETING_LEN] {
    let mut greeting = [0; GREETING_LEN];
    greeting[0] = SIGNATURE_FIRST;
    greeting[1..SIGNATURE_LAST_AT].copy_from_slice(&(routing_id_size as u64 + 1).to_be_bytes());
    greeting[SIGNATURE_LAST_AT] = SIGNATURE_LAST;
    greeting[MAJOR_AT] = MAJOR;
    greeting[MINOR_AT] = MINOR;
    greeting[MECHANISM_AT..MECHANISM_AT + MECHANISM_LEN].copy_from_slice(&NULL);
    greeting
}

#[cfg(test)]
mod tests;
