//! A worker process: does the parts of one job and reports.
//!
//! Affinity and timer slack are set before the side starts its threads, which inherit both. The
//! process ends with its orders: when the coordinator is gone, so is the worker.
//!
//! Deliberately absent: clean endings. What is measured has been reported by then, and a context
//! that hangs in its destructor must not hang the program.

use std::io::{BufRead as _, Write as _};
use std::num::NonZeroU64;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc;

use rustix::thread::{CpuSet, sched_setaffinity, set_current_timer_slack};
use zring::{Context, LocalContext};

use crate::clock;
use crate::error::{Doing as _, Error, Result};
use crate::job::{Event, Job, Order, Report, Who};
use crate::side::Side;
use crate::side::libzmq::Libzmq;
use crate::side::raw::Raw;
use crate::side::tokio_uring::TokioUring;
use crate::side::zring::Zring;
use crate::work::Run;

/// The line between one part and the coordinator.
pub(crate) struct Control {
    part: usize,
    orders: mpsc::Receiver<Order>,
    /// Whether the parts of this job share the process, so that only threads can be told apart.
    shares_process: bool,
}

impl Control {
    /// Writes one report line.
    pub(crate) fn report(&self, event: Event) -> Result<()> {
        let mut line = serde_json::to_vec(&Report { part: self.part, event })?;
        line.push(b'\n');
        let mut stdout = std::io::stdout().lock();
        stdout.write_all(&line).doing("report")?;
        stdout.flush().doing("report")
    }

    /// The next order, if there is one.
    pub(crate) fn try_order(&self) -> Option<Order> {
        self.orders.try_recv().ok()
    }

    /// Processor time that this part used so far, in ns.
    pub(crate) fn cpu(&self) -> u64 {
        if self.shares_process { clock::thread_cpu() } else { clock::process_cpu() }
    }
}

/// Reads the job, does it, reports, ends.
pub(crate) fn main() -> ExitCode {
    match work() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("perf worker: {error}");
            ExitCode::FAILURE
        }
    }
}

fn work() -> Result<()> {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).doing("read the job")?;
    let job: Arc<Job> = Arc::new(serde_json::from_str(&line)?);
    set_current_timer_slack(NonZeroU64::new(1)).doing("set the timer slack")?;
    if let [part] = &job.parts[..] {
        stay_on(part.core)?;
    }
    let (senders, controls): (Vec<_>, Vec<_>) = (0..job.parts.len())
        .map(|part| {
            let (sender, orders) = mpsc::channel();
            (sender, Control { part, orders, shares_process: job.parts.len() > 1 })
        })
        .unzip();
    std::thread::spawn(move || read_orders(&senders));
    dispatch(&job, controls);
    // Not a return: see the head of this file.
    std::process::exit(0)
}

/// Hands every order to all parts; ends the process when the coordinator is gone.
fn read_orders(senders: &[mpsc::Sender<Order>]) {
    for line in std::io::stdin().lock().lines().map_while(|line| line.ok()) {
        let Ok(order) = serde_json::from_str(&line) else { break };
        for sender in senders {
            // A part that has ended needs no orders.
            let _ = sender.send(order);
        }
    }
    std::process::exit(3)
}

fn dispatch(job: &Arc<Job>, controls: Vec<Control>) {
    match job.setup.who {
        Who::ZringIo | Who::ZringIoSpin => perform_shared::<Zring<Context>>(job, controls),
        Who::ZringCaller | Who::ZringCallerSpin => perform::<Zring<LocalContext>>(job, controls),
        Who::Libzmq | Who::LibzmqSpin => perform_shared::<Libzmq>(job, controls),
        Who::Raw | Who::RawSpin => perform::<Raw>(job, controls),
        Who::TokioUring => perform::<TokioUring>(job, controls),
    }
}

/// Parts of a side that can be shared between threads: one each, or the only one here.
fn perform_shared<S: Side + Clone + Send>(job: &Arc<Job>, controls: Vec<Control>) {
    if controls.len() == 1 {
        return perform::<S>(job, controls);
    }
    let side = S::new(&job.setup, &job.load);
    let threads: Vec<_> = controls
        .into_iter()
        .map(|control| {
            let job = Arc::clone(job);
            let side = side.as_ref().map(S::clone).map_err(|error| error.to_string());
            std::thread::spawn(move || {
                let done = stay_on(job.parts[control.part].core)
                    .and_then(|()| perform_part(&job, &side.map_err(Error::Worker)?, &control));
                settle(&control, done);
            })
        })
        .collect();
    for thread in threads {
        // A panic has been printed, and the coordinator sees that the result is missing.
        let _ = thread.join();
    }
}

fn perform<S: Side>(job: &Job, controls: Vec<Control>) {
    let side = S::new(&job.setup, &job.load);
    let several = controls.len() > 1;
    for control in controls {
        let done = match &side {
            Ok(_) if several => Err(Error::Unsupported("this side has no inproc between threads")),
            Ok(side) => perform_part(job, side, &control),
            Err(error) => Err(Error::Worker(error.to_string())),
        };
        settle(&control, done);
    }
}

fn perform_part<S: Side>(job: &Job, side: &S, control: &Control) -> Result<()> {
    let part = &job.parts[control.part];
    Run { side, load: &job.load, part, control }.perform()
}

fn settle(control: &Control, done: Result<()>) {
    if let Err(error) = done {
        // If even that cannot be written, the coordinator sees the end of the line.
        let _ = control.report(Event::Failed(error.to_string()));
    }
}

/// Keeps the calling thread, and those it starts, on one processor.
fn stay_on(core: Option<usize>) -> Result<()> {
    let Some(core) = core else { return Ok(()) };
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(None, &set).doing("stay on one core")
}
