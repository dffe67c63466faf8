//! Messages: one frame each, small ones inline, larger ones shared.
//!
//! A frame of up to [`INLINE_MAX`] bytes is copied into the [`Message`] itself; a larger one is a
//! counted view of the memory it was received into, or of what the application brought. A message
//! is complete in itself: it outlives its socket and its context and may drop on any thread.
//!
//! Deliberately absent: mutation. Who wants to change bytes owns them before they become a message.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;

use bytes::Bytes;
use zring_engine::block::Slice;

/// Frames of up to this many bytes are held in the message itself; libzmq holds 33.
pub const INLINE_MAX: usize = 70;

/// One frame of a message, and whether more frames of the same message follow (`zmq_msg_t`).
///
/// A body of more than 70 bytes that was received is a view of the memory it came in, up to 64 KiB
/// that it keeps. Who keeps few of many messages for long keeps copies.
#[derive(Clone)]
pub struct Message {
    body: Body,
    has_more: bool,
}

#[derive(Clone)]
enum Body {
    Inline { len: u8, bytes: [u8; INLINE_MAX] },
    Slice(Slice),
    Bytes(Bytes),
}

impl Message {
    /// A frame without bytes, the last of its message (`zmq_msg_init(3)`).
    #[must_use]
    pub const fn new() -> Self {
        Self { body: Body::Inline { len: 0, bytes: [0; INLINE_MAX] }, has_more: false }
    }

    /// Becomes the frame of the first `size` bytes of `rest`, which is what is left of `run`: a
    /// copy if it is small, otherwise a view that keeps the block.
    #[inline]
    pub(crate) fn cut(&mut self, run: &Slice, rest: &[u8], size: usize, has_more: bool) {
        self.has_more = has_more;
        if size > INLINE_MAX {
            let at = run.len() - rest.len();
            self.body = Body::Slice(run.slice(at..at + size));
            return;
        }
        if !matches!(self.body, Body::Inline { .. }) {
            self.body = Body::Inline { len: 0, bytes: [0; INLINE_MAX] };
        }
        let Body::Inline { len, bytes } = &mut self.body else { unreachable!("set above") };
        *len = size as u8;
        if let Some(chunk) = rest.first_chunk() {
            // A copy of fixed length costs less than one of the right length.
            *bytes = *chunk;
        } else {
            bytes[..size].copy_from_slice(&rest[..size]);
        }
    }

    pub(crate) const fn from_bytes(bytes: Bytes, has_more: bool) -> Self {
        Self { body: Body::Bytes(bytes), has_more }
    }

    /// A frame that more frames of the same message follow. Sending it does not look at that: there
    /// the call says whether more follow.
    #[must_use]
    pub const fn with_more(bytes: Bytes) -> Self {
        Self::from_bytes(bytes, true)
    }

    /// Whether more frames of the same message follow this one (`zmq_msg_more(3)`, `ZMQ_RCVMORE`).
    #[inline]
    #[must_use]
    pub const fn has_more(&self) -> bool {
        self.has_more
    }

    /// The bytes, to keep. Allocates, unless the frame came from a [`Bytes`] in this process.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        match self.body {
            Body::Inline { len, bytes } => Bytes::copy_from_slice(&bytes[..usize::from(len)]),
            Body::Slice(slice) => Bytes::from_owner(slice),
            Body::Bytes(bytes) => bytes,
        }
    }
}

impl Body {
    #[inline]
    fn inline(source: &[u8]) -> Self {
        let mut bytes = [0; INLINE_MAX];
        bytes[..source.len()].copy_from_slice(source);
        Self::Inline { len: source.len() as u8, bytes }
    }
}

impl Default for Message {
    fn default() -> Self {
        Self::new()
    }
}

impl Deref for Message {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match &self.body {
            Body::Inline { len, bytes } => &bytes[..usize::from(*len)],
            Body::Slice(slice) => slice,
            Body::Bytes(bytes) => bytes,
        }
    }
}

impl AsRef<[u8]> for Message {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Message({:?}", String::from_utf8_lossy(&self[..self.len().min(64)]))?;
        write!(f, ", {} bytes{})", self.len(), if self.has_more { ", more" } else { "" })
    }
}

impl<T: AsRef<[u8]> + ?Sized> PartialEq<T> for Message {
    fn eq(&self, other: &T) -> bool {
        self[..] == *other.as_ref()
    }
}

impl Eq for Message {}

impl Hash for Message {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self[..].hash(state);
    }
}

impl From<Bytes> for Message {
    fn from(bytes: Bytes) -> Self {
        Self::from_bytes(bytes, false)
    }
}

impl From<Vec<u8>> for Message {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::from(bytes).into()
    }
}

impl From<String> for Message {
    fn from(text: String) -> Self {
        text.into_bytes().into()
    }
}

impl From<&[u8]> for Message {
    fn from(bytes: &[u8]) -> Self {
        if bytes.len() <= INLINE_MAX {
            return Self { body: Body::inline(bytes), has_more: false };
        }
        Bytes::copy_from_slice(bytes).into()
    }
}

impl From<&str> for Message {
    fn from(text: &str) -> Self {
        text.as_bytes().into()
    }
}

impl<const N: usize> From<&[u8; N]> for Message {
    fn from(bytes: &[u8; N]) -> Self {
        bytes[..].into()
    }
}

/// The body of a frame on its way out: borrowed bytes are copied once at most, owned ones may be
/// shared (the buffer of `zmq_send(3)`, and the `zmq_msg_init_data(3)` of `zmq_msg_send(3)`).
#[derive(Clone, Debug)]
pub enum Payload<'a> {
    /// Bytes that are copied, or sent, before the call returns.
    Borrowed(&'a [u8]),
    /// Bytes that a frame of more than 8 KiB refers to until it is sent; fewer are copied.
    Owned(Bytes),
}

impl Payload<'_> {
    /// What the call that sends it hands on.
    #[inline]
    #[must_use]
    pub fn lend(&self) -> FrameBody<'_> {
        match self {
            Self::Borrowed(bytes) => FrameBody { bytes, owned: None },
            Self::Owned(bytes) => FrameBody { bytes, owned: Some(bytes) },
        }
    }
}

/// A [`Payload`] that was lent. What is rarely called takes it by reference, so that what is often
/// called keeps it in registers.
#[derive(Clone, Copy, Debug, Default)]
pub struct FrameBody<'a> {
    bytes: &'a [u8],
    owned: Option<&'a Bytes>,
}

impl<'a> FrameBody<'a> {
    /// The bytes, if they may be referred to.
    #[must_use]
    pub const fn owned(self) -> Option<&'a Bytes> {
        self.owned
    }
}

impl Deref for FrameBody<'_> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.bytes
    }
}

impl Deref for Payload<'_> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match self {
            Self::Borrowed(bytes) => bytes,
            Self::Owned(bytes) => bytes,
        }
    }
}

impl<'a> From<&'a [u8]> for Payload<'a> {
    #[inline]
    fn from(bytes: &'a [u8]) -> Self {
        Self::Borrowed(bytes)
    }
}

impl<'a, const N: usize> From<&'a [u8; N]> for Payload<'a> {
    #[inline]
    fn from(bytes: &'a [u8; N]) -> Self {
        Self::Borrowed(bytes)
    }
}

impl<'a> From<&'a str> for Payload<'a> {
    fn from(text: &'a str) -> Self {
        Self::Borrowed(text.as_bytes())
    }
}

impl<'a> From<&'a String> for Payload<'a> {
    fn from(text: &'a String) -> Self {
        text.as_str().into()
    }
}

impl<'a> From<&'a Vec<u8>> for Payload<'a> {
    fn from(bytes: &'a Vec<u8>) -> Self {
        Self::Borrowed(bytes)
    }
}

impl<'a> From<&'a Message> for Payload<'a> {
    fn from(message: &'a Message) -> Self {
        match &message.body {
            Body::Bytes(bytes) => Self::Owned(bytes.clone()),
            _ => Self::Borrowed(message),
        }
    }
}

impl From<&Bytes> for Payload<'_> {
    #[inline]
    fn from(bytes: &Bytes) -> Self {
        Self::Owned(bytes.clone())
    }
}

impl From<Bytes> for Payload<'_> {
    #[inline]
    fn from(bytes: Bytes) -> Self {
        Self::Owned(bytes)
    }
}

impl From<Vec<u8>> for Payload<'_> {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Owned(bytes.into())
    }
}

impl From<String> for Payload<'_> {
    fn from(text: String) -> Self {
        text.into_bytes().into()
    }
}

impl From<Message> for Payload<'_> {
    fn from(message: Message) -> Self {
        Self::Owned(message.into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_no_more_than_ten_words() {
        assert!(size_of::<Message>() <= 80, "{}", size_of::<Message>());
    }

    #[test]
    fn every_way_in_keeps_the_bytes() {
        let long = vec![7; INLINE_MAX + 1];
        assert_eq!(Message::from("text"), b"text");
        assert_eq!(Message::from(&long[..]), long);
        assert_eq!(Message::from(long.clone()).into_bytes(), long);
        assert_eq!(Message::from(&long[..INLINE_MAX]).into_bytes(), long[..INLINE_MAX]);
        assert_eq!(&Payload::from(Message::from("text"))[..], b"text");
    }

    #[test]
    fn bytes_pass_through_without_a_copy() {
        let bytes = Bytes::from(vec![7; 4]);
        let message = Message::from(bytes.clone());
        assert_eq!(message.into_bytes().as_ptr(), bytes.as_ptr());
    }
}
