//! Adds up what the parts of one run measured.
//!
//! Deliberately absent: medians, which are over runs and belong to the report.

use crate::job::{Load, Outcome, Work};
use crate::pace::Pace;
use crate::report::Sample;
use crate::statistics::{Percentiles, histogram};

/// What the parts of one run measured.
#[derive(Default)]
pub(super) struct Outcomes {
    pub(super) sender: Outcome,
    pub(super) receivers: Vec<Outcome>,
}

impl Outcomes {
    pub(super) fn sample(&self, load: &Load, pace: Pace) -> Sample {
        let messages: u64 = self.receivers.iter().map(|outcome| outcome.messages).sum();
        let elapsed_ns = self.receivers.iter().map(|outcome| outcome.elapsed_ns).max();
        let seconds = elapsed_ns.unwrap_or(0).max(1) as f64 / 1e9;
        let all = || self.receivers.iter().chain([&self.sender]);
        let cpu_s = all().map(|outcome| outcome.cpu_ns).sum::<u64>() as f64 / 1e9;
        let allocations = all().map(|outcome| outcome.allocations).sum::<u64>() as f64;
        let (latency, skew) = self.percentiles();
        let value = match (load.work, latency) {
            (Work::Latency | Work::RoundTrip, latency) => latency.map_or(0.0, |of| of.p50),
            _ => messages as f64 / seconds,
        };
        let is_fan_out = matches!(load.work, Work::FanOutThroughput | Work::FeedThroughput);
        Sample {
            value,
            published: is_fan_out.then(|| self.sender.messages as f64 / seconds),
            cpu_s_per_million: cpu_s / messages.max(1) as f64 * 1e6,
            allocations_per_message: allocations / messages.max(1) as f64,
            latency,
            skew,
            send_ns: None,
            flush_ns: None,
            drops: None,
            pace,
        }
    }

    pub(super) fn percentiles(&self) -> (Option<Percentiles>, Option<Percentiles>) {
        let mut all = self.receivers.iter().chain([&self.sender]);
        all.find_map(|outcome| outcome.latency.map(|latency| (Some(latency), outcome.skew)))
            .unwrap_or((None, None))
    }

    /// Latency over all subscriber processes; skew from the first to the last of one tick.
    pub(super) fn feed_percentiles(&self) -> (Option<Percentiles>, Option<Percentiles>) {
        let (mut latency, mut skew) = (histogram(), histogram());
        let count = self.receivers.iter().map(|outcome| outcome.latencies.len()).max();
        for sequence in 0..count.unwrap_or(0) {
            let (mut first, mut last, mut arrived) = (u64::MAX, 0, 0);
            for outcome in &self.receivers {
                let late = outcome.latencies.get(sequence).copied().unwrap_or(0);
                if late > 0 {
                    latency.saturating_record(late);
                    (first, last, arrived) = (first.min(late), last.max(late), arrived + 1);
                }
            }
            if arrived > 1 {
                skew.saturating_record(last - first);
            }
        }
        (Percentiles::of(&latency), Percentiles::of(&skew))
    }
}
