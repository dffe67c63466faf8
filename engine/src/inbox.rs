//! Inboxes: how a thread is told what has work, and woken once per sleep.
//!
//! Any thread posts; one owner takes everything at once. Posting is rare by construction: a log
//! posts only when its [`Scheduled`] flag was down, so a burst of messages posts once. Before the
//! owner sleeps it raises `parked` and looks again; whoever posts looks at `parked` afterwards.
//! Between each pair of store and load stands a fence, and a model deadlocks without any of them; a
//! writer of much leaves its own to the reader (see [`Raising`]).
//!
//! Deliberately absent: a bound. What may be posted is bounded by flags, each for something that is
//! told once until the owner has looked, and by connections.

use crate::sync::{AtomicBool, Mutex, Ordering, barrier, fence, lock};

/// Items that there is memory for from the start: the few kinds that a few pipes can have pending.
const ITEMS: usize = 16;

/// Ends the sleep of an inbox's owner.
pub trait Wake {
    /// Called after something was posted while the owner was parked; at most once per sleep.
    fn wake(&self);
}

/// What other threads have to tell one owner.
#[derive(Debug)]
pub struct Inbox<T, W> {
    items: Mutex<Vec<T>>,
    pending: AtomicBool,
    parked: AtomicBool,
    wake: W,
}

impl<T, W: Wake> Inbox<T, W> {
    /// An empty inbox whose owner is woken through `wake`.
    pub fn new(wake: W) -> Self {
        Self {
            items: Mutex::new(Vec::with_capacity(ITEMS)),
            pending: AtomicBool::new(false),
            parked: AtomicBool::new(false),
            wake,
        }
    }

    /// Leaves `item` for the owner, and wakes it if it sleeps.
    pub fn post(&self, item: T) {
        {
            let mut items = lock(&self.items);
            items.push(item);
            // Release: pairs with the acquire in `has_pending`.
            self.pending.store(true, Ordering::Release);
        }
        self.nudge();
    }

    /// Wakes the owner if it sleeps, without leaving anything.
    pub fn nudge(&self) {
        // Pairs with the fence in `park`: the owner sees the item, or we see it parked.
        fence(Ordering::SeqCst);
        if self.parked.load(Ordering::Relaxed) && self.take_parked() {
            self.wake.wake();
        }
    }

    /// Whether this call lowered the flag. One that did not has written nothing either, so that
    /// all writes to the flag stand in one order for loom as they do in the machine.
    fn take_parked(&self) -> bool {
        let relaxed = Ordering::Relaxed;
        self.parked.compare_exchange(true, false, relaxed, relaxed).is_ok()
    }

    /// Whether something was posted and not yet taken.
    #[inline]
    pub fn has_pending(&self) -> bool {
        self.pending.load(Ordering::Acquire)
    }

    /// Moves all that was posted behind what `taken` holds, in order.
    pub fn take_into(&self, taken: &mut Vec<T>) {
        let mut items = lock(&self.items);
        self.pending.store(false, Ordering::Relaxed);
        // As much as may be posted without asking an allocator can be taken without.
        taken.reserve(items.capacity());
        taken.append(&mut items);
    }

    /// The owner is about to sleep. False: something is pending, do not.
    #[must_use]
    pub fn park(&self) -> bool {
        self.parked.store(true, Ordering::Relaxed);
        // Pairs with the fence in `nudge`.
        fence(Ordering::SeqCst);
        let may_sleep = !self.has_pending();
        if !may_sleep {
            self.unpark();
        }
        may_sleep
    }

    /// Whether the owner sleeps, or is about to: as of some moment, unless a fence stands before.
    #[inline]
    pub fn is_parked(&self) -> bool {
        self.parked.load(Ordering::Relaxed)
    }

    /// The owner sleeps no more.
    pub fn unpark(&self) {
        self.parked.store(false, Ordering::Relaxed);
    }

    /// What ends the owner's sleep.
    pub fn wake(&self) -> &W {
        &self.wake
    }
}

/// Whether a log's reader has been told that there is something to read.
#[derive(Debug)]
pub struct Scheduled {
    raised: AtomicBool,
    /// Whether the writer leaves its fences to the reader.
    is_eased: AtomicBool,
}

impl Default for Scheduled {
    fn default() -> Self {
        Self { raised: AtomicBool::new(false), is_eased: AtomicBool::new(false) }
    }
}

/// What a writer does between a publish and its look at the flag.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Raising {
    /// Nothing: the reader runs on the same thread.
    Local,
    /// A fence.
    Fenced,
    /// Nothing: the reader has a barrier on both sides. For a writer of much that finds the flag up
    /// again and again, until it finds it down once.
    Eased,
}

impl Scheduled {
    /// Called by the writer after a publish. True: tell the reader.
    #[inline]
    #[must_use]
    pub fn raise(&self, raising: &mut Raising) -> bool {
        if *raising == Raising::Fenced {
            // Pairs with the fence in `lower`: the reader sees the bytes, or we see the flag down.
            fence(Ordering::SeqCst);
        } else {
            // Pairs with the heavy barrier there, which a reader on this thread does without.
            barrier::light();
        }
        !self.raised.load(Ordering::Relaxed) && self.raise_again(raising)
    }

    /// The flag is down: the reader keeps up, and is not to pay for every time that it does.
    #[cold]
    fn raise_again(&self, raising: &mut Raising) -> bool {
        if *raising == Raising::Eased {
            self.is_eased.store(false, Ordering::Relaxed);
            *raising = Raising::Fenced;
            // As in `raise`: the reader may have raised the flag meanwhile, and lower it again.
            fence(Ordering::SeqCst);
        }
        !self.raised.swap(true, Ordering::Relaxed)
    }

    /// Called by a writer of much: from now on the reader pays for both, if that is
    /// [allowed](allow_easing).
    #[cold]
    pub fn ease(&self, raising: &mut Raising) {
        if *raising == Raising::Fenced && barrier::are_available() {
            self.is_eased.store(true, Ordering::Relaxed);
            // Pairs with the fence in `lower`: the reader sees this, or we see the flag down.
            fence(Ordering::SeqCst);
            *raising = Raising::Eased;
        }
    }

    /// The reader looks without being told, and need not be told until then: for a log that is on
    /// its way to its reader.
    pub fn expect_look(&self) {
        self.raised.store(true, Ordering::Relaxed);
    }

    /// Called by the reader that has found nothing: it looks again with the flag down, because what
    /// comes after that is told. If it finds something it will look once more anyway, and need not
    /// be told until then.
    #[inline]
    pub fn look_again<T>(&self, look: impl FnOnce() -> Option<T>) -> Option<T> {
        self.lower();
        let found = look();
        if found.is_some() {
            self.raised.store(true, Ordering::Relaxed);
        }
        found
    }

    /// Called by the reader before its last look, or by a writer that has read its log itself.
    #[inline]
    pub fn lower(&self) {
        self.raised.store(false, Ordering::Relaxed);
        // Pairs with the fences in `raise` and in `ease`.
        fence(Ordering::SeqCst);
        if self.is_eased.load(Ordering::Relaxed) {
            barrier::heavy();
        }
    }
}

/// Lets the writers of this process be [eased](Scheduled::ease), where the kernel has what that
/// takes (`membarrier(2)`). The first call takes some milliseconds if there are threads already.
pub fn allow_easing() {
    barrier::register();
}

#[cfg(all(test, loom))]
mod model;
