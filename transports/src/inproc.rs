//! inproc: names within one context, and the two ends that meet under one.
//!
//! Whoever connects first waits under the name; whoever binds it picks up all who wait, so the
//! order does not matter. The pipe itself is two logs between two sockets (see
//! [`Joint::to_socket`]): no ring and no descriptor has part in it.
//!
//! Deliberately absent: reconnecting. A binder that goes takes its pipes along, as libzmq's does.

use std::collections::HashMap;
use std::time::Instant;

use bytes::Bytes;
use zring_engine::sync::{Mutex, lock};
use zring_zmtp::SocketType;

use crate::Error;
use crate::notice::{Attachment, Event};
use crate::pipe::{Joint, PipeEnd, PipeId, Seat};

/// One socket, as its peers need to know it.
#[derive(Clone)]
pub struct Party {
    /// What its pipes are made with.
    pub joint: Joint,
    /// Which peers it accepts.
    pub socket_type: SocketType,
    /// Empty for none.
    pub routing_id: Bytes,
}

/// The names of one context.
#[derive(Default)]
pub struct Names(Mutex<HashMap<String, Name>>);

#[derive(Default)]
struct Name {
    bound: Option<Party>,
    /// Ends for the binder to come, and what it needs to accept them.
    waiting: Vec<Waiting>,
}

/// The end of a pipe that nobody has taken yet.
struct Waiting {
    /// What the connecting socket is.
    party: Party,
    /// What that socket calls its end.
    pipe: PipeId,
    end: PipeEnd,
    seat: Seat,
    /// That socket has given it up; what it sent is for who binds until then.
    withdrawn: Option<Option<Instant>>,
}

impl Waiting {
    fn is_over(&self, now: Instant) -> bool {
        self.withdrawn.flatten().is_some_and(|deadline| deadline <= now)
    }
}

impl Names {
    /// Gives `name` to a socket, and attaches all who wait under it.
    ///
    /// # Errors
    /// [`Error::AddressInUse`] if another has it.
    pub fn bind(&self, name: &str, endpoint: &str, party: &Party) -> Result<(), Error> {
        // Dropped behind the lock: what a message holds may do anything then.
        let mut over = Vec::new();
        let mut names = lock(&self.0);
        let entry = names.entry(name.to_owned()).or_default();
        if entry.bound.is_some() {
            return Err(Error::AddressInUse { endpoint: endpoint.to_owned() });
        }
        entry.bound = Some(party.clone());
        let now = Instant::now();
        over.extend(entry.waiting.extract_if(.., |waiting| waiting.is_over(now)));
        let is_unfit =
            |waiting: &mut Waiting| !party.socket_type.accepts(waiting.party.socket_type);
        let unfit = entry.waiting.extract_if(.., is_unfit).inspect(|waiting| waiting.end.hang_up());
        over.extend(unfit);
        for waiting in entry.waiting.drain(..) {
            let Waiting { party: peer, pipe, mut end, seat, withdrawn } = waiting;
            seat.get_or_init(|| party.joint.inbox.clone());
            if let Some(outbound) = &mut end.outbound {
                outbound.raise_mark(party.joint.marks.send);
            }
            let (id, mark) = (party.routing_id.clone(), party.joint.marks.receive);
            peer.joint.inbox.post(Event::Met(pipe, id, mark));
            let id = end.id;
            attach(party, end, peer.routing_id, endpoint);
            if withdrawn.is_some() {
                party.joint.inbox.detach(id, true);
            }
        }
        Ok(())
    }

    /// Takes a name back.
    pub fn unbind(&self, name: &str) {
        let mut names = lock(&self.0);
        if let Some(entry) = names.get_mut(name) {
            entry.bound = None;
            if entry.waiting.is_empty() {
                names.remove(name);
            }
        }
    }

    /// Gives up a connection that waits under a name, if it still does. What was sent through it
    /// stays until the deadline for who binds the name.
    pub fn withdraw(&self, name: &str, pipe: PipeId, deadline: Option<Instant>) {
        // Dropped behind the lock: what a message holds may do anything then.
        let (mut over, now) = (Vec::new(), Instant::now());
        let mut names = lock(&self.0);
        let Some(entry) = names.get_mut(name) else { return };
        let is_it = |waiting: &&mut Waiting| waiting.pipe == pipe;
        let Some(waiting) = entry.waiting.iter_mut().find(is_it) else { return };
        let deadline = if waiting.end.inbound.has_item() { deadline } else { Some(now) };
        waiting.withdrawn = Some(deadline);
        // Also what others gave up whose names nobody has bound since.
        names.retain(|_, name| {
            over.extend(name.waiting.extract_if(.., |waiting| waiting.is_over(now)));
            name.bound.is_some() || !name.waiting.is_empty()
        });
    }

    /// Connects to a name. Answers the connecting socket's end, and the routing id of the peer if
    /// somebody is bound; otherwise the pipe waits, with the connecting side's marks alone
    /// until [`Event::Met`].
    ///
    /// # Errors
    /// [`Error::InvalidEndpoint`] if the socket bound there is of a type that this one cannot
    /// talk to.
    pub fn connect(
        &self,
        name: &str,
        endpoint: &str,
        party: &Party,
    ) -> Result<(PipeEnd, Option<Bytes>), Error> {
        let mut names = lock(&self.0);
        let entry = names.entry(name.to_owned()).or_default();
        let Some(bound) = &entry.bound else {
            let seat = Seat::default();
            let (ours, end) = party.joint.to_nobody(&seat);
            let pipe = ours.id;
            let (party, withdrawn) = (party.clone(), None);
            entry.waiting.push(Waiting { party, pipe, end, seat, withdrawn });
            return Ok((ours, None));
        };
        if !bound.socket_type.accepts(party.socket_type) {
            let reason = "the socket bound there is of a type that this one cannot talk to";
            return Err(Error::invalid(endpoint, reason));
        }
        let (ours, theirs) = party.joint.to_socket(&bound.joint);
        attach(bound, theirs, party.routing_id.clone(), endpoint);
        Ok((ours, Some(bound.routing_id.clone())))
    }
}

fn attach(to: &Party, pipe: PipeEnd, routing_id: Bytes, endpoint: &str) {
    let endpoint = endpoint.into();
    let attachment = Attachment { pipe, routing_id, endpoint, address: None, listener: None };
    to.joint.inbox.arrive(attachment);
}
