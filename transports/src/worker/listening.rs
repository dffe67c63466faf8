//! Listening: accepting connections, and stopping to.
//!
//! Deliberately absent: binding. The socket's thread does that, so that `bind` can say what was
//! refused.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use zring_engine::{Outcome, Token};

use super::{LISTENER, Port, Timer, Worker};
use crate::endpoint;
use crate::notice::{Event, ListenerId, Notice, PortId};
use crate::peer::{Origin, Peer};

/// Pause before accepting again when descriptors or memory have run out, or the socket is crowded.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// One listening descriptor.
pub(super) struct Listener {
    port: PortId,
    id: ListenerId,
    fd: OwnedFd,
    endpoint: Arc<str>,
    accept: Option<Token>,
    is_closing: bool,
}

impl Listener {
    pub(super) fn new(port: PortId, id: ListenerId, fd: OwnedFd, endpoint: Arc<str>) -> Self {
        Self { port, id, fd, endpoint, accept: None, is_closing: false }
    }
}

impl Worker {
    pub(super) fn listen(&mut self, listener: Listener) {
        let Some(port) = self.ports.get_mut(&listener.port) else {
            return self.crew.remove_load(self.index);
        };
        port.listeners += 1;
        let key = self.listeners.insert(listener);
        self.accept_again(key);
    }

    /// Arms the accept, unless the listener is closing or gone. Those who come to a crowded socket
    /// wait in the kernel.
    pub(super) fn accept_again(&mut self, key: usize) {
        let Some(listener) = self.listeners.get_mut(key) else { return };
        if listener.accept.is_some() || listener.is_closing {
            return;
        }
        if is_crowded(self.ports.get(&listener.port)) {
            return self.pause_accepting(key);
        }
        let owner = key as u32 | LISTENER;
        listener.accept = Some(self.reactor.accept(owner, listener.fd.as_fd()));
    }

    fn pause_accepting(&mut self, key: usize) {
        self.set_timer(self.clock.now() + ACCEPT_PAUSE, Timer::Accept(key));
    }

    pub(super) fn complete_accept(&mut self, key: usize, outcome: Outcome) {
        match outcome {
            Outcome::Accepted(fd) => {
                let listener = &self.listeners[key];
                if is_crowded(self.ports.get(&listener.port))
                    && let Some(token) = listener.accept
                {
                    self.reactor.cancel(token);
                }
                if !listener.is_closing {
                    let (port, id) = (listener.port, listener.id);
                    let endpoint = listener.endpoint.clone();
                    self.place(port, id, fd, endpoint);
                }
            }
            Outcome::AcceptEnded(_) => {
                let listener = &mut self.listeners[key];
                listener.accept = None;
                if listener.is_closing {
                    self.close_listener(key);
                } else {
                    self.pause_accepting(key);
                }
            }
            _ => unreachable!("a listener only accepts"),
        }
    }

    /// Gives a connection to the worker with the fewest.
    fn place(&mut self, port: PortId, listener: ListenerId, fd: OwnedFd, endpoint: Arc<str>) {
        let index = self.crew.choose();
        if index == self.index {
            self.adopt(port, listener, fd, endpoint);
        } else {
            self.crew.mailbox(index).post(Notice::Adopt { port, listener, fd, endpoint });
        }
    }

    /// Starts the handshake on an accepted connection.
    pub(super) fn adopt(
        &mut self,
        id: PortId,
        listener: ListenerId,
        fd: OwnedFd,
        endpoint: Arc<str>,
    ) {
        let is_tcp = endpoint.starts_with("tcp:");
        let is_fit = |port: &&mut Port| {
            let tuning = &port.options.tuning;
            !port.is_closing && endpoint::tune_accepted(fd.as_fd(), tuning, is_tcp).is_ok()
        };
        let Some(port) = self.ports.get_mut(&id).filter(is_fit) else {
            return self.crew.remove_load(self.index);
        };
        port.peers += 1;
        let mut peer = Peer::new(id, Origin::Accepted { listener, endpoint });
        peer.fd = Some(Arc::new(fd));
        let key = self.peers.insert(peer);
        self.start_handshake(key);
    }

    /// Stops accepting, and hangs up on those who came through this listener.
    pub(super) fn unlisten(&mut self, id: ListenerId, deadline: Option<Instant>, published: u64) {
        let found = self.listeners.iter().find(|(_, listener)| listener.id == id);
        if let Some((key, _)) = found {
            self.stop_listening(key);
            // Behind the connections that were handed to others before.
            let others = (0..self.crew.len()).filter(|&index| index != self.index);
            for index in others {
                self.crew.mailbox(index).post(Notice::Unlisten(id, deadline, published));
            }
        }
        let accepted = |(key, peer): (usize, &Peer)| peer.is_from(id).then_some(key);
        let keys: Vec<usize> = self.peers.iter().filter_map(accepted).collect();
        for key in keys {
            self.part(key, deadline, published);
        }
    }

    pub(super) fn stop_listening(&mut self, key: usize) {
        let listener = &mut self.listeners[key];
        listener.is_closing = true;
        match listener.accept {
            Some(token) => self.reactor.cancel(token),
            None => self.close_listener(key),
        }
    }

    /// The last completion has come: the descriptor can go, and with it the address.
    fn close_listener(&mut self, key: usize) {
        let listener = self.listeners.remove(key);
        self.crew.remove_load(self.index);
        drop(listener.fd);
        if let Some(port) = self.ports.get_mut(&listener.port) {
            port.listeners -= 1;
            port.options.joint.inbox.post(Event::Unlistened(listener.id));
            self.check_closing(listener.port);
        }
    }

    /// Stops every listener of a socket.
    pub(super) fn stop_listeners_of(&mut self, port: PortId) {
        let belongs = |(key, listener): (usize, &Listener)| (listener.port == port).then_some(key);
        let keys: Vec<usize> = self.listeners.iter().filter_map(belongs).collect();
        for key in keys {
            self.stop_listening(key);
        }
    }
}

/// Whether a socket has so much to take in that nobody else is to come.
fn is_crowded(port: Option<&Port>) -> bool {
    port.is_some_and(|port| port.options.joint.inbox.is_crowded())
}
