//! The buffer group: blocks lent to the kernel, which fills them for whichever receive has data.
//!
//! Every buffer id has one block at all times. A completion takes a block back: what the kernel
//! wrote is published and handed up as a slice, and the id waits in a list. At the start of the
//! next turn each waiting id is lent again, with the same block if nobody kept a slice of it, else
//! with a fresh one. The invariant: a block whose id is with the kernel is not touched here.
//!
//! Deliberately absent: growing. A group found empty ends a receive, which is then armed again.

use std::mem;
use std::ptr::{self, NonNull};
// Not through `crate::sync`: the other side of this word is the kernel, which no model knows.
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::types::BufRingEntry;
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};

use crate::block::{BlockWriter, Pool, Slice};
use crate::error::Error;
use crate::ring::{Config, Ring};

/// The id of a ring's one group.
pub(crate) const GROUP: u16 = 0;

/// What the kernel accepts.
const BUFFERS_MAX: u16 = 1 << 15;

/// Unused blocks that are kept, per buffer of the group: what applications hold on to for a while
/// comes back without the allocator being asked.
const KEPT_PER_BUFFER: usize = 8;

pub(crate) struct Group {
    /// One entry per buffer, read by the kernel, in a mapping of its own.
    entries: NonNull<BufRingEntry>,
    /// One less than the number of buffers, a power of two.
    mask: u16,
    /// Entries written so far, modulo 2¹⁶.
    tail: u16,
    /// The block of each buffer id.
    blocks: Vec<BlockWriter>,
    /// Ids that the kernel has given back.
    returned: Vec<u16>,
    pool: Pool,
}

impl Group {
    /// Registers a group with `ring` and lends all of its buffers.
    ///
    /// The group must outlive all receives of the ring, or be [leaked](Self::leak).
    pub(crate) fn register(ring: &Ring, config: &Config) -> Result<Self, Error> {
        let count = config.buffers.clamp(1, BUFFERS_MAX).next_power_of_two();
        let size = u32::try_from(config.buffer_size).unwrap_or(0);
        assert!(size > 0, "a lent buffer has room, and its size fits 32 bits");
        let pool = Pool::new(config.buffer_size, usize::from(count) * KEPT_PER_BUFFER);
        let mut group = Self {
            entries: map(count)?,
            mask: count - 1,
            tail: 0,
            blocks: (0..count).map(|_| pool.take()).collect(),
            returned: (0..count).collect(),
            pool,
        };
        let address = group.entries.as_ptr() as u64;
        // SAFETY: the mapping holds `count` entries, and is unmapped only by `Group::drop`, until
        // when the kernel keeps the pages pinned on its own account.
        unsafe { ring.submitter().register_buf_ring_with_flags(address, count, GROUP, 0) }
            .map_err(|error| Error::from_io(&error))?;
        group.lend_returned();
        Ok(group)
    }

    /// How many buffers the group has.
    pub(crate) fn len(&self) -> usize {
        self.blocks.len()
    }

    /// Takes back the buffer `id`, into which the kernel wrote `len` bytes. `None`: none at all.
    #[inline]
    pub(crate) fn take_back(&mut self, id: u16, len: usize) -> Option<Slice> {
        debug_assert!(!self.returned.contains(&id), "the kernel had this buffer");
        self.returned.push(id);
        if len == 0 {
            return None;
        }
        let block = &mut self.blocks[usize::from(id)];
        // SAFETY: the kernel reports that it wrote `len` bytes at the start of the spare part, all
        // that it was lent, and without incremental buffers a completion gives the whole back.
        unsafe { block.advance(len) };
        block.publish();
        Some(block.slice(0..len))
    }

    /// Lends again what was taken back.
    #[inline]
    pub(crate) fn lend_returned(&mut self) {
        if self.returned.is_empty() {
            return;
        }
        let mut returned = mem::take(&mut self.returned);
        for id in returned.drain(..) {
            self.lend(id);
        }
        self.returned = returned;
        // SAFETY: the first entry is part of the mapping, which was zeroed.
        let tail = unsafe { BufRingEntry::tail(self.entries.as_ptr()) };
        // SAFETY: the tail is an aligned field of the first entry, and the kernel only reads it.
        let tail = unsafe { AtomicU16::from_ptr(tail.cast_mut()) };
        // Release: the kernel acquires the tail before it reads the entries.
        tail.store(self.tail, Ordering::Release);
    }

    /// Writes the next entry; the kernel sees it once the tail is stored.
    fn lend(&mut self, id: u16) {
        let block = &mut self.blocks[usize::from(id)];
        if block.is_unique() {
            block.reset();
        } else {
            *block = self.pool.take();
        }
        let (memory, room) = block.spare();
        // SAFETY: the masked index lies within the mapping.
        let entry = unsafe { self.entries.add(usize::from(self.tail & self.mask)) };
        // SAFETY: the entry is zeroed or written memory of the mapping, and the kernel does not
        // read it before the tail covers it: no more ids are lent than there are entries.
        let entry = unsafe { &mut *entry.as_ptr() };
        entry.set_addr(memory as u64);
        entry.set_len(room as u32);
        entry.set_bid(id);
        self.tail = self.tail.wrapping_add(1);
    }

    /// Gives up all memory that the kernel may still write to, for ever.
    pub(crate) fn leak(&mut self) {
        mem::forget(mem::take(&mut self.blocks));
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // SAFETY: `map` mapped this length, and no reference into it is alive. The kernel reads
        // entries through pages that it pinned, and writes to blocks only.
        let unmapped = unsafe { munmap(self.entries.as_ptr().cast(), mapped_len(self.mask + 1)) };
        debug_assert!(unmapped.is_ok(), "the mapping was ours");
    }
}

fn mapped_len(count: u16) -> usize {
    usize::from(count) * size_of::<BufRingEntry>()
}

/// Zeroed memory for `count` entries, aligned to a page as the kernel demands.
fn map(count: u16) -> Result<NonNull<BufRingEntry>, Error> {
    let (prot, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE);
    // SAFETY: without an address and `FIXED`, the mapping replaces nobody's memory.
    let mapped = unsafe { mmap_anonymous(ptr::null_mut(), mapped_len(count), prot, flags) }
        .map_err(Error::from_errno)?;
    Ok(NonNull::new(mapped.cast()).expect("a mapping without FIXED is never at address 0"))
}
