//! Claims about the log, on one thread.

use std::collections::HashSet;

use super::*;

fn pools() -> LogPools {
    LogPools::new(16, 64)
}

fn bytes(run: Option<Run<u32>>) -> (Vec<u8>, u32, bool) {
    match run {
        Some(Run::Bytes { slice, messages, is_continuation }) => {
            (slice.to_vec(), messages, is_continuation)
        }
        other => panic!("expected bytes, got {other:?}"),
    }
}

#[test]
fn nothing_is_seen_before_it_is_published() {
    let (mut writer, mut reader) = Writer::<u32>::single(pools());
    writer.append(b"\x00\x01", b"a");
    assert!(reader.is_empty() && reader.next_run().is_none());
    writer.publish(1);
    assert!(!reader.is_empty());
    assert_eq!(bytes(reader.next_run()), (b"\x00\x01a".to_vec(), 1, false));
    assert!(reader.next_run().is_none());
}

#[test]
fn records_stand_in_their_places() {
    let (mut writer, mut reader) = Writer::single(pools());
    writer.append(b"ab", b"");
    writer.append_record(7, 100);
    writer.append_record(8, 100);
    writer.append(b"cd", b"");
    writer.publish(2);
    assert_eq!(bytes(reader.next_run()), (b"ab".to_vec(), 0, false));
    assert!(matches!(reader.next_run(), Some(Run::Record { content: 7, messages: 0 })));
    assert!(matches!(reader.next_run(), Some(Run::Record { content: 8, messages: 0 })));
    assert_eq!(bytes(reader.next_run()), (b"cd".to_vec(), 2, false));
    assert!(reader.is_empty());
}

#[test]
fn a_message_over_several_nodes_appears_at_once() {
    let (mut writer, mut reader) = Writer::<u32>::single(pools());
    for part in 0..10 {
        writer.append(&[part; 2], &[part; 28]);
        assert!(reader.next_run().is_none());
    }
    writer.publish(1);
    let mut seen = Vec::new();
    let mut messages = 0;
    let mut continuations = 0;
    while let Some(Run::Bytes { slice, messages: more, is_continuation }) = reader.next_run() {
        seen.extend_from_slice(&slice);
        messages += more;
        continuations += u32::from(is_continuation);
    }
    assert_eq!(seen, (0..10).flat_map(|part| [part; 30]).collect::<Vec<u8>>());
    assert_eq!((messages, continuations), (1, 4));
}

#[test]
fn a_run_that_ends_within_a_message_counts_none() {
    let (mut writer, mut reader) = Writer::<u32>::single(pools());
    for message in ["ab", "cd", "0123456789", "ef"] {
        writer.append(message.as_bytes(), b"");
        if message.len() > 2 {
            writer.append(message.as_bytes(), b"");
        }
        writer.publish(1);
    }
    assert_eq!(bytes(reader.next_run()), (b"abcd0123456789".to_vec(), 0, false));
    assert_eq!(bytes(reader.next_run()), (b"0123456789ef".to_vec(), 4, true));
    assert!(reader.next_run().is_none());
}

#[test]
fn what_was_not_taken_is_counted_across_nodes() {
    let (mut writer, mut reader) = Writer::<u32>::single(pools());
    for count in 0..30 {
        assert_eq!(reader.waiting(), count);
        writer.append(&[0; 20], b"");
        writer.publish(1);
    }
    let runs = std::iter::from_fn(|| reader.next_run()).take(4);
    let taken: u32 = runs.map(|run| run.messages()).sum();
    assert_eq!(reader.waiting(), u64::from(30 - taken));
}

#[test]
fn bytes_behind_a_record_are_no_continuation() {
    let (mut writer, mut reader) = Writer::single(pools());
    writer.append(b"head", b"");
    for part in 0..=RECORDS_MAX as u32 {
        writer.append_record(part, 1);
    }
    writer.publish(1);
    writer.append(b"next", b"");
    writer.publish(1);
    assert_eq!(bytes(reader.next_run()), (b"head".to_vec(), 0, false));
    for part in 0..=RECORDS_MAX as u32 {
        assert_eq!(reader.next_run().and_then(Run::into_record), Some(part));
    }
    assert_eq!(bytes(reader.next_run()), (b"next".to_vec(), 2, false));
}

#[test]
fn a_run_grows_by_what_is_published_right_behind_it() {
    let (mut writer, mut reader) = Writer::single(pools());
    writer.append(b"ab", b"");
    writer.publish(1);
    let Some(Run::Bytes { slice: mut run, .. }) = reader.next_run() else { panic!("no bytes") };
    assert!(!reader.extend(&mut run));
    writer.append(b"cd", b"");
    writer.publish(1);
    assert!(reader.extend(&mut run) && !reader.extend(&mut run));
    assert_eq!(&run[..], b"abcd");
    writer.append_record(7, 1);
    writer.append(b"ef", b"");
    writer.publish(1);
    assert!(!reader.extend(&mut run));
    assert!(matches!(reader.next_run(), Some(Run::Record { content: 7, .. })));
    assert_eq!(bytes(reader.next_run()), (b"ef".to_vec(), 1, false));
    writer.append(&[0; 16], b"");
    writer.publish(1);
    assert!(!reader.extend(&mut run));
    assert_eq!(bytes(reader.next_run()), (vec![0; 16], 1, false));
}

#[test]
fn rollback_leaves_only_whole_messages() {
    let (mut writer, mut reader) = Writer::single(pools());
    writer.append(b"kept", b"");
    writer.publish(1);
    for part in 0..10 {
        writer.append(&[part; 30], b"");
        writer.append_record(u32::from(part), 1);
    }
    assert!(writer.has_unpublished());
    assert!(writer.weight_left() > 4, "nodes were filled");
    writer.rollback();
    assert!(!writer.has_unpublished());
    assert_eq!(writer.weight_left(), 4, "but for the first they are gone");
    writer.append(b"next", b"");
    writer.publish(1);
    let mut seen = Vec::new();
    while let Some(run) = reader.next_run() {
        seen.extend(bytes(Some(run)).0);
    }
    assert_eq!(seen, b"keptnext");
}

#[test]
fn what_is_taken_back_weighs_nothing() {
    let (mut writer, _reader) = Writer::single(pools());
    for _ in 0..1000 {
        writer.append_record(1, 1000);
        writer.append(b"of a message that is not finished", b"");
        writer.rollback();
    }
    assert_eq!(writer.weight_left(), 0);
}

#[test]
fn every_reader_of_a_shared_log_sees_everything_since_it_came() {
    let mut writer = Writer::<u32>::shared(pools());
    let mut early = writer.reader();
    for part in 0..20 {
        writer.append(&[part; 20], b"");
        writer.append_record(u32::from(part), 1);
        writer.publish(1);
    }
    let mut late = writer.reader();
    writer.append(b"last", b"");
    writer.publish(1);
    let mut messages = 0;
    let mut records = Vec::new();
    while let Some(run) = early.next_run() {
        match run {
            Run::Bytes { messages: more, .. } => messages += more,
            Run::Record { content, messages: more } => {
                records.push(content);
                messages += more;
            }
        }
    }
    assert_eq!((messages, records), (21, (0..20).collect()));
    assert_eq!(bytes(late.next_run()), (b"last".to_vec(), 1, false));
}

#[test]
fn a_long_unread_chain_is_dropped_without_recursion() {
    let (mut writer, reader) = Writer::<u32>::single(pools());
    for _ in 0..200_000 {
        writer.append(&[0; 64], b"");
        writer.publish(1);
    }
    drop(writer);
    drop(reader);
}

#[test]
fn a_steady_flow_reuses_its_nodes() {
    let (mut writer, mut reader) = Writer::<u32>::single(pools());
    let mut nodes = HashSet::new();
    for _ in 0..10_000 {
        writer.append(&[1; 40], b"");
        writer.publish(1);
        while reader.next_run().is_some() {}
        nodes.insert(Arc::as_ptr(&reader.node));
    }
    // One to begin with, which does not come back; one to read and one to write.
    assert!(nodes.len() <= 3, "{} nodes", nodes.len());
}
