//! Claims about inboxes and flags that hold in every interleaving.
//!
//! Deliberately absent: the kernel's part in waking. A sleeper here is `sync/model.rs`'s; eventfd
//! and futex are tried by the tests of `reactor.rs` and `park.rs`.

use loom::thread;

use super::*;
use crate::log::{LogPools, Reader, Run, Writer};
use crate::sync::Arc;
use crate::sync::model::{Sleeper, check};

type Mailbox = Inbox<u32, Sleeper>;

fn mailbox() -> Arc<Mailbox> {
    Arc::new(Mailbox::new(Sleeper::default()))
}

/// What an owner does who has nothing else to do: sleeps unless something is there, and takes it.
fn take(mailbox: &Mailbox, taken: &mut Vec<u32>) {
    if mailbox.park() {
        mailbox.wake().sleep();
    }
    mailbox.unpark();
    mailbox.take_into(taken);
}

#[test]
fn whoever_posts_ends_the_sleep() {
    check(|| {
        let mailbox = mailbox();
        let posting = thread::spawn({
            let mailbox = mailbox.clone();
            move || (0..2).for_each(|item| mailbox.post(item))
        });
        let mut taken = Vec::new();
        while taken.len() < 2 {
            take(&mailbox, &mut taken);
        }
        assert_eq!(taken, [0, 1]);
        posting.join().unwrap();
    });
}

#[test]
fn nothing_is_lost_between_two_who_post() {
    check(|| {
        let mailbox = mailbox();
        let posting = [0, 1].map(|item| {
            let mailbox = mailbox.clone();
            thread::spawn(move || mailbox.post(item))
        });
        let mut taken = Vec::new();
        while taken.len() < 2 {
            take(&mailbox, &mut taken);
        }
        taken.sort_unstable();
        assert_eq!(taken, [0, 1]);
        posting.into_iter().for_each(|posting| posting.join().unwrap());
    });
}

/// Looks at a log as every reader of one does: down with the flag before the last look.
fn read_all(reader: &mut Reader<()>, scheduled: &Scheduled, seen: &mut Vec<u8>) {
    while let Some(run) = reader.next_run().or_else(|| scheduled.look_again(|| reader.next_run())) {
        let Run::Bytes { slice, .. } = run else { unreachable!("there are no records") };
        seen.extend_from_slice(&slice);
    }
}

/// Why a reader looks before it is told of anything.
#[derive(Clone, Copy, Eq, PartialEq)]
enum FirstLook {
    /// It does not.
    None,
    /// It has something else to do with the log, and nobody knows.
    Unasked,
    /// It is expected to.
    Expected,
}

/// A writer of two messages, and a reader that reads only what it is told of, but for a first look.
fn tell_of_a_log(first_look: FirstLook, is_eased: bool) {
    let mailbox = mailbox();
    let scheduled = Arc::new(Scheduled::default());
    if first_look == FirstLook::Expected {
        scheduled.expect_look();
    }
    let (mut writer, mut reader) = Writer::single(LogPools::new(4, 8));
    let writing = thread::spawn({
        let (mailbox, scheduled) = (mailbox.clone(), scheduled.clone());
        move || {
            let mut raising = Raising::Fenced;
            for byte in *b"ab" {
                if is_eased {
                    scheduled.ease(&mut raising);
                }
                writer.append(&[byte], &[]);
                writer.publish(1);
                if scheduled.raise(&mut raising) {
                    mailbox.post(0);
                }
            }
        }
    });
    let (mut taken, mut seen) = (Vec::new(), Vec::new());
    if first_look != FirstLook::None {
        read_all(&mut reader, &scheduled, &mut seen);
    }
    while seen.len() < 2 {
        take(&mailbox, &mut taken);
        for _ in taken.drain(..) {
            read_all(&mut reader, &scheduled, &mut seen);
        }
    }
    assert_eq!(seen, b"ab");
    writing.join().expect("the writer does not fail");
}

#[test]
fn a_reader_is_told_of_everything_that_is_published() {
    check(|| tell_of_a_log(FirstLook::None, false));
}

#[test]
fn a_reader_is_told_of_everything_by_a_writer_without_fences() {
    check(|| tell_of_a_log(FirstLook::None, true));
}

#[test]
fn a_reader_that_looks_unasked_is_told_of_the_rest() {
    check(|| tell_of_a_log(FirstLook::Unasked, false));
}

#[test]
fn a_reader_that_looks_unasked_is_told_of_the_rest_without_fences() {
    check(|| tell_of_a_log(FirstLook::Unasked, true));
}

#[test]
fn a_reader_that_is_expected_to_look_is_told_of_the_rest() {
    check(|| tell_of_a_log(FirstLook::Expected, false));
}

#[test]
fn a_reader_that_is_expected_to_look_is_told_of_the_rest_without_fences() {
    check(|| tell_of_a_log(FirstLook::Expected, true));
}
