//! Parking: how an application thread sleeps until a socket has something for it.
//!
//! A [`Parker`] is one futex word. Waiting always names a time, because the kernel restarts a
//! futex wait without one after a signal, and a handled signal has to end the wait. A
//! [`WaitSet`] holds the parkers of all who wait for one inbox: the socket's own, and pollers'.
//!
//! Deliberately absent: spinning. That is a policy of the caller, who knows the cores.

use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::thread::futex;

use crate::inbox::Wake;
use crate::sync::{Arc, Mutex, lock};
use std::sync::atomic::{AtomicU32, Ordering};

const EMPTY: u32 = 0;
const NOTIFIED: u32 = 1;
/// A sleep without a deadline is cut into sleeps of this length.
const SLEEP_MAX: Duration = Duration::from_secs(3600);

/// How a sleep ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Woken {
    /// Somebody called [`Parker::unpark`] since the last sleep.
    Notified,
    /// The deadline passed.
    TimedOut,
    /// A signal was handled.
    Interrupted,
}

/// One thread's place to sleep.
#[derive(Debug, Default)]
pub struct Parker(AtomicU32);

impl Parker {
    /// Sleeps until it is unparked, the deadline passes or a signal is handled.
    pub fn park(&self, deadline: Option<Instant>) -> Woken {
        loop {
            // Acquire: pairs with the release in `unpark`.
            if self.0.swap(EMPTY, Ordering::Acquire) == NOTIFIED {
                return Woken::Notified;
            }
            let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return Woken::TimedOut;
            }
            let sleep = left.unwrap_or(SLEEP_MAX).min(SLEEP_MAX);
            let timeout = sleep.try_into().expect("an hour fits a timespec");
            let woken = futex::wait(&self.0, futex::Flags::PRIVATE, EMPTY, Some(&timeout));
            if woken == Err(Errno::INTR) {
                return Woken::Interrupted;
            }
        }
    }

    /// Ends the current sleep, or the next one at once.
    pub fn unpark(&self) {
        // Release: pairs with the acquire in `park`.
        if self.0.swap(NOTIFIED, Ordering::Release) == EMPTY {
            // Nobody sleeping is no failure, and the word is mapped: there is no other.
            let _woken = futex::wake(&self.0, futex::Flags::PRIVATE, 1);
        }
    }
}

/// All who wait for one inbox.
#[derive(Debug, Default)]
pub struct WaitSet(Mutex<Vec<Arc<Parker>>>);

impl WaitSet {
    /// From now on `parker` is unparked when the inbox has something.
    pub fn insert(&self, parker: Arc<Parker>) {
        lock(&self.0).push(parker);
    }

    /// Undoes one [`insert`](Self::insert).
    pub fn remove(&self, parker: &Arc<Parker>) {
        let mut parkers = lock(&self.0);
        if let Some(index) = parkers.iter().position(|known| Arc::ptr_eq(known, parker)) {
            parkers.swap_remove(index);
        }
    }
}

impl Wake for WaitSet {
    fn wake(&self) {
        for parker in lock(&self.0).iter() {
            parker.unpark();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unpark_before_the_sleep_ends_it_at_once() {
        let parker = Parker::default();
        parker.unpark();
        assert_eq!(parker.park(None), Woken::Notified);
    }

    #[test]
    fn a_deadline_ends_the_sleep() {
        assert_eq!(Parker::default().park(Some(Instant::now())), Woken::TimedOut);
    }

    #[test]
    fn another_thread_ends_the_sleep_of_everyone_in_the_set() {
        let set = Arc::new(WaitSet::default());
        let parkers = [Arc::new(Parker::default()), Arc::new(Parker::default())];
        parkers.iter().for_each(|parker| set.insert(parker.clone()));
        let waker = std::thread::spawn(move || set.wake());
        for parker in parkers {
            assert_eq!(parker.park(None), Woken::Notified);
        }
        waker.join().unwrap();
    }
}
