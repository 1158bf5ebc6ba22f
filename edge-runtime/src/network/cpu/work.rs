//! Sharing one step's rows among threads.

use std::sync::{Mutex, PoisonError};

use rayon::ThreadPool;

use crate::{Error, Result};

/// The threads, and what each keeps between steps.
#[derive(Debug)]
pub(super) struct Workers {
    pool: ThreadPool,
    scratch: Vec<Scratch>,
}

/// One thread's buffers; they grow to the largest step and stay.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    pub(super) bytes: Vec<u8>,
    pub(super) floats: Vec<f32>,
    pub(super) byte_sums: Vec<i32>,
    pub(super) float_sums: Vec<f32>,
}

impl Workers {
    pub(super) fn new(pool: ThreadPool) -> Self {
        let scratch = (0..pool.current_num_threads()).map(|_| Scratch::default()).collect();
        Self { pool, scratch }
    }

    pub(super) fn threads(&self) -> usize {
        self.scratch.len()
    }

    /// Bytes of the buffers kept.
    pub(super) fn scratch_bytes(&self) -> usize {
        let bytes = |s: &Scratch| s.bytes.capacity() + 4 * (s.floats.capacity() + s.byte_sums.capacity() + s.float_sums.capacity());
        self.scratch.iter().map(bytes).sum()
    }

    /// Calls `work(index, chunk)` for each chunk of `chunk_len` elements (the last may be shorter), on all threads; the
    /// next free thread takes the next chunk.
    pub(super) fn chunks<T: Send>(&mut self, data: &mut [T], chunk_len: usize, work: impl Fn(usize, &mut [T], &mut Scratch) + Sync) {
        let count = data.len().div_ceil(chunk_len.max(1));
        if self.threads() == 1 || count <= 1 {
            let Some(scratch) = self.scratch.first_mut() else { return };
            self.pool.install(|| data.chunks_mut(chunk_len.max(1)).enumerate().for_each(|(i, chunk)| work(i, chunk, scratch)));
            return;
        }
        let queue = Mutex::new(data.chunks_mut(chunk_len.max(1)).enumerate());
        let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
        let (work, next) = (&work, &next);
        self.pool.scope(|scope| {
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
            Workers::new(pool).chunks(&mut data, 7, |i, chunk, _| chunk.iter_mut().for_each(|x| *x += i + 1));
            assert!(data.iter().enumerate().all(|(i, &x)| x == i / 7 + 1), "{threads} threads");
        }
    }
}
