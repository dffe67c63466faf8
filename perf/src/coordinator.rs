//! Plans runs, gives the sides their turns, and adds up.
//!
//! Run 1 of every side comes before run 2 of any, so that a noisy minute hits all sides alike. A
//! side that fails is left out from then on, and its message is shown in its row.
//!
//! Deliberately absent: measuring. This process only waits while its workers do.

mod cast;
mod outcomes;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use self::cast::{Cast, Wildcard, cast};
use self::outcomes::Outcomes;
use crate::cli::limits::{DAY, PACED_MAX};
use crate::cli::{Command, Options};
use crate::cores::Cores;
use crate::crew::Crew;
use crate::error::{Error, Result};
use crate::file;
use crate::job::{
    Event, FeedLoad, Job, Load, Order, Outcome, Part, Pattern, Place, Role, Setup, Transport, Who,
    Work,
};
use crate::pace::Pace;
use crate::payload::{SIZE_MIN, STAMPED_SIZE_MIN};
use crate::report::{self, Row, Sample};
use crate::ticks::Ticks;
use crate::work::{feed::BODY_SIZE, subscribers_by_topic};

/// Round trips of a run with silence before each.
const IDLE_TRIPS: u64 = 5;
/// Paced messages per second, where nothing else was asked for.
const RATE: u64 = 10_000;
const FAN_OUT_RATE: u64 = 1_000;

/// Measures what the command says and prints it.
pub(crate) fn run(command: &Command) -> Result<ExitCode> {
    let Some(options) = command.options() else { return Ok(ExitCode::FAILURE) };
    if let Some((work, pattern)) = command.work() {
        for (who, why) in options.left_out(work, pattern) {
            eprintln!("perf: {} is left out: {why}", who.name());
        }
    }
    let rows = measure(command, options.runs)?;
    report::print(options, &rows)?;
    let has_failed = rows.iter().any(|row| row.failure.is_some());
    Ok(if has_failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Measures what the command says, with so many runs per side.
pub(crate) fn measure(command: &Command, runs: usize) -> Result<Vec<Row>> {
    let (Some(options), Some((work, pattern))) = (command.options(), command.work()) else {
        return Ok(Vec::new());
    };
    measure_sizes(&Options { runs, ..options.clone() }, work, pattern)
}

/// One comparison after another: every size with every number of subscribers.
fn measure_sizes(options: &Options, work: Work, pattern: Pattern) -> Result<Vec<Row>> {
    let subscribers = match (&options.subscribers[..], work) {
        ([], Work::FanOutThroughput) => vec![64],
        ([], Work::FeedThroughput) => vec![8],
        ([], _) => vec![1],
        (given, _) => given.to_vec(),
    };
    let mut comparisons = Vec::new();
    for &size in &options.size {
        for &subscribers in &subscribers {
            let load = load(options, work, pattern, (size, subscribers))?;
            comparisons.push(Comparison::new(options, load)?);
        }
    }
    if let Some(path) = &options.svg {
        file::prepare(path)?;
    }
    Ok(comparisons.iter().flat_map(Comparison::measure).collect())
}

fn load(
    options: &Options,
    work: Work,
    pattern: Pattern,
    (size, subscribers): (usize, usize),
) -> Result<Load> {
    let size_min = if work == Work::Throughput { SIZE_MIN } else { STAMPED_SIZE_MIN };
    if size < size_min {
        return Err(Error::Usage(format!("--size must be at least {size_min} for this work")));
    }
    let has_bursts = work == Work::FanOutThroughput;
    if has_bursts && options.hwm > 0 && options.burst >= options.hwm {
        return Err(Error::Usage("--burst must stay below --hwm".into()));
    }
    let is_feed = work == Work::FeedThroughput;
    let rate = match (options.rate, work) {
        (Some(rate), _) => rate,
        (None, Work::Throughput | Work::RoundTrip) => 0,
        (None, Work::FanOutThroughput) => FAN_OUT_RATE,
        (None, _) => RATE,
    };
    let paced = rate as f64 * options.seconds;
    if rate > 0 && !(1.0..=PACED_MAX as f64).contains(&paced) {
        let text = format!("--rate times --seconds must be in 1..={PACED_MAX}, not {paced}");
        return Err(Error::Usage(text));
    }
    let idle_seconds = options.idle.unwrap_or(0.0);
    let messages_max = options.messages.or_else(|| options.idle.map(|_| IDLE_TRIPS));
    let silence = idle_seconds * messages_max.unwrap_or(0) as f64;
    if silence > DAY as f64 {
        let text = format!("--idle times --messages must be at most {DAY} s, not {silence}");
        return Err(Error::Usage(text));
    }
    Ok(Load {
        work,
        pattern,
        size: if is_feed { BODY_SIZE } else { size },
        seconds: options.seconds,
        warm_up_seconds: options.warm_up,
        messages_max,
        rate,
        idle_seconds,
        subscribers,
        topics: options.topics,
        topics_per_subscriber: options.topics_per_subscriber,
        stalled: options.stalled,
        stalled_elsewhere: options.stalled_elsewhere,
        high_water_mark: options.hwm,
        burst: options.burst,
        feed: is_feed.then(|| FeedLoad {
            ticks: options.ticks.clone(),
            symbols_per_subscriber: options.symbols_per_subscriber,
        }),
    })
}

/// Several sides at the same work.
struct Comparison<'a> {
    options: &'a Options,
    load: Load,
    cores: Cores,
    /// Deliveries that each paced sequence should give, in turn.
    wanted: Vec<u32>,
    bar: ProgressBar,
}

impl<'a> Comparison<'a> {
    fn new(options: &'a Options, load: Load) -> Result<Self> {
        let wanted = match &load.feed {
            Some(feed) => subscribers_by_tick(feed, load.subscribers)?,
            None => subscribers_by_topic(&load),
        };
        Ok(Self {
            options,
            load,
            cores: Cores::choose(options.cores.as_deref())?,
            wanted,
            bar: bar(options),
        })
    }

    /// All runs of all sides; a row per side, failed ones too.
    fn measure(&self) -> Vec<Row> {
        let sides = self.options.sides(self.load.work, self.load.pattern);
        let mut rows: Vec<_> =
            sides.iter().map(|&who| Row::new(who, &self.load, self.options.transport)).collect();
        self.bar.reset_elapsed();
        self.bar
            .set_length(self.phase_ms() * self.phases() * (self.options.runs * sides.len()) as u64);
        let mut run_index = 0;
        for run in 1..=self.options.runs {
            for row in &mut rows {
                let name = row.who.name();
                self.bar.set_message(format!("{name}, run {run} of {}", self.options.runs));
                if row.failure.is_none() {
                    match self.run_once(row.who) {
                        Ok((sample, features)) => {
                            row.samples.push(sample);
                            row.features = features;
                        }
                        Err(error) => row.failure = Some(error.to_string()),
                    }
                }
                run_index += 1;
                self.bar.set_position(run_index * self.phases() * self.phase_ms());
            }
        }
        self.bar.finish_and_clear();
        rows
    }

    /// One run of one side; for fan-out and feed, one without pace and one with.
    fn run_once(&self, who: Who) -> Result<(Sample, Option<String>)> {
        let pace = Pace::measure();
        let outcomes = self.run_work(who, self.load.work)?;
        let mut sample = outcomes.sample(&self.load, pace);
        let paced = match self.load.work {
            Work::FanOutThroughput => Work::FanOutPaced,
            Work::FeedThroughput => Work::FeedPaced,
            _ => return Ok((sample, outcomes.sender.features)),
        };
        let outcomes = self.run_work(who, paced)?;
        let is_feed = paced == Work::FeedPaced;
        let (latency, skew) =
            if is_feed { outcomes.feed_percentiles() } else { outcomes.percentiles() };
        sample.latency = latency;
        sample.skew = skew;
        sample.send_ns = outcomes.sender.send_ns;
        sample.flush_ns = outcomes.sender.flush_ns;
        let delivered: u64 = outcomes.receivers.iter().map(|outcome| outcome.messages).sum();
        sample.drops = Some(self.expected(outcomes.sender.messages).saturating_sub(delivered));
        Ok((sample, outcomes.sender.features))
    }

    /// Runs of a sample: fan-out and feed have one without pace and one with.
    fn phases(&self) -> u64 {
        match self.load.work {
            Work::FanOutThroughput | Work::FeedThroughput => 2,
            _ => 1,
        }
    }

    /// How long one of them should take.
    fn phase_ms(&self) -> u64 {
        let trips = self.load.messages_max.unwrap_or(0) as f64;
        let silence = self.load.idle_seconds * trips;
        ((self.load.seconds + self.load.warm_up_seconds + silence) * 1e3) as u64
    }

    /// Deliveries due to so many paced messages.
    fn expected(&self, published: u64) -> u64 {
        let turn = self.wanted.len() as u64;
        let whole: u64 = self.wanted.iter().map(|&wanted| u64::from(wanted)).sum();
        let rest = &self.wanted[..(published % turn) as usize];
        published / turn * whole + rest.iter().map(|&wanted| u64::from(wanted)).sum::<u64>()
    }

    fn run_work(&self, who: Who, work: Work) -> Result<Outcomes> {
        let mut load = Load { work, ..self.load.clone() };
        if work == Work::FanOutThroughput && !load.stalled_elsewhere {
            load.stalled = 0;
        }
        let (started, position) = (Instant::now(), self.bar.position());
        let tick = || {
            let elapsed = started.elapsed().as_millis() as u64;
            self.bar.set_position(position + elapsed.min(self.phase_ms()));
        };
        let patience = Duration::from_secs(self.options.patience);
        let extra = Duration::from_millis(self.phase_ms());
        let mut crew = Crew::new(patience + extra, &tick);
        let cast = cast(&load);
        let wildcard = Wildcard::new(self.options.transport);
        let setup = Setup {
            who,
            transport: self.options.transport,
            no_drop: self.options.no_drop || !matches!(work, Work::FanOutPaced | Work::FeedPaced),
            peers: cast.peers,
        };
        let sender = if self.options.transport == Transport::Inproc {
            self.start_inproc(&mut crew, &setup, &load, &cast)?
        } else {
            self.start_processes(&mut crew, &setup, &load, (&cast, &wildcard))?
        };
        crew.collect("hello", cast.ready, |event| matches!(event, Event::Ready).then_some(()))?;
        crew.order(Order::Go)?;
        let counted = cast.counted;
        let receivers = crew.collect("result of the receiving end", counted, done)?;
        crew.order(Order::Stop)?;
        let last = crew.collect("result of the sending end", 1, done)?;
        let mut all = receivers.into_iter().chain(last);
        let mut outcomes = Outcomes::default();
        for (part, outcome) in &mut all {
            if part == sender {
                outcomes.sender = outcome;
            } else {
                outcomes.receivers.push(outcome);
            }
        }
        if setup.no_drop {
            self.check_count(&outcomes)?;
        }
        Ok(outcomes)
    }

    /// Where nothing may be dropped, everything must have come, and once.
    fn check_count(&self, outcomes: &Outcomes) -> Result<()> {
        let received: u64 = outcomes.receivers.iter().map(|outcome| outcome.messages).sum();
        let sent = outcomes.sender.messages;
        let has_many = matches!(self.load.work, Work::FanOutThroughput | Work::FeedThroughput);
        let expected = if has_many { self.expected(sent) } else { sent };
        if received == expected {
            return Ok(());
        }
        Err(Error::Worker(format!("received {received} messages instead of {expected}")))
    }

    /// Starts the binding process, learns its endpoint, starts the others; answers the sender.
    fn start_processes(
        &self,
        crew: &mut Crew<'_>,
        setup: &Setup,
        load: &Load,
        (cast, wildcard): (&Cast, &Wildcard),
    ) -> Result<(usize, usize)> {
        let job = |role: &Role, place| Job {
            setup: setup.clone(),
            load: load.clone(),
            parts: vec![Part { role: role.clone(), core: self.cores.of(role), place }],
        };
        let place = Place::Bind(wildcard.endpoint.clone());
        let binder = crew.start(&job(&cast.binder, place))?;
        let bound = crew.collect("bound endpoint", 1, |event| match event {
            Event::Bound(endpoint) => Some(endpoint),
            _ => None,
        })?;
        let mut sender = binder;
        for role in &cast.connecters {
            let place = Place::Connect(bound[0].1.clone());
            let index = crew.start(&job(role, place))?;
            if matches!(role, Role::Sender) {
                sender = index;
            }
        }
        Ok((sender, 0))
    }

    /// Both ends as threads of one process; answers the sender.
    fn start_inproc(
        &self,
        crew: &mut Crew<'_>,
        setup: &Setup,
        load: &Load,
        cast: &Cast,
    ) -> Result<(usize, usize)> {
        let endpoint = Wildcard::new(Transport::Inproc).endpoint.clone();
        let part =
            |role: &Role, place| Part { role: role.clone(), core: self.cores.of(role), place };
        let mut parts = vec![part(&cast.binder, Place::Bind(endpoint.clone()))];
        let connect = |role| part(role, Place::Connect(endpoint.clone()));
        parts.extend(cast.connecters.iter().map(connect));
        let sender = parts.iter().position(|part| matches!(part.role, Role::Sender));
        let job = Job { setup: setup.clone(), load: load.clone(), parts };
        let worker = crew.start(&job)?;
        Ok((worker, sender.expect("every cast has a sender")))
    }
}

fn done(event: Event) -> Option<Outcome> {
    match event {
        Event::Done(outcome) => Some(*outcome),
        _ => None,
    }
}

/// How many subscribers want each tick of the file.
fn subscribers_by_tick(feed: &FeedLoad, subscribers: usize) -> Result<Vec<u32>> {
    let ticks = Ticks::load(feed.ticks.as_deref())?;
    let mut by_symbol = vec![0; ticks.topics.len()];
    for subscriber in 0..subscribers {
        for symbol in ticks.symbols_of(subscriber, feed.symbols_per_subscriber) {
            by_symbol[symbol] += 1;
        }
    }
    Ok(ticks.ticks.iter().map(|tick| by_symbol[tick.symbol]).collect())
}

fn bar(options: &Options) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    if options.json {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    let style = ProgressStyle::with_template("{spinner} {bar:40} {percent:>3} % {msg} ({elapsed})");
    bar.set_style(style.expect("the template is well formed"));
    bar
}
