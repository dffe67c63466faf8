//! Subscriptions: an XPUB hears of each prefix once, of whatever length, in either direction.

use std::sync::atomic::{AtomicBool, Ordering};

use tests::{Cell, Ground, cells};

use crate::duo::{Duo, Role, XPUB_SUB, XPUB_XSUB, play, wait_for};
use crate::party::{Ours, Party, Theirs};

/// As [`introduce`](crate::duo::introduce), without a subscription.
fn strangers<G: Ground>(
    cell: &Cell<G>,
    duo: Duo,
    role: Role,
    we_bind: bool,
) -> (Ours<'_, G>, Theirs) {
    let mut ours = Ours::new(&cell.context, duo.setup(role));
    let mut theirs = Theirs::new(duo.setup(role.other()));
    if we_bind {
        theirs.connect(&ours.bind(&cell.endpoint()).unwrap());
    } else {
        ours.connect(&theirs.bind(&cell.endpoint()).unwrap());
    }
    (ours, theirs)
}

/// Whether to subscribe or to undo it, and the prefix.
type Change = (bool, &'static [u8]);

/// What is subscribed to and undone, and whether an XPUB hears of it: of the first of equal ones,
/// and of the undoing of the last.
const CHANGES: [(Change, bool); 9] = [
    ((true, b"a"), true),
    ((true, b"a"), false),
    ((true, b""), true),
    ((true, &[b'x'; 300]), true),
    ((false, b"a"), false),
    ((false, b"a"), true),
    ((false, &[b'x'; 300]), true),
    ((false, b""), true),
    ((true, b"last"), true),
];

fn an_xpub_hears_of_each_prefix_once<G: Ground>(cell: &Cell<G>) {
    for (duo, role) in
        [XPUB_SUB, XPUB_XSUB].into_iter().flat_map(|duo| Role::BOTH.map(|role| (duo, role)))
    {
        // A subscriber that is bound learns of newcomers in its calls, and makes none here.
        let (mut ours, mut theirs) = strangers(cell, duo, role, role == Role::From);
        let is_heard = AtomicBool::new(false);
        play(role, &mut ours, &mut theirs, |talk, role, party| {
            if role == Role::To {
                party.subscribe(true, b"first");
                wait_for(&is_heard, party);
                for ((is_wanted, prefix), _) in CHANGES {
                    party.subscribe(is_wanted, prefix);
                }
                return talk.await_end(party);
            }
            assert_eq!(party.recv(), [b"\x01first"]);
            is_heard.store(true, Ordering::Release);
            for ((is_wanted, prefix), _) in CHANGES.into_iter().filter(|(_, is_told)| *is_told) {
                assert_eq!(party.recv(), [[&[u8::from(is_wanted)], prefix].concat()]);
            }
            talk.end();
        });
        cell.watchdog.pat();
    }
}

cells!([Threads, Caller] x [Tcp, Ipc]: an_xpub_hears_of_each_prefix_once);
