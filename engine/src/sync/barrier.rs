//! Barriers of which one side pays for both.
//!
//! Where one thread stores and then loads again and again, and another does so rarely, a fence
//! between each pair is paid by the wrong one. [`light`] costs nothing and [`heavy`] a system call
//! (`membarrier(2)`): either the light side's store is seen behind the heavy barrier, or its load
//! comes behind that barrier too.
//!
//! Deliberately absent: a fallback. Who would rely on the pair asks first whether it is to be had.

#[cfg(loom)]
pub(crate) use self::modelled::{are_available, heavy, light, register};
#[cfg(not(loom))]
pub(crate) use self::real::{are_available, heavy, light, register};

#[cfg(not(loom))]
mod real {
    use std::sync::Once;
    use std::sync::atomic::{AtomicBool, Ordering, compiler_fence};

    use rustix::thread::{MembarrierCommand, membarrier};

    static IS_REGISTERED: AtomicBool = AtomicBool::new(false);

    /// Lets this process ask for barriers on all of its threads, where the kernel has them. Takes
    /// some milliseconds if there are several already.
    pub(crate) fn register() {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            let registered = membarrier(MembarrierCommand::RegisterPrivateExpedited);
            IS_REGISTERED.store(registered.is_ok(), Ordering::Relaxed);
        });
    }

    pub(crate) fn are_available() -> bool {
        IS_REGISTERED.load(Ordering::Relaxed)
    }

    /// The side that does it often.
    #[inline(always)]
    pub(crate) fn light() {
        compiler_fence(Ordering::SeqCst);
    }

    /// The side that does it rarely.
    #[cold]
    pub(crate) fn heavy() {
        let done = membarrier(MembarrierCommand::PrivateExpedited);
        assert!(done.is_ok(), "a registered process may ask for a barrier");
    }
}

/// A lock that both sides take and give back orders them as the barriers do, and orders nothing
/// that meets one of them alone.
#[cfg(loom)]
mod modelled {
    use loom::sync::Mutex;

    use crate::sync::lock;

    loom::lazy_static! {
        static ref MEETING: Mutex<()> = Mutex::new(());
    }

    pub(crate) fn register() {}

    pub(crate) fn are_available() -> bool {
        true
    }

    pub(crate) fn light() {
        drop(lock(&MEETING));
    }

    pub(crate) fn heavy() {
        light();
    }
}
