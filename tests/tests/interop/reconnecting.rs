//! Reconnecting: the side that bound goes, comes back to the same endpoint, and is found.

use tests::{Cell, Ground, cells};

use crate::duo::{
    DEALER_ROUTER, Duo, PAIR_PAIR, PUB_SUB, PUSH_PULL, ROUTER_DEALER, Role, XPUB_XSUB, play,
};
use crate::party::{Ours, Party, Theirs};

const DUOS: [Duo; 6] = [PUSH_PULL, PUB_SUB, XPUB_XSUB, DEALER_ROUTER, ROUTER_DEALER, PAIR_PAIR];

/// How often it goes.
const LOSSES: usize = 3;

fn talk<G: Ground>(role: Role, duo: Duo, ours: &mut Ours<'_, G>, theirs: &mut Theirs) {
    play(role, ours, theirs, |talk, role, party| {
        talk.converse(duo, role, party, &[vec![b"a".to_vec()], vec![vec![1; 70_000], vec![]]]);
    });
}

fn libzmq_comes_back<G: Ground>(cell: &Cell<G>) {
    for (duo, role) in DUOS.into_iter().flat_map(|duo| Role::BOTH.map(|role| (duo, role))) {
        let duo = duo.after_a_loss();
        let mut ours = Ours::new(&cell.context, duo.setup(role));
        duo.subscribe(role, &mut ours);
        let mut endpoint = cell.endpoint();
        for turn in 0..=LOSSES {
            let mut theirs = Theirs::new(duo.setup(role.other()));
            duo.subscribe(role.other(), &mut theirs);
            endpoint = theirs.bind(&endpoint).unwrap();
            if turn == 0 {
                ours.connect(&endpoint);
            }
            talk::<G>(role, duo, &mut ours, &mut theirs);
        }
        cell.watchdog.pat();
    }
}

fn we_come_back<G: Ground>(cell: &Cell<G>) {
    for (duo, role) in DUOS.into_iter().flat_map(|duo| Role::BOTH.map(|role| (duo, role))) {
        let duo = duo.after_a_loss();
        let mut theirs = Theirs::new(duo.setup(role.other()));
        duo.subscribe(role.other(), &mut theirs);
        let mut endpoint = cell.endpoint();
        for turn in 0..=LOSSES {
            let mut ours = Ours::new(&cell.context, duo.setup(role));
            duo.subscribe(role, &mut ours);
            // Who was dropped may take a moment to let go of it.
            let mut bound = None;
            cell.until(|| {
                bound = ours.bind(&endpoint);
                bound.is_some()
            });
            endpoint = bound.unwrap();
            if turn == 0 {
                theirs.connect(&endpoint);
            }
            talk::<G>(role, duo, &mut ours, &mut theirs);
        }
        cell.watchdog.pat();
    }
}

cells!([Threads, Caller] x [Tcp, Ipc]: libzmq_comes_back, we_come_back);
