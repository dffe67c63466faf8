//! The crew: all workers of one context, as sockets and workers reach them.
//!
//! Deliberately absent: rebalancing. A connection stays with the worker that was least loaded when
//! it came (libzmq's `choose_io_thread`).

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use zring_engine::Features;

use crate::notice::{Doorbell, Mailbox};

struct Post {
    mailbox: Arc<Mailbox>,
    /// Connections and listeners.
    load: AtomicUsize,
}

/// Why a worker has ended before its time.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Failure {
    /// The kernel refused its ring.
    #[error("its ring failed: {0}")]
    Ring(zring_engine::Error),
    /// Its thread panicked.
    #[error("it panicked")]
    Panic,
}

/// All workers of one context, by index.
pub struct Crew {
    posts: Vec<Post>,
    /// Of the first worker that has ended before its time.
    failure: OnceLock<Failure>,
    features: OnceLock<Features>,
}

impl Crew {
    /// A crew of `count` workers, none of which runs yet.
    #[must_use]
    pub fn new(count: usize) -> Arc<Self> {
        let post = |_| Post {
            mailbox: Arc::new(Mailbox::new(Doorbell::default())),
            load: AtomicUsize::new(0),
        };
        let posts = (0..count).map(post).collect();
        Arc::new(Self { posts, failure: OnceLock::new(), features: OnceLock::new() })
    }

    /// How many workers there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.posts.len()
    }

    /// Whether there is no worker.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.posts.is_empty()
    }

    /// Where notices for one worker go.
    #[must_use]
    pub fn mailbox(&self, index: usize) -> &Arc<Mailbox> {
        &self.posts[index].mailbox
    }

    /// What the workers' rings make use of, once there is one.
    #[must_use]
    pub fn features(&self) -> Option<Features> {
        self.features.get().copied()
    }

    pub(crate) fn note_features(&self, features: Features) {
        self.features.get_or_init(|| features);
    }

    /// Why a worker has ended before its time, if one has. Its sockets are told behind that.
    #[must_use]
    pub fn failure(&self) -> Option<Failure> {
        self.failure.get().copied()
    }

    pub(crate) fn note_failure(&self, failure: Failure) {
        self.failure.get_or_init(|| failure);
    }

    /// The worker with the fewest descriptors, which from now on has one more.
    #[must_use]
    pub fn choose(&self) -> usize {
        let load = |index: &usize| self.posts[*index].load.load(Ordering::Relaxed);
        let index = (0..self.posts.len()).min_by_key(load).unwrap_or(0);
        self.posts[index].load.fetch_add(1, Ordering::Relaxed);
        index
    }

    pub(crate) fn remove_load(&self, index: usize) {
        self.posts[index].load.fetch_sub(1, Ordering::Relaxed);
    }
}
