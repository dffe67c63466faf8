//! Claims about a peer that has more commands than others are to wait for.

use std::net::TcpStream;

use zring_zmtp::SocketType;

use super::{Fixture, Read as _, Write as _, handshake};
use crate::message::Message;
use crate::notice::Event;
use crate::peer::SHARE;
use crate::pipe::{Control, Item, PipeEnd};

/// A subscription and its end, as messages (RFC 29).
const CHANGE_OF_MIND: &[u8] = b"\0\x02\x01t\0\x02\0t";
const CHANGES: usize = 50_000;
/// The subscriptions that are looked at in one go.
const PART: usize = 8 * 1024 / 4;

fn reports(pipe: &mut PipeEnd) -> Vec<Control> {
    let mut frame = Message::new();
    let read = std::iter::from_fn(|| pipe.inbound.read(&mut frame));
    let control = |item| match item {
        Item::Control(control) => control,
        Item::Frame => unreachable!("nobody sends a message"),
    };
    read.map(control).collect()
}

#[test]
fn a_turn_takes_a_share_of_many_commands_and_loses_none_though_their_peer_is_gone() {
    let mut options = super::options(SocketType::XPub);
    options.reports_subscriptions = true;
    let mut fixture = Fixture::opened(options);
    let mut peer = TcpStream::connect(fixture.bind()).unwrap();
    peer.write_all(&handshake("SUB")).unwrap();
    let mut arrived = Vec::new();
    fixture.until(|fixture| {
        arrived.extend(fixture.take().1);
        !arrived.is_empty()
    });
    let mut pipe = arrived.remove(0).attachment.pipe;
    let said = CHANGE_OF_MIND.repeat(CHANGES);
    let teller = std::thread::spawn(move || {
        peer.write_all(&said).unwrap();
        peer.shutdown(std::net::Shutdown::Write).unwrap();
        // Until the other side has closed: what is unread would have the kernel reset it.
        let _closed = peer.read_to_end(&mut Vec::new());
    });
    let (mut told, mut most, mut is_gone) = (0, 0, false);
    fixture.until(|fixture| {
        let reports = reports(&mut pipe);
        most = most.max(reports.len());
        for report in reports {
            let is_first = matches!(report, Control::Subscribe(_));
            assert_eq!(is_first, told % 2 == 0, "report {told}");
            told += 1;
        }
        let (events, _) = fixture.take();
        is_gone |= events.iter().any(|event| matches!(event, Event::Detached(_)));
        is_gone
    });
    assert_eq!(told, 2 * CHANGES);
    assert!(most <= SHARE + PART, "{most} in one turn");
    teller.join().unwrap();
}
