//! Grounds: the same test for every driver and over every transport.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::ScopedJoinHandle;
use std::time::{Duration, Instant};

use zring::{AnyContext, Context, Driver, LocalContext, Wait};

use crate::watchdog::{PATIENCE, Watchdog, give_up};

/// Who drives: makes contexts of one kind.
pub trait Ground: Sized + 'static {
    /// Of the sockets made here.
    type Driver: Driver;
    /// What sockets are made with.
    type Context: AnyContext<Driver = Self::Driver>;
    /// Makes, on another thread, a context whose sockets can talk to this one's.
    type Seed: Clone + Send + 'static;
    /// Whether nothing moves but in calls.
    const IS_LOCAL: bool;

    /// A fresh context.
    fn context() -> Self::Context;
    /// To be sent to another thread.
    fn seed(context: &Self::Context) -> Self::Seed;
    /// On that other thread.
    fn grow(seed: Self::Seed) -> Self::Context;
    /// Gives time to whoever works, a moment at most.
    fn pause(context: &Self::Context);
}

/// A context with so many I/O threads.
pub enum IoThreads<const COUNT: usize> {}
/// A context with one I/O thread.
pub type Threads = IoThreads<1>;
/// A context with two I/O threads.
pub type TwoThreads = IoThreads<2>;
/// A caller-driven context that sleeps when it waits.
pub enum Caller {}
/// A caller-driven context that looks for a while before it sleeps.
pub enum Spinning {}
/// A caller-driven context that never sleeps.
pub enum Sleepless {}

/// What [`Spinning`] looks for: some messages come sooner and some do not.
const SPIN: Duration = Duration::from_micros(50);

/// A caller-driven context, by how it waits.
pub trait Waits: 'static {
    /// So.
    const WAIT: Wait;
}

impl Waits for Caller {
    const WAIT: Wait = Wait::Block;
}

impl Waits for Spinning {
    const WAIT: Wait = Wait::SpinThenBlock(SPIN);
}

impl Waits for Sleepless {
    const WAIT: Wait = Wait::Spin;
}

impl<const COUNT: usize> Ground for IoThreads<COUNT> {
    type Driver = zring::IoThreads;
    type Context = Context;
    type Seed = Context;
    const IS_LOCAL: bool = false;

    fn context() -> Context {
        Context::builder().io_threads(COUNT).build().expect("so many threads are allowed")
    }

    fn seed(context: &Context) -> Context {
        context.clone()
    }

    fn grow(seed: Context) -> Context {
        seed
    }

    fn pause(_context: &Context) {
        std::thread::park_timeout(Duration::from_millis(1));
    }
}

impl<W: Waits> Ground for W {
    type Driver = zring::Caller;
    type Context = LocalContext;
    type Seed = ();
    const IS_LOCAL: bool = true;

    fn context() -> LocalContext {
        LocalContext::new(W::WAIT)
    }

    fn seed(_context: &LocalContext) {}

    fn grow((): ()) -> LocalContext {
        Self::context()
    }

    fn pause(context: &LocalContext) {
        context.turn(Some(Duration::from_millis(1))).expect("a turn");
    }
}

/// How bytes travel.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Transport {
    /// Over the loopback interface.
    Tcp,
    /// Over the loopback interface, by its IPv6 address.
    Tcp6,
    /// Over abstract names.
    Ipc,
    /// Within the context.
    Inproc,
}

impl Transport {
    /// An endpoint that nobody else uses, to bind. Binding tells where it is.
    #[must_use]
    pub fn endpoint(self) -> String {
        let (process, number) = (std::process::id(), fresh_number());
        match self {
            Self::Tcp => String::from("tcp://127.0.0.1:*"),
            Self::Tcp6 => String::from("tcp://[::1]:*"),
            Self::Ipc => format!("ipc://@zring-tests-{process}-{number}"),
            Self::Inproc => format!("inproc://{number}"),
        }
    }

    /// An endpoint that nobody else uses and that can be connected to before it is bound.
    #[must_use]
    pub fn fixed_endpoint(self) -> String {
        match self {
            Self::Tcp => format!("tcp://127.0.0.1:{}", free_port()),
            Self::Tcp6 => format!("tcp://[::1]:{}", free_port_of(Ipv6Addr::LOCALHOST)),
            Self::Ipc | Self::Inproc => self.endpoint(),
        }
    }

    /// Whether endpoints have ports.
    #[must_use]
    pub fn is_tcp(self) -> bool {
        matches!(self, Self::Tcp | Self::Tcp6)
    }

    /// Whether this machine has it. If not, says so where the test harness does not capture it.
    #[must_use]
    pub fn is_here(self) -> bool {
        let is_here = self != Self::Tcp6 || TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
        if !is_here {
            let thread = std::thread::current();
            let name = thread.name().unwrap_or("a test without a name");
            let word = "SKIPPED: the loopback interface has no ::1";
            // Nobody is left to tell if that fails.
            let _result = writeln!(std::io::stderr(), "{name}: {word}");
        }
        is_here
    }
}

fn fresh_number() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// A tcp port of the loopback interface that is free now. The kernel hands ports out in turn, so
/// that nobody gets it by chance soon after.
#[must_use]
pub fn free_port() -> u16 {
    free_port_of(Ipv4Addr::LOCALHOST)
}

fn free_port_of(address: impl Into<IpAddr>) -> u16 {
    let listener = TcpListener::bind((address.into(), 0)).expect("a port is free");
    listener.local_addr().expect("it is bound").port()
}

/// Where one test runs: a context, a transport and a watchdog.
pub struct Cell<G: Ground> {
    /// The context of the test's own thread.
    pub context: G::Context,
    /// How bytes travel.
    pub transport: Transport,
    /// Barks if the test hangs.
    pub watchdog: Watchdog,
}

impl<G: Ground> Cell<G> {
    /// A cell with a fresh context.
    #[must_use]
    pub fn new(transport: Transport) -> Self {
        Self { context: G::context(), transport, watchdog: Watchdog::of_this_test() }
    }

    /// See [`Transport::endpoint`].
    #[must_use]
    pub fn endpoint(&self) -> String {
        self.transport.endpoint()
    }

    /// Looks until it is so, and lets whoever works work in between.
    ///
    /// # Panics
    /// If that takes so long that it will never be so.
    #[track_caller]
    pub fn until(&self, mut is_so: impl FnMut() -> bool) {
        let begin = Instant::now();
        while !is_so() {
            assert!(begin.elapsed() < PATIENCE / 2, "it is still not so after {PATIENCE:?} / 2");
            G::pause(&self.context);
        }
    }

    /// Runs `there` on another thread with a context of its own, whose sockets can talk to this
    /// cell's, and `here` on this one. A panic over there ends the process, since this thread may
    /// wait for it for ever.
    pub fn beside<T: Send>(
        &self,
        there: impl FnOnce(&G::Context) + Send,
        here: impl FnOnce(&G::Context) -> T,
    ) -> T {
        let seed = G::seed(&self.context);
        std::thread::scope(|scope| {
            let thread = scope.spawn(move || or_give_up(|| there(&G::grow(seed))));
            let answer = here(&self.context);
            join([thread]);
            answer
        })
    }
}

/// Runs `work`, on a thread that somebody waits for. A panic ends the process.
pub fn or_give_up<T>(work: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        give_up(&format!("a thread of a test panicked: {}", text.unwrap_or("?")))
    })
}

/// Waits for threads of a scope, none of which panics. A scope does so too, but within std, where
/// the thread sanitizer does not see it.
pub fn join<'scope>(threads: impl IntoIterator<Item = ScopedJoinHandle<'scope, ()>>) {
    for thread in threads {
        thread.join().expect("a panic has ended the process");
    }
}

/// One test for each function named, over each transport named, for each ground named.
///
/// ```ignore
/// tests::cells!([Threads, Caller] x [Tcp, Ipc, Inproc]: order_is_kept, nothing_is_lost);
/// ```
#[macro_export]
macro_rules! cells {
    ($grounds:tt x $transports:tt: $($body:ident),+ $(,)?) => {
        $($crate::cells!(@body $grounds $transports $body);)+
    };
    (@body [$($ground:ident),+] $transports:tt $body:ident) => {
        mod $body {
            $($crate::cells!(@ground $ground $transports $body);)+
        }
    };
    (@ground $ground:ident [$($transport:ident),+] $body:ident) => {
        #[allow(non_snake_case, reason = "named after what it runs on")]
        mod $ground {
            $(
                #[test]
                fn $transport() {
                    let transport = $crate::Transport::$transport;
                    if transport.is_here() {
                        let cell = $crate::Cell::<$crate::$ground>::new(transport);
                        super::super::$body(&cell);
                    }
                }
            )+
        }
    };
}
