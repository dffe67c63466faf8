//! The handshake: from the first byte of a connection to its first frame.
//!
//! ```text
//!  we send                        when the peer's ... has come
//!  signature                      nothing
//!  rest of the greeting           signature
//!  READY                          greeting
//! ```
//!
//! The order is libzmq's. NULL is symmetric: neither peer waits for the other's READY to send its
//! own. The caller feeds what it receives to [`Handshake::handle_input`], sends what
//! [`Handshake::poll_transmit`] gives until that is `None`, and is done when [`Handshake::peer`]
//! is `Some`. Bytes behind the peer's READY are not touched: they are frames.
//!
//! Invariant: an error is final. Every later input gives the same one.
//!
//! Deliberately absent: timeouts, the sending of ERROR (libzmq closes instead), and any check of
//! a routing id but its size: the RFC forbids a leading zero byte, libzmq accepts it.

use std::mem;

use bytes::Bytes;

use crate::command::{self, Command, Metadata};
use crate::frame::{self, Header};
use crate::{Error, PeerIncompatible, PeerMisbehaved, SocketType, greeting};

/// Largest body of a handshake command, in bytes.
///
/// Socket type and identity take at most 6 + 22 + 268 of them; the rest is room for properties of
/// the application. A connection holds no more than this before its handshake is over.
pub const READY_SIZE_MAX: usize = 8192;

/// Most properties in a READY. Each name is compared with all before it, so that a peer can cost
/// us 33,000 short comparisons at most.
pub const PROPERTIES_MAX: usize = 256;

/// Largest routing id, in bytes (37/ZMTP, "The Identity Property").
pub const ROUTING_ID_SIZE_MAX: usize = 255;

/// Pieces that we send: signature, rest of the greeting, READY.
const PIECES: usize = 3;

/// What we tell the peer about ourselves (37/ZMTP, "Connection Metadata").
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Local {
    /// Our socket type.
    pub socket_type: SocketType,
    /// Our routing id, at most [`ROUTING_ID_SIZE_MAX`] bytes; empty for none. Only REQ, DEALER and
    /// ROUTER tell it.
    pub routing_id: Bytes,
}

/// What the peer told us about itself (37/ZMTP, "Connection Metadata").
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Peer {
    /// The minor version of ZMTP 3 that both speak: the lower one of theirs and ours, 0 or 1.
    /// From 1 on, subscriptions are commands.
    pub minor: u8,
    /// Its socket type, which ours accepts.
    pub socket_type: SocketType,
    /// Its Identity; empty if it sent none, or is no REQ, DEALER or ROUTER.
    pub routing_id: Bytes,
    /// All its properties in wire order, Socket-Type and Identity included, as (name, value).
    /// No two names are equal, case ignored.
    pub properties: Vec<(Bytes, Bytes)>,
}

/// One side of a handshake with the NULL mechanism (37/ZMTP, "Version Negotiation", "The NULL
/// Security Mechanism").
#[derive(Clone, Debug)]
pub struct Handshake {
    local: Local,
    greeting: greeting::Received,
    /// The peer's handshake command as far as it has come, frame header included.
    command: Vec<u8>,
    /// How many of our pieces were taken.
    transmitted: usize,
    peer: Option<Peer>,
    failure: Option<Error>,
    refusal: Option<Bytes>,
}

impl Handshake {
    /// Starts at the first byte of a connection.
    ///
    /// # Panics
    ///
    /// If the routing id is longer than [`ROUTING_ID_SIZE_MAX`].
    pub fn new(local: Local) -> Self {
        assert!(local.routing_id.len() <= ROUTING_ID_SIZE_MAX, "routing id beyond 255 bytes");
        Self {
            local,
            greeting: greeting::Received::new(),
            command: Vec::new(),
            transmitted: 0,
            peer: None,
            failure: None,
            refusal: None,
        }
    }

    /// Takes received bytes, and says how many: all of them, except those behind the peer's READY.
    /// Input may be split anywhere. Afterwards there may be something to transmit.
    ///
    /// # Errors
    ///
    /// * [`PeerIncompatible`]: each of its variants.
    /// * [`PeerMisbehaved`]: each of its variants but `DelimiterMissing`,
    ///   `SubscriptionWithinMessage` and `TooManySubscriptions`, which are of later frames.
    /// * [`InvalidFrame`](crate::InvalidFrame): a command that is no valid frame; of any size, so
    ///   not `SizeBeyondMax`.
    pub fn handle_input(&mut self, input: &[u8]) -> Result<usize, Error> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        let result = self.advance(input);
        self.failure = result.err();
        result
    }

    /// The next bytes to send, in order: at most 64 of the greeting, then READY; `None`: nothing
    /// until more input came.
    pub fn poll_transmit(&mut self) -> Option<Bytes> {
        if self.transmitted == self.pieces_due() {
            return None;
        }
        let greeting = greeting::encode(self.local.routing_id.len());
        let (signature, rest) = greeting.split_at(greeting::SIGNATURE_LEN);
        let piece = match self.transmitted {
            0 => Bytes::copy_from_slice(signature),
            1 => Bytes::copy_from_slice(rest),
            _ => {
                let mut ready = Vec::new();
                command::encode_ready(self.local.socket_type, &self.local.routing_id, &mut ready);
                Bytes::from(ready)
            }
        };
        self.transmitted += 1;
        Some(piece)
    }

    /// The peer, once its READY has come and ours was taken by [`poll_transmit`]: both may send
    /// messages now.
    ///
    /// [`poll_transmit`]: Self::poll_transmit
    pub fn peer(&self) -> Option<&Peer> {
        self.peer.as_ref().filter(|_| self.transmitted == PIECES)
    }

    /// As [`peer`](Self::peer), by value.
    pub fn into_peer(self) -> Option<Peer> {
        self.peer.filter(|_| self.transmitted == PIECES)
    }

    /// The reason in the ERROR command that ended the handshake with
    /// [`PeerIncompatible::Refused`]: at most 255 bytes.
    pub fn refusal(&self) -> Option<&[u8]> {
        self.refusal.as_deref()
    }

    fn pieces_due(&self) -> usize {
        1 + usize::from(self.greeting.has_signature()) + usize::from(self.greeting.is_whole())
    }

    fn advance(&mut self, input: &[u8]) -> Result<usize, Error> {
        let mut used = self.greeting.handle_input(input)?;
        while self.greeting.is_whole() && self.peer.is_none() && used < input.len() {
            used += self.handle_command_input(&input[used..])?;
        }
        Ok(used)
    }

    /// Takes what the handshake command's header lacks or, if that is whole, what its body lacks.
    fn handle_command_input(&mut self, input: &[u8]) -> Result<usize, Error> {
        let missing = frame::missing(&self.command, frame::decode(&self.command, u64::MAX)?);
        let taken = missing.min(input.len());
        self.command.extend_from_slice(&input[..taken]);

        let header = frame::decode(&self.command, u64::MAX)?;
        if self.command.first().is_some_and(|flags| flags & frame::COMMAND == 0) {
            return Err(PeerMisbehaved::MessageInHandshake.into());
        }
        if let Some(header) = header {
            if header.size > READY_SIZE_MAX {
                return Err(PeerMisbehaved::ReadyTooLong { size: header.size as u64 }.into());
            }
            if self.command.len() == header.frame_len() {
                self.handle_command(header)?;
            }
        }
        Ok(taken)
    }

    fn handle_command(&mut self, header: Header) -> Result<(), Error> {
        let frame = Bytes::from(mem::take(&mut self.command));
        match command::parse(&frame[header.header_len..])? {
            Command::Ready(metadata) => self.peer = Some(self.read_peer(metadata, &frame)?),
            Command::Error { reason } => {
                self.refusal = Some(frame.slice_ref(reason));
                return Err(PeerIncompatible::Refused.into());
            }
            _ => return Err(PeerMisbehaved::UnexpectedCommand.into()),
        }
        Ok(())
    }

    /// Who the peer is by its READY, whose bytes are in `frame`.
    fn read_peer(&self, metadata: Metadata<'_>, frame: &Bytes) -> Result<Peer, Error> {
        let mut properties: Vec<(Bytes, Bytes)> = Vec::new();
        for property in metadata {
            let (name, value) = property?;
            if find(&properties, name).is_some() {
                return Err(PeerMisbehaved::DuplicateProperty.into());
            }
            if properties.len() == PROPERTIES_MAX {
                return Err(PeerMisbehaved::TooManyProperties.into());
            }
            properties.push((frame.slice_ref(name), frame.slice_ref(value)));
        }

        let socket_type = find(&properties, command::SOCKET_TYPE)
            .ok_or(PeerMisbehaved::SocketTypeMissing)
            .map(|value| SocketType::parse(value))?
            .ok_or(PeerIncompatible::SocketTypeUnknown)?;
        let local = self.local.socket_type;
        if !local.accepts(socket_type) {
            return Err(PeerIncompatible::SocketType { local, peer: socket_type }.into());
        }

        let identity = find(&properties, command::IDENTITY).cloned().unwrap_or_default();
        if identity.len() > ROUTING_ID_SIZE_MAX {
            return Err(PeerMisbehaved::IdentityTooLong { size: identity.len() }.into());
        }
        // A copy: it outlives the handshake, which the rest of the command does not.
        let routing_id =
            Bytes::copy_from_slice(if socket_type.sends_identity() { &identity } else { &[] });
        Ok(Peer { minor: self.greeting.minor(), socket_type, routing_id, properties })
    }
}

/// The value of the property of that name, case ignored.
fn find<'a>(properties: &'a [(Bytes, Bytes)], name: &[u8]) -> Option<&'a Bytes> {
    let property = properties.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    property.map(|(_, value)| value)
}

#[cfg(test)]
mod tests;
