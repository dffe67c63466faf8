//! The closed set of operations, and the contract under which the kernel gets them.
//!
//! Memory named in a submitted operation belongs to the kernel until its last completion, the one
//! without MORE, whether or not it was cancelled. Therefore an [`Operation`] owns its memory, at
//! addresses that do not change when it moves; a slot owns the operation; and a slot is emptied
//! only by the last completion. Descriptors are borrowed for a call and remembered as numbers:
//! their owner keeps them open until the last completion.
//!
//! Deliberately absent: linked and drained entries, and zero copy.

pub(crate) mod send;

use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use io_uring::types::{CancelBuilder, Fd};
use io_uring::{opcode, squeue};
use socket2::SockAddr;

use crate::group::GROUP;
use crate::ring::Ring;
use crate::ring::token::{Kind, Token};
use send::SendMemory;

/// What the kernel is asked to do, with the memory that it needs for it.
pub(crate) enum Operation {
    Accept,
    Connect(Box<SockAddr>),
    Receive,
    Send(Box<SendMemory>),
    Writable,
    Wake,
}

impl Operation {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Accept => Kind::Accept,
            Self::Connect(_) => Kind::Connect,
            Self::Receive => Kind::Receive,
            Self::Send(_) => Kind::Send,
            Self::Writable => Kind::Writable,
            Self::Wake => Kind::Wake,
        }
    }

    fn entry(&self, fd: RawFd) -> squeue::Entry {
        let (raw, fd) = (fd, Fd(fd));
        match self {
            Self::Accept => opcode::AcceptMulti::new(fd).flags(libc::SOCK_CLOEXEC).build(),
            Self::Connect(address) => {
                opcode::Connect::new(fd, address.as_ptr().cast(), address.len()).build()
            }
            Self::Receive => opcode::RecvMulti::new(fd, GROUP).build(),
            Self::Send(memory) => memory.entry(raw),
            Self::Writable => opcode::PollAdd::new(fd, libc::POLLOUT as u32).build(),
            Self::Wake => opcode::PollAdd::new(fd, libc::POLLIN as u32).multi(true).build(),
        }
    }

    /// Queues the operation under `token`. It must lie in the slot that the token names.
    #[inline]
    pub(crate) fn start(&self, ring: &mut Ring, fd: RawFd, token: Token) {
        let entry = self.entry(fd).user_data(token.user_data());
        // SAFETY: the entry names memory behind the operation's boxes and counted pieces, or lent
        // by the group; a slot gives its operation up on the last completion only, and a reactor
        // that cannot wait for that one leaks slots and group (`Reactor::drop`).
        unsafe { ring.push(&entry) };
    }
}

/// Queues the cancelling of `token`. Success posts nothing of its own.
pub(crate) fn cancel(ring: &mut Ring, token: Token) {
    let entry = opcode::AsyncCancel::new(token.user_data())
        .build()
        .flags(squeue::Flags::SKIP_SUCCESS)
        .user_data(token.with_kind(Kind::Cancel).user_data());
    // SAFETY: the entry names no memory.
    unsafe { ring.push(&entry) };
}

/// Queues the cancelling of all that is in flight.
pub(crate) fn cancel_all(ring: &mut Ring) {
    let entry = opcode::AsyncCancel2::new(CancelBuilder::any())
        .build()
        .flags(squeue::Flags::SKIP_SUCCESS)
        .user_data(Token::new(Kind::Cancel, 0, u32::MAX).user_data());
    // SAFETY: the entry names no memory.
    unsafe { ring.push(&entry) };
}

/// The descriptor that an accept brought.
pub(crate) fn accepted(result: u32) -> OwnedFd {
    // SAFETY: the kernel made the descriptor for this completion and tells nobody else.
    unsafe { OwnedFd::from_raw_fd(result as RawFd) }
}
