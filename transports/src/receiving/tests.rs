//! Claims about what becomes of received bytes, however they were cut.

use std::sync::Arc;

use zring_engine::block::Pool;
use zring_zmtp::{InvalidFrame, frame};

use super::*;
use crate::message::Message;
use crate::notice::SocketInbox;
use crate::pipe::{Item, Joint, Marks, PipeEnd, log_pools};
use crate::worker::Crew;

/// The receiving half of a session, and the socket that it hands messages to.
struct Fixture {
    receiving: Receiving,
    wire: WireEnd,
    pipe: PipeEnd,
    incoming: Vec<Incoming>,
    spares: Spares,
    messages: Vec<Vec<Message>>,
    /// Frames of a message whose last one was not read yet.
    open: Vec<Message>,
}

impl Fixture {
    fn new(intake: Intake, frame_size_max: u64, mark: usize) -> Self {
        let inbox = Arc::new(SocketInbox::default());
        let marks = Marks { send: 0, receive: mark };
        let joint = Joint { pools: log_pools(), inbox, marks, is_local: false };
        let mailbox = Crew::new(1).mailbox(0).clone();
        let (pipe, wire) = joint.to_worker(&mailbox, false);
        let receiving = Receiving::new(frame_size_max, intake);
        let (incoming, spares, messages, open) = Default::default();
        Self { receiving, wire, pipe, incoming, spares, messages, open }
    }

    fn plain() -> Self {
        Self::new(Intake::Messages, u64::MAX, 0)
    }

    fn receive(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.receive_slice(slice(bytes))
    }

    fn receive_slice(&mut self, slice: Slice) -> Result<(), Error> {
        let Self { receiving, wire, incoming, spares, .. } = self;
        receiving.receive(slice, wire, incoming, spares)
    }

    /// The socket reads all that is there. Answers how many messages it has read by now.
    fn read(&mut self) -> usize {
        let mut frame = Message::new();
        while let Some(item) = self.pipe.inbound.read(&mut frame) {
            assert!(matches!(item, Item::Frame), "a peer sends no {item:?}");
            self.open.push(frame.clone());
            if !frame.has_more() {
                self.messages.push(std::mem::take(&mut self.open));
            }
        }
        self.messages.len()
    }

    fn seen(mut self) -> Seen {
        self.read();
        assert!(self.open.is_empty(), "a message is there as a whole");
        let bodies = |message: &Vec<Message>| message.iter().map(|frame| frame.to_vec()).collect();
        let mut messages: Vec<Vec<_>> = self.messages.iter().map(bodies).collect();
        let (mut incoming, mut open) = (Vec::new(), Vec::new());
        for item in self.incoming {
            let Incoming::Frame(frame, has_more) = item else {
                incoming.push(format!("{item:?}"));
                continue;
            };
            let (header, _) = frame::split(&frame);
            open.push(frame[header.header_len..].to_vec());
            if !has_more {
                messages.push(std::mem::take(&mut open));
            }
        }
        Seen { messages, incoming }
    }
}

/// What came of a stream: the frames of messages, and the rest.
#[derive(Debug, Default, Eq, PartialEq)]
struct Seen {
    messages: Vec<Vec<Vec<u8>>>,
    incoming: Vec<String>,
}

/// Bytes as a lent buffer would bring them.
fn slice(bytes: &[u8]) -> Slice {
    let mut block = Pool::new(bytes.len(), 0).take();
    block.append(bytes);
    block.publish();
    block.slice(0..bytes.len())
}

/// A stream, and what is to come of it.
#[derive(Default)]
struct Stream {
    bytes: Vec<u8>,
    seen: Seen,
}

impl Stream {
    fn frame(&mut self, body: &[u8], has_more: bool) {
        let (header, len) = frame::encode(has_more, false, body.len());
        self.bytes.extend_from_slice(&header[..len]);
        self.bytes.extend_from_slice(body);
    }

    fn message(mut self, bodies: &[&[u8]]) -> Self {
        for (index, body) in bodies.iter().enumerate() {
            self.frame(body, index + 1 < bodies.len());
        }
        self.seen.messages.push(bodies.iter().map(|body| body.to_vec()).collect());
        self
    }

    fn bytes(mut self, encode: impl FnOnce(&mut Vec<u8>)) -> Self {
        encode(&mut self.bytes);
        self
    }

    fn ping(mut self, context: &'static [u8]) -> Self {
        command::encode_ping(0, context, &mut self.bytes);
        self.seen.incoming.push(format!("{:?}", Incoming::Ping(Bytes::from_static(context), None)));
        self
    }

    fn topic(mut self, topic: &'static [u8], is_wanted: bool, is_command: bool) -> Self {
        let bytes = Bytes::from_static(topic);
        let incoming = if is_wanted { Incoming::Subscribe(bytes) } else { Incoming::Cancel(bytes) };
        self.seen.incoming.push(format!("{incoming:?}"));
        match (is_wanted, is_command) {
            (true, true) => command::encode_subscribe(topic, &mut self.bytes),
            (false, true) => command::encode_cancel(topic, &mut self.bytes),
            (true, false) => command::encode_subscribe_message(topic, &mut self.bytes),
            (false, false) => command::encode_cancel_message(topic, &mut self.bytes),
        }
        self
    }
}

/// Short, empty and long frames, messages of several, commands everywhere, and a short frame with
/// a long header.
fn small_stream() -> Stream {
    let stream = Stream::default()
        .message(&[b"a"])
        .ping(b"")
        .message(&[b"", b"bc", b""])
        .message(&[&[7; 256]]);
    let mut stream = stream.bytes(|out| out.extend_from_slice(&[2, 0, 0, 0, 0, 0, 0, 0, 1, b'd']));
    stream.seen.messages.push(vec![b"d".to_vec()]);
    let mut stream = stream.ping(b"before a message");
    stream.frame(b"of two", true);
    let mut stream = stream.ping(b"within");
    stream.frame(b"frames", false);
    stream.seen.messages.push(vec![b"of two".to_vec(), b"frames".to_vec()]);
    stream.message(&[]).bytes(|out| command::encode_pong(b"", out))
}

impl Stream {
    /// Messages without frames are none.
    fn checked(mut self) -> Self {
        self.seen.messages.retain(|message| !message.is_empty());
        self
    }

    /// Whether it gives the same in parts of this size, the first of that one.
    fn check_parts(&self, first: usize, size: usize) {
        let mut fixture = Fixture::plain();
        let (front, rest) = self.bytes.split_at(first);
        for part in [front].into_iter().chain(rest.chunks(size)) {
            assert_eq!(fixture.receive(part), Ok(()));
        }
        assert!(fixture.seen() == self.seen, "parts of {first} and then {size}");
    }
}

#[test]
fn every_split_gives_the_same_messages() {
    let stream = small_stream().checked();
    for first in 0..stream.bytes.len() {
        for size in [1, 2, 3, 8, 9, 100, usize::MAX] {
            stream.check_parts(first, size);
        }
    }
}

#[test]
fn large_frames_and_full_buffers_give_the_same_messages() {
    let sizes = [COPY_MAX, GATHER_COPY_MAX - 9, GATHER_COPY_MAX, 3 * GATHER_STEP];
    let bodies = sizes.map(|size| vec![1; size]);
    let [copied, gathered, referenced, large] = &bodies;
    let mut stream = Stream::default().message(&[b"topic", large, b"end"]).message(&[referenced]);
    for _ in 0..1000 {
        stream = stream.message(&[b"a tick of several bytes", &[9; 30]]);
    }
    let stream = stream.message(&[copied, gathered]).ping(b"x").message(&[b"", referenced, large]);
    for first in [0, 1, 8, 9, 100, 50_000] {
        for size in [1000, 4096, COPY_MAX, 32 * 1024, 1 << 20, usize::MAX] {
            stream.check_parts(first, size);
        }
    }
}

#[test]
fn a_message_is_handed_up_with_its_last_frame() {
    let mut fixture = Fixture::plain();
    for part in [&[1, 1, b'a'][..], &[1, 2, b'b'], b"c", &[0]] {
        assert_eq!(fixture.receive(part), Ok(()));
        assert_eq!(fixture.read(), 0);
        assert!(fixture.open.is_empty());
    }
    assert_eq!(fixture.receive(&[0]), Ok(()));
    assert_eq!(fixture.seen().messages, [[b"a".to_vec(), b"bc".to_vec(), vec![]]]);
}

#[test]
fn a_subscription_within_a_message_ends_the_stream() {
    for command in [&b"\x09SUBSCRIBEt"[..], b"\x06CANCELt"] {
        let command = [&[4, command.len() as u8], command].concat();
        let bytes = [&[0, 1, b'm', 1, 1, b'a'], &command[..]].concat();
        for size in [1, 2, usize::MAX] {
            let mut fixture = Fixture::new(Intake::SubscriptionsAndMessages, u64::MAX, 0);
            let failed = bytes.chunks(size).find_map(|part| fixture.receive(part).err());
            assert_eq!(failed, Some(PeerMisbehaved::SubscriptionWithinMessage.into()));
            let mut fixture = Fixture::new(Intake::SubscriptionsAndMessages, u64::MAX, 0);
            let end = [&bytes[..6], &[0, 0], &command].concat();
            assert!(end.chunks(size).all(|part| fixture.receive(part).is_ok()));
        }
    }
}

#[test]
fn a_full_buffer_is_handed_up_as_it_is() {
    let mut stream = Stream::default();
    for _ in 0..200 {
        stream = stream.message(&[&[3; 100]]);
    }
    let mut fixture = Fixture::plain();
    let buffer = slice(&stream.bytes);
    assert_eq!(fixture.receive_slice(buffer.clone()), Ok(()));
    assert_eq!(fixture.read(), 200);
    let within = buffer.as_ptr_range();
    assert!(fixture.messages.iter().flatten().all(|frame| within.contains(&frame.as_ptr())));
}

#[test]
fn what_is_no_frame_ends_the_stream_behind_what_is_good() {
    let beyond = |size, size_max| InvalidFrame::SizeBeyondMax { size, size_max }.into();
    let cases: [(&[u8], Error); 5] = [
        (&[0, 101], beyond(101, 100)),
        (&[2, 0, 0, 0, 0, 0, 1, 0, 0], beyond(65536, 100)),
        (&[4, 101], beyond(101, 100)),
        (&[8, 0], InvalidFrame::ReservedFlags { flags: 8 }.into()),
        (&[5, 0], InvalidFrame::CommandWithMore.into()),
    ];
    for (bad, error) in cases {
        let good = Stream::default().message(&[b"good"]).message(&[b"a", &[8; 100]]);
        let bytes = [&good.bytes[..], &[1, 1, b'x'], bad].concat();
        for first in 0..bytes.len() {
            for size in [1, 5, usize::MAX] {
                let mut fixture = Fixture::new(Intake::Messages, 100, 0);
                let (front, rest) = bytes.split_at(first);
                let mut parts = [front].into_iter().chain(rest.chunks(size));
                let failed = parts.find_map(|part| fixture.receive(part).err());
                assert_eq!(failed, Some(error));
                fixture.wire.writer.rollback();
                assert_eq!(fixture.seen(), good.seen);
            }
        }
    }
}

#[test]
fn malformed_commands_end_the_stream() {
    for bad in [&[4, 0][..], &[4, 1, 0], &[4, 3, 5, b'P', b'I'], &[4, 5, 4, b'P', b'I', b'N', b'G']]
    {
        for size in [1, 2, usize::MAX] {
            let mut fixture = Fixture::plain();
            let mut parts = bad.chunks(size);
            assert!(parts.any(|part| fixture.receive(part).is_err()), "{bad:?}");
        }
    }
}

#[test]
fn memory_for_a_large_frame_grows_with_what_has_arrived() {
    let mut fixture = Fixture::plain();
    let (header, len) = frame::encode(false, false, 1 << 40);
    let mut arrived = len;
    assert_eq!(fixture.receive(&header[..len]), Ok(()));
    for size in [1, 1000, 32 * 1024, 32 * 1024, 1 << 20, 1 << 20] {
        assert_eq!(fixture.receive(&vec![0; size]), Ok(()));
        arrived += size;
        let capacity = fixture.receiving.gathered.capacity();
        assert!(capacity <= 2 * arrived + GATHER_STEP, "{capacity} bytes for {arrived}");
    }
}

#[test]
fn a_large_frame_takes_no_more_than_it_announced() {
    let body = vec![5; 300_000];
    let mut stream = Stream::default().message(&[&body]);
    stream.bytes.truncate(stream.bytes.len() - 1);
    let mut fixture = Fixture::plain();
    for part in stream.bytes.chunks(32 * 1024) {
        assert_eq!(fixture.receive(part), Ok(()));
    }
    assert!(fixture.receiving.gathered.capacity() <= 300_009);
    assert_eq!(fixture.receive(&[5]), Ok(()));
    assert_eq!(fixture.seen().messages, [[body]]);
}

#[test]
fn memory_of_a_frame_that_nobody_reads_any_more_is_used_again() {
    let mut fixture = Fixture::plain();
    // What the allocator would give to the second frame otherwise.
    let mut others = Vec::new();
    let places = [0, 1].map(|turn| {
        let body = [turn; 100_000];
        let stream = Stream::default().message(&[&body]);
        stream.bytes.chunks(32 * 1024).for_each(|part| {
            assert_eq!(fixture.receive(part), Ok(()));
        });
        fixture.read();
        let message = fixture.messages.pop().expect("it has come whole");
        assert_eq!(message, [body]);
        let place = message[0].as_ptr();
        drop(message);
        others.push(stream.bytes);
        place
    });
    assert_eq!(places[0], places[1]);
}

#[test]
fn each_intake_takes_what_its_socket_can_receive() {
    let topics = Stream::default()
        .topic(b"a", true, true)
        .topic(b"bcd", true, false)
        .topic(b"a", false, true)
        .ping(b"p")
        .topic(b"bcd", false, false)
        .topic(&[7; 300], true, false)
        .topic(&[8; 300], true, true);
    let stream =
        topics.message(&[b"up", b"\x01wards", b"\x00"]).message(&[b""]).message(&[&[6; 40_000]]);
    let commands = ["Ping", "Subscribe(b\"a\")", "Cancel(b\"a\")", "x08"];
    for size in [1, 7, 100, usize::MAX] {
        for intake in [Intake::Nothing, Intake::Subscriptions, Intake::SubscriptionsAndMessages] {
            let mut fixture = Fixture::new(intake, u64::MAX, 0);
            for part in stream.bytes.chunks(size) {
                assert_eq!(fixture.receive(part), Ok(()));
            }
            let seen = fixture.seen();
            match intake {
                Intake::SubscriptionsAndMessages => assert!(seen == stream.seen),
                Intake::Subscriptions => {
                    assert_eq!(seen.incoming, stream.seen.incoming);
                    assert_eq!(seen.messages.len(), 0);
                }
                _ => {
                    assert_eq!(seen.messages.len(), 0);
                    let is_command = |text: &String| commands.iter().any(|c| text.contains(c));
                    assert_eq!(seen.incoming.len(), commands.len());
                    assert!(seen.incoming.iter().all(is_command), "{:?}", seen.incoming);
                }
            }
        }
    }
}
