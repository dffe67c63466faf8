//! Duos: which patterns talk to each other, and how they come to.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use tests::bytes::assert_same;
use tests::{Cell, Ground, Transport, or_give_up};
use zmq::SocketType::{self, *};

use crate::party::{Ours, Party, Setup, Theirs};

/// Sent until it is heard. No other message ends with it.
const MEETING: &[u8] = b"\0meeting";
/// Ends a meeting.
const ENOUGH: &[u8] = b"\0enough";

/// A party's part.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Role {
    /// Begins, and calls itself `from` where that is told.
    From,
    /// Listens, and may answer; calls itself `to`.
    To,
}

impl Role {
    pub(crate) const BOTH: [Self; 2] = [Self::From, Self::To];

    pub(crate) fn other(self) -> Self {
        if self == Self::From { Self::To } else { Self::From }
    }
}

/// Two patterns that talk to each other.
#[derive(Clone, Copy)]
pub(crate) struct Duo {
    pub(crate) from: SocketType,
    pub(crate) to: SocketType,
    /// Frames that lead a message as it is sent.
    lead: &'static [&'static str],
    /// Frames that lead it as it is received.
    led: &'static [&'static str],
    meets: Meets,
}

/// Who has to be heard before `from` may send what is not to be lost.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Meets {
    Nobody,
    From,
    To,
}

const fn duo(from: SocketType, to: SocketType) -> Duo {
    Duo { from, to, lead: &[], led: &[], meets: Meets::Nobody }
}

pub(crate) const PUSH_PULL: Duo = duo(PUSH, PULL);
pub(crate) const PUB_SUB: Duo = Duo { meets: Meets::From, ..duo(PUB, SUB) };
pub(crate) const PUB_XSUB: Duo = Duo { to: XSUB, ..PUB_SUB };
pub(crate) const XPUB_SUB: Duo = Duo { from: XPUB, ..PUB_SUB };
pub(crate) const XPUB_XSUB: Duo = Duo { to: XSUB, ..XPUB_SUB };
pub(crate) const REQ_REP: Duo = duo(REQ, REP);
pub(crate) const DEALER_REP: Duo = Duo { lead: &["envelope", ""], ..duo(DEALER, REP) };
pub(crate) const REQ_ROUTER: Duo = Duo { led: &["from", ""], ..duo(REQ, ROUTER) };
pub(crate) const DEALER_ROUTER: Duo = Duo { led: &["from"], ..duo(DEALER, ROUTER) };
pub(crate) const ROUTER_DEALER: Duo =
    Duo { lead: &["to"], meets: Meets::To, ..duo(ROUTER, DEALER) };
pub(crate) const ROUTER_ROUTER: Duo = Duo { to: ROUTER, led: &["from"], ..ROUTER_DEALER };
pub(crate) const DEALER_DEALER: Duo = duo(DEALER, DEALER);
pub(crate) const PAIR_PAIR: Duo = duo(PAIR, PAIR);

fn join(lead: &[&str], message: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let lead = lead.iter().map(|frame| frame.as_bytes().to_vec());
    lead.chain(message.iter().cloned()).collect()
}

fn check(found: &[Vec<u8>], expected: &[Vec<u8>]) {
    assert_eq!(found.len(), expected.len(), "frames");
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert_same(found, expected, &format!("frame {index} of {}", found.len()));
    }
}

impl Duo {
    /// As this one, with a meeting even if nothing has to be heard first: after a loss, what is
    /// sent at once may be lost as well.
    pub(crate) fn after_a_loss(self) -> Self {
        let meets = if self.meets == Meets::Nobody { Meets::From } else { self.meets };
        Self { meets, ..self }
    }

    /// Of the party with this role. Who would drop at its mark has none.
    pub(crate) fn setup(self, role: Role) -> Setup<'static> {
        let (kind, routing_id) = match role {
            Role::From => (self.from, &b"from"[..]),
            Role::To => (self.to, &b"to"[..]),
        };
        let mark = if [PUB, XPUB, ROUTER].contains(&self.from) { 0 } else { 1000 };
        Setup { kind, routing_id, mark }
    }

    /// Subscribes to everything, who has to.
    pub(crate) fn subscribe(self, role: Role, party: &mut dyn Party) {
        if role == Role::To && [SUB, XSUB].contains(&self.to) {
            party.subscribe(true, b"");
        }
    }

    fn is_one_way(self) -> bool {
        [PUSH, PUB, XPUB].contains(&self.from)
    }
}

/// One conversation, seen by both.
#[derive(Default)]
pub(crate) struct Talk {
    is_heard: AtomicBool,
    is_over: AtomicBool,
}

/// Works until the flag is up.
pub(crate) fn wait_for(flag: &AtomicBool, party: &dyn Party) {
    while !flag.load(Ordering::Acquire) {
        party.pause();
    }
}

impl Talk {
    /// Returns when one has heard the other, as far as the duo needs it.
    pub(crate) fn meet(&self, duo: Duo, role: Role, party: &mut dyn Party) {
        match (duo.meets, role) {
            (Meets::Nobody, _) => {}
            (Meets::From, Role::From) => self.call(duo.lead, party),
            (Meets::To, Role::To) => self.call(duo.led, party),
            _ => self.hear(party),
        }
    }

    fn call(&self, lead: &[&str], party: &mut dyn Party) {
        while !self.is_heard.load(Ordering::Acquire) {
            party.send(&join(lead, &[MEETING.to_vec()]));
            party.pause();
        }
        party.send(&join(lead, &[ENOUGH.to_vec()]));
    }

    fn hear(&self, party: &mut dyn Party) {
        while let frames = party.recv()
            && frames.last().is_none_or(|last| last != ENOUGH)
        {
            self.is_heard.store(true, Ordering::Release);
        }
    }

    /// Both have what they waited for.
    pub(crate) fn end(&self) {
        self.is_over.store(true, Ordering::Release);
    }

    /// Works until both have.
    pub(crate) fn await_end(&self, party: &dyn Party) {
        wait_for(&self.is_over, party);
    }

    /// Says every message in turn, and hears it back where there is a way. What comes back is what
    /// was sent, in each pattern.
    pub(crate) fn converse(
        &self,
        duo: Duo,
        role: Role,
        party: &mut dyn Party,
        messages: &[Vec<Vec<u8>>],
    ) {
        self.meet(duo, role, party);
        if duo.is_one_way() {
            return self.tell(duo, role, party, messages.iter().cloned());
        }
        for message in messages {
            match role {
                Role::From => {
                    let sent = join(duo.lead, message);
                    party.send(&sent);
                    check(&party.recv(), &sent);
                }
                Role::To => {
                    let received = party.recv();
                    check(&received, &join(duo.led, message));
                    party.send(&received);
                }
            }
        }
        match role {
            Role::From => self.end(),
            Role::To => self.await_end(party),
        }
    }

    /// Says all messages at once. Who has met before this need not again.
    pub(crate) fn tell(
        &self,
        duo: Duo,
        role: Role,
        party: &mut dyn Party,
        messages: impl Iterator<Item = Vec<Vec<u8>>>,
    ) {
        match role {
            Role::From => {
                messages.for_each(|message| party.send(&join(duo.lead, &message)));
                self.await_end(party);
            }
            Role::To => {
                messages.for_each(|message| check(&party.recv(), &join(duo.led, &message)));
                self.end();
            }
        }
    }
}

/// Makes both parties, ours with the role `role`, and lets them find each other.
pub(crate) fn introduce<G: Ground>(
    cell: &Cell<G>,
    duo: Duo,
    role: Role,
    we_bind: bool,
) -> (Ours<'_, G>, Theirs) {
    let mut ours = Ours::new(&cell.context, duo.setup(role));
    let mut theirs = Theirs::new(duo.setup(role.other()));
    theirs.socket.set_ipv6(cell.transport == Transport::Tcp6).unwrap();
    duo.subscribe(role, &mut ours);
    duo.subscribe(role.other(), &mut theirs);
    let (binding, connecting): (&mut dyn Party, &mut dyn Party) =
        if we_bind { (&mut ours, &mut theirs) } else { (&mut theirs, &mut ours) };
    let endpoint = binding.bind(&cell.endpoint()).expect("an endpoint of this test alone");
    connecting.connect(&endpoint);
    (ours, theirs)
}

/// Runs a script in both roles at once: ours here, libzmq's on a thread of its own.
pub(crate) fn play<G: Ground>(
    role: Role,
    ours: &mut Ours<'_, G>,
    theirs: &mut Theirs,
    script: impl Fn(&Talk, Role, &mut dyn Party) + Sync,
) {
    let talk = Talk::default();
    thread::scope(|scope| {
        let (talk, script) = (&talk, &script);
        scope.spawn(move || or_give_up(|| script(talk, role.other(), theirs)));
        or_give_up(|| script(talk, role, ours));
    });
}
