//! Blocks: counted memory with one writer and any number of readers of what was written.
//!
//! A block is filled from front to back. [`BlockWriter`] alone may write, only behind what is
//! published; a [`Slice`] covers only what is published, so the two never meet in a byte. The
//! published word is released by the writer and acquired by whoever cuts a slice from another
//! thread. The last holder, on any thread, gives the block back to its [`Pool`].
//!
//! Deliberately absent: growing, and writing before the end. Whoever needs more takes a new block.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::fmt;
use std::ops::{Deref, Range};
use std::ptr::NonNull;

use crossbeam_utils::CachePadded;

use crate::Epoch;
use crate::stock::Stock;
use crate::sync::{Arc, AtomicU64, AtomicUsize, Ordering, Shadow, acquire};

/// The largest block, in bytes. A published length fits 32 bits with room to spare.
pub const BLOCK_SIZE_MAX: usize = 1 << 30;

/// Blocks of a pool that are made at once. A queue of 1,000 messages of 1 KiB takes 17 of 64 KiB,
/// and as many again what has arrived beyond its mark: with the first few there are 54.
const BATCH: usize = 42;

const ALIGN: usize = 64;

/// Equal-size blocks. A block whose last holder drops returns here, from any thread.
#[derive(Clone)]
pub struct Pool {
    shared: Arc<Shelf>,
}

struct Shelf {
    block_size: usize,
    stock: Stock<OwnedBlock>,
    /// The process that has the stock's lock, which another thread may hold when it is forked.
    epoch: Epoch,
}

impl Pool {
    /// A pool of blocks of `block_size` bytes that keeps at most `kept_max` unused ones.
    #[must_use]
    pub fn new(block_size: usize, kept_max: usize) -> Self {
        assert!(block_size <= BLOCK_SIZE_MAX, "a block's length must fit its published word");
        let (stock, epoch) = (Stock::new(kept_max, BATCH), Epoch::current_or_endless());
        Self { shared: Arc::new(Shelf { block_size, stock, epoch }) }
    }

    /// An empty block: a returned one, or fresh memory.
    #[must_use]
    pub fn take(&self) -> BlockWriter {
        let Shelf { block_size, stock, .. } = &*self.shared;
        let owned = stock.take(|| OwnedBlock::allocate(*block_size));
        BlockWriter::start(owned, Some(self.clone()))
    }

    /// Bytes in each block.
    #[must_use]
    pub fn block_size(&self) -> usize {
        self.shared.block_size
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("block_size", &self.shared.block_size).finish_non_exhaustive()
    }
}

struct Block {
    /// Holders: the writer, readers and slices.
    refs: CachePadded<AtomicUsize>,
    /// Low half: published bytes. High half: the writer's tag. Only grows between resets.
    ///
    /// Apart from the count, and both from what never changes: the writer stores here with every
    /// message, and readers count while it does.
    published: CachePadded<AtomicU64>,
    capacity: usize,
    memory: NonNull<u8>,
    /// `None` while the block lies in the pool, which would own itself otherwise.
    pool: Option<Pool>,
    shadow: Shadow,
}

/// Sole ownership of a block that nobody uses.
struct OwnedBlock(NonNull<Block>);

// SAFETY: an `OwnedBlock` is the only way to its block, like a `Box`.
unsafe impl Send for OwnedBlock {}

impl OwnedBlock {
    fn allocate(capacity: usize) -> Self {
        let memory = if capacity == 0 {
            NonNull::dangling()
        } else {
            let layout = layout(capacity);
            // SAFETY: the layout has a size, for capacity is not 0.
            let memory = unsafe { alloc(layout) };
            NonNull::new(memory).unwrap_or_else(|| handle_alloc_error(layout))
        };
        let block = Box::new(Block {
            refs: CachePadded::new(AtomicUsize::new(0)),
            published: CachePadded::new(AtomicU64::new(0)),
            capacity,
            memory,
            pool: None,
            shadow: Shadow::new(capacity),
        });
        Self(NonNull::from(Box::leak(block)))
    }
}

impl Drop for OwnedBlock {
    fn drop(&mut self) {
        // SAFETY: `allocate` leaked this box, and sole ownership means nobody else frees it.
        let block = unsafe { Box::from_raw(self.0.as_ptr()) };
        if block.capacity != 0 {
            // SAFETY: `allocate` got the memory with this very layout.
            unsafe { dealloc(block.memory.as_ptr(), layout(block.capacity)) };
        }
    }
}

fn layout(capacity: usize) -> Layout {
    Layout::from_size_align(capacity, ALIGN).expect("BLOCK_SIZE_MAX bounds the capacity")
}

/// The length and the tag in a published word.
#[inline]
const fn split(word: u64) -> (usize, u32) {
    (word as u32 as usize, (word >> 32) as u32)
}

/// One counted reference to a live block.
struct BlockRef(NonNull<Block>);

// SAFETY: the count and the published word are atomic; the bytes are written by the one
// `BlockWriter` and read only below the published length, which it never touches again.
unsafe impl Send for BlockRef {}
// SAFETY: as above.
unsafe impl Sync for BlockRef {}

impl BlockRef {
    #[inline]
    fn block(&self) -> &Block {
        // SAFETY: the block lives as long as it is counted, and `self` is counted.
        unsafe { self.0.as_ref() }
    }

    #[inline]
    fn published(&self) -> (usize, u32) {
        // Acquire: pairs with the release in `BlockWriter::publish`.
        split(self.block().published.load(Ordering::Acquire))
    }

    /// Tells a model of a read.
    #[inline]
    fn note_read(&self, start: NonNull<u8>, len: usize) {
        let at = start.as_ptr().addr() - self.block().memory.as_ptr().addr();
        self.block().shadow.read(at..at + len);
    }

    fn slice(&self, range: Range<usize>) -> Slice {
        assert!(range.start <= range.end, "a slice runs forward");
        assert!(range.end <= self.published().0, "a slice covers only what is published");
        // SAFETY: the end of the range, and so its start, lies within the block's memory.
        let start = unsafe { self.block().memory.add(range.start) };
        Slice { start, len: range.end - range.start, block: Some(self.clone()) }
    }
}

impl Clone for BlockRef {
    #[inline]
    fn clone(&self) -> Self {
        let before = self.block().refs.fetch_add(1, Ordering::Relaxed);
        assert!(before < isize::MAX as usize, "references to a block are bounded by memory");
        Self(self.0)
    }
}

impl Drop for BlockRef {
    #[inline]
    fn drop(&mut self) {
        // Release: pairs with the acquire of the last holder.
        if self.block().refs.fetch_sub(1, Ordering::Release) == 1 {
            acquire(&self.block().refs);
            release(OwnedBlock(self.0));
        }
    }
}

/// Puts a block that nobody uses back on its shelf, or frees it, as the child of a fork always
/// does.
#[cold]
fn release(owned: OwnedBlock) {
    let mut block = owned.0;
    // SAFETY: the caller saw the count reach zero, so this is the only reference.
    let block = unsafe { block.as_mut() };
    block.shadow.write(0..block.capacity);
    if let Some(pool) = block.pool.take()
        && !pool.shared.epoch.is_over()
    {
        pool.shared.stock.put(owned);
    }
}

/// The sole right to append to one block.
pub struct BlockWriter {
    block: BlockRef,
    capacity: usize,
    /// What is published next. Low half: bytes appended, at most the capacity. High half: the tag.
    word: u64,
}

impl BlockWriter {
    /// A block without room, that costs no memory worth mentioning.
    #[must_use]
    pub fn empty() -> Self {
        Self::start(OwnedBlock::allocate(0), None)
    }

    fn start(owned: OwnedBlock, pool: Option<Pool>) -> Self {
        let mut pointer = owned.0;
        // SAFETY: an `OwnedBlock` is the only reference to its block.
        let block = unsafe { pointer.as_mut() };
        block.pool = pool;
        let capacity = block.capacity;
        block.refs.store(1, Ordering::Relaxed);
        block.published.store(0, Ordering::Relaxed);
        std::mem::forget(owned);
        Self { block: BlockRef(pointer), capacity, word: 0 }
    }

    /// Bytes this block can hold.
    #[inline]
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Bytes appended so far, published or not.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        split(self.word).0
    }

    /// The 32 bits that readers will see together with the length.
    #[inline]
    #[must_use]
    pub fn tag(&self) -> u32 {
        split(self.word).1
    }

    /// Adds to the tag, which must not overflow.
    #[inline]
    pub fn add_to_tag(&mut self, by: u32) {
        debug_assert!(self.tag().checked_add(by).is_some(), "the tag has room");
        self.word += u64::from(by) << 32;
    }

    /// Bytes that slices may cover, and the tag published with them.
    #[must_use]
    pub fn published(&self) -> (usize, u32) {
        self.block.published()
    }

    /// Whether nothing was appended yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether something was appended, or added to the tag, and is not yet published.
    #[must_use]
    pub fn has_unpublished(&self) -> bool {
        self.published() != split(self.word)
    }

    /// Bytes that can still be appended.
    #[inline]
    #[must_use]
    pub fn room(&self) -> usize {
        self.capacity() - self.len()
    }

    /// Copies `bytes` behind what was appended. Panics without room for them.
    #[inline]
    pub fn append(&mut self, bytes: &[u8]) {
        self.append_parts(bytes, &[]);
    }

    /// As [`append`](Self::append), one part behind the other.
    #[inline(always)]
    pub fn append_parts(&mut self, head: &[u8], body: &[u8]) {
        let len = head.len() + body.len();
        let (spare, room) = self.spare();
        assert!(len <= room, "the caller checks the room");
        self.block.block().shadow.write(self.len()..self.len() + len);
        // SAFETY: `spare` has room for both, is this writer's alone, and no slice reaches it.
        unsafe { std::ptr::copy_nonoverlapping(head.as_ptr(), spare, head.len()) };
        // SAFETY: as above, so this lies within the room.
        let behind = unsafe { spare.add(head.len()) };
        // SAFETY: as above.
        unsafe { copy(body, behind) };
        self.word += len as u64;
    }

    /// Lets nothing more be appended.
    #[cold]
    pub fn close(&mut self) {
        self.capacity = self.len();
    }

    /// The rest of the block, for the kernel to write into.
    #[inline]
    pub fn spare(&mut self) -> (*mut u8, usize) {
        // SAFETY: `len` is at most the capacity, so this points into the block or to its end.
        let spare = unsafe { self.block.block().memory.add(self.len()) };
        (spare.as_ptr(), self.room())
    }

    /// Counts bytes that somebody else wrote to [`spare`](Self::spare).
    ///
    /// # Safety
    /// The first `len` bytes of `spare` were written, and nobody writes there any more.
    pub unsafe fn advance(&mut self, len: usize) {
        assert!(len <= self.room(), "nobody may write beyond the spare bytes");
        self.block.block().shadow.write(self.len()..self.len() + len);
        self.word += len as u64;
    }

    /// Lets slices cover all that was appended, and readers see the tag.
    #[inline]
    pub fn publish(&mut self) {
        // Release: pairs with the acquire in `BlockRef::published`.
        self.block.block().published.store(self.word, Ordering::Release);
    }

    /// Forgets what was appended, or added to the tag, and not published.
    pub fn rewind(&mut self) {
        self.word = self.block.block().published.load(Ordering::Relaxed);
    }

    /// A counted view of published bytes. Panics beyond what is published.
    #[must_use]
    pub fn slice(&self, range: Range<usize>) -> Slice {
        self.block.slice(range)
    }

    /// Another view of the same block, for the reader of a log.
    #[must_use]
    pub fn reader(&self) -> BlockReader {
        BlockReader(self.block.clone())
    }

    /// Whether no slice and no reader of this block is alive.
    #[must_use]
    pub fn is_unique(&self) -> bool {
        // Acquire: pairs with the release of the last slice's drop.
        self.block.block().refs.load(Ordering::Acquire) == 1
    }

    /// Makes the block empty again. Panics unless [`is_unique`](Self::is_unique).
    pub fn reset(&mut self) {
        assert!(self.is_unique(), "bytes that somebody reads are not overwritten");
        self.word = 0;
        self.block.block().published.store(0, Ordering::Relaxed);
    }
}

impl fmt::Debug for BlockWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlockWriter({} of {})", self.len(), self.capacity)
    }
}

/// A view of a block that another thread may still be appending to.
#[derive(Clone)]
pub struct BlockReader(BlockRef);

impl BlockReader {
    /// Bytes published, and the tag published with them.
    #[inline]
    #[must_use]
    pub fn published(&self) -> (usize, u32) {
        self.0.published()
    }

    /// A counted view of published bytes. Panics beyond what is published.
    #[must_use]
    pub fn slice(&self, range: Range<usize>) -> Slice {
        self.0.slice(range)
    }
}

impl BlockReader {
    /// Lets a slice of this block that ends at `from` go on to `to`, without counting it again.
    /// False if it is none. Panics beyond what is published.
    #[inline]
    pub fn extend(&self, slice: &mut Slice, from: usize, to: usize) -> bool {
        let ours = slice.block.as_ref().is_some_and(|block| block.0 == self.0.0);
        if !ours || slice.as_ptr_range().end.addr() != self.0.block().memory.as_ptr().addr() + from
        {
            return false;
        }
        assert!(from <= to && to <= self.published().0, "a slice covers only what is published");
        slice.len += to - from;
        true
    }
}

impl fmt::Debug for BlockReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlockReader({})", self.published().0)
    }
}

/// A counted view of published bytes. It keeps its whole block alive.
#[derive(Clone)]
pub struct Slice {
    start: NonNull<u8>,
    len: usize,
    /// `None` for the empty slice of no block.
    block: Option<BlockRef>,
}

impl Default for Slice {
    fn default() -> Self {
        Self { start: NonNull::dangling(), len: 0, block: None }
    }
}

// SAFETY: a slice only reads bytes that nobody writes any more, and counts its block.
unsafe impl Send for Slice {}
// SAFETY: as above.
unsafe impl Sync for Slice {}

impl Slice {
    /// A part of this slice. Panics beyond its end.
    #[inline]
    #[must_use]
    pub fn slice(&self, range: Range<usize>) -> Self {
        let len = self[range.clone()].len();
        // SAFETY: the line above found the range within this slice.
        let start = unsafe { self.start.add(range.start) };
        Self { start, len, block: self.block.clone() }
    }

    /// Drops the first `len` bytes from view. Panics beyond the end.
    #[inline]
    pub fn advance(&mut self, len: usize) {
        assert!(len <= self.len, "a slice advances to its end at most");
        // SAFETY: the line above keeps the pointer within this slice or at its end.
        self.start = unsafe { self.start.add(len) };
        self.len -= len;
    }

    /// Takes `next` in, if it lies right behind this slice in the same block.
    #[inline]
    pub fn extend_with(&mut self, next: &Self) -> bool {
        let ours = self.block.as_ref().map(|block| block.0);
        let is_same = ours.is_some() && ours == next.block.as_ref().map(|block| block.0);
        let follows = is_same && self.as_ptr_range().end == next.start.as_ptr();
        if follows {
            self.len += next.len;
        }
        follows
    }
}

impl Deref for Slice {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        if let Some(block) = &self.block {
            block.note_read(self.start, self.len);
        }
        // SAFETY: the constructors checked that these bytes are published, and `block` keeps them.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl AsRef<[u8]> for Slice {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for Slice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Slice({} bytes)", self.len)
    }
}

/// What a send is made of.
#[derive(Clone, Debug)]
pub enum Piece {
    /// A part of a block.
    Slice(Slice),
    /// A body that a user brought.
    Bytes(bytes::Bytes),
}

impl Deref for Piece {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Slice(slice) => slice,
            Self::Bytes(bytes) => bytes,
        }
    }
}

impl Piece {
    /// Drops the first `len` bytes from view. Panics beyond the end.
    pub fn advance(&mut self, len: usize) {
        match self {
            Self::Slice(slice) => slice.advance(len),
            Self::Bytes(bytes) => drop(bytes.split_to(len)),
        }
    }
}

/// Copies all of `from`. Most often that is little, and a call would cost more than the copy: both
/// ends of it are copied then, which may overlap.
///
/// # Safety
/// `to` has room for it, and is not part of it.
#[inline(always)]
unsafe fn copy(from: &[u8], to: *mut u8) {
    let len = from.len();
    if !(8..=128).contains(&len) {
        // SAFETY: what the caller promises is what it asks for.
        unsafe { std::ptr::copy_nonoverlapping(from.as_ptr(), to, len) }
    } else if len > 64 {
        // SAFETY: as above, and the length was looked at.
        unsafe { copy_ends::<64>(from, to) }
    } else if len > 32 {
        // SAFETY: as above.
        unsafe { copy_ends::<32>(from, to) }
    } else if len >= 16 {
        // SAFETY: as above.
        unsafe { copy_ends::<16>(from, to) }
    } else {
        // SAFETY: as above.
        unsafe { copy_ends::<8>(from, to) }
    }
}

/// As [`copy`], of N to 2 N bytes.
///
/// # Safety
/// As there.
#[inline(always)]
unsafe fn copy_ends<const N: usize>(from: &[u8], to: *mut u8) {
    debug_assert!((N..=2 * N).contains(&from.len()), "the ends are all there is");
    // SAFETY: there are N bytes at least, and room for them.
    unsafe { std::ptr::copy_nonoverlapping(from.as_ptr(), to, N) };
    let (tail, to) = (from.as_ptr_range().end.wrapping_sub(N), to.wrapping_add(from.len() - N));
    // SAFETY: as above, so these are the last N bytes, and where they go.
    unsafe { std::ptr::copy_nonoverlapping(tail, to, N) };
}

#[cfg(all(test, loom))]
mod model;
#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::ring::fork::child;

    #[test]
    fn a_forked_child_frees_blocks_while_their_stock_is_locked() {
        let pool = Pool::new(64, 1);
        let mut writer = pool.take();
        writer.append(b"inherited");
        writer.publish();
        let mut slice = Some(writer.slice(0..9));
        drop(writer);
        // This is called with the lock.
        let make = || {
            let child = child::fork(|| {
                drop(slice.take());
                true
            });
            child.join();
            OwnedBlock::allocate(64)
        };
        drop(pool.shared.stock.take(make));
    }

    #[test]
    fn an_append_of_any_length_is_copied_whole_and_not_beyond() {
        let bytes: Vec<u8> = (0..=255).collect();
        for len in 0..=bytes.len() {
            let mut writer = Pool::new(1024, 0).take();
            writer.append_parts(&bytes[..len], b"behind");
            writer.append_parts(b"in front", &bytes[..len]);
            writer.append(b"behind");
            writer.publish();
            let expected = [&bytes[..len], b"behind", b"in front", &bytes[..len], b"behind"];
            assert_eq!(writer.slice(0..writer.len())[..], expected.concat(), "{len} bytes");
        }
    }

    #[test]
    fn slices_see_what_was_published_and_outlive_the_writer() {
        let pool = Pool::new(64, 4);
        let mut writer = pool.take();
        writer.append(b"hello ");
        writer.append(b"world");
        writer.publish();
        let mut hello = writer.slice(0..6);
        let world = writer.slice(6..11);
        drop(writer);
        drop(pool);
        assert_eq!((&hello[..], &world[..]), (&b"hello "[..], &b"world"[..]));
        assert!(hello.extend_with(&world));
        assert_eq!(&hello.slice(4..8)[..], b"o wo");
        assert!(!hello.extend_with(&world));
    }

    #[test]
    #[should_panic(expected = "only what is published")]
    fn unpublished_bytes_cannot_be_sliced() {
        let mut writer = Pool::new(64, 4).take();
        writer.append(b"hidden");
        drop(writer.slice(0..1));
    }

    #[test]
    #[should_panic(expected = "not overwritten")]
    fn a_block_that_is_read_cannot_be_reset() {
        let mut writer = Pool::new(64, 4).take();
        writer.append(b"x");
        writer.publish();
        let _kept = writer.slice(0..1);
        writer.reset();
    }

    #[test]
    fn the_last_holder_returns_the_block_from_any_thread() {
        let pool = Pool::new(64, 4);
        let mut writer = pool.take();
        writer.append(b"x");
        writer.publish();
        let slice = writer.slice(0..1);
        let memory = slice.as_ptr() as usize;
        drop(writer);
        std::thread::spawn(move || drop(slice)).join().unwrap();
        let mut again = pool.take();
        assert_eq!((again.spare().0 as usize, again.len()), (memory, 0));
    }

    #[test]
    fn a_rewound_writer_keeps_what_was_published() {
        let mut writer = Pool::new(64, 4).take();
        writer.append(b"kept");
        writer.publish();
        writer.append(b"gone");
        writer.rewind();
        writer.append(b"!");
        writer.publish();
        assert_eq!(&writer.slice(0..5)[..], b"kept!");
    }
}
