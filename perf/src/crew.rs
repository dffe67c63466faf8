//! The worker processes of one run, and the lines to them.
//!
//! A thread per worker forwards its reports; the coordinator waits on all of them at once, with a
//! deadline. Dropping the crew ends its processes, whatever they are doing.
//!
//! Deliberately absent: patience. One failed report fails the run.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use crate::error::{Doing as _, Error, Result};
use crate::job::{Event, Job, Order, Report, Role};

/// Reports are awaited in slices of this length, so that a progress bar can move.
const TICK: Duration = Duration::from_millis(50);

/// Workers, and what they said.
pub(crate) struct Crew<'a> {
    workers: Vec<Worker>,
    sender: mpsc::Sender<Heard>,
    heard: mpsc::Receiver<Heard>,
    deadline: Instant,
    patience: Duration,
    on_tick: &'a dyn Fn(),
}

/// A part of a worker: (index of the worker, index of the part in its job).
pub(crate) type PartId = (usize, usize);

struct Worker {
    child: Child,
    stdin: ChildStdin,
    /// Whether nothing more is expected of it: it reported its result, or never will.
    may_end: bool,
}

struct Heard {
    worker: usize,
    /// `None`: the worker's output has ended.
    report: Option<Report>,
}

impl<'a> Crew<'a> {
    /// A crew that has `patience` for its whole run; `on_tick` is called while it waits.
    pub(crate) fn new(patience: Duration, on_tick: &'a dyn Fn()) -> Self {
        let (sender, heard) = mpsc::channel();
        let deadline = Instant::now() + patience;
        Self { workers: Vec::new(), sender, heard, deadline, patience, on_tick }
    }

    /// Starts a worker with its job; answers its index.
    pub(crate) fn start(&mut self, job: &Job) -> Result<usize> {
        let program = std::env::current_exe().doing("find this program")?;
        let mut child = Command::new(program)
            .arg("worker")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .doing("start a worker")?;
        let stdin = child.stdin.take().expect("it is piped");
        let stdout = child.stdout.take().expect("it is piped");
        let index = self.workers.len();
        let sender = self.sender.clone();
        std::thread::spawn(move || forward(index, stdout, &sender));
        let may_end = job.parts.iter().all(|part| matches!(part.role, Role::Stalled(_)));
        self.workers.push(Worker { child, stdin, may_end });
        self.write(index, job)?;
        Ok(index)
    }

    /// Gives an order to every part.
    pub(crate) fn order(&mut self, order: Order) -> Result<()> {
        for index in 0..self.workers.len() {
            self.write(index, &order)?;
        }
        Ok(())
    }

    /// Waits until `count` parts have reported an event that `pick` takes.
    ///
    /// # Errors
    ///
    /// [`Error::Worker`] if a part failed or a worker ended, [`Error::Timeout`] at the deadline.
    pub(crate) fn collect<T>(
        &mut self,
        what: &'static str,
        count: usize,
        mut pick: impl FnMut(Event) -> Option<T>,
    ) -> Result<Vec<(PartId, T)>> {
        let mut picked = Vec::with_capacity(count);
        while picked.len() < count {
            let left = self.deadline.saturating_duration_since(Instant::now());
            match self.heard.recv_timeout(left.min(TICK)) {
                Ok(Heard { worker, report: Some(Report { part, event }) }) => {
                    if let Event::Failed(message) = event {
                        return Err(Error::Worker(message));
                    }
                    self.workers[worker].may_end |= matches!(event, Event::Done(_));
                    picked.extend(pick(event).map(|value| ((worker, part), value)));
                }
                Ok(Heard { worker, report: None }) if self.workers[worker].may_end => {}
                Ok(Heard { worker, report: None }) => {
                    return Err(Error::Worker(format!("worker {worker} ended without {what}")));
                }
                Err(RecvTimeoutError::Timeout) if left.is_zero() => {
                    return Err(Error::Timeout { what, seconds: self.patience.as_secs() });
                }
                Err(_) => (self.on_tick)(),
            }
        }
        Ok(picked)
    }

    fn write(&mut self, index: usize, line: &impl serde::Serialize) -> Result<()> {
        let mut line = serde_json::to_vec(line)?;
        line.push(b'\n');
        self.workers[index].stdin.write_all(&line).doing("write to a worker")
    }
}

impl Drop for Crew<'_> {
    fn drop(&mut self) {
        for worker in &mut self.workers {
            // It may have ended already; then there is nothing to kill, only to collect.
            let _ = worker.child.kill();
            let _ = worker.child.wait();
        }
    }
}

fn forward(worker: usize, stdout: ChildStdout, sender: &mpsc::Sender<Heard>) {
    for line in BufReader::new(stdout).lines().map_while(|line| line.ok()) {
        let report = serde_json::from_str(&line).unwrap_or_else(|error| Report {
            part: 0,
            event: Event::Failed(format!("a line that is no report ({error}): {line}")),
        });
        if sender.send(Heard { worker, report: Some(report) }).is_err() {
            return;
        }
    }
    // Nobody listens any more once the run is over.
    let _ = sender.send(Heard { worker, report: None });
}
