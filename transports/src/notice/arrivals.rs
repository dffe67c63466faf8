//! A socket's inbox: events, and the peers that have come.
//!
//! A peer that has come is kept in a table until the socket takes it in, and only the first of them
//! is told by an event. So one that goes before the socket has looked can be taken back: with what
//! it has left to be read it stays, as a *remnant*, and without it was never there. Who has come
//! tells nothing else meanwhile, because the socket looks at its pipe when it takes it in.
//!
//! Deliberately absent: a bound on peers that are still there. Those have a descriptor each.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use zring_engine::inbox::Inbox;
use zring_engine::park::WaitSet;
use zring_engine::sync::{Mutex, lock};

use super::{Attachment, Event};
use crate::pipe::PipeId;

/// Remnants of one socket at which its listeners accept nobody. Those that are connected by then
/// may become remnants too.
pub const REMNANTS_MAX: usize = 4096;

/// How a socket is told what has work, and who has come.
pub struct SocketInbox {
    events: Inbox<Event, WaitSet>,
    arrivals: Mutex<Arrivals>,
    remnants: Arc<AtomicUsize>,
}

#[derive(Default)]
struct Arrivals {
    /// In the order in which they came.
    by_id: BTreeMap<PipeId, Arrival>,
    /// Whether an [`Event::Arrived`] is on its way, or not yet taken.
    is_told: bool,
}

/// A peer that has come.
pub struct Arrival {
    /// Its pipe, and who it is.
    pub attachment: Attachment,
    /// It is gone already, and has left something.
    pub remnant: Option<Remnant>,
}

/// Counts a pipe whose peer is gone, and which was not read to its end, as long as it is kept.
pub struct Remnant(Arc<AtomicUsize>);

impl Drop for Remnant {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Default for SocketInbox {
    /// Empty, and nobody waits for it yet.
    fn default() -> Self {
        let (arrivals, remnants) = Default::default();
        Self { events: Inbox::new(WaitSet::default()), arrivals, remnants }
    }
}

impl SocketInbox {
    /// See [`Inbox::post`].
    pub fn post(&self, event: Event) {
        self.events.post(event);
    }

    /// See [`Inbox::has_pending`].
    #[inline]
    pub fn has_pending(&self) -> bool {
        self.events.has_pending()
    }

    /// See [`Inbox::park`].
    #[must_use]
    pub fn park(&self) -> bool {
        self.events.park()
    }

    /// See [`Inbox::unpark`].
    pub fn unpark(&self) {
        self.events.unpark();
    }

    /// Who is woken when there is something.
    pub fn wake(&self) -> &WaitSet {
        self.events.wake()
    }

    /// A peer has come.
    pub(crate) fn arrive(&self, attachment: Attachment) {
        attachment.pipe.inbound.expect_look();
        let arrival = Arrival { attachment, remnant: None };
        let was_told = {
            let mut arrivals = lock(&self.arrivals);
            arrivals.by_id.insert(arrival.attachment.pipe.id, arrival);
            std::mem::replace(&mut arrivals.is_told, true)
        };
        if !was_told {
            self.post(Event::Arrived);
        }
    }

    /// Nothing more comes from this pipe. A peer that was not taken in yet is taken back, unless it
    /// has left something that `is_heard` says somebody reads.
    pub(crate) fn detach(&self, id: PipeId, is_heard: bool) {
        let mut arrivals = lock(&self.arrivals);
        let Some(arrival) = arrivals.by_id.get_mut(&id) else {
            drop(arrivals);
            return self.post(Event::Detached(id));
        };
        if is_heard && arrival.attachment.pipe.inbound.has_item() {
            arrival.remnant.get_or_insert_with(|| self.count_remnant());
            return;
        }
        let gone = arrivals.by_id.remove(&id);
        drop(arrivals);
        drop(gone);
    }

    /// Moves all events behind what `events` holds, in order, and answers who has come: behind all
    /// of these events.
    pub fn take_into(&self, events: &mut Vec<Event>) -> impl Iterator<Item = Arrival> + use<> {
        self.events.take_into(events);
        let have_come = events.iter().any(|event| matches!(event, Event::Arrived));
        let arrivals = have_come.then(|| self.take_arrivals(events));
        arrivals.into_iter().flat_map(BTreeMap::into_values)
    }

    fn take_arrivals(&self, events: &mut Vec<Event>) -> BTreeMap<PipeId, Arrival> {
        let mut arrivals = lock(&self.arrivals);
        // While nobody can come: whom a newcomer takes the place of has told its end before.
        self.events.take_into(events);
        arrivals.is_told = false;
        std::mem::take(&mut arrivals.by_id)
    }

    /// Counts one more remnant.
    #[must_use]
    pub fn count_remnant(&self) -> Remnant {
        self.remnants.fetch_add(1, Ordering::Relaxed);
        Remnant(self.remnants.clone())
    }

    /// Whether there are [as many](REMNANTS_MAX) remnants as there may be.
    pub(crate) fn is_crowded(&self) -> bool {
        self.remnants.load(Ordering::Relaxed) >= REMNANTS_MAX
    }
}

#[cfg(test)]
mod tests;
