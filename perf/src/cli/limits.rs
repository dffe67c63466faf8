//! The numbers that a run can be made of, and the reading of those that have bounds.
//!
//! Deliberately absent: what depends on another flag (`uses.rs`, and the coordinator's `load`).

use std::ops::RangeInclusive;

use clap::builder::RangedU64ValueParser;

/// Seconds that anything may take.
pub(crate) const DAY: u64 = 86_400;
/// Messages of one paced run: each is noted, in 16 bytes, by its sequence of 31 bits.
pub(crate) const PACED_MAX: u64 = 100_000_000;
pub(super) const RUNS_MAX: u64 = 10_000;
/// One message is one piece of memory at each end: 1 GiB.
pub(super) const SIZE_MAX: u64 = 1 << 30;
/// What a day has at ten million a second, and some.
pub(super) const MESSAGES_MAX: u64 = 1_000_000_000_000;
/// Messages per second: one every 100 ns.
pub(super) const RATE_MAX: u64 = 10_000_000;
/// Each has a descriptor of its own, or more, and in a feed a process.
pub(super) const SUBSCRIBERS_MAX: u64 = 4_096;
/// With as many of them for each of [`SUBSCRIBERS_MAX`], they are counted within seconds.
pub(super) const TOPICS_MAX: u64 = 100_000;
/// libzmq's mark is a C `int`.
pub(super) const HIGH_WATER_MARK_MAX: u64 = i32::MAX as u64;
pub(super) const BURST_MAX: u64 = 100_000;

// The time that a burst is given to drain, less than 3 ns for each byte of each delivery, fits.
const _: () = assert!(SIZE_MAX * 3 < u64::MAX / 2 / BURST_MAX / SUBSCRIBERS_MAX);
const _: () = assert!(PACED_MAX < 1 << 31);

/// Reads a whole number within `range`.
pub(super) fn within<T: TryFrom<u64>>(range: RangeInclusive<u64>) -> RangedU64ValueParser<T> {
    RangedU64ValueParser::new().range(range)
}

/// Reads seconds in which something can happen: a microsecond at least.
pub(super) fn seconds(text: &str) -> Result<f64, String> {
    seconds_from(1e-6, text)
}

/// Reads seconds, or none.
pub(super) fn seconds_or_none(text: &str) -> Result<f64, String> {
    seconds_from(0.0, text)
}

fn seconds_from(least: f64, text: &str) -> Result<f64, String> {
    let seconds = text.parse().map_err(|_| "not a number of seconds".to_owned())?;
    match (least..=DAY as f64).contains(&seconds) {
        true => Ok(seconds),
        false => Err(format!("{text} is not in {least}..={DAY}")),
    }
}
