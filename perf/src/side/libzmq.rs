//! libzmq 4.3, the `zmq` crate's vendored build: one context, one I/O thread, blocking calls.
//!
//! Sends copy from a slice (`zmq_send`), receives reuse one `zmq_msg_t`. Linger is zero, because
//! a run ends only when the receiver has everything.
//!
//! Deliberately absent: `zmq_msg_init_data`, which for these sizes is slower than the copy.

use std::ffi::{c_int, c_void};

use zmq::{DONTWAIT, PollEvents, SNDMORE, SocketType};

use super::{Connectable, Incoming, Outgoing, Polling, Side, Subscribing};
use crate::clock::{self, MILLISECOND};
use crate::error::{Error, Result};
use crate::job::{Load, Setup};

/// A context and how to open sockets in it.
#[derive(Clone)]
pub(crate) struct Libzmq {
    context: zmq::Context,
    high_water_mark: i32,
    no_drop: bool,
    spins: bool,
}

impl Libzmq {
    fn open(&self, kind: SocketType) -> Result<Socket> {
        let inner = self.context.socket(kind).map_err(failed("open a socket"))?;
        inner.set_sndhwm(self.high_water_mark).map_err(failed("set the send mark"))?;
        inner.set_rcvhwm(self.high_water_mark).map_err(failed("set the receive mark"))?;
        inner.set_linger(0).map_err(failed("set linger"))?;
        let (message, second) = (zmq::Message::new(), zmq::Message::new());
        Ok(Socket { inner, message, second, spins: self.spins })
    }
}

impl Side for Libzmq {
    type Push = Socket;
    type Pull = Socket;
    type Publish = Socket;
    type Subscribe = Socket;
    type Request = Socket;
    type Reply = Socket;
    type Poller = Poller;

    fn new(setup: &Setup, load: &Load) -> Result<Self> {
        let high_water_mark =
            i32::try_from(load.high_water_mark).expect("the command line takes no larger mark");
        Ok(Self {
            context: zmq::Context::new(),
            high_water_mark,
            no_drop: setup.no_drop,
            spins: setup.who.spins(),
        })
    }

    fn push(&self) -> Result<Socket> {
        self.open(zmq::PUSH)
    }

    fn pull(&self) -> Result<Socket> {
        self.open(zmq::PULL)
    }

    fn publish(&self) -> Result<Socket> {
        let mut socket = self.open(zmq::PUB)?;
        if self.no_drop {
            set_no_drop(&mut socket.inner)?;
        }
        Ok(socket)
    }

    fn subscribe(&self) -> Result<Socket> {
        self.open(zmq::SUB)
    }

    fn request(&self) -> Result<Socket> {
        self.open(zmq::REQ)
    }

    fn reply(&self) -> Result<Socket> {
        self.open(zmq::REP)
    }

    fn poller(&self, _: &[Socket]) -> Result<Poller> {
        Ok(Poller { spins: self.spins })
    }

    fn features(&self) -> Option<String> {
        let (major, minor, patch) = zmq::version();
        Some(format!("{major}.{minor}.{patch}"))
    }
}

/// A socket with the two frames it receives into.
pub(crate) struct Socket {
    inner: zmq::Socket,
    message: zmq::Message,
    second: zmq::Message,
    spins: bool,
}

impl Socket {
    #[inline]
    fn receive(&mut self) -> Result<()> {
        if !self.spins {
            return self.inner.recv(&mut self.message, 0).map_err(failed("receive"));
        }
        while !self.try_receive()? {
            std::hint::spin_loop();
        }
        Ok(())
    }

    #[inline]
    fn try_receive(&mut self) -> Result<bool> {
        match self.inner.recv(&mut self.message, DONTWAIT) {
            Ok(()) => Ok(true),
            Err(zmq::Error::EAGAIN) => Ok(false),
            Err(error) => Err(failed("receive")(error)),
        }
    }
}

impl Connectable for Socket {
    fn bind(&mut self, endpoint: &str) -> Result<String> {
        self.inner.bind(endpoint).map_err(failed("bind"))?;
        let resolved = self.inner.get_last_endpoint().map_err(failed("read the endpoint"))?;
        Ok(resolved.unwrap_or_else(|_| endpoint.to_owned()))
    }

    fn connect(&mut self, endpoint: &str) -> Result<()> {
        self.inner.connect(endpoint).map_err(failed("connect"))
    }
}

impl Outgoing for Socket {
    #[inline]
    fn send(&mut self, body: &[u8]) -> Result<()> {
        self.inner.send(body, 0).map_err(failed("send"))
    }

    fn try_send(&mut self, body: &[u8]) -> Result<bool> {
        match self.inner.send(body, DONTWAIT) {
            Ok(()) => Ok(true),
            Err(zmq::Error::EAGAIN) => Ok(false),
            Err(error) => Err(failed("send")(error)),
        }
    }

    #[inline]
    fn send_pair(&mut self, topic: &[u8], body: &[u8]) -> Result<()> {
        self.inner.send(topic, SNDMORE).map_err(failed("send a topic"))?;
        self.inner.send(body, 0).map_err(failed("send"))
    }
}

impl Incoming for Socket {
    #[inline]
    fn recv<T>(&mut self, take: impl FnOnce(&[u8]) -> T) -> Result<T> {
        self.receive()?;
        Ok(take(&self.message))
    }

    #[inline]
    fn try_recv<T>(&mut self, take: impl FnOnce(&[u8]) -> T) -> Result<Option<T>> {
        Ok(self.try_receive()?.then(|| take(&self.message)))
    }

    #[inline]
    fn recv_pair<T>(&mut self, take: impl FnOnce(&[u8], &[u8]) -> T) -> Result<T> {
        self.receive()?;
        if !self.message.get_more() {
            return Ok(take(&self.message, &[]));
        }
        self.inner.recv(&mut self.second, 0).map_err(failed("receive a body"))?;
        Ok(take(&self.message, &self.second))
    }
}

impl Subscribing for Socket {
    fn subscribe(&mut self, prefix: &[u8]) -> Result<()> {
        self.inner.set_subscribe(prefix).map_err(failed("subscribe"))
    }
}

/// `zmq_poll` over the items of all sockets.
pub(crate) struct Poller {
    spins: bool,
}

impl Polling<Socket> for Poller {
    fn wait(&mut self, sockets: &mut [Socket], ready: &mut Vec<usize>, due: u64) -> Result<()> {
        ready.clear();
        let mut items: Vec<_> =
            sockets.iter().map(|socket| socket.inner.as_poll_item(PollEvents::POLLIN)).collect();
        let left_ms = due.saturating_sub(clock::now()).div_ceil(MILLISECOND);
        let left_ms = if self.spins { 0 } else { i64::try_from(left_ms).unwrap_or(i64::MAX) };
        zmq::poll(&mut items, left_ms).map_err(failed("poll"))?;
        ready.extend((0..items.len()).filter(|&index| items[index].is_readable()));
        Ok(())
    }
}

fn failed(doing: &'static str) -> impl FnOnce(zmq::Error) -> Error {
    move |error| Error::Side { who: "libzmq", doing, text: error.message().to_owned() }
}

/// Sets `ZMQ_XPUB_NODROP`, for which the `zmq` crate has no method.
#[allow(unsafe_code, reason = "the option is reachable through the C interface only")]
fn set_no_drop(socket: &mut zmq::Socket) -> Result<()> {
    let on: c_int = 1;
    // SAFETY: the socket is open while it is borrowed, and the option reads one `int` from `on`.
    let answer = unsafe {
        zmq_sys::zmq_setsockopt(
            socket.as_mut_ptr(),
            zmq_sys::ZMQ_XPUB_NODROP.cast_signed(),
            (&raw const on).cast::<c_void>(),
            size_of::<c_int>(),
        )
    };
    match answer {
        0 => Ok(()),
        _ => Err(failed("set no-drop")(zmq::Error::from_raw(
            std::io::Error::last_os_error().raw_os_error().unwrap_or(0),
        ))),
    }
}
