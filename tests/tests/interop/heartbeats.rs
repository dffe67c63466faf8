//! Heartbeats: libzmq asks whether we are there while nobody says anything, and is answered.

use std::sync::atomic::Ordering;

use tests::{Cell, Ground, cells};

use crate::duo::{DEALER_ROUTER, Duo, PAIR_PAIR, PUB_SUB, PUSH_PULL, REQ_REP, Role, play};
use crate::party::{Ours, Party, Theirs};
use crate::relay::relay;

/// How often libzmq asks, in milliseconds.
const INTERVAL_MS: i32 = 20;
/// When it gives us up: late, since a loaded machine is no reason to.
const TIMEOUT_MS: i32 = 30_000;
/// How many answers are waited for.
const ANSWERS: usize = 10;

fn connections_outlive_silence<G: Ground>(cell: &Cell<G>, duo: Duo, role: Role, we_bind: bool) {
    let mut ours = Ours::<G>::new(&cell.context, duo.setup(role));
    let mut theirs = Theirs::new(duo.setup(role.other()));
    theirs.socket.set_heartbeat_ivl(INTERVAL_MS).unwrap();
    theirs.socket.set_heartbeat_timeout(TIMEOUT_MS).unwrap();
    duo.subscribe(role, &mut ours);
    duo.subscribe(role.other(), &mut theirs);
    let seen = if we_bind {
        let (endpoint, seen) = relay(&ours.bind(&cell.endpoint()).unwrap());
        theirs.connect(&endpoint);
        seen
    } else {
        let (endpoint, seen) = relay(&theirs.bind(&cell.endpoint()).unwrap());
        ours.connect(&endpoint);
        seen
    };
    let message = [vec![vec![1; 300], vec![2]]];
    for _ in 0..2 {
        play(role, &mut ours, &mut theirs, |talk, role, party| {
            talk.converse(duo, role, party, &message);
        });
        let enough = seen.pongs.load(Ordering::Acquire) + ANSWERS;
        cell.until(|| seen.pongs.load(Ordering::Acquire) >= enough);
    }
    assert_eq!(seen.connections.load(Ordering::Acquire), 1, "the connection is the first");
}

fn pings_are_answered<G: Ground>(cell: &Cell<G>) {
    for duo in [PUSH_PULL, PUB_SUB, REQ_REP, DEALER_ROUTER, PAIR_PAIR] {
        for role in Role::BOTH {
            for we_bind in [true, false] {
                connections_outlive_silence(cell, duo, role, we_bind);
                cell.watchdog.pat();
            }
        }
    }
}

cells!([Threads, Caller] x [Tcp]: pings_are_answered);
