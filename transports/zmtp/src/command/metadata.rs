//! Metadata: the properties in a READY command.
//!
//! ```text
//!  property   | name size, 1 byte | name | value size, 4 bytes, big-endian | value |
//! ```
//!
//! Follows 37/ZMTP, "The NULL Security Mechanism" and "Connection Metadata". Names have at least
//! one byte and no case; values may be empty.
//!
//! Deliberately absent: a check of the characters in names. libzmq lets applications send any.

use super::{MALFORMED, split_sized};
use crate::{Error, PeerMisbehaved};

/// Name of the property with the sender's socket type.
pub(crate) const SOCKET_TYPE: &[u8] = b"Socket-Type";

/// Name of the property with the sender's routing id.
pub(crate) const IDENTITY: &[u8] = b"Identity";

/// Iterates over the properties in READY, in wire order, as (name, value) (37/ZMTP, "Connection
/// Metadata").
///
/// A list that is not well-formed gives [`PeerMisbehaved::MalformedCommand`] once, then ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Metadata<'a> {
    rest: &'a [u8],
}

impl<'a> Metadata<'a> {
    pub(super) const fn new(rest: &'a [u8]) -> Self {
        Self { rest }
    }

    fn next_property(&mut self) -> Result<(&'a [u8], &'a [u8]), Error> {
        let (name, rest) = split_sized(self.rest)?;
        if name.is_empty() {
            return Err(PeerMisbehaved::MalformedCommand.into());
        }
        let (size, rest) = rest.split_first_chunk().ok_or(MALFORMED)?;
        let size = usize::try_from(u32::from_be_bytes(*size)).map_err(|_| MALFORMED)?;
        let (value, rest) = rest.split_at_checked(size).ok_or(MALFORMED)?;
        self.rest = rest;
        Ok((name, value))
    }
}

impl<'a> Iterator for Metadata<'a> {
    type Item = Result<(&'a [u8], &'a [u8]), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let property = self.next_property();
        if property.is_err() {
            self.rest = &[];
        }
        Some(property)
    }
}

/// Bytes of a property on the wire.
pub(super) const fn property_len((name, value): (&[u8], &[u8])) -> usize {
    1 + name.len() + size_of::<u32>() + value.len()
}

/// Appends a property. Name and value are ours and far below the limits of their size fields.
pub(super) fn encode_property((name, value): (&[u8], &[u8]), out: &mut Vec<u8>) {
    out.push(name.len() as u8);
    out.extend_from_slice(name);
    out.extend_from_slice(&(value.len() as u32).to_be_bytes());
    out.extend_from_slice(value);
}
