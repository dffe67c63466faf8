//! What the benches share: how long they measure, who drives, and two sockets that have met.
//!
//! Each file in `benches/` looks at one mechanism, in this process: `framing`, `subscriptions`,
//! `queue`, `log`, and `end_to_end` for all of them together. `cargo bench` runs them all in some
//! three minutes; `cargo bench --package benches -- --test` runs each once, to see that it works.
//!
//! Deliberately absent: comparisons. What others need for the same is measured in `perf`, in
//! processes of their own.
#![forbid(unsafe_code)]

use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use criterion::Criterion;
use zring::pattern::Pattern;
use zring::{AnyContext, Context, Driver, LocalContext, Socket, Wait};

/// Runs one file of benches with settings that keep all of them within minutes: a number that is
/// good to a few percent is enough to see what a change did.
pub fn run(benches: impl FnOnce(&mut Criterion)) {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(1000))
        .configure_from_args();
    benches(&mut criterion);
    criterion.final_summary();
}

/// A socket that closes without waiting for its peers, which may not be at work.
pub fn socket<P: Pattern, C: AnyContext>(context: &C) -> Socket<P, C::Driver> {
    let builder = Socket::<P>::builder().linger(Some(Duration::ZERO));
    builder.build(context).expect("a socket can be made")
}

/// Who drives: makes contexts of one kind.
pub trait Ground: 'static {
    /// What sockets are made with.
    type Context: AnyContext<Driver = Self::Driver>;
    /// Of those sockets.
    type Driver: Driver;
    /// Makes a context on another thread whose sockets can talk to this one's.
    type Seed: Send + 'static;
    /// What results are filed under.
    const NAME: &'static str;
    /// Transports between two threads.
    const ENDPOINTS: &'static [&'static str];

    /// A fresh context.
    fn context() -> Self::Context;
    /// To be sent to another thread.
    fn seed(context: &Self::Context) -> Self::Seed;
    /// On that other thread.
    fn grow(seed: Self::Seed) -> Self::Context;
    /// Has everything leave that was sent, as far as nobody else sees to it.
    fn finish<P: Pattern>(socket: &mut Socket<P, Self::Driver>);
}

/// One I/O thread for each side.
pub enum IoThreads {}

impl Ground for IoThreads {
    type Context = Context;
    type Driver = zring::IoThreads;
    type Seed = Context;
    const NAME: &'static str = "io_threads";
    const ENDPOINTS: &'static [&'static str] = &["tcp://127.0.0.1:*", "ipc://*", "inproc://bench"];

    fn context() -> Context {
        Context::builder().io_threads(2).build().expect("two threads are allowed")
    }

    fn seed(context: &Context) -> Context {
        context.clone()
    }

    fn grow(seed: Context) -> Context {
        seed
    }

    fn finish<P: Pattern>(_socket: &mut Socket<P, zring::IoThreads>) {}
}

/// Each side's thread does its own work, and sleeps when there is none.
pub enum Caller {}

impl Ground for Caller {
    type Context = LocalContext;
    type Driver = zring::Caller;
    type Seed = ();
    const NAME: &'static str = "caller";
    const ENDPOINTS: &'static [&'static str] = &["tcp://127.0.0.1:*", "ipc://*"];

    fn context() -> LocalContext {
        LocalContext::new(Wait::Block)
    }

    fn seed(_context: &LocalContext) {}

    fn grow((): ()) -> LocalContext {
        Self::context()
    }

    fn finish<P: Pattern>(socket: &mut Socket<P, zring::Caller>) {
        while socket.counters().iter().any(|pipe| pipe.queued > 0) {
            socket.flush().expect("the ring works");
            thread::yield_now();
        }
    }
}

/// The name of an endpoint's transport.
#[must_use]
pub fn transport(endpoint: &str) -> &str {
    endpoint.split(':').next().unwrap_or(endpoint)
}

/// A thread that does the same work again and again, as often as it is told.
pub struct Colleague {
    work: Option<Sender<u64>>,
    done: Receiver<()>,
    thread: Option<JoinHandle<()>>,
}

impl Colleague {
    /// A thread that prepares itself and then calls what came of that with the count of each
    /// piece of work.
    pub fn new<F: FnMut(u64)>(prepare: impl FnOnce() -> F + Send + 'static) -> Self {
        let (work, orders) = mpsc::channel();
        let (report, done) = mpsc::channel();
        let thread = thread::spawn(move || {
            let mut act = prepare();
            for count in orders {
                act(count);
                if report.send(()).is_err() {
                    return;
                }
            }
        });
        Self { work: Some(work), done, thread: Some(thread) }
    }

    /// A thread that does one thing at once, and no other work.
    pub fn once(act: impl FnOnce() + Send + 'static) -> Self {
        Self::new(move || {
            act();
            |_| {}
        })
    }

    /// Has it begin.
    pub fn start(&self, count: u64) {
        let work = self.work.as_ref().expect("it works until it is dropped");
        work.send(count).expect("a colleague does not leave early");
    }

    /// Waits until it is done.
    pub fn finish(&self) {
        self.done.recv().expect("a colleague does not leave early");
    }
}

impl Drop for Colleague {
    fn drop(&mut self) {
        self.work = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
            && !thread::panicking()
        {
            panic!("a colleague failed");
        }
    }
}
