//! zring, with one I/O thread or turned by its caller: the same code over either context.
//!
//! Linger is zero, because a run ends only when the receiver has everything. A spinning side asks
//! again and again where there is an I/O thread; turned by its caller, zring spins by itself.
//!
//! Deliberately absent: inproc without threads, which has nobody at its other end.

use std::time::Duration;

use zring::pattern::{self, Pattern, Receives, Sends};
use zring::{AnyContext, Builder, Context, Driver, LocalContext, Wait};

use super::{Connectable, Incoming, Outgoing, Polling, Side, Subscribing};
use crate::clock;
use crate::error::{Error, Result};
use crate::job::{Load, Setup, Who};

/// What the two contexts do differently.
pub(crate) trait Turned: AnyContext<Driver: 'static> + Sized + 'static {
    fn start(who: Who) -> Self;

    /// See [`Side::pass`].
    fn pass(&self, due: u64) -> Result<()>;
}

impl Turned for Context {
    fn start(_: Who) -> Self {
        Self::new()
    }

    fn pass(&self, due: u64) -> Result<()> {
        clock::sleep_until(due);
        Ok(())
    }
}

impl Turned for LocalContext {
    fn start(who: Who) -> Self {
        Self::new(if who.spins() { Wait::Spin } else { Wait::Block })
    }

    fn pass(&self, due: u64) -> Result<()> {
        loop {
            let left = due.saturating_sub(clock::now());
            if left == 0 {
                return Ok(());
            }
            self.turn(Some(Duration::from_nanos(left))).map_err(failed("turn"))?;
        }
    }
}

/// A context and how to open sockets in it.
#[derive(Clone)]
pub(crate) struct Zring<C> {
    context: C,
    high_water_mark: usize,
    no_drop: bool,
    /// Whether a receive asks again and again.
    asks: bool,
}

impl<C: Turned> Zring<C> {
    fn open<P: Pattern>(&self, builder: Builder<P>) -> Result<Socket<P, C::Driver>> {
        let inner = builder
            .linger(Some(Duration::ZERO))
            .build(&self.context)
            .map_err(failed("open a socket"))?;
        Ok(Socket { inner, frame: zring::Message::new(), asks: self.asks })
    }
}

impl<C: Turned> Side for Zring<C> {
    type Push = Socket<pattern::Push, C::Driver>;
    type Pull = Socket<pattern::Pull, C::Driver>;
    type Publish = Socket<pattern::Pub, C::Driver>;
    type Subscribe = Socket<pattern::Sub, C::Driver>;
    type Request = Socket<pattern::Req, C::Driver>;
    type Reply = Socket<pattern::Rep, C::Driver>;
    type Poller = Poller<C::Driver>;

    fn new(setup: &Setup, load: &Load) -> Result<Self> {
        Ok(Self {
            context: C::start(setup.who),
            high_water_mark: load.high_water_mark,
            no_drop: setup.no_drop,
            asks: setup.who == Who::ZringIoSpin,
        })
    }

    fn push(&self) -> Result<Self::Push> {
        self.open(zring::Push::builder().send_high_water_mark(self.high_water_mark))
    }

    fn pull(&self) -> Result<Self::Pull> {
        self.open(zring::Pull::builder().receive_high_water_mark(self.high_water_mark))
    }

    fn publish(&self) -> Result<Self::Publish> {
        let builder = zring::Pub::builder().send_high_water_mark(self.high_water_mark);
        self.open(builder.no_drop(self.no_drop))
    }

    fn subscribe(&self) -> Result<Self::Subscribe> {
        self.open(zring::Sub::builder().receive_high_water_mark(self.high_water_mark))
    }

    fn request(&self) -> Result<Self::Request> {
        let builder = zring::Req::builder().send_high_water_mark(self.high_water_mark);
        self.open(builder.receive_high_water_mark(self.high_water_mark))
    }

    fn reply(&self) -> Result<Self::Reply> {
        let builder = zring::Rep::builder().send_high_water_mark(self.high_water_mark);
        self.open(builder.receive_high_water_mark(self.high_water_mark))
    }

    fn poller(&self, _: &[Self::Subscribe]) -> Result<Self::Poller> {
        Ok(Poller { inner: zring::Poller::new(&self.context), asks: self.asks })
    }

    fn pass(&self, due: u64) -> Result<()> {
        self.context.pass(due)
    }

    fn features(&self) -> Option<String> {
        self.context.features().map(|features| features.to_string())
    }
}

/// A socket of one pattern.
pub(crate) struct Socket<P: Pattern, D: Driver> {
    inner: zring::Socket<P, D>,
    /// What was received last.
    frame: zring::Message,
    asks: bool,
}

impl<P: Receives, D: Driver> Socket<P, D> {
    #[inline]
    fn receive(&mut self) -> Result<()> {
        if !self.asks {
            return self.inner.recv_into(&mut self.frame).map_err(failed("receive"));
        }
        while !self.try_receive()? {
            std::hint::spin_loop();
        }
        Ok(())
    }

    #[inline]
    fn try_receive(&mut self) -> Result<bool> {
        match self.inner.try_recv_into(&mut self.frame) {
            Ok(()) => Ok(true),
            Err(zring::Error::WouldBlock) => Ok(false),
            Err(error) => Err(failed("receive")(error)),
        }
    }
}

impl<P: Pattern, D: Driver> Connectable for Socket<P, D> {
    fn bind(&mut self, endpoint: &str) -> Result<String> {
        self.inner.bind(endpoint).map_err(failed("bind"))
    }

    fn connect(&mut self, endpoint: &str) -> Result<()> {
        self.inner.connect(endpoint).map_err(failed("connect"))
    }
}

impl<P: Sends, D: Driver> Outgoing for Socket<P, D> {
    #[inline]
    fn send(&mut self, body: &[u8]) -> Result<()> {
        self.inner.send(body).map_err(failed("send"))
    }

    fn try_send(&mut self, body: &[u8]) -> Result<bool> {
        match self.inner.try_send(body) {
            Ok(()) => Ok(true),
            Err(zring::Error::WouldBlock) => Ok(false),
            Err(error) => Err(failed("send")(error)),
        }
    }

    #[inline]
    fn send_pair(&mut self, topic: &[u8], body: &[u8]) -> Result<()> {
        self.inner.send_more(topic).map_err(failed("send a topic"))?;
        self.inner.send(body).map_err(failed("send"))
    }

    fn flush(&mut self) -> Result<()> {
        self.inner.flush().map_err(failed("flush"))
    }
}

impl<P: Receives, D: Driver> Incoming for Socket<P, D> {
    #[inline]
    fn recv<T>(&mut self, take: impl FnOnce(&[u8]) -> T) -> Result<T> {
        self.receive()?;
        Ok(take(&self.frame))
    }

    #[inline]
    fn try_recv<T>(&mut self, take: impl FnOnce(&[u8]) -> T) -> Result<Option<T>> {
        Ok(self.try_receive()?.then(|| take(&self.frame)))
    }

    #[inline]
    fn recv_pair<T>(&mut self, take: impl FnOnce(&[u8], &[u8]) -> T) -> Result<T> {
        self.receive()?;
        if !self.frame.has_more() {
            return Ok(take(&self.frame, &[]));
        }
        let second = self.inner.recv().map_err(failed("receive a body"))?;
        Ok(take(&self.frame, &second))
    }
}

impl<D: Driver> Subscribing for Socket<pattern::Sub, D> {
    fn subscribe(&mut self, prefix: &[u8]) -> Result<()> {
        self.inner.subscribe(prefix).map_err(failed("subscribe"))
    }
}

/// zring's own poller.
pub(crate) struct Poller<D: Driver> {
    inner: zring::Poller<D>,
    asks: bool,
}

impl<D: Driver> Polling<Socket<pattern::Sub, D>> for Poller<D> {
    fn wait(
        &mut self,
        sockets: &mut [Socket<pattern::Sub, D>],
        ready: &mut Vec<usize>,
        due: u64,
    ) -> Result<()> {
        ready.clear();
        let left = if self.asks { 0 } else { due.saturating_sub(clock::now()) };
        let left = Some(Duration::from_nanos(left));
        let found = self.inner.wait_readable_by(sockets, left, |socket| &mut socket.inner);
        ready.extend(found.map_err(failed("poll"))?.iter().map(|found| found.index));
        Ok(())
    }
}

fn failed(doing: &'static str) -> impl FnOnce(zring::Error) -> Error {
    move |error| Error::Side { who: "zring", doing, text: error.to_string() }
}
