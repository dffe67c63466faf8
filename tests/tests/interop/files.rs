//! Over ipc with a file in the file system, at a path that the binding side chose.

use tests::{Cell, Ground, cells};

use crate::duo::{PAIR_PAIR, Role, play};
use crate::party::{Ours, Party, Theirs};

fn a_path_of_either_side_can_be_connected_to<G: Ground>(cell: &Cell<G>) {
    for we_bind in [true, false] {
        let mut ours = Ours::<G>::new(&cell.context, PAIR_PAIR.setup(Role::From));
        let mut theirs = Theirs::new(PAIR_PAIR.setup(Role::To));
        if we_bind {
            theirs.connect(&ours.bind("ipc://*").unwrap());
        } else {
            ours.connect(&theirs.bind("ipc://*").unwrap());
        }
        play(Role::From, &mut ours, &mut theirs, |talk, role, party| {
            talk.converse(PAIR_PAIR, role, party, &[vec![b"hello".to_vec()]]);
        });
    }
}

cells!([Threads, Caller] x [Ipc]: a_path_of_either_side_can_be_connected_to);
