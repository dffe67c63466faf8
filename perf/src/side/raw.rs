//! Bare sockets: what the kernel charges for the same bytes when there is no protocol.
//!
//! Streams gather frames and send them in one call; a publisher does so once per subscriber. A
//! ping-pong is one send and one receive, blocking, or asking again and again (`raw-spin`).
//!
//! Deliberately absent: high-water marks, matching, reconnecting, everything that is not bytes.

use std::io::IoSlice;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};
use rustix::time::Timespec;

use super::wire::{COPY_MAX, Cutter, GATHER_MAX, append_header};
use super::{Connectable, Incoming, Outgoing, Polling, Side, Subscribing};
use crate::clock::{self, SECOND};
use crate::error::{Doing as _, Error, Result};
use crate::job::{Load, Setup, Transport};

/// How many peers to accept, and whether to spin.
pub(crate) struct Raw {
    peers: usize,
    spins: bool,
}

impl Raw {
    fn open(&self) -> Result<Socket> {
        Ok(Socket {
            listener: None,
            peers: Vec::new(),
            peers_max: self.peers,
            spins: self.spins,
            out: Vec::with_capacity(GATHER_MAX + COPY_MAX),
            cutter: Cutter::new(),
        })
    }
}

impl Side for Raw {
    type Push = Socket;
    type Pull = Socket;
    type Publish = Socket;
    type Subscribe = Socket;
    type Request = Socket;
    type Reply = Socket;
    type Poller = Poller;

    fn new(setup: &Setup, _: &Load) -> Result<Self> {
        match setup.transport {
            Transport::Tcp | Transport::Ipc => {
                Ok(Self { peers: setup.peers, spins: setup.who.spins() })
            }
            Transport::Inproc => Err(Error::Unsupported("bare sockets have no inproc")),
        }
    }

    fn push(&self) -> Result<Socket> {
        self.open()
    }

    fn pull(&self) -> Result<Socket> {
        self.open()
    }

    fn publish(&self) -> Result<Socket> {
        self.open()
    }

    fn subscribe(&self) -> Result<Socket> {
        self.open()
    }

    fn request(&self) -> Result<Socket> {
        self.open()
    }

    fn reply(&self) -> Result<Socket> {
        self.open()
    }

    fn poller(&self, _: &[Socket]) -> Result<Poller> {
        Ok(Poller { spins: self.spins })
    }
}

/// A listener, or the connections of one end.
pub(crate) struct Socket {
    listener: Option<Listener>,
    peers: Vec<OwnedFd>,
    peers_max: usize,
    spins: bool,
    out: Vec<u8>,
    cutter: Cutter,
}

enum Listener {
    Tcp(TcpListener),
    Ipc(UnixListener),
}

impl Listener {
    fn accept(&self) -> std::io::Result<OwnedFd> {
        match self {
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept()?;
                stream.set_nodelay(true)?;
                Ok(stream.into())
            }
            Self::Ipc(listener) => Ok(listener.accept()?.0.into()),
        }
    }
}

impl Socket {
    /// Accepts whoever is there, until all peers that the run has are.
    fn accept_waiting(&mut self) -> Result<()> {
        while self.peers.len() < self.peers_max {
            let Some(listener) = &self.listener else { return Ok(()) };
            match listener.accept() {
                Ok(peer) => self.peers.push(peer),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error).doing("accept"),
            }
        }
        Ok(())
    }

    /// The one connection of an end that receives.
    fn peer(&mut self) -> Result<&OwnedFd> {
        while self.peers.is_empty() {
            self.accept_waiting()?;
            if self.peers.is_empty() {
                clock::sleep_until(clock::now() + clock::MILLISECOND);
            }
        }
        Ok(&self.peers[0])
    }

    /// Reads once; answers whether bytes came.
    fn read(&mut self, flags: RecvFlags) -> Result<bool> {
        self.peer()?;
        match rustix::net::recv(&self.peers[0], self.cutter.room(), flags) {
            Ok((0, _)) => Err(Error::Worker("the peer of a bare socket went away".into())),
            Ok((count, _)) => {
                self.cutter.filled(count);
                Ok(true)
            }
            Err(Errno::AGAIN | Errno::INTR) => Ok(false),
            Err(error) => Err(error).doing("receive from a bare socket"),
        }
    }

    fn read_flags(&self) -> RecvFlags {
        if self.spins { RecvFlags::DONTWAIT } else { RecvFlags::empty() }
    }

    #[inline]
    fn append(&mut self, more: bool, body: &[u8]) -> Result<()> {
        append_header(&mut self.out, more, body.len());
        if body.len() > COPY_MAX {
            return self.write_with(body);
        }
        self.out.extend_from_slice(body);
        if self.out.len() >= GATHER_MAX { self.flush() } else { Ok(()) }
    }

    /// What was gathered and then `body` leave in one call for each peer.
    fn write_with(&mut self, body: &[u8]) -> Result<()> {
        self.accept_waiting()?;
        for peer in &self.peers {
            let mut slices = [IoSlice::new(&self.out), IoSlice::new(body)];
            let mut left = &mut slices[..];
            while !left.is_empty() {
                let count = rustix::io::writev(peer, left).doing("send on a bare socket")?;
                IoSlice::advance_slices(&mut left, count);
            }
        }
        self.out.clear();
        Ok(())
    }
}

impl Connectable for Socket {
    fn bind(&mut self, endpoint: &str) -> Result<String> {
        let (listener, resolved) = if let Some(path) = endpoint.strip_prefix("ipc://") {
            let listener = UnixListener::bind(path).doing("bind a path")?;
            listener.set_nonblocking(true).doing("set a listener to nonblocking")?;
            (Listener::Ipc(listener), endpoint.to_owned())
        } else {
            let address = endpoint.trim_start_matches("tcp://").replace('*', "0");
            let listener = TcpListener::bind(&address).doing("bind an address")?;
            listener.set_nonblocking(true).doing("set a listener to nonblocking")?;
            let address = listener.local_addr().doing("read the bound address")?;
            (Listener::Tcp(listener), format!("tcp://{address}"))
        };
        self.listener = Some(listener);
        Ok(resolved)
    }

    fn connect(&mut self, endpoint: &str) -> Result<()> {
        let peer: OwnedFd = if let Some(path) = endpoint.strip_prefix("ipc://") {
            UnixStream::connect(path).doing("connect to a path")?.into()
        } else {
            let address = endpoint.trim_start_matches("tcp://");
            let stream = TcpStream::connect(address).doing("connect to an address")?;
            stream.set_nodelay(true).doing("set nodelay")?;
            stream.into()
        };
        self.peers.push(peer);
        Ok(())
    }
}

impl Outgoing for Socket {
    #[inline]
    fn send(&mut self, body: &[u8]) -> Result<()> {
        self.append(false, body)
    }

    fn try_send(&mut self, body: &[u8]) -> Result<bool> {
        self.append(false, body)?;
        Ok(true)
    }

    fn send_pair(&mut self, topic: &[u8], body: &[u8]) -> Result<()> {
        self.append(true, topic)?;
        self.append(false, body)
    }

    fn flush(&mut self) -> Result<()> {
        self.accept_waiting()?;
        for peer in &self.peers {
            let mut left = &self.out[..];
            while !left.is_empty() {
                let count = rustix::net::send(peer, left, SendFlags::NOSIGNAL)
                    .doing("send on a bare socket")?;
                left = &left[count..];
            }
        }
        self.out.clear();
        Ok(())
    }
}

impl Incoming for Socket {
    #[inline]
    fn recv<T>(&mut self, take: impl FnOnce(&[u8]) -> T) -> Result<T> {
        loop {
            if let Some(body) = self.cutter.next() {
                return Ok(take(body));
            }
            self.read(self.read_flags())?;
        }
    }

    #[inline]
    fn try_recv<T>(&mut self, take: impl FnOnce(&[u8]) -> T) -> Result<Option<T>> {
        if let Some(body) = self.cutter.next() {
            return Ok(Some(take(body)));
        }
        self.read(RecvFlags::DONTWAIT)?;
        Ok(self.cutter.next().map(take))
    }

    fn recv_pair<T>(&mut self, take: impl FnOnce(&[u8], &[u8]) -> T) -> Result<T> {
        loop {
            if let Some((topic, body)) = self.cutter.next_pair() {
                return Ok(take(topic, body));
            }
            self.read(self.read_flags())?;
        }
    }
}

impl Subscribing for Socket {
    fn subscribe(&mut self, prefix: &[u8]) -> Result<()> {
        match prefix {
            [] => Ok(()),
            _ => Err(Error::Unsupported("bare sockets have no topics")),
        }
    }
}

/// `poll` over the descriptors of all sockets.
pub(crate) struct Poller {
    spins: bool,
}

impl Polling<Socket> for Poller {
    fn wait(&mut self, sockets: &mut [Socket], ready: &mut Vec<usize>, due: u64) -> Result<()> {
        ready.clear();
        let mut fds: Vec<_> = sockets
            .iter()
            .map(|socket| PollFd::from_borrowed_fd(socket.peers[0].as_fd(), PollFlags::IN))
            .collect();
        let left = if self.spins { 0 } else { due.saturating_sub(clock::now()) };
        let left = Timespec {
            tv_sec: i64::try_from(left / SECOND).expect("a wait in seconds fits"),
            tv_nsec: i64::try_from(left % SECOND).expect("less than a second"),
        };
        rustix::event::poll(&mut fds, Some(&left)).doing("poll bare sockets")?;
        ready.extend((0..fds.len()).filter(|&index| !fds[index].revents().is_empty()));
        Ok(())
    }
}
