//! The endpoints of one socket: what it is bound to, and what it connects to.
//!
//! Deliberately absent: reading endpoints and opening descriptors (`transports/src/endpoint.rs`),
//! and connections, which are the workers'.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use zring_engine::deadline_after;
use zring_transports::Error as TransportError;
use zring_transports::endpoint::{self, Endpoint, Listening};
use zring_transports::inproc::Party;
use zring_transports::notice::{Event, ListenerId, Notice, OpenPort};
use zring_transports::pipe::PipeId;
use zring_transports::port::PortOptions;
use zring_zmtp::SocketType;

use crate::Error;
use crate::driver::{Deadline, Driver};
use crate::pattern::Pattern;
use crate::pipes::Pipe;
use crate::socket::Socket;

/// See the [module](self).
#[derive(Default)]
pub(crate) struct Endpoints {
    known: Vec<Known>,
    last: Option<String>,
    /// Whether the workers know the socket.
    is_open: bool,
    /// Listeners that were told to go and have not yet answered.
    closing: Vec<ListenerId>,
}

struct Known {
    /// As resolved for what is bound, as given for what is connected.
    text: String,
    place: Place,
}

enum Place {
    Listener { id: ListenerId, worker: usize, socket_file: Option<PathBuf> },
    Name(String),
    Pipe(PipeId),
}

impl Endpoints {
    fn add(&mut self, text: &str, place: Place) {
        self.last = Some(text.to_owned());
        self.known.push(Known { text: text.to_owned(), place });
    }

    fn find(&self, text: &str, is_wanted: impl Fn(&Place) -> bool) -> Option<usize> {
        self.known.iter().position(|known| known.text == text && is_wanted(&known.place))
    }

    /// This pipe is gone for good: nothing is connected there any more.
    pub(crate) fn note_detached(&mut self, id: PipeId) {
        self.known.retain(|known| !matches!(known.place, Place::Pipe(gone) if gone == id));
    }

    pub(crate) fn note_unlistened(&mut self, id: ListenerId) {
        self.closing.retain(|&known| known != id);
    }
}

impl<P: Pattern, D: Driver> Socket<P, D> {
    /// Accepts peers at an endpoint: `tcp://address:port`, `ipc://path` or `inproc://name`, with
    /// `*` for any address, port or path. Answers the endpoint with its wildcards filled in
    /// (`zmq_bind(3)`).
    ///
    /// # Errors
    /// * [`Error::Transport`] with `InvalidEndpoint` or `UnknownTransport` for what cannot be read
    ///   or bound; with `AddressInUse`, `AddressNotAvailable`, `NoSuchDevice`, `PermissionDenied`,
    ///   `TooManyOpenFiles` or `Kernel` for what this machine refuses.
    /// * At the first tcp or ipc endpoint of its context [`Error::Transport`] with `Engine` if
    ///   there is no ring to be had, [`Error::NoThread`] if there is no I/O thread to be had, and
    ///   [`Error::InvalidOption`] if it cannot be [pinned](crate::ContextBuilder::pin).
    /// * [Those of every call](Error#of-every-call).
    pub fn bind(&mut self, endpoint: &str) -> Result<String, Error> {
        self.settle()?;
        let parsed = Endpoint::parse(endpoint)?;
        if let Endpoint::Inproc(name) = parsed {
            self.driver.names().bind(&name, endpoint, &self.party())?;
            self.endpoints.add(endpoint, Place::Name(name));
            return Ok(endpoint.to_owned());
        }
        self.open()?;
        let Listening { fd, endpoint, socket_file } =
            endpoint::listen(&parsed, &self.options.tuning)?;
        let (id, worker) = (ListenerId::fresh(), self.driver.crew().choose());
        let text: Arc<str> = endpoint.as_str().into();
        let notice = Notice::Listen { port: self.port, listener: id, fd, endpoint: text };
        self.driver.crew().mailbox(worker).post(notice);
        self.endpoints.add(&endpoint, Place::Listener { id, worker, socket_file });
        self.driver.poke()?;
        Ok(endpoint)
    }

    /// Connects to an endpoint, and stays connected. Returns before the connection stands; what is
    /// sent meanwhile waits for it. Names, of a host, of the interface to come from or of a zone,
    /// are looked up for each attempt to connect, those of hosts in a thread of its own; one that
    /// is not found is tried again, like a peer that is not there. For PUB, SUB, REQ and DEALER it
    /// does nothing if they have the same tcp or ipc endpoint already, connected or bound
    /// (`zmq_connect(3)`).
    ///
    /// # Errors
    /// As [`bind`](Self::bind), without what this machine refuses: that is a
    /// [failed attempt](Self::failed_connects). An inproc name that is bound to a socket of a type
    /// that this one cannot talk to is an `InvalidEndpoint`.
    pub fn connect(&mut self, endpoint: &str) -> Result<(), Error> {
        self.settle()?;
        let parsed = Endpoint::parse(endpoint)?;
        if let Endpoint::Inproc(name) = parsed {
            let (end, routing_id) = self.driver.names().connect(&name, endpoint, &self.party())?;
            let (id, is_connected) = (end.id, routing_id.is_some());
            let mut pipe = Pipe::new(end, routing_id.unwrap_or_default(), endpoint.into());
            pipe.is_connected = is_connected;
            if !self.pattern.has_place() {
                // Before it is sent away: who has met it by now is told so.
                self.driver.names().withdraw(&name, id, Some(Instant::now()));
            }
            if !self.add_connected(endpoint, pipe) {
                self.endpoints.note_detached(id);
            }
            return Ok(());
        }
        if P::CONNECTS_ONCE && self.endpoints.find(endpoint, |_| true).is_some() {
            return Ok(());
        }
        let target = endpoint::resolve(&parsed)?;
        self.open()?;
        let worker = self.driver.crew().choose();
        let mailbox = self.driver.crew().mailbox(worker).clone();
        let (end, notice) = Notice::dial(self.port, &self.port_options(), target, &mailbox);
        mailbox.post(notice);
        self.add_connected(endpoint, Pipe::new(end, bytes::Bytes::new(), endpoint.into()));
        self.driver.poke().map(drop)
    }

    /// False: there is no place for it, and it is sent away.
    fn add_connected(&mut self, endpoint: &str, pipe: Pipe) -> bool {
        self.endpoints.add(endpoint, Place::Pipe(pipe.end().id));
        self.add_pipe(pipe).is_some()
    }

    /// The endpoint that was last bound or connected (`ZMQ_LAST_ENDPOINT`).
    #[must_use]
    pub fn last_endpoint(&self) -> Option<&str> {
        self.endpoints.last.as_deref()
    }

    /// Accepts no more peers at a bound endpoint, and hangs up on those who came through it over
    /// tcp or ipc; inproc peers stay. When this returns, the address can be bound again
    /// (`zmq_unbind(3)`).
    ///
    /// # Errors
    /// [`Error::Transport`] with `EndpointNotFound` if nothing is bound there;
    /// [`Error::WouldBlock`] [within a call](crate::LocalContext#destructors) of its context;
    /// [those of every call](Error#of-every-call).
    pub fn unbind(&mut self, endpoint: &str) -> Result<(), Error> {
        self.settle()?;
        let is_bound = |place: &Place| !matches!(place, Place::Pipe(_));
        let found = self.endpoints.find(endpoint, is_bound).or_else(|| {
            let parsed = Endpoint::parse(endpoint).ok()?;
            let name = endpoint::listener_name(&parsed, &self.options.tuning).ok()?;
            self.endpoints.find(&name, is_bound)
        });
        let index = found.ok_or_else(|| not_found(endpoint))?;
        if let Place::Listener { id, worker, .. } = self.endpoints.known[index].place {
            self.unlisten(id, worker)?;
        }
        let known = self.endpoints.known.remove(index);
        self.free(known.place);
        Ok(())
    }

    /// Waits until a worker has closed a listener. It does so at once, whatever peers do.
    fn unlisten(&mut self, id: ListenerId, worker: usize) -> Result<(), Error> {
        if !self.driver.may_wait() {
            return Err(Error::WouldBlock);
        }
        let notice = Notice::Unlisten(id, self.linger_deadline(), self.pattern.published());
        self.driver.crew().mailbox(worker).post(notice);
        self.endpoints.closing.push(id);
        while self.endpoints.closing.contains(&id) {
            match self.wait(&mut Deadline::after(None), false) {
                Ok(()) | Err(Error::Interrupted) => self.settle()?,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// What was bound there can be bound again.
    fn free(&self, place: Place) {
        match place {
            Place::Name(name) => self.driver.names().unbind(&name),
            Place::Listener { socket_file: Some(path), .. } => {
                endpoint::remove_socket_file(&path);
            }
            Place::Listener { .. } | Place::Pipe(_) => {}
        }
    }

    /// Gives a connected endpoint up, however often it was connected to. What was sent to it still
    /// leaves, as long as linger allows; what came from it and was not received is lost, and so is
    /// the rest of a message that was received in part (`zmq_disconnect(3)`).
    ///
    /// # Errors
    /// [`Error::Transport`] with `EndpointNotFound` if nothing is connected there;
    /// [those of every call](Error#of-every-call).
    pub fn disconnect(&mut self, endpoint: &str) -> Result<(), Error> {
        self.settle()?;
        let is_connected = |place: &Place| matches!(place, Place::Pipe(_));
        let index = self.endpoints.find(endpoint, is_connected);
        let mut next = Some(index.ok_or_else(|| not_found(endpoint))?);
        while let Some(index) = next {
            let known = self.endpoints.known.remove(index);
            self.withdraw(&known);
            self.hang_up(&known.place);
            next = self.endpoints.find(endpoint, is_connected);
        }
        self.driver.poke().map(drop)
    }

    fn hang_up(&mut self, place: &Place) {
        let Place::Pipe(id) = *place else { return };
        let Some(key) = self.pipes.key(id) else { return };
        if let Some(pipe) = self.pipes.get(key) {
            pipe.end().hang_up();
            if let Some(worker) = pipe.end().worker() {
                let notice = Notice::HangUp(id, self.linger_deadline(), self.pattern.published());
                worker.post(notice);
            }
        }
        self.pattern.forget(&mut self.pipes, key);
    }

    /// Tells the workers about the socket, before its first wire endpoint.
    fn open(&mut self) -> Result<(), Error> {
        if self.endpoints.is_open {
            return Ok(());
        }
        self.driver.start()?;
        let crew = self.driver.crew().clone();
        for index in 0..crew.len() {
            let mailbox = crew.mailbox(index);
            let feed = self.pattern.feed(mailbox);
            let options = self.port_options();
            mailbox.post(Notice::Open(Box::new(OpenPort { port: self.port, options, feed })));
        }
        self.endpoints.is_open = true;
        if let Some(failure) = crew.failure() {
            // It was whole before, and who has ended since may not have read of this socket.
            self.inbox().post(Event::Failed(failure));
        }
        self.settle()
    }

    fn port_options(&self) -> PortOptions {
        let options = &self.options;
        PortOptions {
            socket_type: P::TYPE,
            routing_id: options.routing_id.clone(),
            frame_size_max: options.message_size_max.unwrap_or(u64::MAX),
            handshake_timeout: options.handshake_timeout,
            reconnect_interval: options.reconnect_interval,
            reconnect_interval_max: options.reconnect_interval_max,
            reports_subscriptions: P::TYPE == SocketType::XPub || options.is_lossless,
            is_lossless: options.is_lossless,
            tuning: options.tuning.clone(),
            joint: self.joint.clone(),
            rejections: self.observer.rejections.clone(),
            failed_connects: self.observer.failed_connects.clone(),
        }
    }

    fn party(&self) -> Party {
        let routing_id = self.options.routing_id.clone();
        Party { joint: self.joint.clone(), socket_type: P::TYPE, routing_id }
    }

    fn linger_deadline(&self) -> Option<Instant> {
        self.options.linger.and_then(deadline_after)
    }

    /// The socket is dropped: nobody finds it any more.
    pub(crate) fn free_all(&mut self) {
        for known in std::mem::take(&mut self.endpoints.known) {
            self.withdraw(&known);
            self.free(known.place);
        }
    }

    /// Nobody is to take a connection's place at a name that is not bound yet, but for what was
    /// sent there.
    fn withdraw(&self, known: &Known) {
        if let Place::Pipe(id) = known.place
            && let Ok(Endpoint::Inproc(name)) = Endpoint::parse(&known.text)
        {
            self.driver.names().withdraw(&name, id, self.linger_deadline());
        }
    }

    /// Workers let go of the socket once all is sent.
    pub(crate) fn close_port(&self) {
        if !self.endpoints.is_open {
            return;
        }
        let deadline = self.linger_deadline();
        for index in 0..self.driver.crew().len() {
            self.driver.crew().mailbox(index).post(Notice::Close(self.port, deadline));
        }
        self.driver.finish(self.inbox());
    }
}

fn not_found(endpoint: &str) -> Error {
    TransportError::EndpointNotFound { endpoint: endpoint.to_owned() }.into()
}
