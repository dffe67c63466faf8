//! Claims about what a connection sends, without a kernel: a test says how much each send took.

use zring_engine::log::{LogPools, Writer};
use zring_zmtp::{Scanner, Stop, command};

use super::*;
use crate::message::Payload;
use crate::pipe::encode;

/// A body that is referred to, and fills a send by itself.
const BIG: usize = SEND_SIZE + 5000;

/// A log that turns nodes over every few frames, and what sends it.
struct Fixture {
    log: Writer<Record>,
    reader: Reader<Record>,
    sending: Sending,
    /// What the kernel took.
    wire: Vec<u8>,
    /// Messages that count as sent.
    sent: u64,
}

impl Fixture {
    fn new() -> Self {
        let (log, reader) = Writer::single(LogPools::new(16, 64));
        Self { log, reader, sending: Sending::default(), wire: Vec::new(), sent: 0 }
    }

    fn with(messages: &[Vec<usize>]) -> Self {
        let mut fixture = Self::new();
        messages.iter().enumerate().for_each(|(index, sizes)| fixture.write(index, sizes));
        fixture
    }

    /// Writes the `index`th message, with frames of these sizes.
    fn write(&mut self, index: usize, sizes: &[usize]) {
        for (frame, &size) in sizes.iter().enumerate() {
            let body = Payload::from(vec![index as u8; size]);
            encode(&mut self.log, body.lend(), frame + 1 < sizes.len());
        }
        self.log.publish(1);
    }

    fn control(&mut self, control: Control) {
        self.log.append_record(Record::Control(control), 0);
        self.log.publish(0);
    }

    fn fill(&mut self) {
        self.sent += self.sending.fill(&mut self.reader, |control, out| match control {
            Control::Subscribe(topic) => command::encode_subscribe(&topic, out),
            Control::Cancel(topic) => command::encode_cancel(&topic, out),
        });
    }

    /// One send, of which the kernel takes at most `len` bytes. False: nothing is to be sent.
    fn send(&mut self, len: usize) -> bool {
        self.fill();
        let Some((taken, messages)) = self.sending.take(len) else { return false };
        self.wire.extend_from_slice(&taken);
        self.sent += messages;
        true
    }

    fn send_all(&mut self) {
        while self.send(usize::MAX) {}
        assert!(self.sending.is_empty() && self.reader.is_empty());
        assert_eq!((self.sending.bytes, self.sending.offset), (0, 0));
    }

    /// Sends until `len` bytes are out, and then the connection is lost.
    fn lose_at(&mut self, len: usize) {
        while self.wire.len() < len && self.send(len - self.wire.len()) {}
        assert_eq!(self.wire.len(), len);
        self.wire.clear();
        self.sent += self.sending.handle_loss();
    }
}

/// The `index`th message on the wire.
fn on_wire(index: usize, sizes: &[usize]) -> Vec<u8> {
    let mut wire = Vec::new();
    for (frame, &size) in sizes.iter().enumerate() {
        let (header, len) = frame::encode(frame + 1 < sizes.len(), false, size);
        wire.extend_from_slice(&header[..len]);
        wire.extend(std::iter::repeat_n(index as u8, size));
    }
    wire
}

fn all_on_wire(messages: &[Vec<usize>]) -> Vec<Vec<u8>> {
    messages.iter().enumerate().map(|(index, sizes)| on_wire(index, sizes)).collect()
}

/// Short frames in one node, a message over nodes, large bodies in every place of a message, and
/// more short frames than one send takes.
fn messages() -> Vec<Vec<usize>> {
    vec![
        vec![3],
        vec![0, 1, 20],
        vec![30, 30, 30, 5],
        vec![7],
        vec![BIG],
        vec![2],
        vec![4, 9000, 6],
        vec![9000, 5],
        vec![8],
        vec![30; SEND_SIZE / 20],
        vec![1],
        vec![50],
        vec![9000, BIG],
        vec![9],
    ]
}

/// Offsets around every frame of all messages, and some within.
fn cuts(messages: &[Vec<usize>]) -> Vec<usize> {
    let mut at = 0;
    let mut cuts = vec![0];
    for sizes in messages {
        let long = sizes.len() > 100;
        for (frame, &size) in sizes.iter().enumerate() {
            let len = if size > 255 { 9 } else { 2 } + size;
            if !long || frame % 500 < 2 || frame + 2 > sizes.len() {
                cuts.extend([at + 1, at + len / 2, at + len - 1, at + len]);
            }
            at += len;
        }
    }
    cuts
}

#[test]
fn what_was_written_is_sent_in_order_however_short_the_sends() {
    let messages = messages();
    let wires = all_on_wire(&messages);
    let expected = wires.concat();
    for len in [61, 1000, SEND_SIZE, usize::MAX] {
        let mut fixture = Fixture::with(&messages);
        while fixture.send(len) {
            let (mut whole, mut left) = (0, fixture.wire.len());
            while let Some(wire) = wires.get(whole)
                && wire.len() <= left
            {
                (whole, left) = (whole + 1, left - wire.len());
            }
            assert!(fixture.sent <= whole as u64, "one counts before its last byte is sent");
        }
        assert!(fixture.wire == expected, "sends of {len}");
        assert_eq!(fixture.sent, messages.len() as u64);
    }
}

#[test]
fn a_send_has_a_limit_in_bytes_and_in_pieces() {
    let check = |sizes: &[usize], bytes: usize| {
        let mut fixture = Fixture::with(&[sizes.to_vec()]);
        fixture.fill();
        let lens: Vec<usize> = fixture.sending.pieces().map(|piece| piece.len()).collect();
        assert_eq!(lens.iter().sum::<usize>(), bytes);
        assert!(lens.len() <= SEND_PIECES_MAX);
    };
    check(&[100_000], SEND_SIZE + 9);
    check(&[BIG], BIG + 9);
    check(&[1 << 20], SEND_SIZE + 9);
    check(&[60_000, 1 << 20], SEND_SIZE_MAX);
    check(&[9000; 20], 8 * 9009);
    // Each of these frames has a node of its own.
    check(&[40; 2000], SEND_PIECES_MAX * 42);
}

#[test]
fn what_is_published_behind_a_piece_makes_it_longer() {
    let mut fixture = Fixture::with(&[vec![40], vec![2]]);
    fixture.fill();
    fixture.write(2, &[3]);
    fixture.fill();
    assert_eq!(fixture.sending.queue.len(), 1);
    fixture.write(3, &[40]);
    fixture.fill();
    assert_eq!(fixture.sending.queue.len(), 2);
    fixture.send_all();
    assert_eq!(fixture.wire.len(), 42 + 4 + 5 + 42);
    assert_eq!(fixture.sent, 4);
}

#[test]
fn after_a_loss_only_messages_that_were_not_begun_are_sent() {
    let messages = messages();
    let wires = all_on_wire(&messages);
    for cut in cuts(&messages) {
        let mut fixture = Fixture::with(&messages);
        fixture.lose_at(cut);
        fixture.send_all();
        let mut start = 0;
        let mut expected = Vec::new();
        for wire in &wires {
            if start >= cut {
                expected.extend_from_slice(wire);
            }
            start += wire.len();
        }
        assert!(fixture.wire == expected, "lost at {cut}: {} bytes", fixture.wire.len());
        assert_eq!(fixture.sent, messages.len() as u64, "lost at {cut}");
    }
}

#[test]
fn one_loss_after_another_skips_what_each_had_begun() {
    let messages = [vec![10], vec![30, 30], vec![10, 9000, 2], vec![5], vec![6]];
    let mut fixture = Fixture::with(&messages);
    fixture.lose_at(13);
    fixture.lose_at(0);
    fixture.lose_at(40);
    fixture.send_all();
    assert_eq!(fixture.wire, [on_wire(3, &[5]), on_wire(4, &[6])].concat());
    assert_eq!(fixture.sent, 5);
}

#[test]
fn a_message_that_comes_after_the_loss_is_sent() {
    for cut in [0, 6, 12] {
        let mut fixture = Fixture::with(&[vec![10]]);
        fixture.lose_at(cut);
        fixture.write(1, &[30]);
        fixture.write(2, &[40]);
        fixture.send_all();
        let skipped = if cut == 0 { on_wire(0, &[10]) } else { Vec::new() };
        assert_eq!(fixture.wire, [skipped, on_wire(1, &[30]), on_wire(2, &[40])].concat());
        assert_eq!(fixture.sent, 3);
    }
}

/// Panics if a command stands within a message. Answers how many there are, and what is left.
fn take_commands_out(mut wire: &[u8]) -> (usize, Vec<u8>) {
    let mut scanner = Scanner::new(u64::MAX);
    let (mut commands, mut rest) = (0, Vec::new());
    loop {
        let scan = scanner.scan(wire);
        rest.extend_from_slice(&wire[..scan.frames_end]);
        match scan.stop {
            Stop::Command(header) => {
                assert!(!scanner.is_open(), "a command within a message");
                commands += 1;
                wire = &wire[scan.frames_end + header.frame_len()..];
            }
            Stop::Partial { .. } => return (commands, rest),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn commands_stand_where_a_message_ends() {
    let messages = messages();
    let expected = all_on_wire(&messages).concat();
    for cut in cuts(&messages) {
        let mut fixture = Fixture::with(&messages);
        while fixture.wire.len() < cut && fixture.send(cut - fixture.wire.len()) {}
        fixture.sending.push_command(|out| command::encode_ping(0, b"a", out));
        fixture.send(50);
        fixture.sending.push_command(|out| command::encode_ping(0, b"b", out));
        fixture.send_all();
        let (commands, rest) = take_commands_out(&fixture.wire);
        assert_eq!(commands, 2, "pushed at {cut}");
        assert!(rest == expected, "pushed at {cut}");
    }
}

#[test]
fn subscriptions_stand_where_they_were_written() {
    let mut fixture = Fixture::new();
    fixture.write(0, &[2]);
    fixture.control(Control::Subscribe(Bytes::from_static(b"a")));
    fixture.control(Control::Cancel(Bytes::from_static(b"a")));
    fixture.write(1, &[2]);
    fixture.send_all();
    let mut expected = on_wire(0, &[2]);
    command::encode_subscribe(b"a", &mut expected);
    command::encode_cancel(b"a", &mut expected);
    expected.extend(on_wire(1, &[2]));
    assert_eq!(fixture.wire, expected);
}

#[test]
fn commands_do_not_outlive_their_connection() {
    let ping = |out: &mut Vec<u8>| command::encode_ping(0, b"a", out);
    for (cut, rest) in [(0, vec![0, 1]), (2, vec![1]), (4, vec![1]), (6, vec![1])] {
        let mut fixture = Fixture::with(&[vec![2]]);
        fixture.fill();
        fixture.sending.push_command(ping);
        fixture.write(1, &[3]);
        fixture.fill();
        fixture.sending.push_command(ping);
        fixture.lose_at(cut);
        fixture.send_all();
        let messages: Vec<_> = rest.iter().map(|&index| on_wire(index, &[2 + index])).collect();
        assert_eq!(fixture.wire, messages.concat(), "lost at {cut}");
    }
}

#[test]
fn answers_that_nobody_reads_do_not_pile_up() {
    let mut fixture = Fixture::new();
    fixture.sending.block();
    for _ in 0..100_000 {
        fixture.sending.push_answer(|out| command::encode_pong(b"0123456789", out));
        fixture.send(0);
    }
    assert!(fixture.sending.commands.len() <= ANSWERS_SIZE_MAX + 32);
    assert!(fixture.sending.bytes <= SEND_SIZE + ANSWERS_SIZE_MAX);
    fixture.sending.handle_writable();
    fixture.send_all();
    assert!(take_commands_out(&fixture.wire).0 > 1000);
}

#[test]
fn a_full_socket_is_tried_again_once_it_is_writable() {
    let mut fixture = Fixture::with(&[vec![5]]);
    fixture.fill();
    assert!(fixture.sending.is_ready());
    fixture.sending.block();
    assert!(fixture.sending.is_blocked() && !fixture.sending.is_ready());
    fixture.sending.handle_writable();
    fixture.send_all();
    assert_eq!(fixture.wire, on_wire(0, &[5]));
}

#[test]
fn what_is_cleared_counts_as_sent_and_is_not_sent() {
    let mut fixture = Fixture::with(&[vec![5], vec![60], vec![7]]);
    fixture.send(3);
    assert_eq!(fixture.sending.clear(), 3);
    fixture.wire.clear();
    fixture.write(3, &[4]);
    fixture.send_all();
    assert_eq!(fixture.wire, on_wire(3, &[4]));
}
