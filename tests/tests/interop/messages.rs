//! Whatever its size and its number of frames, a message arrives as it was sent, and in order.

use tests::bytes::{body, number};
use tests::{Cell, Ground};

use crate::duo::{self, Duo, Role, introduce, play};

/// Messages of the long runs.
const MANY: usize = 20_000;

/// Every size alone, and some together.
fn messages() -> Vec<Vec<Vec<u8>>> {
    let sized = |sizes: &[usize]| -> Vec<Vec<u8>> {
        sizes.iter().enumerate().map(|(index, &size)| body(index + size, size)).collect()
    };
    let alone = [0, 1, 30, 255, 256, 8192, 65_536, 70 * 1024, 1024 * 1024];
    let mut messages: Vec<_> = alone.iter().map(|&size| sized(&[size])).collect();
    messages.extend([
        sized(&[5, 0, 1024 * 1024, 256, 255]),
        sized(&[0, 0, 0, 0, 0]),
        sized(&[70 * 1024, 1, 70 * 1024]),
        sized(&[3]),
    ]);
    messages
}

/// The message with this number, of one to three frames.
fn numbered(value: usize) -> Vec<Vec<u8>> {
    let size = if value.is_multiple_of(1000) { 70 * 1024 } else { value % 300 };
    let mut frames = vec![number(value as u64).to_vec()];
    frames.resize(1 + value % 3, vec![value as u8; size]);
    frames
}

fn messages_arrive_as_sent<G: Ground>(cell: &Cell<G>, duo: Duo, role: Role) {
    for we_bind in [true, false] {
        let (mut ours, mut theirs) = introduce(cell, duo, role, we_bind);
        play(role, &mut ours, &mut theirs, |talk, role, party| {
            talk.converse(duo, role, party, &messages());
        });
        cell.watchdog.pat();
    }
}

fn order_is_kept<G: Ground>(cell: &Cell<G>, duo: Duo, role: Role) {
    for we_bind in [true, false] {
        let (mut ours, mut theirs) = introduce(cell, duo, role, we_bind);
        play(role, &mut ours, &mut theirs, |talk, role, party| {
            talk.meet(duo, role, party);
            talk.tell(duo, role, party, (0..MANY).map(numbered));
        });
        cell.watchdog.pat();
    }
}

macro_rules! for_each_duo {
    ($claim:ident: $($duo:ident as $name:ident),+ $(,)?) => {
        mod $claim {
            use super::{$claim, duo, Role};
            $(
                mod $name {
                    use super::{$claim, duo::$duo, Role};
                    use tests::{Cell, Ground, cells};

                    fn ours_begins<G: Ground>(cell: &Cell<G>) {
                        $claim(cell, $duo, Role::From);
                    }

                    fn theirs_begins<G: Ground>(cell: &Cell<G>) {
                        $claim(cell, $duo, Role::To);
                    }

                    cells!([Threads, Caller] x [Tcp, Ipc]: ours_begins, theirs_begins);
                }
            )+
        }
    };
}

for_each_duo! {
    messages_arrive_as_sent:
    PUSH_PULL as push_pull,
    PUB_SUB as pub_sub,
    PUB_XSUB as pub_xsub,
    XPUB_SUB as xpub_sub,
    XPUB_XSUB as xpub_xsub,
    REQ_REP as req_rep,
    DEALER_REP as dealer_rep,
    REQ_ROUTER as req_router,
    DEALER_ROUTER as dealer_router,
    ROUTER_DEALER as router_dealer,
    ROUTER_ROUTER as router_router,
    DEALER_DEALER as dealer_dealer,
    PAIR_PAIR as pair_pair,
}

for_each_duo! {
    order_is_kept:
    PUSH_PULL as push_pull,
    PUB_SUB as pub_sub,
    XPUB_XSUB as xpub_xsub,
    DEALER_ROUTER as dealer_router,
    ROUTER_DEALER as router_dealer,
    PAIR_PAIR as pair_pair,
}
