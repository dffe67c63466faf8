//! The memory of a send: its pieces, and the vector and header that name them.
//!
//! One piece is a SEND, several are one SENDMSG. The memory is reused from send to send, so that a
//! reactor that has sent before asks no allocator.
//!
//! Deliberately absent: what is left after a short send. The queue that pieces come from keeps
//! count (`transports/src/sending.rs`).

use std::mem::MaybeUninit;
use std::os::fd::RawFd;

use io_uring::{opcode, squeue, types};

use crate::block::Piece;

/// Pieces that one send can be made of: the kernel's `UIO_MAXIOV`.
pub const PIECES_MAX: usize = 1024;

/// Pieces that there is memory for before the first send.
const PIECES: usize = 64;

/// Sends complete within the enter that submits them, and do not raise SIGPIPE.
const FLAGS: u32 = (libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL) as u32;

/// What one send needs until its completion.
pub(crate) struct SendMemory {
    pieces: Vec<Piece>,
    /// One per piece, pointing into it.
    iovecs: Vec<libc::iovec>,
    /// Names the vector.
    header: libc::msghdr,
}

impl Default for SendMemory {
    fn default() -> Self {
        // SAFETY: all-zero bytes are a valid `msghdr`: null pointers and lengths of zero.
        let header = unsafe { MaybeUninit::zeroed().assume_init() };
        let (pieces, iovecs) = (Vec::with_capacity(PIECES), Vec::with_capacity(PIECES));
        Self { pieces, iovecs, header }
    }
}

impl SendMemory {
    /// Takes up to [`PIECES_MAX`] pieces.
    pub(crate) fn fill(&mut self, pieces: impl IntoIterator<Item = Piece>) {
        debug_assert!(self.pieces.is_empty(), "the last send's pieces were let go");
        self.pieces.extend(pieces.into_iter().take(PIECES_MAX));
        if self.pieces.len() == 1 {
            return;
        }
        self.iovecs.clear();
        self.iovecs.extend(self.pieces.iter().map(|piece| libc::iovec {
            iov_base: piece.as_ptr().cast_mut().cast(),
            iov_len: piece.len(),
        }));
        self.header.msg_iov = self.iovecs.as_mut_ptr();
        self.header.msg_iovlen = self.iovecs.len() as _;
    }

    /// Lets the pieces go, which the kernel no longer reads.
    pub(crate) fn clear(&mut self) {
        self.pieces.clear();
    }

    /// The entry that names this memory.
    pub(crate) fn entry(&self, fd: RawFd) -> squeue::Entry {
        let fd = types::Fd(fd);
        match &self.pieces[..] {
            [piece] => {
                // A longer piece is sent in part, as any send may be.
                let len = u32::try_from(piece.len()).unwrap_or(u32::MAX);
                opcode::Send::new(fd, piece.as_ptr(), len).flags(FLAGS as i32).build()
            }
            _ => opcode::SendMsg::new(fd, &raw const self.header).flags(FLAGS).build(),
        }
    }
}
