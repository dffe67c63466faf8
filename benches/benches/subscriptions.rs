//! Subscriptions: who gets a published message, among 10, 1,000 and 100,000 topics.
//!
//! Deliberately absent: sending. The tree alone is measured.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput};
use zring_transports::subscriptions::{Few, Holding, Recent, Subscriptions};

const TOPICS: [usize; 3] = [10, 1000, 100_000];
/// Subscribers that share the topics out among themselves.
const SUBSCRIBERS: usize = 64;
/// Messages of one iteration, spread over all topics.
const MESSAGES: usize = 1000;

fn main() {
    benches::run(|criterion| {
        matching(criterion);
        recalling(criterion);
        passing(criterion);
        changing(criterion);
        leaving(criterion);
    });
}

/// Symbols as a feed has them: short, and alike at the front.
fn topic(index: usize) -> Vec<u8> {
    format!("XNAS.{:05}", index * 7919 % 100_003).into_bytes()
}

fn holding(topics: usize) -> Subscriptions<u32> {
    let mut subscriptions = Subscriptions::new();
    for index in 0..topics {
        subscriptions.insert(&topic(index), (index % SUBSCRIBERS) as u32);
    }
    subscriptions
}

/// Each message is for one subscriber.
fn matching(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("subscriptions/match");
    group.throughput(Throughput::Elements(MESSAGES as u64));
    for topics in TOPICS {
        let subscriptions = holding(topics);
        let messages: Vec<_> = (0..MESSAGES).map(|index| topic(index * 97 % topics)).collect();
        group.bench_function(BenchmarkId::from_parameter(topics), |bencher| {
            bencher.iter(|| {
                let mut found = 0;
                for message in &messages {
                    subscriptions.for_each_match(black_box(message), |key| found += key);
                }
                found
            });
        });
    }
}

/// The same, as a publisher asks: what was found out of late is recalled, up to so many topics.
fn recalling(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("subscriptions/recall");
    group.throughput(Throughput::Elements(MESSAGES as u64));
    for topics in TOPICS {
        let subscriptions = holding(topics);
        let mut recent = Recent::<Few<u32>>::default();
        let mut keys = Vec::new();
        let messages: Vec<_> = (0..MESSAGES).map(|index| topic(index * 97 % topics)).collect();
        group.bench_function(BenchmarkId::from_parameter(topics), |bencher| {
            bencher.iter(|| {
                let mut found = 0;
                for message in &messages {
                    let message = black_box(message);
                    recent.find(&subscriptions, message, &mut keys, |_| true);
                    found += keys.iter().sum::<u32>();
                }
                found
            });
        });
    }
}

/// Each message is for nobody, which shows only at its last byte.
fn passing(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("subscriptions/miss");
    group.throughput(Throughput::Elements(MESSAGES as u64));
    for topics in TOPICS {
        let subscriptions = holding(topics);
        let miss = |index: usize| {
            let mut message = topic(index * 97 % topics);
            message.pop();
            message
        };
        let messages: Vec<_> = (0..MESSAGES).map(miss).collect();
        group.bench_function(BenchmarkId::from_parameter(topics), |bencher| {
            let matches = |message: &&Vec<u8>| subscriptions.matches(black_box(message));
            bencher.iter(|| messages.iter().filter(matches).count());
        });
    }
}

/// One topic more, and one less.
fn changing(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("subscriptions/insert_and_remove");
    for topics in TOPICS {
        let mut subscriptions = holding(topics);
        let fresh = topic(topics + 1);
        group.bench_function(BenchmarkId::from_parameter(topics), |bencher| {
            bencher.iter(|| {
                subscriptions.insert(black_box(&fresh), 1);
                subscriptions.remove(black_box(&fresh), 1)
            });
        });
    }
}

/// A subscriber of ten topics more comes, and goes.
fn leaving(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("subscriptions/come_and_go");
    for topics in TOPICS {
        let mut subscriptions = holding(topics);
        let fresh: Vec<_> = (1..=10).map(|index| topic(topics + index)).collect();
        let key = SUBSCRIBERS as u32;
        group.bench_function(BenchmarkId::from_parameter(topics), |bencher| {
            bencher.iter(|| {
                let mut held = Holding::default();
                for topic in &fresh {
                    subscriptions.insert(black_box(topic), key);
                    held.note(&subscriptions, topic, key);
                }
                subscriptions.remove_holding(key, &held, |_, _| {});
            });
        });
    }
}
