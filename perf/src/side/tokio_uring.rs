//! Bare sockets on `tokio-uring`: a plain io_uring runtime, for streams and ping-pong.
//!
//! The same framing as `raw`, one `read` or `write_all` at a time, each driven to its end on the
//! calling thread.
//!
//! Deliberately absent: pub-sub, polling many, inproc.

use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::rc::Rc;

use tokio_uring::Runtime;

use super::wire::{COPY_MAX, Cutter, GATHER_MAX, append_header};
use super::{Connectable, Incoming, NoPoller, Outgoing, Side, Subscribing};
use crate::error::{Doing as _, Error, Result};
use crate::job::{Load, Setup, Transport};

/// The runtime.
pub(crate) struct TokioUring {
    runtime: Rc<Runtime>,
}

impl TokioUring {
    fn open(&self) -> Result<Socket> {
        Ok(Socket {
            runtime: Rc::clone(&self.runtime),
            listener: None,
            stream: None,
            out: Vec::with_capacity(GATHER_MAX + COPY_MAX),
            cutter: Cutter::new(),
        })
    }
}

impl Side for TokioUring {
    type Push = Socket;
    type Pull = Socket;
    type Publish = Socket;
    type Subscribe = Socket;
    type Request = Socket;
    type Reply = Socket;
    type Poller = NoPoller;

    fn new(setup: &Setup, _: &Load) -> Result<Self> {
        if setup.transport == Transport::Inproc {
            return Err(Error::Unsupported("bare sockets have no inproc"));
        }
        let runtime = Runtime::new(&tokio_uring::builder()).doing("start tokio-uring")?;
        Ok(Self { runtime: Rc::new(runtime) })
    }

    fn push(&self) -> Result<Socket> {
        self.open()
    }

    fn pull(&self) -> Result<Socket> {
        self.open()
    }

    fn publish(&self) -> Result<Socket> {
        Err(NO_PUBLISH)
    }

    fn subscribe(&self) -> Result<Socket> {
        Err(NO_PUBLISH)
    }

    fn request(&self) -> Result<Socket> {
        self.open()
    }

    fn reply(&self) -> Result<Socket> {
        self.open()
    }

    fn poller(&self, _: &[Socket]) -> Result<NoPoller> {
        Ok(NoPoller)
    }
}

const NO_PUBLISH: Error = Error::Unsupported("tokio-uring is measured with streams and ping-pong");

/// One end of a stream.
pub(crate) struct Socket {
    runtime: Rc<Runtime>,
    listener: Option<Listener>,
    stream: Option<Rc<Stream>>,
    out: Vec<u8>,
    cutter: Cutter,
}

enum Listener {
    Tcp(TcpListener),
    Ipc(UnixListener),
}

enum Stream {
    Tcp(tokio_uring::net::TcpStream),
    Ipc(tokio_uring::net::UnixStream),
}

impl Stream {
    async fn write_all(&self, bytes: Vec<u8>) -> (io::Result<()>, Vec<u8>) {
        match self {
            Self::Tcp(stream) => stream.write_all(bytes).await,
            Self::Ipc(stream) => stream.write_all(bytes).await,
        }
    }

    async fn read(&self, bytes: Vec<u8>, from: usize) -> (io::Result<usize>, Vec<u8>) {
        use tokio_uring::buf::BoundedBuf as _;
        let room = bytes.slice(from..);
        let (count, room) = match self {
            Self::Tcp(stream) => stream.read(room).await,
            Self::Ipc(stream) => stream.read(room).await,
        };
        (count, room.into_inner())
    }
}

impl Socket {
    /// The connection; the binding end accepts it when it is first needed.
    fn stream(&mut self) -> Result<Rc<Stream>> {
        if let Some(stream) = &self.stream {
            return Ok(Rc::clone(stream));
        }
        let stream = match &self.listener {
            Some(Listener::Tcp(listener)) => {
                let (stream, _) = listener.accept().doing("accept")?;
                stream.set_nodelay(true).doing("set nodelay")?;
                Stream::Tcp(tokio_uring::net::TcpStream::from_std(stream))
            }
            Some(Listener::Ipc(listener)) => {
                let (stream, _) = listener.accept().doing("accept")?;
                Stream::Ipc(tokio_uring::net::UnixStream::from_std(stream))
            }
            None => return Err(Error::Worker("neither bound nor connected".into())),
        };
        Ok(Rc::clone(self.stream.insert(Rc::new(stream))))
    }

    fn read(&mut self) -> Result<()> {
        let stream = self.stream()?;
        let (bytes, from) = self.cutter.lend();
        let (count, bytes) = self.runtime.block_on(stream.read(bytes, from));
        self.cutter.take_back(bytes, *count.as_ref().unwrap_or(&0));
        match count.doing("read with tokio-uring")? {
            0 => Err(Error::Worker("the peer of a bare socket went away".into())),
            _ => Ok(()),
        }
    }

    #[inline]
    fn append(&mut self, more: bool, body: &[u8]) -> Result<()> {
        append_header(&mut self.out, more, body.len());
        self.out.extend_from_slice(body);
        if self.out.len() >= GATHER_MAX { self.flush() } else { Ok(()) }
    }
}

impl Connectable for Socket {
    fn bind(&mut self, endpoint: &str) -> Result<String> {
        let (listener, resolved) = if let Some(path) = endpoint.strip_prefix("ipc://") {
            (Listener::Ipc(UnixListener::bind(path).doing("bind a path")?), endpoint.to_owned())
        } else {
            let address = endpoint.trim_start_matches("tcp://").replace('*', "0");
            let listener = TcpListener::bind(&address).doing("bind an address")?;
            let address = listener.local_addr().doing("read the bound address")?;
            (Listener::Tcp(listener), format!("tcp://{address}"))
        };
        self.listener = Some(listener);
        Ok(resolved)
    }

    fn connect(&mut self, endpoint: &str) -> Result<()> {
        let stream = if let Some(path) = endpoint.strip_prefix("ipc://") {
            let stream = UnixStream::connect(path).doing("connect to a path")?;
            Stream::Ipc(tokio_uring::net::UnixStream::from_std(stream))
        } else {
            let address = endpoint.trim_start_matches("tcp://");
            let stream = TcpStream::connect(address).doing("connect to an address")?;
            stream.set_nodelay(true).doing("set nodelay")?;
            Stream::Tcp(tokio_uring::net::TcpStream::from_std(stream))
        };
        self.stream = Some(Rc::new(stream));
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
        if self.out.is_empty() {
            return Ok(());
        }
        let stream = self.stream()?;
        let out = std::mem::take(&mut self.out);
        let (done, mut out) = self.runtime.block_on(stream.write_all(out));
        out.clear();
        self.out = out;
        done.doing("write with tokio-uring")
    }
}

impl Incoming for Socket {
    #[inline]
    fn recv<T>(&mut self, take: impl FnOnce(&[u8]) -> T) -> Result<T> {
        loop {
            if let Some(body) = self.cutter.next() {
                return Ok(take(body));
            }
            self.read()?;
        }
    }

    fn try_recv<T>(&mut self, _: impl FnOnce(&[u8]) -> T) -> Result<Option<T>> {
        Err(Error::Unsupported("tokio-uring reads are driven to their end"))
    }

    fn recv_pair<T>(&mut self, take: impl FnOnce(&[u8], &[u8]) -> T) -> Result<T> {
        loop {
            if let Some((topic, body)) = self.cutter.next_pair() {
                return Ok(take(topic, body));
            }
            self.read()?;
        }
    }
}

impl Subscribing for Socket {
    fn subscribe(&mut self, _: &[u8]) -> Result<()> {
        Err(NO_PUBLISH)
    }
}
