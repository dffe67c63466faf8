//! Who takes part in a kind of work, and where they meet.
//!
//! Deliberately absent: who runs where. Cores are the coordinator's.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use crate::job::{Load, Pattern, Role, Transport, Work};

/// Who binds, who connects, and how many of them report.
pub(super) struct Cast {
    pub(super) binder: Role,
    pub(super) connecters: Vec<Role>,
    /// Connections at the binder.
    pub(super) peers: usize,
    /// Parts that report ready.
    pub(super) ready: usize,
    /// Parts that receive and report.
    pub(super) counted: usize,
}

/// Who takes part in this work.
pub(super) fn cast(load: &Load) -> Cast {
    let stalled = load.stalled;
    let sends_at_binder = load.pattern == Pattern::PubSub;
    match load.work {
        Work::Throughput | Work::Latency | Work::RoundTrip => {
            let (binder, connecters) = if sends_at_binder {
                (Role::Sender, vec![Role::Receiver])
            } else {
                (Role::Receiver, vec![Role::Sender])
            };
            Cast { binder, connecters, peers: 1, ready: 1, counted: 1 }
        }
        Work::FanOutThroughput | Work::FanOutPaced => {
            let mut connecters = vec![Role::Receiver];
            if stalled > 0 {
                connecters.push(Role::Stalled(stalled));
            }
            let (ready, peers) = (connecters.len(), load.subscribers + stalled);
            Cast { binder: Role::Sender, connecters, peers, ready, counted: 1 }
        }
        Work::FeedThroughput | Work::FeedPaced => {
            let count = load.subscribers;
            let connecters = (0..count).map(Role::Subscriber).collect();
            Cast { binder: Role::Sender, connecters, peers: count, ready: count, counted: count }
        }
    }
}

/// An endpoint that is free: a port that the system picks, or a path, removed afterwards.
pub(super) struct Wildcard {
    pub(super) endpoint: String,
}

impl Wildcard {
    pub(super) fn new(transport: Transport) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let endpoint = match transport {
            Transport::Tcp => "tcp://127.0.0.1:*".to_owned(),
            Transport::Inproc => "inproc://perf".to_owned(),
            Transport::Ipc => {
                let nth = NEXT.fetch_add(1, Relaxed);
                let name = format!("perf-{}-{nth}.sock", std::process::id());
                format!("ipc://{}", std::env::temp_dir().join(name).display())
            }
        };
        Self { endpoint }
    }
}

impl Drop for Wildcard {
    fn drop(&mut self) {
        if let Some(path) = self.endpoint.strip_prefix("ipc://") {
            // A side that tidies up behind itself has removed it.
            let _ = std::fs::remove_file(path);
        }
    }
}
