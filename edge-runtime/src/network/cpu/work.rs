//! Sharing one step's rows among threads.

use std::sync::{Mutex, PoisonError};

use super::dot::LANES;
use crate::{Error, Result};

/// What each thread keeps between steps. Used from within the executor's pool.
#[derive(Debug)]
pub(super) struct Workers {
    scratch: Vec<Scratch>,
    /// Whether the step at hand is worth more than one thread.
    shared: bool,
}

/// One thread's buffers; they grow to the largest step and stay.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    pub(super) bytes: Vec<u8>,
    pub(super) floats: Vec<f32>,
    pub(super) byte_sums: Vec<i32>,
    pub(super) float_sums: Vec<f32>,
    pub(super) quads: Vec<[u32; LANES]>,
}

impl Workers {
    pub(super) fn new(threads: usize) -> Self {
        Self { scratch: (0..threads).map(|_| Scratch::default()).collect(), shared: true }
    }

    pub(super) fn threads(&self) -> usize {
        self.scratch.len()
    }

    /// Bytes of the buffers kept.
    pub(super) fn scratch_bytes(&self) -> usize {
        let words = |s: &Scratch| s.floats.capacity() + s.byte_sums.capacity() + s.float_sums.capacity() + LANES * s.quads.capacity();
        self.scratch.iter().map(|s| s.bytes.capacity() + 4 * words(s)).sum()
    }

    /// How many of `total` rows to put into a chunk: at most `most`, even shares for all threads, a multiple of 8 where possible.
    pub(super) fn share(&self, total: usize, most: usize) -> usize {
        let rounds = total.div_ceil(self.threads() * most).max(1);
        total.div_ceil(self.threads() * rounds).next_multiple_of(8).clamp(1, most)
    }

    /// How many of a map's lines to put into a chunk: a few chunks a thread, so that none waits long for another.
    pub(super) fn lines(&self, height: usize) -> usize {
        if self.threads() == 1 { height } else { height.div_ceil(3 * self.threads()) }.max(1)
    }

    /// Says what the next step costs, in nanoseconds of one core: waking another thread must be worth it.
    pub(super) fn expect(&mut self, nanoseconds: u64) {
        self.shared = nanoseconds > WAKING_NS;
    }

    /// Calls `work(index, chunk)` for each chunk of `chunk_len` elements (the last may be shorter); the next free thread
    /// takes the next chunk.
    pub(super) fn chunks<T: Send>(&mut self, data: &mut [T], chunk_len: usize, work: impl Fn(usize, &mut [T], &mut Scratch) + Sync) {
        let chunk_len = chunk_len.max(1);
        if self.threads() == 1 || data.len() <= chunk_len || !self.shared {
            let Some(scratch) = self.scratch.first_mut() else { return };
            return data.chunks_mut(chunk_len).enumerate().for_each(|(i, chunk)| work(i, chunk, scratch));
        }
        let queue = Mutex::new(data.chunks_mut(chunk_len).enumerate());
        let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
        let (work, next) = (&work, &next);
        rayon::scope(|scope| {
            for scratch in &mut self.scratch {
                scope.spawn(move |_| {
                    while let Some((i, chunk)) = next() {
                        work(i, chunk, scratch);
                    }
                });
            }
        });
    }
}

/// What waking a sleeping thread costs, roughly.
const WAKING_NS: u64 = 20_000;

/// The first error that a thread met.
#[derive(Debug, Default)]
pub(super) struct Failure(Mutex<Option<Error>>);

impl Failure {
    /// Remembers an error.
    pub(super) fn keep(&self, result: Result<()>) {
        if let Err(error) = result {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        }
    }

    /// The error, if any.
    pub(super) fn result(self) -> Result<()> {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
    }
}

/// The first `len` elements of a buffer, which grows if need be.
pub(super) fn at_least<T: Copy + Default>(buffer: &mut Vec<T>, len: usize) -> &mut [T] {
    if buffer.len() < len {
        buffer.resize(len, T::default());
    }
    &mut buffer[..len]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_chunk_is_visited_once_whatever_the_number_of_threads() {
        for threads in [1, 2, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let mut data = vec![0_usize; 101];
            pool.install(|| Workers::new(threads).chunks(&mut data, 7, |i, chunk, _| chunk.iter_mut().for_each(|x| *x += i + 1)));
            assert!(data.iter().enumerate().all(|(i, &x)| x == i / 7 + 1), "{threads} threads");
        }
    }

    #[test]
    fn shares_are_even_and_not_above_the_most() {
        let two = Workers::new(2);
        assert_eq!([two.share(48, 64), two.share(192, 64), two.share(12_288, 64), two.share(1, 64)], [24, 48, 64, 8]);
    }
}
