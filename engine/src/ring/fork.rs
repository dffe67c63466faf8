//! Epochs: a ring is told that its process was forked, for the price of one load.
//!
//! The child of a fork shares the submission queue with its parent: an entry that it pushes is
//! executed by the parent. One page per process is wiped by the kernel on fork; a ring remembers
//! the number that stood there when it was made, and whoever finds another one is a child. The
//! child's own rings get a new number, greater than all that it inherited.
//!
//! Deliberately absent: `getpid`, a system call, and `pthread_atfork`, which a raw clone evades.

use std::ptr;
// Not through `crate::sync`: the kernel writes this word, and no model knows of it.
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::io::Errno;
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous};

use crate::error::Error;

/// The process, counted by forks, in which something was made that does not follow a fork.
#[derive(Clone, Copy, Debug)]
pub struct Epoch {
    word: &'static AtomicU32,
    value: u32,
}

static WORD: OnceLock<Result<&'static AtomicU32, Errno>> = OnceLock::new();

/// The last number given out; a child inherits it and so never gives out an old one.
static LAST: AtomicU32 = AtomicU32::new(0);

/// The word of an epoch that is never over.
static ENDLESS: AtomicU32 = AtomicU32::new(0);

impl Epoch {
    /// That of the running process, or one that is never over if there is none: then no ring can
    /// be opened either.
    #[must_use]
    pub fn current_or_endless() -> Self {
        Self::current().unwrap_or(Self { word: &ENDLESS, value: 0 })
    }

    /// That of the running process.
    ///
    /// # Errors
    /// [`Error::Kernel`] if the one page it takes cannot be had.
    pub fn current() -> Result<Self, Error> {
        let word = (*WORD.get_or_init(map)).map_err(Error::from_errno)?;
        let fresh = LAST.fetch_add(1, Ordering::Relaxed) + 1;
        // Relaxed: nothing is published with the number, and a fork orders all that matters.
        let value = match word.compare_exchange(0, fresh, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => fresh,
            Err(present) => present,
        };
        Ok(Self { word, value })
    }

    /// Whether the process was forked since, and this is the child.
    #[inline]
    #[must_use]
    pub fn is_over(self) -> bool {
        self.word.load(Ordering::Relaxed) != self.value
    }
}

/// Maps the one page, which stays for the life of the process.
fn map() -> Result<&'static AtomicU32, Errno> {
    let len = rustix::param::page_size();
    let (prot, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE);
    // SAFETY: without an address and `FIXED`, the mapping replaces nobody's memory.
    let page = unsafe { mmap_anonymous(ptr::null_mut(), len, prot, flags) }?;
    // SAFETY: the page is this function's own, and is zero before and after being wiped.
    unsafe { madvise(page, len, Advice::LinuxWipeOnFork) }?;
    // SAFETY: the page is aligned, zeroed, never unmapped, and used as this atomic only.
    Ok(unsafe { AtomicU32::from_ptr(page.cast()) })
}

/// Forks for tests.
#[cfg(test)]
pub(crate) mod child {
    /// What a child exits with that saw what it should; an unwound one exits with 0.
    const SEEN: libc::c_int = 42;

    /// A forked child.
    pub(crate) struct Child(libc::pid_t);

    /// Forks. The child answers whether it `sees` what it should, and ends.
    pub(crate) fn fork(sees: impl FnOnce() -> bool) -> Child {
        // SAFETY: the child of this process with many threads uses its own memory and the
        // allocator, which glibc makes usable in children, and ends here.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let status = if sees() { SEEN } else { 1 };
            // SAFETY: the call ends the process, and has no preconditions.
            unsafe { libc::_exit(status) };
        }
        Child(child)
    }

    impl Child {
        /// Waits for its end. Panics if it did not see what it should.
        pub(crate) fn join(self) {
            let mut status = 0;
            // SAFETY: the status is written to a local that outlives the call.
            assert_eq!(unsafe { libc::waitpid(self.0, &raw mut status, 0) }, self.0);
            assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == SEEN, "{status:#x}");
        }
    }
}
