//! Claims about blocks that hold in every interleaving.
//!
//! Deliberately absent: what one thread sees alone, and blocks of real size. Those are the tests of
//! `block.rs`.

use loom::thread;

use super::*;
use crate::sync::model::check;

#[test]
fn bytes_are_there_once_a_length_covers_them() {
    check(|| {
        let mut writer = Pool::new(4, 1).take();
        let reader = writer.reader();
        let reading = thread::spawn(move || {
            for _ in 0..2 {
                let (len, tag) = reader.published();
                assert_eq!(&reader.slice(0..len)[..], &b"abc"[..len]);
                assert_eq!(tag, len as u32);
            }
        });
        for bytes in [&b"a"[..], b"bc"] {
            writer.append(bytes);
            writer.add_to_tag(bytes.len() as u32);
            writer.publish();
        }
        reading.join().unwrap();
    });
}

#[test]
fn a_block_that_was_dropped_elsewhere_is_reused_without_overlap() {
    check(|| {
        let pool = Pool::new(4, 1);
        let mut writer = pool.take();
        writer.append(b"old");
        writer.publish();
        let slice = writer.slice(0..3);
        let reading = thread::spawn(move || {
            assert_eq!(&slice[..], b"old");
            assert_eq!(&slice.clone()[1..], b"ld");
        });
        drop(writer);
        let mut again = pool.take();
        again.append(b"new");
        again.publish();
        reading.join().unwrap();
        assert_eq!(&again.slice(0..3)[..], b"new");
    });
}

#[test]
fn a_block_is_reset_only_after_its_last_reader() {
    check(|| {
        let mut writer = Pool::new(4, 1).take();
        writer.append(b"old");
        writer.publish();
        let slices = [writer.slice(0..2), writer.slice(2..3)];
        let reading = slices.map(|slice| thread::spawn(move || assert!(!slice.contains(&b'n'))));
        if writer.is_unique() {
            writer.reset();
            writer.append(b"new");
        }
        reading.into_iter().for_each(|reading| reading.join().unwrap());
    });
}
