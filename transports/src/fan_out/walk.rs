//! The walk: from what was published to what each subscriber's connection has to send.
//!
//! A step takes as many messages as everyone with room has room for. A message for a subscriber
//! that is at its mark holds the walk up until the next turn if the connection still takes bytes,
//! for then only the reactor is late. Otherwise that subscriber loses it; and so it does if what is
//! published behind it would take many such turns, since that must not wait for long. A lossless
//! walk drops nothing: it is held up until the subscriber has room.
//!
//! Messages that lie in one run are given as ranges; one that spans runs, or refers to a large
//! body, is given in parts.
//!
//! Deliberately absent: sending. The caller starts sends for the connections it is told of.

use std::sync::atomic::Ordering;

use zring_engine::block::Slice;
use zring_engine::log::Run;
use zring_zmtp::frame;

use crate::fan_out::FanOutFeed;
use crate::fan_out::members::{FanOut, MemberKey, Part};
use crate::pipe::Record;

/// Messages of one step at most, so that connections get to send in between.
const STEP_MESSAGES_MAX: u64 = 4096;
/// Messages walked in one turn at most.
const TURN_MESSAGES_MAX: u64 = 32_000;
/// Turns in a row that a lossy walk waits for who is at its mark. At marks of 500 and more no
/// publisher may be so far ahead.
pub(super) const HELD_TURNS_MAX: u64 = 64;
/// Steps in one turn that do not wait, each of which looks at every subscriber.
const HURRIED_STEPS_MAX: usize = 32;

/// How far a walk goes on without those whom it would have to wait for too often. Places are
/// counted in messages walked.
#[derive(Default)]
pub(super) struct Hurry {
    /// Where the walk at hand began, if it was not yet to wait for anybody.
    begun_at: Option<u64>,
    /// Messages that a walk passed before it was to wait: the last one that passed any.
    pace: u64,
    /// From where on the walk at hand waits.
    waits_from: u64,
    /// Steps of the walk at hand that did not wait, although somebody was awaited.
    steps: usize,
}

impl Hurry {
    /// A walk begins.
    fn begin(&mut self, walked: u64) {
        (self.begun_at, self.steps) = (Some(walked), 0);
    }

    /// How far to step without those who are awaited. `None`: there is time to wait for them, since
    /// so little is left that this does not take too many turns, at the pace of turns that did wait
    /// or of a mark a turn. `prospect` is what is published, and their largest mark.
    fn step_without(&mut self, walked: u64, prospect: impl FnOnce() -> (u64, u64)) -> Option<u64> {
        if let Some(begun_at) = self.begun_at.take() {
            if begun_at < walked {
                self.pace = walked - begun_at;
            }
            let (published, mark) = prospect();
            let left_max = HELD_TURNS_MAX.saturating_mul(self.pace.max(mark));
            self.waits_from = published.saturating_sub(left_max);
        }
        if walked >= self.waits_from || self.steps == HURRIED_STEPS_MAX {
            return None;
        }
        self.steps += 1;
        Some(self.waits_from)
    }
}

impl FanOut {
    /// Walks what was published, and adds to `peers` who has got something to send. True: more is
    /// there, to be walked once those sends were tried.
    pub(crate) fn walk(&mut self, peers: &mut Vec<usize>) -> bool {
        let before = self.walked;
        self.hurry.begin(before);
        (self.is_held, self.has_looked_again) = (false, false);
        while self.walked - before < TURN_MESSAGES_MAX && !self.is_held && self.has_messages() {
            self.settle_quota();
            self.step();
        }
        self.flush_touched(peers);
        if self.walked > before {
            self.feed.walked.store(self.walked, Ordering::Release);
            self.feed.shared.tell_walked(&self.inbox);
        }
        let is_late = self.is_held && !self.is_lossless;
        is_late || self.has_looked_again || self.walked - before >= TURN_MESSAGES_MAX
    }

    /// Looks for the next run. False: everything published was walked, or the rest is to wait for
    /// the sends. Looking again in one walk would have a fast publisher tell of every message.
    fn has_messages(&mut self) -> bool {
        if self.at < self.run.len() || !self.parts.is_empty() {
            return true;
        }
        let FanOutFeed { log, scheduled, .. } = &mut self.feed;
        let mut next = log.next_run();
        if next.is_none() && !self.has_looked_again {
            next = scheduled.look_again(|| log.next_run());
            self.has_looked_again = next.is_some();
        }
        match next {
            Some(run) => self.start_run(run),
            None => {
                self.close_ranges();
                self.run = Slice::default();
                self.at = 0;
            }
        }
        self.at < self.run.len()
    }

    /// Takes a run of frames in. A body's run is taken where its header is met.
    fn start_run(&mut self, run: Run<Record>) {
        let Run::Bytes { slice, messages, .. } = run else {
            unreachable!("a body is walked with its header, and a publisher has no other records");
        };
        self.count_walked_bytes(slice.len(), messages);
        self.close_ranges();
        // A run that counts messages ends with one, but it may count some of earlier runs too.
        let ended = if messages > 0 { self.feed.messages.taken() - self.walked } else { 0 };
        (self.run, self.at, self.run_messages) = (slice, 0, ended);
    }

    fn count_walked_bytes(&mut self, bytes: usize, messages: u32) {
        // The publisher asks to be told through `Shared`, not through its allowances.
        let _is_wanted = self.feed.messages.take(u64::from(messages));
        let _is_wanted = self.feed.bytes.take(bytes as u64);
    }

    /// Sees who is at its mark, and how many messages everyone else has room for.
    fn settle_quota(&mut self) {
        let mut quota = STEP_MESSAGES_MAX;
        self.awaited_count = 0;
        self.part_from_walked();
        for (_, member) in self.members.iter_mut().filter(|(_, member)| !member.has_parted) {
            quota = quota.min(member.until - self.walked);
            let room = member.allowance.room();
            member.is_full = room == 0;
            if member.is_full {
                let takes_bytes = member.is_connected && !member.sending.is_blocked();
                member.is_awaited = self.is_lossless || takes_bytes;
                self.awaited_count += usize::from(member.is_awaited);
            } else {
                member.is_awaited = false;
                quota = quota.min(room);
            }
        }
        self.step_until = self.walked + quota;
    }

    /// Moves on, until so many messages are walked at most. A walk that is held must not pass the
    /// next one yet.
    fn step(&mut self) {
        let everyone_takes_all = self.subscriptions.takes_all_count() == self.present();
        self.is_held = everyone_takes_all && self.awaited_count > 0 && self.may_wait();
        if !self.is_held && (!self.parts.is_empty() || self.step_in_run(everyone_takes_all)) {
            self.is_held = !self.give_split();
            self.walked += u64::from(!self.is_held);
        }
    }

    /// Whether a message comes next that does not lie in this run alone, and is due.
    fn step_in_run(&mut self, everyone_takes_all: bool) -> bool {
        let (start, before) = (self.at, self.walked);
        let is_split = if !everyone_takes_all {
            self.match_messages()
        } else if start == 0 && (1..=self.step_until - before).contains(&self.run_messages) {
            self.at = self.run.len();
            self.walked += self.run_messages;
            false
        } else {
            self.skip_messages()
        };
        if everyone_takes_all && self.at > start {
            self.give_everyone(start..self.at, self.walked - before);
        }
        is_split && self.walked < self.step_until
    }

    /// Whether the walk must not pass this message yet, since somebody who wants it is full. With a
    /// lossless publisher, which sees to it, only where a subscription has just come.
    #[inline]
    fn must_wait(&mut self, matching: &[MemberKey]) -> bool {
        let is_awaited = |&key: &MemberKey| self.members[key as usize].is_awaited;
        self.awaited_count > 0 && matching.iter().any(is_awaited) && self.may_wait()
    }

    /// Whether there is time to wait for those who are awaited; if not, nobody is any more in this
    /// step, which goes no further than to where there is.
    #[cold]
    fn may_wait(&mut self) -> bool {
        if self.is_lossless {
            return true;
        }
        let prospect = || {
            let awaited = self.members.iter().filter(|(_, member)| member.is_awaited);
            let mark = awaited.map(|(_, member)| member.allowance.mark()).max();
            let published = self.feed.messages.taken() + self.feed.log.waiting();
            (published, mark.unwrap_or(0))
        };
        let Some(until) = self.hurry.step_without(self.walked, prospect) else { return true };
        self.awaited_count = 0;
        self.step_until = self.step_until.min(until);
        false
    }

    fn give_everyone(&mut self, range: std::ops::Range<usize>, messages: u64) {
        let mut matching = std::mem::take(&mut self.matching);
        matching.clear();
        let present = self.members.iter().filter(|(_, member)| !member.has_parted);
        matching.extend(present.map(|(key, _)| key as MemberKey));
        for &key in &matching {
            self.give(key, range.clone(), messages);
        }
        self.matching = matching;
    }

    /// Moves past messages that lie in this run. True: the next one does not lie in this run alone.
    fn skip_messages(&mut self) -> bool {
        while self.walked < self.step_until && self.at < self.run.len() {
            let Some((end, _)) = find_message(&self.run, self.at) else { return true };
            self.at = end;
            self.walked += 1;
        }
        false
    }

    /// As above, and gives each to those whose topics it matches.
    fn match_messages(&mut self) -> bool {
        let mut matching = std::mem::take(&mut self.matching);
        let run = self.run.clone();
        let mut is_split = false;
        while self.walked < self.step_until && self.at < run.len() {
            let Some((end, topic)) = find_message(&run, self.at) else {
                is_split = true;
                break;
            };
            self.find_matching(&run[topic], &mut matching);
            if self.must_wait(&matching) {
                self.is_held = true;
                break;
            }
            for &key in &matching {
                self.give(key, self.at..end, 1);
            }
            self.at = end;
            self.walked += 1;
        }
        self.matching = matching;
        is_split
    }

    /// Finds who gets a message, each once.
    fn find_matching(&mut self, topic: &[u8], matching: &mut Vec<MemberKey>) {
        self.stamp += 1;
        let (stamp, members) = (self.stamp, &mut self.members);
        self.recent.find(&self.subscriptions, topic, matching, |key| {
            std::mem::replace(&mut members[key as usize].stamp, stamp) != stamp
        });
    }

    /// Gives a message that does not lie in this run alone. False: it must wait. Its parts are
    /// kept, for whom it is for was not known before they were collected.
    fn give_split(&mut self) -> bool {
        let mut parts = std::mem::take(&mut self.parts);
        if parts.is_empty() {
            self.collect_parts(&mut parts);
        }
        let mut matching = std::mem::take(&mut self.matching);
        self.find_matching(split_topic(&parts), &mut matching);
        let is_due = !self.must_wait(&matching);
        if is_due {
            for &key in &matching {
                self.give_parts(key, &parts);
            }
            parts.clear();
        }
        (self.matching, self.parts) = (matching, parts);
        is_due
    }

    /// Collects the parts of the message that begins here, across runs and bodies.
    fn collect_parts(&mut self, parts: &mut Vec<Part>) {
        loop {
            let start = self.at;
            let end = loop {
                if self.at == self.run.len() {
                    break None;
                }
                let (header, _) = frame::split(&self.run[self.at..]);
                if self.at + header.frame_len() > self.run.len() {
                    self.at = self.run.len();
                    break None;
                }
                self.at += header.frame_len();
                if !header.more {
                    break Some(self.at);
                }
            };
            if self.at > start {
                parts.push(Part::Frames(self.run.slice(start..self.at)));
            }
            if end.is_some() || self.collect_next_run(parts) {
                return;
            }
        }
    }

    /// Goes on to the next run within a message. True: a body ended it.
    fn collect_next_run(&mut self, parts: &mut Vec<Part>) -> bool {
        match self.feed.log.next_run().expect("a message is published whole") {
            Run::Record { content: Record::Body { bytes, ends_message }, messages } => {
                self.count_walked_bytes(bytes.len(), messages);
                parts.push(Part::Body(bytes, ends_message));
                ends_message
            }
            run => {
                self.start_run(run);
                self.run_messages = 0;
                false
            }
        }
    }
}

/// The end of the message at `at` and its topic, if it lies in this run as a whole.
#[inline]
fn find_message(run: &[u8], at: usize) -> Option<(usize, std::ops::Range<usize>)> {
    let (mut header, _) = frame::split(&run[at..]);
    let topic = at + header.header_len..at + header.frame_len();
    let mut end = topic.end;
    while header.more && end < run.len() {
        (header, _) = frame::split(&run[end..]);
        end += header.frame_len();
    }
    (!header.more && end <= run.len()).then_some((end, topic))
}

/// The body of the first frame of a message in parts.
fn split_topic(parts: &[Part]) -> &[u8] {
    let [Part::Frames(frames), rest @ ..] = parts else { return &[] };
    let (header, behind) = frame::split(frames);
    match rest {
        _ if header.size <= behind.len() => &behind[..header.size],
        [Part::Body(body, _), ..] => body,
        _ => &[],
    }
}
