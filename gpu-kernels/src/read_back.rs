//! Results on their way out: memory that kernels write and the CPU reads.

use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use crate::buffer::{Buffer, Slice};
use crate::gpu::Gpu;
use crate::{Error, Result};

/// Copies of results on the CPU.
pub struct ReadBack {
    staging: Buffer,
    /// Device memory of the first part, if that is a landing and kernels cannot write `staging` itself.
    landing: Option<Buffer>,
    parts: Vec<Part>,
    contents: Vec<u8>,
    pending: Option<Pending>,
}

/// A range of the staging memory.
struct Part {
    /// Where it is copied from; `None` if kernels write it in place.
    source: Option<(wgpu::Buffer, u64)>,
    at: u64,
    bytes: u64,
}

/// A submission that has not been waited for.
struct Pending {
    submission: wgpu::SubmissionIndex,
    mapped: Option<Receiver<std::result::Result<(), wgpu::BufferAsyncError>>>,
}

impl ReadBack {
    /// For these ranges of device memory.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn new(gpu: &Gpu, sources: &[Slice<'_>]) -> Result<Self> {
        let bytes = sources.iter().map(|slice| slice.bytes).sum();
        Self::over(Buffer::read_back(gpu, bytes, false)?, None, Vec::new(), sources)
    }

    /// For a landing of so many bytes, which a kernel writes ([`ReadBack::landing`]) and which becomes source 0, and these ranges
    /// of device memory behind it. Where the device shares the CPU's memory, nothing is copied for the landing.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn with_landing(gpu: &Gpu, landing_bytes: u64, sources: &[Slice<'_>]) -> Result<Self> {
        let landing_bytes = landing_bytes.max(4).next_multiple_of(4);
        let bytes = landing_bytes + sources.iter().map(|slice| slice.bytes).sum::<u64>();
        let shared = gpu.abilities().mappable_storage;
        let landing = if shared { None } else { Some(Buffer::arena(gpu, "landing", landing_bytes)?) };
        let source = landing.as_ref().map(|landing| (landing.raw.clone(), 0));
        Self::over(Buffer::read_back(gpu, bytes, shared)?, landing, vec![Part { source, at: 0, bytes: landing_bytes }], sources)
    }

    fn over(staging: Buffer, landing: Option<Buffer>, mut parts: Vec<Part>, sources: &[Slice<'_>]) -> Result<Self> {
        for slice in sources {
            let at = parts.last().map_or(0, |part| part.at + part.bytes);
            parts.push(Part { source: Some((slice.buffer.raw.clone(), slice.offset)), at, bytes: slice.bytes });
        }
        let bytes = parts.last().map_or(0, |part| part.at + part.bytes);
        Ok(Self { staging, landing, parts, contents: vec![0; bytes as usize], pending: None })
    }

    /// What a kernel binds to write source 0 of a [`ReadBack::with_landing`].
    ///
    /// # Errors
    /// [`Error::Length`] if there are no sources.
    pub fn landing(&self) -> Result<Slice<'_>> {
        let bytes = self.parts.first().map_or(0, |part| part.bytes);
        self.landing.as_ref().unwrap_or(&self.staging).slice(0, bytes)
    }

    /// The bytes of source `index`, as of the last wait.
    ///
    /// # Panics
    /// If there is no such source.
    #[must_use]
    pub fn bytes(&self, index: usize) -> &[u8] {
        let part = &self.parts[index];
        &self.contents[part.at as usize..(part.at + part.bytes) as usize]
    }

    /// Waits for the submission that this is part of, if there is one, and fetches its results.
    ///
    /// # Errors
    /// [`Error::Lost`] or [`Error::Refused`].
    pub fn wait(&mut self, gpu: &Gpu) -> Result<()> {
        let Some(Pending { submission, mapped }) = self.pending.take() else { return gpu.check() };
        gpu.wait_for(submission)?;
        let Some(mapped) = mapped else { return Ok(()) };
        let refused = |message: String| Error::Refused { what: "reading results back".to_owned(), message };
        // Where other threads use the device too, one of them may be the one that calls back, right now.
        mapped.recv_timeout(CALL_BACK).map_err(|error| refused(error.to_string()))?.map_err(|error| refused(error.to_string()))?;
        let view = self.staging.raw.get_mapped_range(..).map_err(|error| refused(error.to_string()))?;
        let bytes = self.contents.len();
        self.contents.copy_from_slice(&view[..bytes]);
        drop(view);
        self.staging.raw.unmap();
        Ok(())
    }

    pub(crate) fn copy(&self, encoder: &mut wgpu::CommandEncoder) {
        for part in &self.parts {
            if let Some((buffer, offset)) = &part.source {
                encoder.copy_buffer_to_buffer(buffer, *offset, &self.staging.raw, part.at, part.bytes);
            }
        }
    }

    /// Asks for the results as soon as the submission is done.
    pub(crate) fn ask(&mut self, submission: wgpu::SubmissionIndex) {
        let mapped = (!self.parts.is_empty()).then(|| {
            let (sender, receiver) = channel();
            self.staging.raw.map_async(wgpu::MapMode::Read, .., move |mapped| {
                // Nobody listens any more if this was dropped meanwhile.
                let _ = sender.send(mapped);
            });
            receiver
        });
        self.pending = Some(Pending { submission, mapped });
    }
}

/// How long what a finished submission yields may take to be announced.
pub(crate) const CALL_BACK: Duration = Duration::from_secs(10);
