//! Children: a test in a process of its own, to be killed, limited or forbidden things.
//!
//! A child is a test of the same binary, marked as ignored, that [`spawn`] runs alone. It passes or
//! fails by its exit status. Parent and child talk in lines over its standard streams.
//!
//! Deliberately absent: what children do. Each is a test beside the one that spawns it.

use std::io::{BufRead, BufReader, Lines, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};

use rustix::process::{Signal, set_parent_process_death_signal};

/// Says to a child that it is one.
const ROLE: &str = "ZRING_TESTS_CHILD";
/// Stands before each line that is meant for the parent; the test harness prints others.
const MARK: &str = "\u{1}child: ";

/// What a child was given, or `None` if this process is none. A test that is ignored because it is
/// a child's returns then. A child does not outlive the thread that has spawned it.
#[must_use]
pub fn arguments() -> Option<Vec<String>> {
    let text = std::env::var(ROLE).ok()?;
    let with_parent = set_parent_process_death_signal(Some(Signal::KILL));
    with_parent.expect("the kernel has such a signal");
    Some(text.split('\n').map(str::to_owned).collect())
}

/// Tells the parent.
pub fn tell(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "\n{MARK}{line}").and_then(|()| out.flush()).expect("the parent listens");
}

/// Waits for a line of the parent. `None` at the end.
#[must_use]
pub fn hear() -> Option<String> {
    let line = std::io::stdin().lines().next()?;
    Some(line.expect("the parent writes text"))
}

/// A child, as its parent sees it. Killed when dropped.
pub struct Spawned {
    process: Child,
    input: Option<ChildStdin>,
    output: Lines<BufReader<ChildStdout>>,
}

/// Runs the ignored test `name`, as the harness lists it, in a process of its own.
#[must_use]
pub fn spawn(name: &str, arguments: &[&str]) -> Spawned {
    start(Command::new(this_program()), name, arguments)
}

/// As [`spawn`], as the root of namespaces of its own, in which it may mount what it likes. `None`
/// where that is not allowed (user_namespaces(7)).
#[must_use]
pub fn spawn_with_mounts(name: &str, arguments: &[&str]) -> Option<Spawned> {
    let unshare = |program: &Path| {
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--mount"]).arg(program);
        command
    };
    let is_allowed = unshare(Path::new("true")).status().is_ok_and(|status| status.success());
    is_allowed.then(|| start(unshare(&this_program()), name, arguments))
}

fn this_program() -> PathBuf {
    std::env::current_exe().expect("a test runs from a file")
}

fn start(mut program: Command, name: &str, arguments: &[&str]) -> Spawned {
    let mut process = program
        .args([name, "--exact", "--ignored", "--nocapture", "--test-threads=1"])
        .env(ROLE, arguments.join("\n"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a process can be started");
    let output = process.stdout.take().expect("it is piped");
    let output = BufReader::new(output).lines();
    Spawned { input: process.stdin.take(), output, process }
}

impl Spawned {
    /// Waits for a line of the child.
    ///
    /// # Panics
    /// If it ends without one.
    #[track_caller]
    pub fn hear(&mut self) -> String {
        self.next_line().expect("the child ended and said nothing")
    }

    fn next_line(&mut self) -> Option<String> {
        let lines = self.output.by_ref().map(|line| line.expect("the child writes text"));
        lines.filter_map(|line| line.strip_prefix(MARK).map(str::to_owned)).next()
    }

    /// Tells the child.
    pub fn tell(&mut self, line: &str) {
        let input = self.input.as_mut().expect("it was not closed");
        writeln!(input, "{line}").and_then(|()| input.flush()).expect("the child listens");
    }

    /// Kills the child, without a chance to tidy up.
    pub fn kill(&mut self) {
        self.process.kill().expect("it can be killed");
        self.process.wait().expect("it ends");
    }

    /// Its number.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Waits for the child's end, and for its last words.
    #[must_use]
    pub fn end(mut self) -> (ExitStatus, Vec<String>) {
        drop(self.input.take());
        let mut words = Vec::new();
        while let Some(line) = self.next_line() {
            words.push(line);
        }
        (self.process.wait().expect("it ends"), words)
    }

    /// As [`end`](Self::end), of a child that must succeed.
    ///
    /// # Panics
    /// If it does not.
    #[track_caller]
    pub fn succeed(self) -> Vec<String> {
        let (status, words) = self.end();
        assert!(status.success(), "the child failed: {status}; it said {words:?}");
        words
    }
}

impl Drop for Spawned {
    fn drop(&mut self) {
        if let Ok(None) = self.process.try_wait() {
            self.kill();
        }
    }
}
