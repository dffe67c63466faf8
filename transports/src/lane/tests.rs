//! Claims about immediate sends, over a pair of sockets.

use std::io::Read;
use std::os::unix::net::UnixStream;

use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, recv, socketpair};
use zring_engine::credit::{Allowance, credit};
use zring_engine::inbox::Raising;
use zring_engine::log::{LogPools, Writer};

use super::*;
use crate::message::Payload;
use crate::pipe::encode;

struct Fixture {
    log: Writer<Record>,
    scheduled: Arc<Scheduled>,
    lane: Lane,
    counters: Arc<Counters>,
    allowance: Allowance,
    near: Arc<OwnedFd>,
    far: UnixStream,
    sending: Sending,
}

impl Fixture {
    fn new() -> Self {
        let (log, reader) = Writer::single(LogPools::new(4096, 1 << 17));
        // The kernel takes some of a large message then, and not all.
        let (near, far) = UnixStream::pair().unwrap();
        far.set_nonblocking(true).unwrap();
        rustix::net::sockopt::set_socket_send_buffer_size(&near, 1).unwrap();
        let (allowance, consumption) = credit(2);
        let (scheduled, counters) = (Arc::<Scheduled>::default(), Arc::<Counters>::default());
        let lane = Lane::new(reader, scheduled.clone(), consumption, counters.clone());
        let near = Arc::new(near.into());
        Self { log, scheduled, lane, counters, allowance, near, far, sending: Sending::default() }
    }

    fn opened() -> Self {
        let fixture = Self::new();
        fixture.lane.take().open(&fixture.near);
        fixture
    }

    /// Publishes a message of one frame, and answers whether its reader is to be told.
    fn write(&mut self, size: usize) -> bool {
        encode(&mut self.log, Payload::from(&vec![7; size]).lend(), false);
        self.log.publish(1);
        self.allowance.write(1);
        self.scheduled.raise(&mut Raising::Fenced)
    }

    /// Publishes a message whose body is too large to be copied.
    fn write_owned(&mut self, size: usize) {
        encode(&mut self.log, Payload::from(vec![7; size]).lend(), false);
        self.log.publish(1);
        self.allowance.write(1);
        let _is_to_be_told = self.scheduled.raise(&mut Raising::Fenced);
    }

    /// Has a message sent that is not in the log.
    fn send_lent(&mut self, payload: Payload<'_>) -> Ahead {
        let header: [u8; 9] = frame(payload.len())[..9].try_into().unwrap();
        let (ahead, is_awaited) = self.lane.send_lent(&header, &payload.lend());
        assert!(!is_awaited);
        if ahead != Ahead::Busy {
            self.allowance.write(1);
        }
        ahead
    }

    /// Leaves a lane behind whose writer has sent all before a body, and nothing of that.
    fn begin_within(&self) {
        let mut way = self.lane.take();
        let header = way.log.next_run().expect("a header comes first");
        assert_eq!(header.messages(), 0);
        let run = way.log.next_run().expect("a body follows it");
        way.leftover = Leftover { runs: [run].into(), sent: 0, is_within: true };
    }

    /// All that the worker sends from now on, and the messages that count as sent with it.
    fn rest(&mut self) -> (Vec<u8>, u64) {
        let mut messages = self.lane.take().fill(&mut self.sending, |_, _| {});
        let mut bytes = Vec::new();
        while let Some((more, sent)) = self.sending.take(usize::MAX) {
            bytes.extend(more);
            messages += sent + self.lane.take().fill(&mut self.sending, |_, _| {});
        }
        (bytes, messages)
    }

    /// What the worker would send next, all of it.
    fn left_to_the_worker(&mut self) -> Vec<u8> {
        let skipped = self.lane.take().fill(&mut self.sending, |_, _| {});
        assert_eq!(skipped, 0);
        self.sending.take(usize::MAX).map_or(Vec::new(), |(bytes, _)| bytes)
    }

    /// What has come to the other end.
    fn arrived(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let end = self.far.read_to_end(&mut bytes).unwrap_err();
        assert_eq!(end.kind(), std::io::ErrorKind::WouldBlock);
        bytes
    }

    fn sent(&self) -> (u64, u64) {
        let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        (count(&self.counters.sent), count(&self.counters.bytes))
    }
}

fn frame(size: usize) -> Vec<u8> {
    let header: &[u8] = &match size {
        0..=255 => vec![0, size as u8],
        _ => [&[2][..], &(size as u64).to_be_bytes()].concat(),
    };
    [header, &vec![7; size]].concat()
}

#[test]
fn an_open_lane_sends_each_message_and_grants_its_room_again() {
    let mut fixture = Fixture::opened();
    for turn in 1..=8 {
        assert!(fixture.allowance.room() > 0, "turn {turn}");
        assert!(fixture.write(3), "the flag is down again after each send");
        assert!(fixture.lane.send_now());
        assert_eq!(fixture.arrived(), frame(3));
        assert_eq!(fixture.sent(), (turn, turn * 5));
    }
    assert_eq!(fixture.left_to_the_worker(), b"");
}

#[test]
fn a_closed_lane_leaves_the_message_to_the_worker() {
    let mut fixture = Fixture::opened();
    fixture.lane.take().close();
    assert!(fixture.write(3));
    assert!(!fixture.lane.send_now());
    assert_eq!(fixture.arrived(), b"");
    assert_eq!(fixture.left_to_the_worker(), frame(3));
}

#[test]
fn the_worker_goes_on_where_the_kernel_took_no_more() {
    let size = 32 * 1024;
    let mut fixture = Fixture::opened();
    fixture.write(size);
    assert!(!fixture.lane.send_now());
    assert!(!fixture.lane.send_now(), "the lane is closed now");
    let arrived = fixture.arrived();
    assert!(!arrived.is_empty() && arrived.len() < size, "{}", arrived.len());
    // An answer to the peer does not come between.
    fixture.sending.push_answer(|out| out.extend_from_slice(b"answer"));
    let mut rest = fixture.left_to_the_worker();
    let expected = [&frame(size)[..], b"answer"].concat();
    while arrived.len() + rest.len() < expected.len() {
        let more = fixture.left_to_the_worker();
        assert!(!more.is_empty(), "a message is sent to its end");
        rest.extend(more);
    }
    assert!([arrived, rest].concat() == expected);
}

#[test]
fn the_worker_goes_on_in_whichever_block_the_kernel_took_no_more() {
    for first in [1, 1000, 4000] {
        let mut fixture = Fixture::opened();
        fixture.write(first);
        fixture.write(32 * 1024);
        assert!(!fixture.lane.send_now());
        let mut all = fixture.arrived();
        let (messages, bytes) = fixture.sent();
        assert_eq!(bytes, all.len() as u64);
        let (rest, more) = fixture.rest();
        all.extend(rest);
        assert!(all == [frame(first), frame(32 * 1024)].concat(), "{first}");
        assert_eq!((messages, messages + more), (1, 2), "{first}");
    }
}

#[test]
fn the_worker_goes_on_in_the_first_of_several_runs() {
    let mut fixture = Fixture::opened();
    fixture.write(20_000);
    fixture.write_owned(10_000);
    fixture.write(3);
    assert!(!fixture.lane.send_now());
    let mut all = fixture.arrived();
    assert!(!all.is_empty() && all.len() < 20_000, "{}", all.len());
    assert_eq!(fixture.sent(), (0, all.len() as u64));
    let (rest, messages) = fixture.rest();
    all.extend(rest);
    assert!(all == [frame(20_000), frame(10_000), frame(3)].concat());
    assert_eq!(messages, 3);
}

#[test]
fn ends_and_beginnings_of_blocks_and_headers_and_bodies_leave_with_one_send() {
    let mut fixture = Fixture::new();
    let (near, far) =
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::empty(), None).unwrap();
    fixture.lane.take().open(&Arc::new(near));
    for size in [3000, 3001] {
        fixture.write(size);
    }
    fixture.write_owned(10_000);
    assert_eq!(fixture.lane.send_ahead(), Ahead::Sent);
    let mut packet = [0; 1 << 15];
    let (len, _) = recv(&far, &mut packet, RecvFlags::DONTWAIT).unwrap();
    assert!(packet[..len] == [frame(3000), frame(3001), frame(10_000)].concat());
}

#[test]
fn more_runs_than_one_send_takes_leave_in_their_order() {
    let mut fixture = Fixture::opened();
    rustix::net::sockopt::set_socket_send_buffer_size(&*fixture.near, 1 << 20).unwrap();
    for size in 0..RUNS_MAX {
        fixture.write_owned(10_000 + size);
    }
    assert_eq!(fixture.lane.send_ahead(), Ahead::Sent);
    let expected: Vec<_> = (0..RUNS_MAX).map(|size| frame(10_000 + size)).collect();
    assert!(fixture.arrived() == expected.concat());
    assert_eq!(fixture.sent().0, RUNS_MAX as u64);
}

#[test]
fn a_loss_between_two_bodies_that_are_referred_to_leaves_the_second() {
    let mut fixture = Fixture::opened();
    fixture.write_owned(10_000);
    fixture.write_owned(10_001);
    let sent = {
        let mut way = fixture.lane.take();
        assert!(way.gather());
        way.leftover.pass(frame(10_000).len())
    };
    let skipped = fixture.lane.take().hand_over(&mut fixture.sending, |_, _| {});
    let skipped = skipped + fixture.sending.handle_loss();
    let (rest, messages) = fixture.rest();
    assert!(rest == frame(10_001));
    assert_eq!(sent + skipped + messages, 2);
}

#[test]
fn what_is_no_message_is_left_to_the_worker_with_what_lies_behind_it() {
    let mut fixture = Fixture::opened();
    fixture.write(3);
    fixture.log.append_record(Record::Control(Control::Subscribe("a".into())), 0);
    fixture.log.publish(0);
    fixture.write(4);
    assert_eq!(fixture.lane.send_ahead(), Ahead::Left);
    assert_eq!(fixture.arrived(), frame(3));
    let mut controls = Vec::new();
    fixture.lane.take().fill(&mut fixture.sending, |control, _| controls.push(control));
    assert_eq!(controls, [Control::Subscribe("a".into())]);
    assert_eq!(fixture.sending.take(usize::MAX), Some((frame(4), 2)));
}

#[test]
fn what_was_sent_in_part_is_not_sent_again_after_a_loss() {
    let mut fixture = Fixture::opened();
    fixture.write(32 * 1024);
    assert!(!fixture.lane.send_now());
    fixture.write(3);
    let skipped = fixture.lane.take().fill(&mut fixture.sending, |_, _| {});
    assert_eq!(skipped + fixture.sending.handle_loss(), 0, "it counts with what lies behind it");
    assert_eq!(fixture.sending.take(usize::MAX), Some((frame(3), 2)));
}

#[test]
fn a_lost_connection_leaves_the_whole_message_to_the_worker() {
    let mut fixture = Fixture::opened();
    let (_, far) = UnixStream::pair().unwrap();
    drop(std::mem::replace(&mut fixture.far, far));
    fixture.write(3);
    assert!(!fixture.lane.send_now());
    assert_eq!(fixture.left_to_the_worker(), frame(3));
    assert_eq!(fixture.sent(), (0, 0));
}

#[test]
fn a_body_that_is_referred_to_is_sent_as_far_as_the_kernel_takes_it() {
    let mut fixture = Fixture::opened();
    let size = 100 * 1024;
    fixture.write_owned(size);
    assert_eq!(fixture.lane.send_ahead(), Ahead::Left);
    let mut all = fixture.arrived();
    assert!(all.len() > 9 && all.len() < size, "{}", all.len());
    // An answer to the peer does not come between.
    fixture.sending.push_answer(|out| out.extend_from_slice(b"answer"));
    let expected = [&frame(size)[..], b"answer"].concat();
    while all.len() < expected.len() {
        let more = fixture.left_to_the_worker();
        assert!(!more.is_empty(), "a message is sent to its end");
        all.extend(more);
    }
    assert!(all == expected);
}

#[test]
fn many_messages_leave_at_once_and_the_worker_need_not_be_told() {
    let mut fixture = Fixture::opened();
    for _ in 0..2 {
        assert!(fixture.write(3), "the reader is told once");
        assert!(!fixture.write(3));
        assert_eq!(fixture.allowance.room(), 0);
        assert_eq!(fixture.lane.send_ahead(), Ahead::Sent);
        assert_eq!(fixture.allowance.room(), 2, "what the kernel has taken is granted");
        assert_eq!(fixture.arrived(), [frame(3), frame(3)].concat());
        assert_eq!(fixture.left_to_the_worker(), b"", "which looks anyway, and lowers the flag");
    }
    assert_eq!(fixture.sent(), (4, 20));
}

#[test]
fn a_closed_lane_says_that_the_worker_is_at_it() {
    let mut fixture = Fixture::new();
    fixture.write(3);
    assert_eq!(fixture.lane.send_ahead(), Ahead::Busy);
    assert_eq!(fixture.left_to_the_worker(), frame(3));
}

#[test]
fn a_loss_behind_a_header_that_was_sent_takes_the_body_with_it() {
    for (is_body_begun, others) in [(false, 0), (false, 1), (true, 0), (true, 1)] {
        let mut fixture = Fixture::opened();
        if others > 0 {
            fixture.write(3);
        }
        fixture.write_owned(100 * 1024);
        fixture.write(3);
        if is_body_begun {
            assert_eq!(fixture.lane.send_ahead(), Ahead::Left);
        } else {
            fixture.begin_within();
        }
        let skipped = fixture.lane.take().hand_over(&mut fixture.sending, |_, _| {});
        let skipped = skipped + fixture.sending.handle_loss();
        let (rest, messages) = fixture.rest();
        assert_eq!(rest, frame(3), "{is_body_begun} {others}");
        assert_eq!(skipped + messages, 2 + others);
    }
}

#[test]
fn a_lent_body_is_sent_from_where_it_lies() {
    let mut fixture = Fixture::opened();
    rustix::net::sockopt::set_socket_send_buffer_size(&*fixture.near, 1 << 20).unwrap();
    let body = vec![7; 1000];
    for turn in 1..=8 {
        assert!(fixture.allowance.room() > 0, "turn {turn}");
        assert_eq!(fixture.send_lent(Payload::from(&body)), Ahead::Sent);
        assert_eq!(fixture.arrived(), frame(1000));
        assert_eq!(fixture.sent(), (turn, turn * 1009));
    }
    assert_eq!(fixture.left_to_the_worker(), b"");
}

#[test]
fn what_the_kernel_does_not_take_of_a_lent_body_is_the_workers() {
    let body = vec![7; 100 * 1024];
    for payload in [Payload::from(&body), Payload::from(body.clone())] {
        let mut fixture = Fixture::opened();
        assert_eq!(fixture.send_lent(payload), Ahead::Left);
        let mut all = fixture.arrived();
        assert!(!all.is_empty() && all.len() < body.len(), "{}", all.len());
        assert_eq!(fixture.sent(), (0, all.len() as u64));
        // Neither an answer to the peer nor another message comes between.
        fixture.sending.push_answer(|out| out.extend_from_slice(b"answer"));
        assert_eq!(fixture.send_lent(Payload::from(&body)), Ahead::Busy);
        let (rest, messages) = fixture.rest();
        all.extend(rest);
        assert!(all == [&frame(body.len())[..], b"answer"].concat());
        assert_eq!(messages, 1);
    }
}

#[test]
fn the_rest_of_a_lent_frame_may_begin_within_its_header() {
    let header: [u8; 9] = frame(300)[..9].try_into().unwrap();
    for payload in [Payload::from(&[7; 300]), Payload::from(vec![7; 300])] {
        for len in 1..=309 {
            assert_eq!(rest(&header, &payload.lend(), len), frame(300)[309 - len..], "{len}");
        }
    }
}

#[test]
fn a_lent_body_does_not_pass_what_was_written_before_it() {
    let mut fixture = Fixture::opened();
    fixture.write(3);
    assert_eq!(fixture.send_lent(Payload::from(&vec![7; 1000])), Ahead::Busy);
    assert_eq!(fixture.arrived(), b"");
    assert_eq!(fixture.left_to_the_worker(), frame(3));
}

#[test]
fn a_lent_body_of_which_the_kernel_takes_nothing_is_not_begun() {
    let mut fixture = Fixture::opened();
    while send(&*fixture.near, &[0; 1000], SendFlags::DONTWAIT).is_ok() {}
    assert_eq!(fixture.send_lent(Payload::from(&vec![7; 1000])), Ahead::Busy);
    let (_, far) = UnixStream::pair().unwrap();
    drop(std::mem::replace(&mut fixture.far, far));
    assert_eq!(fixture.send_lent(Payload::from(&vec![7; 1000])), Ahead::Busy);
    assert_eq!(fixture.sent(), (0, 0));
}

#[test]
fn a_lent_body_that_was_sent_in_part_is_not_sent_again_after_a_loss() {
    let mut fixture = Fixture::opened();
    assert_eq!(fixture.send_lent(Payload::from(&vec![7; 100 * 1024])), Ahead::Left);
    fixture.write(3);
    let skipped = fixture.lane.take().hand_over(&mut fixture.sending, |_, _| {});
    let skipped = skipped + fixture.sending.handle_loss();
    let (rest, messages) = fixture.rest();
    assert_eq!((rest, skipped + messages), (frame(3), 2));
}

#[test]
fn what_is_dropped_from_a_lane_counts_and_keeps_what_is_no_message() {
    let mut fixture = Fixture::opened();
    fixture.write_owned(100 * 1024);
    assert!(!fixture.lane.send_now());
    fixture.log.append_record(Record::Control(Control::Subscribe("a".into())), 0);
    fixture.log.publish(0);
    fixture.write(3);
    let mut controls = Vec::new();
    assert_eq!(fixture.lane.take().clear(|control| controls.push(control)), 2);
    assert_eq!(controls, [Control::Subscribe("a".into())]);
    assert!(fixture.lane.take().is_empty());
}
