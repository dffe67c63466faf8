//! Claims about the log that hold in every interleaving.
//!
//! Blocks are of 4 and then 8 bytes, so that a few messages turn nodes over, and nodes that
//! readers have left come back to the writer while it writes.
//!
//! Deliberately absent: long runs and real sizes, which are in `log/tests.rs`.

use loom::thread::{self, JoinHandle};

use super::*;
use crate::sync::model::check;

fn pools() -> LogPools {
    LogPools::new(4, 8)
}

/// What a reader has seen: the bytes, with `#` for each record, and the messages that ended.
#[derive(Debug, Default, Eq, PartialEq)]
struct Seen {
    bytes: Vec<u8>,
    messages: u32,
}

impl Seen {
    /// Takes what is there, at most `runs_max` runs of it.
    fn read(&mut self, reader: &mut Reader<u32>, runs_max: usize) {
        for _ in 0..runs_max {
            let Some(run) = reader.next_run() else { return };
            self.messages += run.messages();
            match run {
                Run::Bytes { slice, .. } => self.bytes.extend_from_slice(&slice),
                Run::Record { .. } => self.bytes.push(b'#'),
            }
        }
    }

    fn read_all(&mut self, reader: &mut Reader<u32>) {
        self.read(reader, usize::MAX);
        assert!(reader.is_empty());
    }
}

/// Starts a reader that takes at most `runs_max` runs while its writer goes on. Started first and
/// interrupted later, for loom overlooks races with loads that come before a thread's own.
fn start_reading(mut reader: Reader<u32>, runs_max: usize) -> JoinHandle<(Reader<u32>, Seen)> {
    thread::spawn(move || {
        let mut seen = Seen::default();
        seen.read(&mut reader, runs_max);
        (reader, seen)
    })
}

#[test]
fn every_byte_is_read_once_and_in_order() {
    check(|| {
        let (mut writer, reader) = Writer::single(pools());
        let reading = start_reading(reader, 3);
        for message in [b"abc", b"def", b"ghi", b"jkl"] {
            writer.append(message, &[]);
            writer.publish(1);
        }
        let (mut reader, mut seen) = reading.join().unwrap();
        assert!(b"abcdefghijkl".starts_with(&seen.bytes), "{seen:?}");
        seen.read_all(&mut reader);
        assert_eq!(seen, Seen { bytes: b"abcdefghijkl".to_vec(), messages: 4 });
    });
}

fn write_two_messages(writer: &mut Writer<u32>) {
    writer.append(b"abc", &[]);
    writer.publish(1);
    writer.append(b"def", &[]);
    writer.append_record(7, 0);
    writer.publish(1);
}

fn two_messages() -> Seen {
    Seen { bytes: b"abcdef#".to_vec(), messages: 2 }
}

#[test]
fn each_reader_of_a_shared_log_sees_all_of_it() {
    check(|| {
        let mut writer = Writer::shared(pools());
        let mut readers = [writer.reader(), writer.reader()];
        let reading = thread::spawn(move || {
            let mut seen = [Seen::default(), Seen::default()];
            for (reader, seen) in readers.iter_mut().zip(&mut seen) {
                seen.read(reader, 2);
            }
            (readers, seen)
        });
        write_two_messages(&mut writer);
        let (readers, seen) = reading.join().unwrap();
        for (mut reader, mut seen) in readers.into_iter().zip(seen) {
            seen.read_all(&mut reader);
            assert_eq!(seen, two_messages());
        }
    });
}

#[test]
fn readers_may_leave_a_node_at_the_same_time() {
    check(|| {
        let mut writer = Writer::shared(pools());
        let readers = [writer.reader(), writer.reader()];
        write_two_messages(&mut writer);
        let [mut one, other] = readers;
        let reading = start_reading(other, usize::MAX);
        let mut seen = Seen::default();
        seen.read_all(&mut one);
        assert_eq!(seen, two_messages());
        assert_eq!(reading.join().unwrap().1, two_messages());
        // Nodes that came back are used again.
        write_two_messages(&mut writer);
        write_two_messages(&mut writer);
        seen.read_all(&mut one);
        assert_eq!((seen.bytes, seen.messages), (b"abcdef#".repeat(3), 6));
    });
}

#[test]
fn a_message_over_several_nodes_is_there_as_a_whole_or_not_at_all() {
    check(|| {
        let (mut writer, reader) = Writer::single(pools());
        let reading = start_reading(reader, usize::MAX);
        writer.append(b"abc", &[]);
        writer.append(b"defghi", &[]);
        writer.append_record(7, 0);
        writer.append(b"jkl", &[]);
        writer.publish(1);
        let (mut reader, mut seen) = reading.join().unwrap();
        assert!(seen.bytes.is_empty() || seen.bytes == b"abcdefghi#jkl", "{seen:?}");
        seen.read_all(&mut reader);
        assert_eq!(seen, Seen { bytes: b"abcdefghi#jkl".to_vec(), messages: 1 });
    });
}

#[test]
fn what_is_rolled_back_was_never_there() {
    check(|| {
        let (mut writer, reader) = Writer::single(pools());
        let reading = start_reading(reader, 3);
        writer.append(b"ab", &[]);
        writer.publish(1);
        writer.append(b"X", &[]);
        writer.append(b"XXX", &[]);
        writer.append_record(7, 0);
        writer.rollback();
        writer.append(b"cde", &[]);
        writer.publish(1);
        let (mut reader, mut seen) = reading.join().unwrap();
        assert!(b"abcde".starts_with(&seen.bytes), "{seen:?}");
        seen.read_all(&mut reader);
        assert_eq!(seen, Seen { bytes: b"abcde".to_vec(), messages: 2 });
    });
}

#[test]
fn a_run_grows_by_nothing_but_what_is_published_behind_it() {
    check(|| {
        let (mut writer, mut reader) = Writer::<u32>::single(pools());
        let reading = thread::spawn(move || {
            let mut bytes = Vec::new();
            while let Some(Run::Bytes { slice: mut run, .. }) = reader.next_run() {
                let _is_longer = reader.extend(&mut run) && reader.extend(&mut run);
                bytes.extend_from_slice(&run);
            }
            (reader, bytes)
        });
        for message in [&b"a"[..], b"bc", b"def", b"g"] {
            writer.append(message, &[]);
            writer.publish(1);
        }
        let (mut reader, bytes) = reading.join().unwrap();
        let mut seen = Seen { bytes, messages: 0 };
        seen.read_all(&mut reader);
        assert_eq!(seen.bytes, b"abcdefg");
    });
}

#[test]
fn a_record_is_taken_once_and_with_it_what_it_holds() {
    check(|| {
        let held = Arc::new(());
        let (mut writer, mut reader) = Writer::single(pools());
        let take = |reader: &mut Reader<_>| reader.next_run().and_then(Run::into_record);
        let reading = thread::spawn(move || {
            let taken = (0..3).filter(|_| take(&mut reader).is_some()).count();
            (reader, taken)
        });
        writer.append(b"a", &[]);
        for _ in 0..3 {
            writer.append_record(held.clone(), 0);
            writer.publish(1);
        }
        let (mut reader, early) = reading.join().unwrap();
        let late = (0..4).filter(|_| take(&mut reader).is_some()).count();
        assert_eq!((early + late, Arc::strong_count(&held)), (3, 1));
    });
}

#[test]
fn a_block_is_written_again_only_after_the_last_slice_of_it() {
    check(|| {
        // Every message fills its block, so each comes back as soon as it is read.
        let (mut writer, reader) = Writer::single(LogPools::new(2, 2));
        let reading = start_reading(reader, 3);
        for message in [b"ab", b"cd", b"ef", b"gh"] {
            writer.append(message, &[]);
            writer.publish(1);
        }
        let (mut reader, mut seen) = reading.join().unwrap();
        seen.read_all(&mut reader);
        assert_eq!(seen, Seen { bytes: b"abcdefgh".to_vec(), messages: 4 });
    });
}

#[test]
fn both_ends_may_go_at_any_time() {
    check(|| {
        let (mut writer, reader) = Writer::single(pools());
        let reading = start_reading(reader, 2);
        write_two_messages(&mut writer);
        drop(writer);
        drop(reading);
    });
}
