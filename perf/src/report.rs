//! Rows: a table for people, a JSON line for programs.
//!
//! Deliberately absent: a verdict. Lost comparisons look like won ones.

#[cfg(test)]
pub(crate) mod tests;

use comfy_table::{Cell, CellAlignment, Table};
use serde_json::{Value, json};

use crate::cli::Options;
use crate::cores::Cores;
use crate::error::Result;
use crate::file;
use crate::job::{Load, Pattern, Transport, Who, Work};
use crate::machine;
use crate::pace::Pace;
use crate::statistics::{Percentiles, median};
use crate::svg;

/// What one run of one side gave.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    /// In the row's unit.
    pub(crate) value: f64,
    /// Messages published per second; the value counts deliveries.
    pub(crate) published: Option<f64>,
    pub(crate) cpu_s_per_million: f64,
    pub(crate) allocations_per_message: f64,
    pub(crate) latency: Option<Percentiles>,
    pub(crate) skew: Option<Percentiles>,
    pub(crate) send_ns: Option<f64>,
    pub(crate) flush_ns: Option<f64>,
    pub(crate) drops: Option<u64>,
    /// The machine's, right before.
    pub(crate) pace: Pace,
}

/// One side at one work.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) who: Who,
    pub(crate) work: Work,
    pub(crate) pattern: Pattern,
    pub(crate) transport: Transport,
    pub(crate) size: usize,
    pub(crate) subscribers: usize,
    pub(crate) samples: Vec<Sample>,
    pub(crate) features: Option<String>,
    pub(crate) failure: Option<String>,
}

impl Row {
    /// A row that has no runs yet.
    pub(crate) fn new(who: Who, load: &Load, transport: Transport) -> Self {
        Self {
            who,
            work: load.work,
            pattern: load.pattern,
            transport,
            size: load.size,
            subscribers: load.subscribers,
            samples: Vec::new(),
            features: None,
            failure: None,
        }
    }

    /// Adds more runs of the same sides. One that has failed before stays so.
    pub(crate) fn add(rows: &mut Vec<Self>, more: Vec<Self>) {
        for row in more {
            match rows.iter_mut().find(|known| known.is_same(&row)) {
                Some(known) => {
                    known.samples.extend(row.samples);
                    known.failure = known.failure.take().or(row.failure);
                }
                None => rows.push(row),
            }
        }
    }

    fn is_same(&self, other: &Self) -> bool {
        let key = |row: &Self| (row.who, row.size, row.subscribers);
        key(self) == key(other)
    }

    /// The name of the work, as on the command line.
    pub(crate) fn work_name(&self) -> &'static str {
        match self.work {
            Work::Throughput => "throughput",
            Work::Latency | Work::RoundTrip => "latency",
            Work::FanOutThroughput | Work::FanOutPaced => "fanout",
            Work::FeedThroughput | Work::FeedPaced => "feed",
        }
    }

    /// What the value counts.
    pub(crate) fn unit(&self) -> &'static str {
        match self.work {
            Work::Throughput => "msg/s",
            Work::Latency | Work::RoundTrip => "us",
            _ => "deliveries/s",
        }
    }

    fn of(&self, field: impl Fn(&Sample) -> f64) -> f64 {
        median(self.samples.iter().map(field))
    }

    fn of_some(&self, field: impl Fn(&Sample) -> Option<f64>) -> Option<f64> {
        let values: Vec<_> = self.samples.iter().filter_map(field).collect();
        (!values.is_empty()).then(|| median(values))
    }

    /// The median of the runs' values.
    pub(crate) fn value(&self) -> f64 {
        self.of(|sample| sample.value)
    }

    /// The smallest and the largest value.
    pub(crate) fn range(&self) -> (f64, f64) {
        let values = || self.samples.iter().map(|sample| sample.value);
        (values().fold(f64::INFINITY, f64::min), values().fold(0.0, f64::max))
    }

    pub(crate) fn published(&self) -> Option<f64> {
        self.of_some(|sample| sample.published)
    }

    pub(crate) fn cpu_s_per_million(&self) -> f64 {
        self.of(|sample| sample.cpu_s_per_million)
    }

    pub(crate) fn send_ns(&self) -> Option<f64> {
        self.of_some(|sample| sample.send_ns)
    }

    pub(crate) fn flush_ns(&self) -> Option<f64> {
        self.of_some(|sample| sample.flush_ns)
    }

    /// Messages lost over all runs.
    pub(crate) fn drops(&self) -> Option<u64> {
        self.samples.iter().map(|sample| sample.drops).sum()
    }

    pub(crate) fn latency(&self) -> Option<Percentiles> {
        let runs: Vec<_> = self.samples.iter().filter_map(|sample| sample.latency).collect();
        Percentiles::over(&runs)
    }

    pub(crate) fn skew(&self) -> Option<Percentiles> {
        let runs: Vec<_> = self.samples.iter().filter_map(|sample| sample.skew).collect();
        Percentiles::over(&runs)
    }

    /// Known only where Rust's allocator sees everything.
    pub(crate) fn allocations_per_message(&self) -> Option<f64> {
        let is_known = self.who.allocates_in_rust() && !self.samples.is_empty();
        is_known.then(|| self.of(|sample| sample.allocations_per_message))
    }

    /// One line for programs.
    pub(crate) fn json(&self) -> Value {
        let (min, max) = self.range();
        let mut line = json!({
            "work": self.work_name(), "pattern": self.pattern.name(),
            "transport": self.transport.name(), "size": self.size,
            "subscribers": self.subscribers, "who": self.who.name(),
        });
        if let Some(failure) = &self.failure {
            line["error"] = json!(failure);
            return line;
        }
        line["value"] = json!(self.value());
        line["unit"] = json!(self.unit());
        line["min"] = json!(min);
        line["max"] = json!(max);
        line["runs"] = json!(self.samples.len());
        line["cpu_s_per_million"] = json!(self.cpu_s_per_million());
        put_percentiles(&mut line, "", self.latency());
        put_percentiles(&mut line, "skew_", self.skew());
        put(&mut line, "published", self.published());
        put(&mut line, "send_ns", self.send_ns());
        put(&mut line, "flush_ns", self.flush_ns());
        put(&mut line, "allocations_per_message", self.allocations_per_message());
        if let Some(drops) = self.drops() {
            line["drops"] = json!(drops);
        }
        line
    }
}

fn put(line: &mut Value, name: &str, value: Option<f64>) {
    if let Some(value) = value {
        line[name] = json!(value);
    }
}

/// The maximum is called `max_us`, because `max` is that of the value over the runs.
fn put_percentiles(line: &mut Value, prefix: &str, percentiles: Option<Percentiles>) {
    let Some(of) = percentiles else { return };
    let named =
        [("p50", of.p50), ("p90", of.p90), ("p99", of.p99), ("p999", of.p999), ("max_us", of.max)];
    for (name, value) in named {
        line[format!("{prefix}{name}")] = json!(value);
    }
}

/// Prints the rows and draws them, as the options say.
pub(crate) fn print(options: &Options, rows: &[Row]) -> Result<()> {
    if options.json {
        for row in rows {
            println!("{}", row.json());
        }
    } else {
        let cores = Cores::choose(options.cores.as_deref())?;
        println!("{}", machine::heading(&cores, rows));
        println!("{}", table(rows));
    }
    for row in rows {
        if let Some(failure) = &row.failure {
            eprintln!("perf: {} failed: {failure}", row.who.name());
        }
    }
    match &options.svg {
        Some(path) => file::write(path, &svg::draw(rows)),
        None => Ok(()),
    }
}

/// What each side said about itself, once.
pub(crate) fn features(rows: &[Row]) -> Vec<(String, String)> {
    let mut seen: Vec<(String, String)> = Vec::new();
    for row in rows {
        let Some(line) = &row.features else { continue };
        if seen.iter().all(|(who, _)| who != row.who.name()) {
            seen.push((row.who.name().to_owned(), line.clone()));
        }
    }
    seen
}

/// A heading, and what a row says under it.
type Column = (&'static str, fn(&Row) -> Option<String>);

/// All columns, in order.
const COLUMNS: [Column; 18] = [
    ("side", |row| Some(row.who.name().to_owned())),
    ("size", |row| Some(format!("{} B", row.size))),
    ("subs", |row| (row.subscribers > 1).then(|| row.subscribers.to_string())),
    ("median", |row| Some(format!("{} {}", short(row.value()), row.unit()))),
    ("min", |row| Some(short(row.range().0))),
    ("max", |row| Some(short(row.range().1))),
    ("MB/s", |row| {
        (row.work == Work::Throughput).then(|| short(row.value() * row.size as f64 / 1e6))
    }),
    ("published/s", |row| row.published().map(short)),
    ("p50 µs", |row| row.latency().map(|of| short(of.p50))),
    ("p90", |row| row.latency().map(|of| short(of.p90))),
    ("p99", |row| row.latency().map(|of| short(of.p99))),
    ("p99.9", |row| row.latency().map(|of| short(of.p999))),
    ("max", |row| row.latency().map(|of| short(of.max))),
    ("skew p50/p99/p99.9 µs", |row| {
        row.skew().map(|of| format!("{}/{}/{}", short(of.p50), short(of.p99), short(of.p999)))
    }),
    ("ns in send", |row| row.send_ns().map(short)),
    ("ns in flush", |row| row.flush_ns().map(short)),
    ("drops", |row| row.drops().map(|drops| drops.to_string())),
    ("CPU s/M", |row| Some(short(row.cpu_s_per_million()))),
];

/// The rows for people. Columns that nobody fills are left out.
pub(crate) fn table(rows: &[Row]) -> Table {
    let is_filled = |column: &&Column| {
        rows.iter().any(|row| row.failure.is_none() && (column.1)(row).is_some())
            || column.0 == "side"
    };
    let columns: Vec<_> = COLUMNS.iter().filter(is_filled).collect();
    let mut table = Table::new();
    table.load_preset(comfy_table::presets::ASCII_MARKDOWN);
    table.set_header(columns.iter().map(|column| column.0));
    for row in rows {
        let cells = columns.iter().enumerate().map(|(index, column)| match (&row.failure, index) {
            (Some(_), 1) => "failed".to_owned(),
            (Some(_), 2..) => String::new(),
            _ => (column.1)(row).unwrap_or_default(),
        });
        table.add_row(cells.enumerate().map(|(index, text)| {
            let side = if index == 0 { CellAlignment::Left } else { CellAlignment::Right };
            Cell::new(text).set_alignment(side)
        }));
    }
    table
}

/// Three digits that count, with k or M.
pub(crate) fn short(value: f64) -> String {
    if value.abs() > 0.0 && value.abs() < 0.005 {
        return format!("{value:.1e}");
    }
    let (value, suffix) = match value.abs() {
        at if at >= 1e6 => (value / 1e6, " M"),
        at if at >= 1e4 => (value / 1e3, " k"),
        _ => (value, ""),
    };
    let digits = match value.abs() {
        at if at >= 100.0 => 0,
        at if at >= 10.0 => 1,
        _ => 2,
    };
    format!("{value:.digits$}{suffix}")
}
