//! Routing ids: what one says, the other calls it by.

use tests::{Cell, Ground, cells};
use zmq::SocketType::{self, DEALER, REQ, ROUTER};

use crate::duo::{Role, play};
use crate::party::{Ours, Party, Setup, Theirs};

fn setup(kind: SocketType, routing_id: &[u8]) -> Setup<'_> {
    Setup { kind, routing_id, mark: 1000 }
}

/// Lets a ROUTER answer a peer that is called `id`, or nothing if that is empty.
fn exchange<G: Ground>(cell: &Cell<G>, kind: SocketType, id: &[u8], ours_is_router: bool) {
    let (our, their) = if ours_is_router {
        (setup(ROUTER, b""), setup(kind, id))
    } else {
        (setup(kind, id), setup(ROUTER, b""))
    };
    let mut ours = Ours::<G>::new(&cell.context, our);
    let mut theirs = Theirs::new(their);
    theirs.connect(&ours.bind(&cell.endpoint()).unwrap());
    let role = if ours_is_router { Role::To } else { Role::From };
    play(role, &mut ours, &mut theirs, |talk, role, party| match role {
        Role::From => {
            party.send(&[b"who am I".to_vec()]);
            let answer = party.recv();
            if id.is_empty() {
                // Of five bytes, the first 0, for a peer that says none.
                assert_eq!((answer[0].len(), answer[0][0]), (5, 0), "{answer:?}");
            } else {
                assert_eq!(answer, [id]);
            }
            talk.end();
        }
        Role::To => {
            let mut frames = party.recv();
            assert_eq!(frames.pop().unwrap(), b"who am I");
            frames.push(frames[0].clone());
            party.send(&frames);
            talk.await_end(party);
        }
    });
}

fn a_router_calls_a_peer_what_it_calls_itself<G: Ground>(cell: &Cell<G>) {
    for kind in [DEALER, REQ] {
        for id in [&b""[..], b"a", b"\x01 \0\xff", &[7; 255]] {
            for ours_is_router in [true, false] {
                exchange(cell, kind, id, ours_is_router);
                cell.watchdog.pat();
            }
        }
    }
}

cells!([Threads, Caller] x [Tcp, Ipc]: a_router_calls_a_peer_what_it_calls_itself);
