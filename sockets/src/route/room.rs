//! Room: what a lossless publisher knows of the queues of its wire subscribers.
//!
//! Workers keep the queues; they tell, a little late, how many messages each subscriber was given
//! and has granted again. The publisher counts for itself what it has written for whom, so that it
//! can run ahead of the walk and still never write for a subscriber without room. Where everybody
//! takes everything one number serves for all: the smallest room as of the last look.
//!
//! Deliberately absent: waiting, and dropping.

use std::sync::atomic::Ordering;

use zring_transports::fan_out::FanOutLog;
use zring_transports::subscriptions::{Few, Recent, Subscriptions};

use crate::pipes::{Pipe, PipeKey, Pipes};

/// What is known of one subscriber.
#[derive(Clone, Copy, Default)]
struct Claim {
    is_wire: bool,
    takes_all: bool,
    /// Messages written for it.
    written: u64,
    /// Messages it has granted again, as of the last look.
    granted: u64,
    /// The message it was last counted for, so that it counts once with several topics.
    stamp: u64,
}

/// See the [module](self).
pub(crate) struct Room {
    /// 0 is no mark.
    mark: u64,
    claims: Vec<Claim>,
    wire_count: usize,
    /// Of those, who takes everything.
    takes_all_count: usize,
    /// Messages that every subscriber has room for, where each takes everything.
    common: u64,
    /// Of those, written and not yet counted for each.
    common_written: u64,
    stamp: u64,
    recent: Recent<Few<PipeKey>>,
    /// Kept for its memory: who gets the message at hand.
    matching: Vec<PipeKey>,
}

impl Room {
    pub(crate) fn new(mark: usize) -> Self {
        Self {
            mark: mark as u64,
            claims: Vec::new(),
            wire_count: 0,
            takes_all_count: 0,
            common: 0,
            common_written: 0,
            stamp: 0,
            recent: Recent::default(),
            matching: Vec::new(),
        }
    }

    /// A wire subscriber has come.
    pub(crate) fn attach(&mut self, key: PipeKey) {
        self.settle();
        let place = key as usize;
        if place >= self.claims.len() {
            self.claims.resize(place + 1, Claim::default());
        }
        self.claims[place] = Claim { is_wire: true, ..Claim::default() };
        self.wire_count += 1;
    }

    /// A subscriber is gone.
    pub(crate) fn leave(&mut self, key: PipeKey) {
        self.settle();
        if let Some(claim) = self.claims.get_mut(key as usize).map(std::mem::take) {
            self.wire_count -= usize::from(claim.is_wire);
            self.takes_all_count -= usize::from(claim.takes_all);
        }
    }

    /// A subscriber takes everything from now on, or no longer.
    pub(crate) fn note_takes_all(&mut self, key: PipeKey, takes_all: bool) {
        if let Some(claim) = self.claims.get_mut(key as usize).filter(|claim| claim.is_wire) {
            self.takes_all_count -= usize::from(claim.takes_all);
            self.takes_all_count += usize::from(takes_all);
            claim.takes_all = takes_all;
        }
    }

    /// Counts a message for every wire subscriber that wants it. False, and nothing is counted: one
    /// of them has no room.
    #[inline]
    pub(crate) fn claim(
        &mut self,
        log: &FanOutLog,
        pipes: &Pipes,
        table: &Subscriptions<PipeKey>,
        topic: &[u8],
    ) -> bool {
        if self.mark == 0 {
            return true;
        }
        if self.takes_all_count < self.wire_count {
            return self.claim_matching(log, pipes, table, topic);
        }
        if self.common == 0 {
            self.look(log, pipes);
        }
        let has_room = self.common > 0;
        self.common -= u64::from(has_room);
        self.common_written += u64::from(has_room);
        has_room
    }

    fn claim_matching(
        &mut self,
        log: &FanOutLog,
        pipes: &Pipes,
        table: &Subscriptions<PipeKey>,
        topic: &[u8],
    ) -> bool {
        self.settle();
        self.find_matching(table, topic);
        let mark = self.mark;
        let has_room = |&key: &PipeKey| {
            let claim = &mut self.claims[key as usize];
            claim.room(mark) > 0 || claim.look(pipes.get(key), mark, log.is_walked()) > 0
        };
        let have_room = self.matching.iter().all(has_room);
        if have_room {
            self.matching.iter().for_each(|&key| self.claims[key as usize].written += 1);
        }
        have_room
    }

    /// Finds which wire subscribers get a message, each once. Who is gone may still hold topics.
    fn find_matching(&mut self, table: &Subscriptions<PipeKey>, topic: &[u8]) {
        let Self { claims, matching, stamp, recent, .. } = self;
        *stamp += 1;
        recent.find(table, topic, matching, |key| {
            let claim = claims.get_mut(key as usize);
            claim.is_some_and(|claim| std::mem::replace(&mut claim.stamp, *stamp) != *stamp)
        });
        matching.retain(|&key| claims[key as usize].is_wire);
    }

    #[cold]
    fn look(&mut self, log: &FanOutLog, pipes: &Pipes) {
        self.settle();
        let (mark, is_final) = (self.mark, log.is_walked());
        let wire = self.claims.iter_mut().enumerate().filter(|(_, claim)| claim.is_wire);
        let room =
            wire.map(|(key, claim)| claim.look(pipes.get(key as PipeKey), mark, is_final)).min();
        self.common = room.unwrap_or(u64::MAX);
    }

    /// Counts for each subscriber what was written for all.
    fn settle(&mut self) {
        let written = std::mem::take(&mut self.common_written);
        self.common = 0;
        if written > 0 {
            self.claims.iter_mut().for_each(|claim| claim.written += written);
        }
    }
}

impl Claim {
    fn room(&self, mark: u64) -> u64 {
        mark.saturating_sub(self.written.saturating_sub(self.granted))
    }

    /// `is_final`: all that was published is walked, as of before this look.
    #[cold]
    fn look(&mut self, pipe: Option<&Pipe>, mark: u64, is_final: bool) -> u64 {
        let Some(counters) = pipe.map(Pipe::counters) else { return u64::MAX };
        self.granted = counters.granted.load(Ordering::Relaxed);
        // What is subscribed to or cancelled reaches the walk before it is reported here: the
        // subscriber was given more than was counted for it, or less.
        let accepted = counters.accepted.load(Ordering::Relaxed);
        self.written = if is_final { accepted } else { self.written.max(accepted) };
        self.room(mark)
    }
}
