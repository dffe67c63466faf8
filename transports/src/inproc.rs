//! inproc: names within one context, and the two ends that meet under one.
//!
//! Whoever connects first waits under the name; whoever binds it picks up all who wait, so the
//! order does not matter. The pipe itself is two logs between two sockets (see
//! [`Joint::to_socket`]): no ring and no descriptor has part in it.
//!
//! Deliberately absent: reconnecting. A binder that goes takes its pipes along, as libzmq's does.

use std::collections::{BTreeMap, HashMap};
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

/// So many connections are given up before those whose time is over are looked for.
const WITHDRAWN_MIN: usize = 64;

/// The names of one context.
#[derive(Default)]
pub struct Names(Mutex<Known>);

#[derive(Default)]
struct Known {
    names: HashMap<String, Name>,
    /// Connections that wait although they were given up: as many as there may be of them, and as
    /// many as were left when they were last looked through.
    withdrawn: usize,
    left: usize,
}

#[derive(Default)]
struct Name {
    bound: Option<Party>,
    /// Ends for the binder to come, and what it needs to accept them, by what the connecting socket
    /// calls its end: in the order in which they came.
    waiting: BTreeMap<PipeId, Waiting>,
}

impl Name {
    fn is_unused(&self) -> bool {
        self.bound.is_none() && self.waiting.is_empty()
    }
}

/// The end of a pipe that nobody has taken yet.
struct Waiting {
    /// What the connecting socket is.
    party: Party,
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
        let mut known = lock(&self.0);
        let entry = known.names.entry(name.to_owned()).or_default();
        if entry.bound.is_some() {
            return Err(Error::AddressInUse { endpoint: endpoint.to_owned() });
        }
        entry.bound = Some(party.clone());
        let now = Instant::now();
        for (pipe, waiting) in std::mem::take(&mut entry.waiting) {
            if waiting.is_over(now) {
                over.push(waiting);
                continue;
            }
            if !party.socket_type.accepts(waiting.party.socket_type) {
                waiting.end.hang_up();
                over.push(waiting);
                continue;
            }
            let Waiting { party: peer, mut end, seat, withdrawn } = waiting;
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
        let mut known = lock(&self.0);
        if let Some(entry) = known.names.get_mut(name) {
            entry.bound = None;
            known.remove_if_unused(name);
        }
    }

    /// Gives up a connection that waits under a name, if it still does. What was sent through it
    /// stays until the deadline for who binds the name.
    pub fn withdraw(&self, name: &str, pipe: PipeId, deadline: Option<Instant>) {
        // Dropped behind the lock: what a message holds may do anything then.
        let (mut over, now) = (Vec::new(), Instant::now());
        let mut known = lock(&self.0);
        let Some(entry) = known.names.get_mut(name) else { return };
        let Some(waiting) = entry.waiting.get_mut(&pipe) else { return };
        waiting.withdrawn = Some(deadline);
        if waiting.is_over(now) || !waiting.end.inbound.has_item() {
            over.extend(entry.waiting.remove(&pipe));
            known.remove_if_unused(name);
        } else {
            known.withdrawn += 1;
            known.remove_those_over(now, &mut over);
        }
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
        let mut known = lock(&self.0);
        let entry = known.names.entry(name.to_owned()).or_default();
        let Some(bound) = &entry.bound else {
            let seat = Seat::default();
            let (ours, end) = party.joint.to_nobody(&seat);
            let pipe = ours.id;
            let (party, withdrawn) = (party.clone(), None);
            entry.waiting.insert(pipe, Waiting { party, end, seat, withdrawn });
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

impl Known {
    fn remove_if_unused(&mut self, name: &str) {
        if self.names.get(name).is_some_and(Name::is_unused) {
            self.names.remove(name);
        }
    }

    /// Removes connections whose time is over and whose names nobody has bound since, once there
    /// may be twice as many that were given up as the last time.
    fn remove_those_over(&mut self, now: Instant, over: &mut Vec<Waiting>) {
        if self.withdrawn < (2 * self.left).max(WITHDRAWN_MIN) {
            return;
        }
        self.left = 0;
        for entry in self.names.values_mut() {
            let waiting = std::mem::take(&mut entry.waiting).into_iter();
            let (gone, stay): (BTreeMap<_, _>, _) = waiting.partition(|(_, end)| end.is_over(now));
            over.extend(gone.into_values());
            entry.waiting = stay;
            let is_withdrawn = |waiting: &&Waiting| waiting.withdrawn.is_some();
            self.left += entry.waiting.values().filter(is_withdrawn).count();
        }
        self.withdrawn = self.left;
        self.names.retain(|_, entry| !entry.is_unused());
    }
}

fn attach(to: &Party, pipe: PipeEnd, routing_id: Bytes, endpoint: &str) {
    let endpoint = endpoint.into();
    let attachment = Attachment { pipe, routing_id, endpoint, address: None, listener: None };
    to.joint.inbox.arrive(attachment);
}
