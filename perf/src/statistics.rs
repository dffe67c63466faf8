//! Percentiles of one run, medians over runs.
//!
//! Deliberately absent: averages of percentiles. Over runs, each percentile gives its median.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// The longest time that is told apart: a minute.
const LONGEST_NS: u64 = 60_000_000_000;

/// A histogram of nanoseconds with three digits.
pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST_NS, 3).expect("bounds are in order")
}

/// Percentiles, in µs.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Percentiles {
    pub(crate) p50: f64,
    pub(crate) p90: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
    pub(crate) max: f64,
}

impl Percentiles {
    /// Reads them off a histogram of nanoseconds; `None` if it is empty.
    pub(crate) fn of(histogram: &Histogram<u64>) -> Option<Self> {
        if histogram.is_empty() {
            return None;
        }
        let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1e3;
        Some(Self {
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: histogram.max() as f64 / 1e3,
        })
    }

    /// The median of each percentile over the runs; the largest maximum.
    pub(crate) fn over(runs: &[Self]) -> Option<Self> {
        if runs.is_empty() {
            return None;
        }
        let of = |field: fn(&Self) -> f64| median(runs.iter().map(field));
        Some(Self {
            p50: of(|run| run.p50),
            p90: of(|run| run.p90),
            p99: of(|run| run.p99),
            p999: of(|run| run.p999),
            max: runs.iter().map(|run| run.max).fold(0.0, f64::max),
        })
    }
}

/// The median; the mean of the two in the middle if there is an even number; 0 of nothing.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        count if count % 2 == 1 => values[count / 2],
        count => (values[count / 2 - 1] + values[count / 2]) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_stands_in_the_middle() {
        for (values, expected) in
            [(vec![], 0.0), (vec![3.0], 3.0), (vec![9.0, 1.0, 2.0], 2.0), (vec![4.0, 2.0], 3.0)]
        {
            assert_eq!(median(values), expected);
        }
    }

    #[test]
    fn percentiles_are_microseconds() {
        let mut histogram = histogram();
        assert!(Percentiles::of(&histogram).is_none());
        for us in 1..=1000_u64 {
            histogram.record(us * 1000).unwrap();
        }
        let percentiles = Percentiles::of(&histogram).unwrap();
        assert!((percentiles.p50 - 500.0).abs() < 2.0, "{percentiles:?}");
        assert!((percentiles.p999 - 999.0).abs() < 2.0, "{percentiles:?}");
    }
}
