//! Subscriptions: late, undone, repeated, of any length, in either direction.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tests::bytes::{number, number_in};
use tests::{Cell, Ground, cells};

use crate::duo::{Duo, PUB_SUB, PUB_XSUB, Role, Talk, XPUB_SUB, XPUB_XSUB, play, wait_for};
use crate::party::{Ours, Party, Theirs};

/// Stands before what is published until a step's changes are in effect.
const MARK: u8 = 0xff;
/// Stands before what ends a step.
const END: u8 = 0xfe;
/// What nobody gets who does not subscribe to everything. Goes before each mark.
const CANARY: u8 = 0xfd;

/// A change of subscriptions, and what comes of all that is published then.
struct Step {
    /// `+` or `-`, and a prefix.
    changes: Vec<(bool, Vec<u8>)>,
    expected: Vec<u64>,
}

fn topics() -> Vec<Vec<u8>> {
    let long = vec![b'x'; 300];
    let longer = vec![b'x'; 301];
    vec![vec![], b"a".to_vec(), b"ab".to_vec(), b"b".to_vec(), long, longer, vec![b'x'; 299]]
}

fn steps() -> Vec<Step> {
    let step = |changes: &[(bool, &[u8])], expected: &[u64]| Step {
        changes: changes.iter().map(|(sign, prefix)| (*sign, prefix.to_vec())).collect(),
        expected: expected.to_vec(),
    };
    let long = [b'x'; 300];
    vec![
        step(&[], &[]),
        step(&[(true, b"a")], &[1, 2]),
        step(&[(true, &long)], &[1, 2, 4, 5]),
        step(&[(true, b"a"), (true, b"a")], &[1, 2, 4, 5]),
        step(&[(false, b"a")], &[1, 2, 4, 5]),
        step(&[(false, b"a")], &[1, 2, 4, 5]),
        step(&[(false, b"a")], &[4, 5]),
        step(&[(false, b"never")], &[4, 5]),
        step(&[(true, b"ab"), (false, &long)], &[2]),
        step(&[(true, b"b"), (false, b"ab")], &[3]),
        step(&[(false, b"b")], &[]),
        step(&[(true, b"")], &[0, 1, 2, 3, 4, 5, 6]),
        step(&[(true, b"a"), (false, b"never")], &[0, 1, 2, 3, 4, 5, 6]),
        // Last, for a SUB hides from itself what it no longer wants: it cannot tell whether the
        // publisher knows, nor then whether a further step's subscriptions are in effect.
        step(&[(false, b"")], &[1, 2]),
    ]
}

fn of_step(byte: u8, step: usize) -> Vec<u8> {
    vec![byte, u8::try_from(step).unwrap()]
}

fn publish(settled: &AtomicUsize, party: &mut dyn Party) {
    for index in 0..steps().len() {
        for turn in 0_u64.. {
            if settled.load(Ordering::Acquire) > index {
                break;
            }
            party.send(&[vec![CANARY], number(turn).to_vec()]);
            party.send(&[of_step(MARK, index), number(turn).to_vec()]);
            party.pause();
        }
        for (value, topic) in (0..).zip(topics()) {
            party.send(&[topic, number(value).to_vec()]);
        }
        party.send(&[of_step(END, index), vec![]]);
    }
}

fn follow(settled: &AtomicUsize, party: &mut dyn Party) {
    for (index, step) in steps().into_iter().enumerate() {
        // In effect before the changes, so that they cannot hide it, and after them.
        party.subscribe(true, &of_step(END, index));
        for (is_wanted, prefix) in step.changes {
            party.subscribe(is_wanted, &prefix);
        }
        party.subscribe(true, &of_step(MARK, index));
        let wants_all = step.expected.contains(&0);
        let (mut found, mut canary) = (Vec::new(), None);
        loop {
            let frames = party.recv();
            let [topic, rest] = &frames[..] else { panic!("step {index}: {frames:?}") };
            if *topic == of_step(END, index) {
                break;
            } else if *topic == [CANARY] {
                canary = Some(number_in(rest));
            } else if *topic == of_step(MARK, index) {
                // A mark may come because everything still is subscribed to; its canary tells.
                if (canary == Some(number_in(rest))) == wants_all {
                    settled.store(index + 1, Ordering::Release);
                }
            } else {
                found.push(number_in(rest));
            }
        }
        assert_eq!(found, step.expected, "step {index}");
    }
}

fn changes_take_effect_in_order<G: Ground>(cell: &Cell<G>) {
    for duo in [PUB_SUB, PUB_XSUB, XPUB_SUB, XPUB_XSUB] {
        for role in Role::BOTH {
            for we_bind in [true, false] {
                let (mut ours, mut theirs) = strangers(cell, duo, role, we_bind);
                let settled = AtomicUsize::new(0);
                play(role, &mut ours, &mut theirs, |talk: &Talk, role, party| {
                    if role == Role::From {
                        publish(&settled, party);
                        talk.await_end(party);
                    } else {
                        follow(&settled, party);
                        talk.end();
                    }
                });
                cell.watchdog.pat();
            }
        }
    }
}

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

cells!(
    [Threads, Caller] x [Tcp, Ipc]:
    changes_take_effect_in_order,
    an_xpub_hears_of_each_prefix_once,
);
