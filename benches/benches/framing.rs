//! Framing: headers written and read, and received bytes walked.
//!
//! Deliberately absent: bodies. They are neither read nor copied.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput};
use zring_zmtp::{Scanner, frame};

/// What one lent buffer holds.
const RECEIVED: usize = 32 * 1024;

fn main() {
    benches::run(|criterion| {
        encode(criterion);
        decode(criterion);
        scan(criterion);
    });
}

fn encode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("frame/encode");
    for size in [64_usize, 1024] {
        group.bench_function(BenchmarkId::from_parameter(size), |bencher| {
            bencher.iter(|| frame::encode(black_box(false), false, black_box(size)));
        });
    }
}

fn decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("frame/decode");
    for size in [64_usize, 1024] {
        let (header, len) = frame::encode(false, false, size);
        group.bench_function(BenchmarkId::from_parameter(size), |bencher| {
            bencher.iter(|| frame::decode(black_box(&header[..len]), u64::MAX));
        });
    }
}

/// A buffer's worth of messages, of one frame or of topic and body, alike or of several sizes.
fn scan(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("frame/scan");
    let mixed: Vec<usize> = (0..97).map(|index| index * index % 97).collect();
    for (name, frames_max, sizes) in [
        ("16", 1, &[16][..]),
        ("64", 1, &[64]),
        ("8+56", 2, &[8, 56]),
        ("1024", 1, &[1024]),
        ("mixed", 1, &mixed),
    ] {
        let mut received = Vec::new();
        let mut frames = 0;
        for &size in sizes.iter().cycle() {
            if received.len() >= RECEIVED && frames % frames_max == 0 {
                break;
            }
            frames += 1;
            let (header, len) = frame::encode(frames % frames_max > 0, false, size);
            received.extend_from_slice(&header[..len]);
            received.resize(received.len() + size, 0);
        }
        let messages = frames / frames_max;
        group.throughput(Throughput::Elements(messages));
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
            let mut scanner = Scanner::new(u64::MAX);
            bencher.iter(|| scanner.scan(black_box(&received)));
        });
    }
}
