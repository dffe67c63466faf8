//! The crew: all workers of one context, as sockets and workers reach them.
//!
//! Deliberately absent: rebalancing. A connection stays with the worker that was least loaded when
//! it came (libzmq's `choose_io_thread`).

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use zring_engine::Features;

use crate::notice::{Doorbell, Mailbox};

struct Post {
    mailbox: Arc<Mailbox>,
    /// Connections and listeners.
    load: AtomicUsize,
}

/// All workers of one context, by index.
pub struct Crew {
    posts: Vec<Post>,
    /// Whether a worker has ended before its time.
    is_broken: AtomicBool,
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
        Arc::new(Self { posts, is_broken: AtomicBool::new(false), features: OnceLock::new() })
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

    /// Whether a worker has ended before its time, by an error or a panic. Its sockets are told
    /// behind that.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.is_broken.load(Ordering::Acquire)
    }

    pub(crate) fn note_broken(&self) {
        self.is_broken.store(true, Ordering::Release);
    }

    /// The worker with the fewest descriptors.
    #[must_use]
    pub fn least_loaded(&self) -> usize {
        let load = |index: &usize| self.posts[*index].load.load(Ordering::Relaxed);
        (0..self.posts.len()).min_by_key(load).unwrap_or(0)
    }

    pub(crate) fn add_load(&self, index: usize) {
        self.posts[index].load.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn remove_load(&self, index: usize) {
        self.posts[index].load.fetch_sub(1, Ordering::Relaxed);
    }
}
