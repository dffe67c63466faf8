use super::*;

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::thread;

use bytes::Bytes;
use socket2::{Domain, SockRef, Socket, Type};

/// Long enough to never end a test that works.
const WATCHDOG: Duration = Duration::from_secs(20);

/// A reactor, and what it has handed up and no test has looked at yet.
struct Rig {
    reactor: Reactor,
    come: VecDeque<Completion>,
    out: Vec<Completion>,
}

impl Rig {
    fn new(config: &Config) -> Self {
        let reactor = Reactor::new(config).unwrap();
        Self { reactor, come: VecDeque::new(), out: Vec::new() }
    }

    /// A reactor whose group a test can empty: 4 buffers of 1 KiB.
    fn small() -> Self {
        Self::new(&Config { entries: 8, buffers: 4, buffers_max: 4, buffer_size: 1024 })
    }

    fn turn(&mut self, wait: Wait) {
        self.reactor.turn(wait, &mut self.out).unwrap();
        self.come.extend(self.out.drain(..));
    }

    /// The next completion of `token`, however many turns it takes.
    fn next_of(&mut self, token: Token) -> Completion {
        let deadline = Instant::now() + WATCHDOG;
        loop {
            if let Some(at) = self.come.iter().position(|come| come.token == token) {
                return self.come.remove(at).unwrap();
            }
            assert!(Instant::now() < deadline, "nothing came of {token:?}");
            self.turn(Wait::Until(Some(deadline)));
        }
    }

    fn sent(&mut self, token: Token) -> Result<usize, Errno> {
        match self.next_of(token).outcome {
            Outcome::Sent(sent) => sent,
            other => panic!("{other:?} of a send"),
        }
    }

    /// What a receive has brought until `len` bytes are there.
    fn receive_exactly(&mut self, token: Token, len: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while bytes.len() < len {
            match self.next_of(token).outcome {
                Outcome::Received(slice) => bytes.extend_from_slice(&slice),
                other => panic!("{other:?} after {} of {len} bytes", bytes.len()),
            }
        }
        bytes
    }

    /// All that a receive still brings, and how it ended.
    fn receive_to_end(&mut self, token: Token, bytes: &mut Vec<u8>) -> Result<(), Errno> {
        loop {
            match self.next_of(token).outcome {
                Outcome::Received(slice) => bytes.extend_from_slice(&slice),
                Outcome::ReceiveEnded(ended) => return ended,
                other => panic!("{other:?} of a receive"),
            }
        }
    }

    fn accepted(&mut self, token: Token) -> OwnedFd {
        match self.next_of(token).outcome {
            Outcome::Accepted(fd) => fd,
            other => panic!("{other:?} of an accept"),
        }
    }
}

fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (near, listener.accept().unwrap().0)
}

/// Bytes in which no two kilobytes look alike.
fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|index| (index % 251) as u8 ^ (index >> 10) as u8).collect()
}

/// Writes as much as a non-blocking stream takes.
fn write_some(stream: &mut impl Write, bytes: &mut &[u8]) {
    while !bytes.is_empty() {
        match stream.write(bytes) {
            Ok(len) => *bytes = &bytes[len..],
            Err(error) if error.kind() == ErrorKind::WouldBlock => return,
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn one_accept_takes_every_connection() {
    let mut rig = Rig::small();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let accept = rig.reactor.accept(7, listener.as_fd());
    let address = listener.local_addr().unwrap();
    for owner in 0..5 {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let connect = rig.reactor.connect(owner, socket.as_fd(), address.into());
        let connected = rig.next_of(connect);
        assert_eq!(connected.owner, owner);
        assert!(matches!(connected.outcome, Outcome::Connected(Ok(()))), "{connected:?}");
        let mut accepted = TcpStream::from(rig.accepted(accept));
        (&socket).write_all(b"hello").unwrap();
        let mut hello = [0; 5];
        accepted.read_exact(&mut hello).unwrap();
        assert_eq!(&hello, b"hello");
    }
    rig.reactor.cancel(accept);
    let ended = rig.next_of(accept);
    assert_eq!(ended.owner, 7);
    assert!(matches!(ended.outcome, Outcome::AcceptEnded(Ok(()))), "{ended:?}");
}

#[test]
fn a_refused_connection_says_so() {
    let mut rig = Rig::small();
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let connect = rig.reactor.connect(1, socket.as_fd(), nobody.into());
    let outcome = rig.next_of(connect).outcome;
    assert!(matches!(outcome, Outcome::Connected(Err(Errno::CONNREFUSED))), "{outcome:?}");
}

#[test]
fn what_cannot_be_accepted_from_is_refused_once() {
    let mut rig = Rig::small();
    let (near, _far) = tcp_pair();
    let accept = rig.reactor.accept(1, near.as_fd());
    let outcome = rig.next_of(accept).outcome;
    assert!(matches!(outcome, Outcome::AcceptEnded(Err(Errno::INVAL))), "{outcome:?}");
}

/// Sends far more than the group holds through `near`, and expects all of it at `far`, in order.
fn flood(mut near: impl Write, far: BorrowedFd<'_>) {
    let mut rig = Rig::small();
    let sent = pattern(700_000);
    let mut unsent = &sent[..];
    let receive = rig.reactor.receive(1, far);
    let mut received = Vec::new();
    while received.len() < sent.len() {
        write_some(&mut near, &mut unsent);
        let Outcome::Received(slice) = rig.next_of(receive).outcome else { panic!("ended") };
        received.extend_from_slice(&slice);
    }
    assert!(received == sent, "bytes were lost or moved");
    drop(near);
    assert_eq!(rig.receive_to_end(receive, &mut received), Ok(()));
    assert_eq!(received.len(), sent.len());
}

#[test]
fn more_than_the_group_holds_arrives_in_order_over_tcp() {
    let (near, far) = tcp_pair();
    near.set_nonblocking(true).unwrap();
    flood(near, far.as_fd());
}

#[test]
fn more_than_the_group_holds_arrives_in_order_over_unix() {
    let (near, far) = UnixStream::pair().unwrap();
    near.set_nonblocking(true).unwrap();
    flood(near, far.as_fd());
}

#[test]
fn slices_that_are_kept_are_not_overwritten() {
    let mut rig = Rig::small();
    let (mut near, far) = UnixStream::pair().unwrap();
    let receive = rig.reactor.receive(1, far.as_fd());
    let kept: Vec<Slice> = (0..50_u8)
        .map(|round| {
            near.write_all(&[round; 100]).unwrap();
            match rig.next_of(receive).outcome {
                Outcome::Received(slice) => slice,
                other => panic!("{other:?}"),
            }
        })
        .collect();
    for (round, slice) in kept.iter().enumerate() {
        assert_eq!(&slice[..], [round as u8; 100]);
    }
}

#[test]
fn a_flood_does_not_starve_the_others() {
    let mut rig = Rig::small();
    let pairs: Vec<_> = (0..20).map(|_| UnixStream::pair().unwrap()).collect();
    let mut receives = Vec::new();
    for (owner, (near, far)) in pairs.iter().enumerate() {
        near.set_nonblocking(true).unwrap();
        let mut endless = &pattern(100_000)[..];
        write_some(&mut &*near, &mut endless);
        receives.push(rig.reactor.receive(owner as u32, far.as_fd()));
    }
    // Each is refilled whenever it has brought something, so that none ever runs dry.
    let mut rounds = vec![0; pairs.len()];
    let deadline = Instant::now() + WATCHDOG;
    while rounds.iter().any(|&rounds| rounds < 20) {
        assert!(Instant::now() < deadline, "somebody starved: {rounds:?}");
        rig.turn(Wait::Until(Some(deadline)));
        for come in rig.come.drain(..) {
            let Outcome::Received(slice) = come.outcome else { panic!("ended") };
            let owner = come.owner as usize;
            assert_eq!(come.token, receives[owner]);
            rounds[owner] += 1;
            write_some(&mut &pairs[owner].0, &mut &slice[..]);
        }
    }
}

#[test]
fn where_many_receives_bring_little_more_buffers_are_lent_until_a_flood_fills_them() {
    let buffer_size = 64 * 1024;
    let mut rig = Rig::new(&Config { entries: 8, buffers: 2, buffers_max: 8, buffer_size });
    let mut pairs: Vec<_> = (0..8).map(|_| UnixStream::pair().unwrap()).collect();
    let receive = |(owner, pair): (u32, &(UnixStream, UnixStream))| {
        rig.reactor.receive(owner, pair.1.as_fd())
    };
    let receives: Vec<_> = (0..).zip(&pairs).map(receive).collect();
    assert_eq!(rig.reactor.group.lent(), 2);
    for _ in 0..2 {
        pairs.iter_mut().for_each(|pair| pair.0.write_all(b"little").unwrap());
        for &receive in &receives {
            assert_eq!(rig.receive_exactly(receive, 6), b"little");
        }
    }
    rig.turn(Wait::No);
    assert_eq!(rig.reactor.group.lent(), 8);
    let flood = pattern(100_000);
    for _ in 0..8 {
        pairs[0].0.write_all(&flood).unwrap();
        assert!(rig.receive_exactly(receives[0], flood.len()) == flood, "bytes were lost");
    }
    rig.turn(Wait::No);
    assert!(rig.reactor.group.lent() < 8);
}

#[test]
fn a_full_socket_answers_again_and_then_becomes_writable() {
    let mut rig = Rig::small();
    let (near, mut far) = UnixStream::pair().unwrap();
    let body = Bytes::from(pattern(8 << 20));
    let first = rig.reactor.send(1, near.as_fd(), [Piece::Bytes(body.clone())]);
    let sent = rig.sent(first).unwrap();
    assert!(0 < sent && sent < body.len(), "{sent} of {} bytes", body.len());

    let second = rig.reactor.send(1, near.as_fd(), [Piece::Bytes(body.slice(sent..))]);
    assert_eq!(rig.sent(second), Err(Errno::AGAIN));

    let writable = rig.reactor.poll_writable(1, near.as_fd());
    rig.turn(Wait::No);
    assert!(rig.come.is_empty(), "nobody has read yet");
    let mut read = vec![0; sent];
    far.read_exact(&mut read).unwrap();
    assert!(matches!(rig.next_of(writable).outcome, Outcome::Writable(Ok(()))));
    assert!(read == body[..sent], "bytes were lost or moved");
}

#[test]
fn a_hundred_pieces_leave_in_order() {
    let mut rig = Rig::small();
    let (near, mut far) = tcp_pair();
    let pool = crate::block::Pool::new(4096, 1);
    let mut block = pool.take();
    block.append(&pattern(4000));
    block.publish();
    let pieces = (0..100).map(|index| match index % 2 {
        0 => Piece::Slice(block.slice(index * 40..index * 40 + 40)),
        _ => Piece::Bytes(Bytes::from(vec![index as u8; 33])),
    });
    let expected: Vec<u8> = pieces.clone().flat_map(|piece| piece.to_vec()).collect();
    let send = rig.reactor.send(1, near.as_fd(), pieces);
    assert_eq!(rig.sent(send), Ok(expected.len()));
    let mut read = vec![0; expected.len()];
    far.read_exact(&mut read).unwrap();
    assert_eq!(read, expected);
    assert!(block.is_unique(), "the pieces of an ended send are let go");
}

#[test]
fn pieces_beyond_the_kernels_limit_stay_unsent() {
    let mut rig = Rig::small();
    let (near, _far) = UnixStream::pair().unwrap();
    let piece = Piece::Bytes(Bytes::from_static(b"x"));
    let many = std::iter::repeat_n(piece, crate::PIECES_MAX + 76);
    let send = rig.reactor.send(1, near.as_fd(), many);
    assert_eq!(rig.sent(send), Ok(crate::PIECES_MAX));
}

#[test]
fn sends_one_after_the_other_share_one_memory() {
    let mut rig = Rig::small();
    let (near, mut far) = UnixStream::pair().unwrap();
    for len in 1..20 {
        let pieces = vec![Piece::Bytes(Bytes::from_static(b"abc")); len];
        let send = rig.reactor.send(1, near.as_fd(), pieces);
        assert_eq!(rig.sent(send), Ok(3 * len));
        far.read_exact(&mut vec![0; 3 * len]).unwrap();
    }
    assert_eq!(rig.reactor.spare.len(), SENDS);
}

#[test]
fn a_send_to_a_closed_peer_fails_without_a_signal() {
    let mut rig = Rig::small();
    let (near, far) = UnixStream::pair().unwrap();
    drop(far);
    let send = rig.reactor.send(1, near.as_fd(), [Piece::Bytes(Bytes::from_static(b"x"))]);
    assert_eq!(rig.sent(send), Err(Errno::PIPE));
}

#[test]
fn cancelling_a_receive_under_flood_loses_nothing() {
    let mut rig = Rig::small();
    let (mut near, far) = tcp_pair();
    near.set_nonblocking(true).unwrap();
    let sent = pattern(2_000_000);
    let mut unsent = &sent[..];
    let mut received = Vec::new();
    let mut cycles = 0;
    while received.len() < sent.len() {
        let receive = rig.reactor.receive(1, far.as_fd());
        write_some(&mut near, &mut unsent);
        // The place where the cancel meets the receive differs from cycle to cycle.
        for _ in 0..cycles % 4 {
            rig.turn(Wait::No);
        }
        rig.reactor.cancel(receive);
        assert_eq!(rig.receive_to_end(receive, &mut received), Ok(()));
        cycles += 1;
        if cycles % 3 == 0 && received.len() < sent.len() {
            write_some(&mut near, &mut unsent);
            let mut direct = [0; 777];
            let len = (&far).read(&mut direct).unwrap();
            received.extend_from_slice(&direct[..len]);
        }
    }
    assert!(received == sent, "bytes were lost or moved");
}

#[test]
fn a_receive_that_waits_for_buffers_can_be_cancelled() {
    let mut rig = Rig::small();
    let (mut near, far) = UnixStream::pair().unwrap();
    near.write_all(&pattern(10_000)).unwrap();
    let receive = rig.reactor.receive(1, far.as_fd());
    rig.turn(Wait::No);
    assert_eq!(rig.reactor.sated, [receive], "four buffers do not hold 10,000 bytes");
    rig.reactor.cancel(receive);
    let mut bytes = Vec::new();
    assert_eq!(rig.receive_to_end(receive, &mut bytes), Ok(()));
    assert_eq!(bytes, pattern(10_000)[..bytes.len()]);
    assert_eq!(bytes.len(), 4096);
}

#[test]
fn a_reset_connection_ends_with_its_error_behind_the_data() {
    let mut rig = Rig::small();
    let (mut near, far) = tcp_pair();
    let receive = rig.reactor.receive(1, far.as_fd());
    near.write_all(b"last words").unwrap();
    assert_eq!(rig.receive_exactly(receive, 10), b"last words");
    SockRef::from(&near).set_linger(Some(Duration::ZERO)).unwrap();
    drop(near);
    assert_eq!(rig.receive_to_end(receive, &mut Vec::new()), Err(Errno::CONNRESET));
}

#[test]
fn a_stale_token_does_not_cancel_who_came_after() {
    let mut rig = Rig::small();
    let (near, mut far) = UnixStream::pair().unwrap();
    let stale = rig.reactor.poll_writable(1, near.as_fd());
    rig.next_of(stale);
    let receive = rig.reactor.receive(1, near.as_fd());
    assert_eq!(receive.slot(), stale.slot());
    rig.reactor.cancel(stale);
    far.write_all(b"still here").unwrap();
    assert_eq!(rig.receive_exactly(receive, 10), b"still here");
}

#[test]
fn cancelled_connects_and_polls_say_so() {
    let mut rig = Rig::small();
    let (near, _far) = UnixStream::pair().unwrap();
    while rustix::net::send(&near, &[0; 4096], rustix::net::SendFlags::DONTWAIT).is_ok() {}
    let writable = rig.reactor.poll_writable(1, near.as_fd());
    rig.turn(Wait::No);
    rig.reactor.cancel(writable);
    rig.reactor.cancel(writable);
    let outcome = rig.next_of(writable).outcome;
    assert!(matches!(outcome, Outcome::Writable(Err(Errno::CANCELED))), "{outcome:?}");
}

#[test]
fn a_connect_that_waits_for_a_full_backlog_can_be_cancelled() {
    let mut rig = Rig::small();
    let name = format!("\0zring-engine-{}-full", std::process::id());
    let address = SockAddr::unix(name).unwrap();
    let listener = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
    listener.bind(&address).unwrap();
    listener.listen(1).unwrap();
    let sockets: Vec<_> =
        (0..6).map(|_| Socket::new(Domain::UNIX, Type::STREAM, None).unwrap()).collect();
    let connects: Vec<_> =
        sockets.iter().map(|one| rig.reactor.connect(1, one.as_fd(), address.clone())).collect();
    rig.turn(Wait::No);
    let (left, cancelled) = connects.split_at(4);
    for connect in cancelled {
        rig.reactor.cancel(*connect);
        let outcome = rig.next_of(*connect).outcome;
        assert!(matches!(outcome, Outcome::Connected(Err(Errno::CANCELED))), "{outcome:?}");
    }
    assert!(rig.reactor.drain(), "so can those that nobody cancelled: {left:?}");
}

#[test]
fn more_operations_than_the_queues_hold_all_complete() {
    let mut rig = Rig::small();
    let (near, _far) = UnixStream::pair().unwrap();
    let tokens: Vec<_> =
        (0..10_000).map(|owner| rig.reactor.poll_writable(owner, near.as_fd())).collect();
    let deadline = Instant::now() + WATCHDOG;
    while rig.come.len() < tokens.len() {
        assert!(Instant::now() < deadline, "{} of {}", rig.come.len(), tokens.len());
        rig.turn(Wait::No);
    }
    for (come, token) in rig.come.iter().zip(tokens) {
        assert_eq!(come.token, token);
    }
}

#[test]
fn another_thread_ends_a_turn_that_waits_for_ever() {
    for wait in [Wait::Until(None), Wait::Spin(None)] {
        let mut rig = Rig::small();
        let waker = rig.reactor.waker();
        let thread = thread::spawn(move || waker.wake());
        rig.turn(wait);
        assert!(rig.come.is_empty());
        thread.join().unwrap();
    }
}

#[test]
fn a_wake_before_the_turn_ends_it_at_once_and_every_time() {
    let mut rig = Rig::small();
    let waker = rig.reactor.waker();
    for _ in 0..100 {
        waker.wake();
        rig.turn(Wait::Until(None));
    }
    drop(rig);
    waker.wake();
}

#[test]
fn a_deadline_ends_a_turn_and_not_before() {
    let mut rig = Rig::small();
    let short = Duration::from_millis(5);
    type Until = fn(Instant) -> Wait;
    let waits: [Until; 4] = [
        |until| Wait::Until(Some(until)),
        |until| Wait::Spin(Some(until)),
        |until| Wait::SpinThenBlock { spin: Duration::from_millis(1), until: Some(until) },
        |until| Wait::SpinThenBlock { spin: Duration::from_secs(60), until: Some(until) },
    ];
    for wait in waits {
        let until = Instant::now() + short;
        rig.turn(wait(until));
        assert!(Instant::now() >= until);
    }
    rig.turn(Wait::Until(Some(Instant::now())));
    assert!(rig.come.is_empty());
}

#[test]
fn who_waits_elsewhere_is_woken_when_a_turn_would_bring_something() {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut rig = Rig::small();
    let (mut near, far) = UnixStream::pair().unwrap();
    let receive = rig.reactor.receive(1, far.as_fd());
    let is_readable = |rig: &mut Rig, timeout: Option<&Timespec>| {
        let watched = rig.reactor.watch().unwrap();
        poll(&mut [PollFd::new(&watched, PollFlags::IN)], timeout).unwrap() == 1
    };
    let at_once = Some(&Timespec::default());
    assert!(is_readable(&mut rig, at_once), "what came before it was asked for is not missed");
    rig.turn(Wait::No);
    assert!(!is_readable(&mut rig, at_once));
    let writer = thread::spawn(move || {
        near.write_all(b"x").unwrap();
        near
    });
    assert!(is_readable(&mut rig, None));
    assert_eq!(rig.receive_exactly(receive, 1), b"x");
    let _near = writer.join().unwrap();
    rig.turn(Wait::No);
    assert!(!is_readable(&mut rig, at_once));
}

#[test]
fn dropping_a_reactor_ends_what_is_in_flight() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (mut near, far) = tcp_pair();
    near.write_all(&pattern(20_000)).unwrap();
    let (full, _peer) = UnixStream::pair().unwrap();
    while rustix::net::send(&full, &[0; 4096], rustix::net::SendFlags::DONTWAIT).is_ok() {}

    let mut rig = Rig::small();
    rig.reactor.accept(1, listener.as_fd());
    rig.reactor.receive(2, far.as_fd());
    rig.reactor.poll_writable(3, full.as_fd());
    rig.turn(Wait::No);
    // Neither submitted nor, in the case of the receive, armed again.
    rig.reactor.receive(4, full.as_fd());
    assert!(rig.reactor.drain(), "everything ends when cancelled");
    let kept: Vec<_> = rig.come.drain(..).collect();
    drop(rig);

    // An operation that was still armed would keep the port and the connection.
    drop(listener);
    drop(TcpListener::bind(address).unwrap());
    let received = kept.iter().map(|come| match &come.outcome {
        Outcome::Received(slice) => slice.len(),
        _ => 0,
    });
    assert_eq!(received.sum::<usize>(), 4096);
    drop(far);
    let ended = near.read(&mut [0; 1]);
    assert!(matches!(ended, Ok(0) | Err(_)), "the connection is closed: {ended:?}");
}

#[test]
fn a_thread_can_have_more_reactors_than_places_for_registered_rings() {
    let mut rigs: Vec<_> = (0..20).map(|_| Rig::small()).collect();
    let registered = rigs.iter().filter(|rig| rig.reactor.features().registered_ring).count();
    assert_eq!(registered, 16);
    for rig in &mut rigs {
        rig.reactor.waker().wake();
        rig.turn(Wait::Until(None));
    }
    drop(rigs);
    assert!(Rig::small().reactor.features().registered_ring, "places are given back");
}
