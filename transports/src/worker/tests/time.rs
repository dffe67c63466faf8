//! Claims about time, which stands still until a test lets it pass: workers whose connections lead
//! through the test, which says when each byte arrives.

use std::io::{ErrorKind, Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};

use zring_zmtp::{Error as ProtocolError, SocketType, command};

use super::super::*;
use crate::endpoint::{Endpoint, resolve};
use crate::incidents::Incidents;
use crate::notice::ListenerId;
use crate::peer::Stage;
use crate::receiving::TTL_UNIT;

/// How long a handshake may take.
const HANDSHAKE_TIME: Duration = Duration::from_secs(30);
const INTERVAL: Duration = Duration::from_millis(100);
const INTERVAL_MAX: Duration = Duration::from_millis(350);
const INSTANT: Duration = Duration::from_nanos(1);
/// Far beyond any time that is looked for.
const DAY: Duration = Duration::from_secs(24 * 3600);
/// How long is waited, by the kernel's clock, for what is sure to come.
const PATIENCE: Duration = Duration::from_secs(60);

/// Looks until it is so.
#[track_caller]
fn until(mut is_so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < PATIENCE, "it is still not so");
    }
}

/// A worker with one socket that has one peer at a time.
struct Side {
    worker: Worker,
    port: PortId,
    options: PortOptions,
}

impl Side {
    fn new(socket_type: SocketType) -> Self {
        let options = PortOptions {
            handshake_timeout: Some(HANDSHAKE_TIME),
            reconnect_interval: Some(INTERVAL),
            reconnect_interval_max: Some(INTERVAL_MAX),
            ..super::options(socket_type)
        };
        let mut worker = Worker::new(Crew::new(1), 0).unwrap();
        // No deadline is one by the kernel's clock.
        worker.clock.set = Some(Instant::now() + DAY);
        let port = PortId::fresh();
        worker.open_port(OpenPort { port, options: options.clone(), feed: None });
        Self { worker, port, options }
    }

    /// A new connection, whose other end is answered.
    fn adopt(&mut self) -> UnixStream {
        let (near, far) = UnixStream::pair().unwrap();
        near.set_nonblocking(true).unwrap();
        far.set_nonblocking(true).unwrap();
        self.worker.adopt(self.port, ListenerId::fresh(), near.into(), "ipc://test".into());
        far
    }

    fn turn(&mut self) {
        self.worker.turn(Wait::No, || false).unwrap();
    }

    fn pass(&mut self, time: Duration) {
        self.worker.clock.set = self.worker.clock.after(time);
        self.turn();
    }

    /// The stage that the peer is at, if there is a peer.
    fn stage(&self) -> Option<&Stage> {
        self.worker.peers.iter().next().map(|(_, peer)| &peer.stage)
    }

    fn is_in_handshake(&self) -> bool {
        matches!(self.stage(), Some(Stage::Handshake(_)))
    }

    fn is_in_traffic(&self) -> bool {
        matches!(self.stage(), Some(Stage::Traffic))
    }

    /// Turns until the peer is at a stage.
    #[track_caller]
    fn turn_until(&mut self, is_at: impl Fn(Option<&Stage>) -> bool) {
        until(|| {
            self.turn();
            is_at(self.stage())
        });
    }

    /// Writes to the peer, and turns until all of it has arrived.
    fn deliver(&mut self, mut wire: &UnixStream, bytes: &[u8]) {
        wire.write_all(bytes).unwrap();
        let mut arrived = 0;
        while arrived < bytes.len() {
            until(|| {
                self.turn();
                self.worker.received() > 0
            });
            arrived += self.worker.received();
        }
    }

    /// Turns until so many bytes have come from the peer.
    fn take(&mut self, wire: &UnixStream, len: usize) -> Vec<u8> {
        let mut taken = Vec::new();
        until(|| {
            self.turn();
            read_into(wire, &mut taken);
            taken.len() >= len
        });
        taken
    }

    /// The peer was given up, and so many until now are said to have been too slow.
    #[track_caller]
    fn assert_gone(&mut self, wire: &UnixStream, slow: usize) {
        self.turn_until(|stage| stage.is_none());
        until(|| read_into(wire, &mut Vec::new()));
        let Incidents { count, last } = self.options.rejections.read();
        let error = (slow > 0).then_some(ProtocolError::HandshakeTimeout);
        assert_eq!((count, last.map(|peer| peer.error)), (slow as u64, error));
    }
}

/// Takes what is there. True: nothing will come any more.
fn read_into(mut wire: &UnixStream, out: &mut Vec<u8>) -> bool {
    match wire.read_to_end(out) {
        Ok(_) => true,
        Err(error) if error.kind() == ErrorKind::WouldBlock => false,
        // It was closed with something unread.
        Err(error) if error.kind() == ErrorKind::ConnectionReset => true,
        Err(error) => panic!("{error}"),
    }
}

/// Two sides that talk to each other through the test.
struct Pair {
    sides: [Side; 2],
    wires: [UnixStream; 2],
    /// Bytes from each that the other has not got yet.
    held: [Vec<u8>; 2],
    /// How many bytes of each the other has got.
    carried: [usize; 2],
}

impl Pair {
    fn new() -> Self {
        let mut sides = [SocketType::Push, SocketType::Pull].map(Side::new);
        let wires = sides.each_mut().map(Side::adopt);
        Self { sides, wires, held: Default::default(), carried: [0; 2] }
    }

    /// The connection ends, and there is another one.
    fn meet_again(&mut self) {
        for (side, wire) in self.sides.iter_mut().zip(&mut self.wires) {
            wire.shutdown(std::net::Shutdown::Both).unwrap();
            side.turn_until(|stage| stage.is_none());
            *wire = side.adopt();
        }
        (self.held, self.carried) = Default::default();
    }

    /// Carries bytes back and forth, no more than `limit` to each, until it is so.
    fn carry_until(&mut self, limit: usize, is_so: impl Fn(&Self) -> bool) {
        until(|| {
            for (from, to) in [(0, 1), (1, 0)] {
                self.sides[from].turn();
                read_into(&self.wires[from], &mut self.held[from]);
                let len = self.held[from].len().min(limit - self.carried[from]);
                let bytes: Vec<_> = self.held[from].drain(..len).collect();
                self.sides[to].deliver(&self.wires[to], &bytes);
                self.carried[from] += len;
            }
            is_so(self)
        });
    }

    fn shake_hands(&mut self) {
        self.carry_until(usize::MAX, |pair| pair.sides.iter().all(Side::is_in_traffic));
    }

    fn pass(&mut self, time: Duration) {
        self.sides.iter_mut().for_each(|side| side.pass(time));
    }

    /// How many bytes a handshake has each way.
    fn handshake_len(&mut self) -> usize {
        self.shake_hands();
        let [one, other] = self.carried;
        assert_eq!(one, other, "PUSH is as long as PULL");
        one
    }
}

#[test]
fn a_handshake_that_is_done_leaves_no_timer() {
    let mut pair = Pair::new();
    pair.shake_hands();
    pair.carry_until(usize::MAX, |pair| pair.sides.iter().all(|side| side.worker.is_idle()));
    for side in &pair.sides {
        assert_eq!((side.worker.timers.len(), side.worker.deadline()), (0, None));
    }
}

#[test]
fn a_handshake_may_stop_at_every_byte_to_the_last_instant_and_no_longer() {
    let mut pair = Pair::new();
    for carried in 0..pair.handshake_len() {
        for goes_on in [true, false] {
            pair.meet_again();
            pair.carry_until(carried, |pair| pair.carried == [carried; 2]);
            pair.pass(HANDSHAKE_TIME - INSTANT);
            assert!(pair.sides.iter().all(Side::is_in_handshake), "behind {carried} bytes");
            if goes_on {
                pair.shake_hands();
                pair.pass(DAY);
                assert!(pair.sides.iter().all(Side::is_in_traffic), "behind {carried} bytes");
            } else {
                pair.pass(INSTANT);
                for (side, wire) in pair.sides.iter_mut().zip(&pair.wires) {
                    side.assert_gone(wire, carried + 1);
                }
            }
        }
    }
}

#[test]
fn a_ping_split_anywhere_is_answered_and_silence_is_borne_for_as_long_as_it_says() {
    let (mut ping, mut pong) = (Vec::new(), Vec::new());
    command::encode_ping(3, b"context", &mut ping);
    command::encode_pong(b"context", &mut pong);
    let mut pair = Pair::new();
    for split in 0..ping.len() {
        for is_heard in [true, false] {
            pair.meet_again();
            pair.shake_hands();
            let (side, wire) = (&mut pair.sides[1], &pair.wires[1]);
            side.deliver(wire, &ping[..split]);
            side.pass(DAY);
            side.deliver(wire, &ping[split..]);
            assert_eq!(side.take(wire, pong.len()), pong, "split at {split}");
            side.pass(3 * TTL_UNIT - INSTANT);
            assert!(side.is_in_traffic(), "split at {split}");
            if is_heard {
                // The beginning of a frame.
                side.deliver(wire, &[0]);
                side.pass(DAY);
                assert!(side.is_in_traffic(), "split at {split}");
            } else {
                side.pass(INSTANT);
                side.assert_gone(wire, 0);
            }
        }
    }
}

#[test]
fn who_does_not_end_its_side_is_waited_for_a_second_and_no_longer_than_linger() {
    let second = Duration::from_secs(1);
    for (linger, waited) in [(Some(INTERVAL), INTERVAL), (Some(DAY), second), (None, second)] {
        let mut pair = Pair::new();
        pair.shake_hands();
        let Pair { sides: [push, _], wires: [wire, _], .. } = &mut pair;
        let deadline = linger.map(|linger| push.worker.clock.now() + linger);
        push.worker.close_port(push.port, deadline);
        assert!(matches!(push.stage(), Some(Stage::Draining)));
        push.pass(waited - INSTANT);
        assert!(matches!(push.stage(), Some(Stage::Draining)), "{linger:?}");
        push.pass(INSTANT);
        push.assert_gone(wire, 0);
    }
}

#[test]
fn silence_counts_from_the_last_ping_and_one_without_a_time_sets_no_end() {
    let [mut ping, mut timeless, mut pong] = <[Vec<u8>; 3]>::default();
    command::encode_ping(3, b"", &mut ping);
    command::encode_ping(0, b"", &mut timeless);
    command::encode_pong(b"", &mut pong);
    let mut pair = Pair::new();
    pair.shake_hands();
    let (side, wire) = (&mut pair.sides[1], &pair.wires[1]);
    for bytes in [&ping, &ping, &ping, &timeless] {
        side.deliver(wire, bytes);
        assert_eq!(side.take(wire, pong.len()), pong);
        side.pass(3 * TTL_UNIT - INSTANT);
        assert!(side.is_in_traffic());
    }
    side.pass(DAY);
    assert!(side.is_in_traffic());
    // When the first would be over, the second is not.
    side.deliver(wire, &ping);
    side.pass(TTL_UNIT);
    side.deliver(wire, &ping);
    side.pass(2 * TTL_UNIT);
    side.pass(TTL_UNIT - INSTANT);
    assert!(side.is_in_traffic());
    side.pass(INSTANT);
    side.assert_gone(wire, 0);
}

#[test]
fn the_last_ping_says_how_long_silence_is_borne_though_an_earlier_one_said_longer() {
    let mut pair = Pair::new();
    pair.shake_hands();
    let (side, wire) = (&mut pair.sides[1], &pair.wires[1]);
    for ttl in [u16::MAX, 30, u16::MAX, 3] {
        let mut ping = Vec::new();
        command::encode_ping(ttl, b"", &mut ping);
        side.deliver(wire, &ping);
    }
    side.pass(3 * TTL_UNIT - INSTANT);
    assert!(side.is_in_traffic());
    side.pass(INSTANT);
    side.assert_gone(wire, 0);
}

/// A listener of the test's own, and a side that connects to it.
fn dialing() -> (UnixListener, Side) {
    let name = format!("zring-worker-tests-{}", std::process::id());
    let listener = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap());
    let target = resolve(&Endpoint::parse(&format!("ipc://@{name}")).unwrap()).unwrap();
    let mut side = Side::new(SocketType::Push);
    let mailbox = side.worker.mailbox.clone();
    let (_pipe, notice) = Notice::dial(side.port, &side.options, target, &mailbox);
    side.worker.handle_notice(notice);
    (listener.unwrap(), side)
}

#[test]
fn who_does_not_answer_is_dialed_again_after_pauses_that_double_until_somebody_does() {
    let (listener, mut side) = dialing();
    let is_waiting = |stage: Option<&Stage>| matches!(stage, Some(Stage::Waiting));
    let accept = |side: &mut Side| {
        side.turn_until(|stage| matches!(stage, Some(Stage::Handshake(_))));
        let wire = listener.accept().unwrap().0;
        wire.set_nonblocking(true).unwrap();
        wire
    };
    let wait = |side: &mut Side, pause: Duration| {
        side.turn_until(is_waiting);
        side.pass(pause - INSTANT);
        assert!(is_waiting(side.stage()), "not before {pause:?}");
        side.pass(INSTANT);
        assert!(!is_waiting(side.stage()), "{pause:?} are over");
    };
    for pause in [INTERVAL, 2 * INTERVAL, INTERVAL_MAX, INTERVAL_MAX] {
        let wire = accept(&mut side);
        side.pass(HANDSHAKE_TIME - INSTANT);
        assert!(side.is_in_handshake());
        side.pass(INSTANT);
        until(|| read_into(&wire, &mut Vec::new()));
        wait(&mut side, pause);
    }
    let mut pair = Pair::new();
    pair.sides[0] = side;
    pair.wires[0] = accept(&mut pair.sides[0]);
    pair.shake_hands();
    let Pair { sides: [side, _], wires: [wire, _], .. } = &mut pair;
    wire.shutdown(std::net::Shutdown::Both).unwrap();
    wait(side, INTERVAL);
}
