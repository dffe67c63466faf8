//! Spares: memory of large frames, used again once nobody reads them any more.
//!
//! Page faults in memory that is fresh from the kernel cost more than the copy of a frame into it.
//!
//! Deliberately absent: waiting for memory. Where none is spare, the allocator has some.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

/// Bytes that are kept.
const SIZE_MAX: usize = 8 * 1024 * 1024;
/// Frames whose memory is kept: as many as a search looks at.
const COUNT_MAX: usize = 16;

/// See the [module](self).
#[derive(Default)]
pub(crate) struct Spares {
    /// The last one first.
    kept: VecDeque<Spare>,
    size: usize,
}

struct Spare {
    /// What is left of it behind the frame, which somebody may still read.
    memory: BytesMut,
    /// Of all of it.
    capacity: usize,
}

impl Spares {
    /// Empty memory for a frame of so many bytes, and not for much more, if some is spare.
    pub(crate) fn take(&mut self, size: usize) -> Option<BytesMut> {
        let index = self.kept.iter_mut().position(|spare| {
            let is_fit = size <= spare.capacity && spare.capacity / 2 <= size;
            is_fit && spare.memory.try_reclaim(size)
        })?;
        let spare = self.kept.remove(index)?;
        self.size -= spare.capacity;
        Some(spare.memory)
    }

    /// The frame in this memory, which is kept.
    pub(crate) fn freeze(&mut self, mut memory: BytesMut) -> Bytes {
        let capacity = memory.capacity();
        let frame = memory.split().freeze();
        self.size += capacity;
        self.kept.push_front(Spare { memory, capacity });
        while (self.size > SIZE_MAX || self.kept.len() > COUNT_MAX)
            && let Some(spare) = self.kept.pop_back()
        {
            self.size -= spare.capacity;
        }
        frame
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(spares: &mut Spares, size: usize) -> Bytes {
        let mut memory = spares.take(size).unwrap_or_else(|| BytesMut::with_capacity(size));
        memory.resize(size, 7);
        spares.freeze(memory)
    }

    #[test]
    fn memory_is_used_again_once_nobody_reads_it() {
        let mut spares = Spares::default();
        let first = frame(&mut spares, 1000);
        let (at, part) = (first.as_ptr(), first.slice(900..));
        drop(first);
        assert_ne!(frame(&mut spares, 1000).as_ptr(), at, "a part of it is read");
        assert_eq!(part, [7; 100][..]);
        drop(part);
        let places = [frame(&mut spares, 800).as_ptr(), frame(&mut spares, 800).as_ptr()];
        assert!(places.contains(&at) && spares.kept.len() == 2);
    }

    #[test]
    fn a_frame_takes_no_memory_that_is_too_small_or_far_too_large() {
        let mut spares = Spares::default();
        drop(frame(&mut spares, 1000));
        assert!(spares.take(1001).is_none());
        assert!(spares.take(499).is_none());
        assert!(spares.take(usize::MAX).is_none());
        assert!(spares.take(500).is_some());
        assert_eq!((spares.size, spares.kept.len()), (0, 0));
    }

    #[test]
    fn what_is_kept_is_bounded_in_bytes_and_in_number() {
        let mut spares = Spares::default();
        for (size, kept) in [(SIZE_MAX + 1, 0), (SIZE_MAX, 1), (1, 1), (SIZE_MAX - 1, 2)] {
            let _read = frame(&mut spares, size);
            assert_eq!(spares.kept.len(), kept, "after {size}");
        }
        let frames: Vec<_> = (0..2 * COUNT_MAX).map(|_| frame(&mut spares, 1000)).collect();
        assert_eq!(spares.kept.len(), COUNT_MAX);
        assert!(spares.size <= SIZE_MAX);
        drop(frames);
    }
}
