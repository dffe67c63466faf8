//! Time and processor time, in nanoseconds.
//!
//! `CLOCK_MONOTONIC` counts the same for every process of one machine, so a time written by the
//! sender can be subtracted in the receiver.
//!
//! Deliberately absent: `std::time::Instant`, which cannot travel in a message.

use rustix::thread::{ClockId, clock_nanosleep_absolute};
use rustix::time::{Timespec, clock_gettime};

/// One second.
pub(crate) const SECOND: u64 = 1_000_000_000;
/// One millisecond.
pub(crate) const MILLISECOND: u64 = 1_000_000;

/// Monotonic time, the same in every process of this machine.
#[inline]
pub(crate) fn now() -> u64 {
    nanoseconds(clock_gettime(ClockId::Monotonic))
}

/// Processor time (user and system) of this process, its I/O threads included.
pub(crate) fn process_cpu() -> u64 {
    nanoseconds(clock_gettime(ClockId::ProcessCPUTime))
}

/// Processor time of the calling thread alone.
pub(crate) fn thread_cpu() -> u64 {
    nanoseconds(clock_gettime(ClockId::ThreadCPUTime))
}

/// Sleeps until `due`; returns at once if that has passed.
pub(crate) fn sleep_until(due: u64) {
    let request = Timespec {
        tv_sec: i64::try_from(due / SECOND).expect("a monotonic time fits 63 bits"),
        tv_nsec: i64::try_from(due % SECOND).expect("less than a second"),
    };
    // A signal only shortens the sleep; every caller looks at the clock again.
    let _ = clock_nanosleep_absolute(ClockId::Monotonic, &request);
}

/// `seconds` in nanoseconds.
pub(crate) fn from_seconds(seconds: f64) -> u64 {
    (seconds * SECOND as f64) as u64
}

fn nanoseconds(time: Timespec) -> u64 {
    time.tv_sec as u64 * SECOND + time.tv_nsec as u64
}
