//! One asks, the other answers: each on a thread of its own, but where both have to share one.

use std::sync::Barrier;

use tests::{Cell, Ground, Transport};
use zring::{Driver, Message, Rep, Req};

use crate::{COUNT, SIZES, WARM_UP_SIZE, refuse_allocations};

/// Round trips of each size: they are slow.
const ROUND_TRIPS: u64 = COUNT / 5;

pub(crate) fn measure<G: Ground>(cell: &Cell<G>) {
    let mut rep = Rep::new(&cell.context).unwrap();
    let endpoint = rep.bind(&cell.endpoint()).unwrap();
    let (mut asked, mut answered) = (Message::new(), Message::new());
    let body = [1; WARM_UP_SIZE];
    if G::IS_LOCAL && cell.transport == Transport::Inproc {
        let mut req = Req::new(&cell.context).unwrap();
        req.connect(&endpoint).unwrap();
        let ask_all = |size: usize| {
            for count in 0..ROUND_TRIPS {
                req.send(&body[..size]).unwrap();
                answer(&mut rep, &mut asked);
                receive(&mut req, &mut answered, count, size);
            }
        };
        return measure_each(cell, ask_all, || ());
    }
    let gate = Barrier::new(2);
    cell.beside(
        |context| {
            let mut req = Req::new(context).unwrap();
            req.connect(&endpoint).unwrap();
            for size in [WARM_UP_SIZE].into_iter().chain(SIZES) {
                gate.wait();
                for count in 0..ROUND_TRIPS {
                    req.send(&body[..size]).unwrap();
                    receive(&mut req, &mut answered, count, size);
                }
                gate.wait();
                gate.wait();
            }
        },
        |_| {
            let answer_all = |_| {
                gate.wait();
                (0..ROUND_TRIPS).for_each(|_| answer(&mut rep, &mut asked));
                rep.flush().unwrap();
                gate.wait();
            };
            measure_each(cell, answer_all, || {
                gate.wait();
            });
        },
    );
}

/// Warms up, and refuses allocations with each size. `go_on` is called once the allocator may be.
fn measure_each<G: Ground>(
    cell: &Cell<G>,
    mut ask_all: impl FnMut(usize),
    mut go_on: impl FnMut(),
) {
    ask_all(WARM_UP_SIZE);
    go_on();
    for size in SIZES {
        refuse_allocations(cell, size, || ask_all(size));
        go_on();
    }
}

fn answer<D: Driver>(rep: &mut Rep<D>, frame: &mut Message) {
    rep.recv_into(frame).unwrap();
    rep.send(&*frame).unwrap();
}

/// Receives one way and the other in turn.
fn receive<D: Driver>(req: &mut Req<D>, frame: &mut Message, count: u64, size: usize) {
    if count.is_multiple_of(2) {
        req.recv_into(frame).unwrap();
    } else {
        *frame = req.recv().unwrap();
    }
    assert_eq!(frame.len(), size);
}
