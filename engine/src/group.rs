//! The buffer group: blocks lent to the kernel, which fills them for whichever receive has data.
//!
//! Every buffer id has one block at all times. A completion takes a block back: what the kernel
//! wrote is published and handed up as a slice, and the id waits in a list. At the start of the
//! next turn as many are lent again as the group is wide, each with the same block if nobody kept a
//! slice of it, else with a fresh one. The invariant: a block whose id is with the kernel is not
//! touched here.
//!
//! A group found empty ends a receive, which is then armed again. Where that happens and the
//! buffers come back nearly empty, more of them are lent; where they come back full, few, which
//! stay in the caches.
//!
//! Deliberately absent: buffers beyond those that it began with.

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

/// As many buffers are lent as bring this together, if they bring what they did in the last turn.
const TURN_SIZE: usize = 128 * 1024;

/// Unused blocks that are kept, per buffer that is lent at least: what applications hold on to for
/// a while comes back without the allocator being asked.
const KEPT_PER_BUFFER: usize = 8;

pub(crate) struct Group {
    /// Read by the kernel, in a mapping of its own: one for each buffer, or more.
    entries: NonNull<BufRingEntry>,
    /// One less than the number of entries, a power of two.
    mask: u16,
    /// Entries written so far, modulo 2¹⁶.
    tail: u16,
    /// The block of each buffer id.
    blocks: Vec<BlockWriter>,
    /// Ids that the kernel has given back.
    returned: Vec<u16>,
    /// Buffers that are lent at once, `width_min` to all of them.
    width: usize,
    width_min: usize,
    /// Buffers that came back since some were lent, and the bytes in them.
    taken: usize,
    received: usize,
    pool: Pool,
}

impl Group {
    /// Registers a group with `ring` and lends the first of its buffers.
    ///
    /// The group must outlive all receives of the ring, or be [leaked](Self::leak).
    pub(crate) fn register(ring: &Ring, config: &Config) -> Result<Self, Error> {
        let width = config.buffers.clamp(1, BUFFERS_MAX);
        let width_max = config.buffers_max.clamp(width, BUFFERS_MAX);
        let count = width_max.next_power_of_two();
        let size = u32::try_from(config.buffer_size).unwrap_or(0);
        assert!(size > 0, "a lent buffer has room, and its size fits 32 bits");
        let pool = Pool::new(config.buffer_size, usize::from(width) * KEPT_PER_BUFFER);
        let mut group = Self {
            entries: map(count)?,
            mask: count - 1,
            tail: 0,
            blocks: (0..width_max).map(|_| pool.take()).collect(),
            returned: (0..width_max).rev().collect(),
            width: usize::from(width),
            width_min: usize::from(width),
            taken: 0,
            received: 0,
            pool,
        };
        let address = group.entries.as_ptr() as u64;
        // SAFETY: the mapping holds `count` entries, and is unmapped only by `Group::drop`, until
        // when the kernel keeps the pages pinned on its own account.
        unsafe { ring.submitter().register_buf_ring_with_flags(address, count, GROUP, 0) }
            .map_err(|error| Error::from_io(&error))?;
        group.fill_up();
        Ok(group)
    }

    /// How many buffers the kernel has.
    pub(crate) fn lent(&self) -> usize {
        self.blocks.len() - self.returned.len()
    }

    /// Takes back the buffer `id`, into which the kernel wrote `len` bytes. `None`: none at all.
    #[inline]
    pub(crate) fn take_back(&mut self, id: u16, len: usize) -> Option<Slice> {
        debug_assert!(!self.returned.contains(&id), "the kernel had this buffer");
        self.returned.push(id);
        self.taken += 1;
        self.received += len;
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

    /// Lends as many as are to be lent at once.
    #[inline]
    pub(crate) fn lend(&mut self) {
        if self.taken > 0 {
            self.adapt();
            self.fill_up();
        }
    }

    /// Chooses the width by what the buffers brought.
    fn adapt(&mut self) {
        let mean = self.received / self.taken;
        let fitting = TURN_SIZE / mean.max(1);
        if fitting < self.width || self.lent() == 0 {
            let width = fitting.clamp(self.width / 2, self.width * 2);
            self.width = width.clamp(self.width_min, self.blocks.len());
        }
        (self.taken, self.received) = (0, 0);
    }

    fn fill_up(&mut self) {
        while self.lent() < self.width
            && let Some(id) = self.returned.pop()
        {
            self.write_entry(id);
        }
        // SAFETY: the first entry is part of the mapping, which was zeroed.
        let tail = unsafe { BufRingEntry::tail(self.entries.as_ptr()) };
        // SAFETY: the tail is an aligned field of the first entry, and the kernel only reads it.
        let tail = unsafe { AtomicU16::from_ptr(tail.cast_mut()) };
        // Release: the kernel acquires the tail before it reads the entries.
        tail.store(self.tail, Ordering::Release);
    }

    /// Writes the next entry; the kernel sees it once the tail is stored.
    fn write_entry(&mut self, id: u16) {
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
