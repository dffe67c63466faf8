//! Dialing: connecting an endpoint, and connecting it again.
//!
//! Names are looked up for each attempt, those of hosts in a thread of its own, because that
//! blocks.
//!
//! Deliberately absent: a last attempt. Only the socket, or `ZMQ_RECONNECT_IVL`, ends dialing.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::SigSet;
use slab::Slab;
use zring_engine::Errno;

use super::{Pipes, Reached, Worker};
use crate::Error;
use crate::endpoint::Target;
use crate::notice::{Dial, LookedUp, Notice};
use crate::peer::{After, Dialer, Origin, Peer, Stage};
use crate::pipe::PipeId;
use crate::tcp;

/// Host names that one worker has looked up at a time. Who comes then waits its turn.
const LOOK_UPS_MAX: usize = 8;

impl Worker {
    pub(super) fn dial(&mut self, dial: Dial) {
        let Dial { port: id, wire, target } = dial;
        let Some(port) = self.ports.get_mut(&id) else {
            return self.crew.remove_load(self.index);
        };
        port.peers += 1;
        let pipe = wire.id;
        let dialer = Dialer { target, pause: None, was_connected: false };
        let mut peer = Peer::new(id, Origin::Dialed(dialer));
        let counters = wire.counters.clone();
        peer.wire = Some(wire);
        let key = self.peers.insert(peer);
        self.reached.insert(pipe, Reached::Peer(key));
        self.join_fan_out(key, counters);
        self.connect(key);
    }

    /// Starts to connect, or to find out where to.
    pub(super) fn connect(&mut self, key: usize) {
        let Origin::Dialed(dialer) = &self.peers[key].origin else {
            unreachable!("only dialed peers connect")
        };
        let target = dialer.target.clone();
        if target.has_host_name() {
            self.look_up(key, target);
        } else if target.is_named() {
            let Some(port) = self.ports.get(&self.peers[key].port) else { return };
            let target = target.look_up(&port.options.tuning);
            self.open_if_found(key, target);
        } else {
            self.open(key, &target);
        }
    }

    fn look_up(&mut self, key: usize, target: Target) {
        self.untime_stage(key);
        let peer = &mut self.peers[key];
        let (Some(wire), Some(port)) = (&peer.wire, self.ports.get(&peer.port)) else { return };
        let (pipe, generation) = (wire.id, peer.generation);
        let (mailbox, tuning) = (self.mailbox.clone(), port.options.tuning.clone());
        let endpoint = target.endpoint().to_string();
        let work = move || {
            // Signals are for the application's threads. Blocking them all cannot fail.
            let _result = SigSet::all().thread_block();
            let target = target.look_up(&tuning).and_then(|found| match found.is_named() {
                true => Err(Error::HostNotFound { endpoint: found.endpoint().to_string() }),
                false => Ok(found),
            });
            mailbox.post(Notice::LookedUp(Box::new(LookedUp { pipe, generation, target })));
        };
        let thread = std::thread::Builder::new().name("zring/look-up".to_owned());
        peer.stage = Stage::Connecting;
        if self.look_ups == LOOK_UPS_MAX {
            // Those that have gone meanwhile wait no more.
            let Self { peers, reached, .. } = self;
            self.looking_up.retain(|&waits| find_waiting(peers, reached, waits).is_some());
            self.looking_up.push_back((pipe, generation));
            return;
        }
        match thread.spawn(work) {
            Ok(_) => self.look_ups += 1,
            Err(error) => self.fail(key, Error::refused_io(&endpoint, &error)),
        }
    }

    /// A host name was looked up, so that another can be.
    fn look_up_next(&mut self) {
        self.look_ups -= 1;
        while self.look_ups < LOOK_UPS_MAX
            && let Some(waits) = self.looking_up.pop_front()
        {
            if let Some(key) = find_waiting(&self.peers, &self.reached, waits) {
                self.connect(key);
            }
        }
    }

    pub(super) fn handle_looked_up(&mut self, answer: LookedUp) {
        let LookedUp { pipe, generation, target } = answer;
        self.look_up_next();
        let found = find_waiting(&self.peers, &self.reached, (pipe, generation));
        if let Some(key) = found {
            self.open_if_found(key, target);
        }
    }

    fn open_if_found(&mut self, key: usize, target: Result<Target, Error>) {
        match target {
            Ok(target) => self.open(key, &target),
            Err(error) => self.fail(key, error),
        }
    }

    /// Opens a descriptor and starts to connect it.
    fn open(&mut self, key: usize, target: &Target) {
        let peer = &mut self.peers[key];
        let Some(port) = self.ports.get(&peer.port) else { return };
        match target.open(&port.options.tuning) {
            Ok((fd, addr)) => {
                self.reactor.connect(key as u32, fd.as_fd(), addr);
                peer.fd = Some(Arc::new(fd));
                peer.operations += 1;
                peer.stage = Stage::Connecting;
                self.untime_stage(key);
            }
            // No descriptor left, or no route at the moment.
            Err(error) => self.fail(key, error),
        }
    }

    /// An attempt has failed. The socket is told why, and the next one is due.
    fn fail(&mut self, key: usize, error: Error) {
        if let Some(port) = self.ports.get(&self.peers[key].port) {
            port.options.failed_connects.note(error);
        }
        self.lose(key, After::Redial);
    }

    pub(super) fn handle_connected(&mut self, key: usize, result: Result<(), Errno>) {
        let peer = &mut self.peers[key];
        if peer.is_ending() {
            return;
        }
        let opened = peer.fd.as_ref();
        let result = result.and_then(|()| opened.map_or(Ok(()), |fd| tcp::refuse_itself(fd)));
        let (Err(errno), Origin::Dialed(dialer)) = (result, &peer.origin) else {
            return self.start_handshake(key);
        };
        let error = Error::refused(&dialer.target.endpoint().to_string(), errno);
        peer.fd = None;
        self.fail(key, error);
    }

    /// Sets the timer that dials again.
    pub(super) fn wait_to_redial(&mut self, key: usize) {
        let peer = &mut self.peers[key];
        peer.stage = Stage::Waiting;
        let Some(port) = self.ports.get(&peer.port) else { return };
        let options = &port.options;
        let Origin::Dialed(dialer) = &mut peer.origin else {
            unreachable!("only dialed peers connect")
        };
        let interval = options.reconnect_interval.unwrap_or_default();
        let pause = next_pause(interval, options.reconnect_interval_max, dialer.pause);
        dialer.pause = Some(pause);
        let jitter = match options.reconnect_interval_max {
            None => jitter(interval),
            Some(_) => Duration::ZERO,
        };
        self.time_stage(key, pause.saturating_add(jitter));
        self.check_hang_up(key);
    }
}

/// The peer that waits for its host name to be looked up, if it still does.
fn find_waiting(
    peers: &Slab<Peer>,
    reached: &Pipes,
    (pipe, generation): (PipeId, u64),
) -> Option<usize> {
    let Some(&Reached::Peer(key)) = reached.get(&pipe) else { return None };
    (peers[key].generation == generation).then_some(key)
}

/// The pause after one of `last`: doubled up to the maximum, if there is one (libzmq's
/// `stream_connecter_base.cpp`; a maximum below the interval is taken at its word).
fn next_pause(interval: Duration, max: Option<Duration>, last: Option<Duration>) -> Duration {
    let Some(max) = max else { return interval };
    last.map_or(interval, |last| last.saturating_mul(2)).min(max)
}

/// Up to as much again.
fn jitter(interval: Duration) -> Duration {
    let seconds = interval.as_secs_f64() * fastrand::f64();
    Duration::try_from_secs_f64(seconds).unwrap_or(interval)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_their_maximum_and_only_with_one() {
        let ms = Duration::from_millis;
        for (interval, max, last, next) in [
            (100, None, None, 100),
            (100, None, Some(100), 100),
            (100, Some(350), None, 100),
            (100, Some(350), Some(100), 200),
            (100, Some(350), Some(200), 350),
            (100, Some(50), None, 50),
        ] {
            assert_eq!(next_pause(ms(interval), max.map(ms), last.map(ms)), ms(next));
        }
    }

    #[test]
    fn the_longest_pause_is_no_more_than_that() {
        let ever = Duration::MAX;
        assert_eq!(next_pause(ever, Some(ever), Some(ever)), ever);
        assert!((0..1000).all(|_| jitter(ever) <= ever));
    }
}
