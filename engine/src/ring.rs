//! One io_uring: set it up, push, submit, wait, pop.
//!
//! The ring is split once, for its whole life, because the index under which a thread may enter it
//! without a descriptor look-up lives in the submitter, and because the queues then keep their
//! positions in registers' reach. A full submission queue is submitted; what the kernel does not
//! take even then is kept here, in order. After a fork the child's ring is inert: pushes vanish,
//! entering fails, dropping does nothing, since the queues are shared with the parent.
//!
//! Deliberately absent: what the entries mean (`op.rs`), and who owns their memory (`slots.rs`).

pub(crate) mod features;
pub(crate) mod fork;
pub(crate) mod scheduling;
#[cfg(test)]
mod tests;
pub(crate) mod token;
pub(crate) mod wait;

use std::io;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;
use std::time::Duration;

use io_uring::types::{SubmitArgs, Timespec};
use io_uring::{
    CompletionQueue, CompletionStatus, EnterFlags, IoUring, SubmissionQueue, Submitter, cqueue,
    squeue,
};
use rustix::io::Errno;

use crate::error::{Error, errno};
use features::Features;
use fork::Epoch;

/// Sizes of a reactor's ring and of the group of buffers that it lends to the kernel.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Config {
    /// Operations that can be submitted at once; the kernel rounds up to a power of two.
    pub entries: u32,
    /// Buffers lent for receiving at once, as long as they come back full: few, so that they stay
    /// in the caches.
    pub buffers: u16,
    /// Lent at once where many receives bring little each: no fewer than `buffers`, 32,768 at most.
    pub buffers_max: u16,
    /// Bytes in each of them.
    pub buffer_size: usize,
}

impl Default for Config {
    /// 256 operations, 16 to 64 buffers of 64 KiB: each takes what one send of the other side
    /// carries.
    fn default() -> Self {
        Self { entries: 256, buffers: 16, buffers_max: 64, buffer_size: 64 * 1024 }
    }
}

/// One completion, as the kernel posted it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Event {
    pub(crate) user_data: u64,
    /// Not negative, or the reason.
    pub(crate) result: Result<u32, Errno>,
    /// Whether the operation lives on and more completions follow.
    pub(crate) more: bool,
    /// The lent buffer that the kernel used.
    pub(crate) buffer: Option<u16>,
}

/// One io_uring. Not `Send`: the kernel knows which thread may enter it.
pub(crate) struct Ring {
    /// Dropped by [`Ring::drop`] only, and not in a forked child.
    parts: ManuallyDrop<Parts>,
    /// Entries that the kernel would not take yet; pushed before any other.
    backlog: Vec<squeue::Entry>,
    features: Features,
    epoch: Epoch,
}

/// The split ring. Fields drop in this order: all that borrow from the whole, then the whole.
struct Parts {
    submitter: Submitter<'static>,
    sq: SubmissionQueue<'static>,
    cq: CompletionQueue<'static>,
    status: CompletionStatus,
    _whole: Whole,
}

/// Owns the ring that the other parts borrow.
struct Whole(NonNull<IoUring>);

impl Drop for Whole {
    fn drop(&mut self) {
        // SAFETY: `Ring::open` leaked this box, and the parts that borrow it are declared before
        // the `Whole` in `Parts`, so that they are gone.
        drop(unsafe { Box::from_raw(self.0.as_ptr()) });
    }
}

impl Ring {
    /// A ring for the calling thread.
    pub(crate) fn open(config: &Config) -> Result<Self, Error> {
        let epoch = Epoch::current()?;
        let (ring, mut features) = features::open(config)?;
        let mut whole = NonNull::from(Box::leak(Box::new(ring)));
        // SAFETY: the box is freed by `Whole` only, which outlives the borrows made from this.
        let borrowed: &'static mut IoUring = unsafe { whole.as_mut() };
        let (mut submitter, sq, cq) = borrowed.split();
        // SAFETY: the status is dropped with the ring that it looks at.
        let status = unsafe { cq.status() };
        // A thread has 16 places for registered rings; without one the descriptor does.
        features.registered_ring = submitter.register_ring_fd().is_ok();
        let parts = Parts { submitter, sq, cq, status, _whole: Whole(whole) };
        Ok(Self { parts: ManuallyDrop::new(parts), backlog: Vec::new(), features, epoch })
    }

    pub(crate) fn features(&self) -> Features {
        self.features
    }

    /// The registrations that the crate offers.
    pub(crate) fn submitter(&self) -> &Submitter<'static> {
        &self.parts.submitter
    }

    /// Whether this process is a child of the one that opened the ring.
    #[inline]
    pub(crate) fn is_inherited(&self) -> bool {
        self.epoch.is_over()
    }

    /// Queues an entry for the next submission; submits at once when the queue is full.
    ///
    /// # Safety
    /// All memory that the entry names stays valid, and unmoved, until the operation's last
    /// completion was popped, or for ever.
    #[inline]
    pub(crate) unsafe fn push(&mut self, entry: &squeue::Entry) {
        if self.is_inherited() {
            return;
        }
        if !self.backlog.is_empty() || self.parts.sq.is_full() {
            self.make_room();
        }
        // SAFETY: what `push` asks for is what this function's caller promised.
        let pushed = self.backlog.is_empty() && unsafe { self.parts.sq.push(entry) }.is_ok();
        if !pushed {
            self.backlog.push(entry.clone());
        }
    }

    #[cold]
    fn make_room(&mut self) {
        // An error is met again, and reported, by the turn that submits the rest.
        let _ = self.submit();
    }

    fn push_backlog(&mut self) {
        let room = self.parts.sq.capacity() - self.parts.sq.len();
        for entry in self.backlog.drain(..room.min(self.backlog.len())) {
            // SAFETY: the caller of `Ring::push` promised it for this entry.
            let pushed = unsafe { self.parts.sq.push(&entry) };
            debug_assert!(pushed.is_ok(), "the room was counted");
        }
    }

    /// Whether something was pushed that the kernel has not taken.
    #[inline]
    pub(crate) fn has_unsubmitted(&self) -> bool {
        !self.parts.sq.is_empty() || !self.backlog.is_empty()
    }

    /// Whether the kernel holds completions back until it is entered.
    #[inline]
    pub(crate) fn needs_enter(&self) -> bool {
        self.parts.sq.taskrun() || self.parts.sq.cq_overflow()
    }

    /// Whether [`pop`](Self::pop) would find something.
    #[inline]
    pub(crate) fn has_completions(&self) -> bool {
        !self.parts.status.is_empty()
    }

    /// One enter that takes what was pushed and brings what has completed, without waiting.
    pub(crate) fn submit(&mut self) -> Result<(), Error> {
        if self.is_inherited() {
            return Err(Error::Forked);
        }
        self.push_backlog();
        self.parts.sq.sync();
        let count = self.parts.sq.len() as u32;
        let flags = EnterFlags::GETEVENTS.bits();
        let submitter = &self.parts.submitter;
        // SAFETY: without an argument the call reads the queues only, whose entries are sound by
        // the contract of `push`.
        let entered = unsafe { submitter.enter::<libc::sigset_t>(count, 0, flags, None) };
        self.parts.sq.sync();
        match settle(entered) {
            Err(Error::Interrupted) => Ok(()),
            settled => settled,
        }
    }

    /// Sleeps until something completes, for `timeout` at most. Nothing must be left to submit.
    ///
    /// [`Error::Interrupted`]: a signal came.
    pub(crate) fn wait(&self, timeout: Option<Duration>) -> Result<(), Error> {
        debug_assert!(!self.has_unsubmitted(), "a combined call would hide a signal");
        let submitter = &self.parts.submitter;
        settle(match timeout.map(Timespec::from) {
            None => submitter.submit_and_wait(1),
            Some(timeout) => submitter.submit_with_args(1, &SubmitArgs::new().timespec(&timeout)),
        })
    }

    /// Makes visible to [`pop`](Self::pop) what was posted, and to the kernel what was popped.
    #[inline]
    pub(crate) fn refresh(&mut self) {
        self.parts.cq.sync();
    }

    /// The oldest completion that was there at the last [`refresh`](Self::refresh).
    #[inline]
    pub(crate) fn pop(&mut self) -> Option<Event> {
        let entry = self.parts.cq.next()?;
        let (result, flags) = (entry.result(), entry.flags());
        let result = u32::try_from(result).map_err(|_| Errno::from_raw_os_error(-result));
        Some(Event {
            user_data: entry.user_data(),
            result,
            more: cqueue::more(flags),
            buffer: cqueue::buffer_select(flags),
        })
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        if self.is_inherited() {
            return;
        }
        if self.features.registered_ring {
            // The place holds a reference to the ring, which would outlive its descriptor.
            let unregistered = self.parts.submitter.unregister_ring_fd();
            debug_assert!(unregistered.is_ok(), "the place was taken by `open` on this thread");
        }
        // SAFETY: this is the only drop of the parts, and nothing uses them afterwards.
        unsafe { ManuallyDrop::drop(&mut self.parts) };
    }
}

/// Tells apart what ends a turn and what only means "later".
fn settle(entered: io::Result<usize>) -> Result<(), Error> {
    let Err(error) = entered else { return Ok(()) };
    match errno(&error) {
        // The time is up; or requests or room are short for the moment.
        Errno::TIME | Errno::AGAIN | Errno::BUSY => Ok(()),
        _ => Err(Error::from_io(&error)),
    }
}
