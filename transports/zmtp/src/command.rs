//! Commands: what the body of a command frame says, and how to write whole command frames.
//!
//! ```text
//!  body    | name size, 1 byte | name | data |
//! ```
//!
//! Follows 37/ZMTP: "The NULL Security Mechanism", "The Publish-Subscribe Pattern", "Connection
//! Heartbeating". Names are compared byte by byte.
//!
//! Invariant: what [`parse`] gives borrows from the body; nothing is copied.
//!
//! Deliberately absent: JOIN and LEAVE, which are draft socket types' and come as
//! [`Command::Unknown`], and whatever PLAIN and CURVE add.

mod metadata;

pub use metadata::Metadata;
pub(crate) use metadata::{IDENTITY, SOCKET_TYPE};

use crate::{Error, PeerMisbehaved, SocketType, frame};

/// Longest context of a PING, in bytes (37/ZMTP, "Connection Heartbeating"); what is longer is cut,
/// as libzmq does.
pub const PING_CONTEXT_SIZE_MAX: usize = 16;

/// Longest reason of an ERROR, in bytes: its size field is one byte (37/ZMTP).
pub const ERROR_REASON_SIZE_MAX: usize = 255;

const READY: &[u8] = b"READY";
const ERROR: &[u8] = b"ERROR";
const SUBSCRIBE: &[u8] = b"SUBSCRIBE";
const CANCEL: &[u8] = b"CANCEL";
const PING: &[u8] = b"PING";
const PONG: &[u8] = b"PONG";

/// First byte of a subscription sent as a message.
const MESSAGE_SUBSCRIBE: u8 = 1;
/// First byte of a cancellation sent as a message.
const MESSAGE_CANCEL: u8 = 0;

/// What a command frame says (37/ZMTP, "Formal Grammar").
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Command<'a> {
    /// The sender has ended its handshake; these are its properties, not yet looked at ("The NULL
    /// Security Mechanism").
    Ready(Metadata<'a>),
    /// The sender refuses the connection ("The NULL Security Mechanism").
    Error {
        /// Why: at most [`ERROR_REASON_SIZE_MAX`] bytes, printable text by the RFC, unchecked.
        reason: &'a [u8],
    },
    /// Wants messages that start with this ("The Publish-Subscribe Pattern"). By the RFC every
    /// SUBSCRIBE counts.
    Subscribe(&'a [u8]),
    /// Takes one SUBSCRIBE of the same topic back.
    Cancel(&'a [u8]),
    /// Wants a PONG with the same context ("Connection Heartbeating").
    Ping {
        /// After how long without traffic to hang up, in tenths of a second; 0 for never.
        ttl: u16,
        /// At most [`PING_CONTEXT_SIZE_MAX`] bytes.
        context: &'a [u8],
    },
    /// Answers a PING ("Connection Heartbeating").
    Pong {
        /// That of the PING.
        context: &'a [u8],
    },
    /// A command that we do not know. libzmq ignores it after the handshake.
    Unknown {
        /// Its name.
        name: &'a [u8],
    },
}

/// Reads the body of a command frame (37/ZMTP, "Formal Grammar").
///
/// # Errors
///
/// [`PeerMisbehaved::MalformedCommand`] if the body is empty, its name is empty or not whole, a
/// PING has no ttl or an ERROR's reason is not whole. What follows a whole reason is ignored.
pub fn parse(body: &[u8]) -> Result<Command<'_>, Error> {
    let (name, data) = split_sized(body)?;
    Ok(match name {
        [] => return Err(PeerMisbehaved::MalformedCommand.into()),
        READY => Command::Ready(Metadata::new(data)),
        ERROR => Command::Error { reason: split_sized(data)?.0 },
        SUBSCRIBE => Command::Subscribe(data),
        CANCEL => Command::Cancel(data),
        PING => {
            let (ttl, context) = data.split_first_chunk().ok_or(MALFORMED)?;
            let context = &context[..context.len().min(PING_CONTEXT_SIZE_MAX)];
            Command::Ping { ttl: u16::from_be_bytes(*ttl), context }
        }
        PONG => Command::Pong { context: data },
        name => Command::Unknown { name },
    })
}

/// Appends a READY frame with our socket type and, for the types that send one, our routing id.
///
/// The bytes are libzmq's: Socket-Type first, then Identity, possibly empty (37/ZMTP, "The NULL
/// Security Mechanism").
pub fn encode_ready(socket_type: SocketType, routing_id: &[u8], out: &mut Vec<u8>) {
    let identity = socket_type.sends_identity().then_some((IDENTITY, routing_id));
    let properties = [Some((SOCKET_TYPE, socket_type.as_str().as_bytes())), identity].into_iter();
    let size = properties.clone().flatten().map(metadata::property_len).sum();
    encode_head(READY, size, out);
    for property in properties.flatten() {
        metadata::encode_property(property, out);
    }
}

/// Appends an ERROR frame (37/ZMTP, "The NULL Security Mechanism"). A reason beyond
/// [`ERROR_REASON_SIZE_MAX`] bytes is cut.
pub fn encode_error(reason: &[u8], out: &mut Vec<u8>) {
    let reason = &reason[..reason.len().min(ERROR_REASON_SIZE_MAX)];
    encode_head(ERROR, 1 + reason.len(), out);
    out.push(reason.len() as u8);
    out.extend_from_slice(reason);
}

/// Appends a SUBSCRIBE frame, which peers of ZMTP 3.1 understand (37/ZMTP, "The Publish-Subscribe
/// Pattern").
pub fn encode_subscribe(topic: &[u8], out: &mut Vec<u8>) {
    encode_head(SUBSCRIBE, topic.len(), out);
    out.extend_from_slice(topic);
}

/// Appends a CANCEL frame, which peers of ZMTP 3.1 understand (37/ZMTP, "The Publish-Subscribe
/// Pattern").
pub fn encode_cancel(topic: &[u8], out: &mut Vec<u8>) {
    encode_head(CANCEL, topic.len(), out);
    out.extend_from_slice(topic);
}

/// Appends a subscription as the message frame that peers of ZMTP 3.0 want (23/ZMTP, 29/PUBSUB).
pub fn encode_subscribe_message(topic: &[u8], out: &mut Vec<u8>) {
    encode_message(MESSAGE_SUBSCRIBE, topic, out);
}

/// Appends a cancellation as the message frame that peers of ZMTP 3.0 want (23/ZMTP, 29/PUBSUB).
pub fn encode_cancel_message(topic: &[u8], out: &mut Vec<u8>) {
    encode_message(MESSAGE_CANCEL, topic, out);
}

/// Appends a PING frame (37/ZMTP, "Connection Heartbeating"); `ttl` in tenths of a second. A
/// context beyond [`PING_CONTEXT_SIZE_MAX`] bytes is cut.
pub fn encode_ping(ttl: u16, context: &[u8], out: &mut Vec<u8>) {
    let context = &context[..context.len().min(PING_CONTEXT_SIZE_MAX)];
    encode_head(PING, size_of_val(&ttl) + context.len(), out);
    out.extend_from_slice(&ttl.to_be_bytes());
    out.extend_from_slice(context);
}

/// Appends a PONG frame (37/ZMTP, "Connection Heartbeating"). A context beyond
/// [`PING_CONTEXT_SIZE_MAX`] bytes is cut.
pub fn encode_pong(context: &[u8], out: &mut Vec<u8>) {
    let context = &context[..context.len().min(PING_CONTEXT_SIZE_MAX)];
    encode_head(PONG, context.len(), out);
    out.extend_from_slice(context);
}

/// Frame header and name of a command with `size` bytes of data.
fn encode_head(name: &[u8], size: usize, out: &mut Vec<u8>) {
    let (header, header_len) = frame::encode(false, true, 1 + name.len() + size);
    out.extend_from_slice(&header[..header_len]);
    out.push(name.len() as u8);
    out.extend_from_slice(name);
}

fn encode_message(first: u8, topic: &[u8], out: &mut Vec<u8>) {
    let (header, header_len) = frame::encode(false, false, 1 + topic.len());
    out.extend_from_slice(&header[..header_len]);
    out.push(first);
    out.extend_from_slice(topic);
}

/// Splits off a string behind its size of one byte.
fn split_sized(input: &[u8]) -> Result<(&[u8], &[u8]), Error> {
    let (size, rest) = input.split_first().ok_or(MALFORMED)?;
    Ok(rest.split_at_checked(usize::from(*size)).ok_or(MALFORMED)?)
}

const MALFORMED: PeerMisbehaved = PeerMisbehaved::MalformedCommand;

#[cfg(test)]
mod tests;
