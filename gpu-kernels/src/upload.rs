//! Frames on their way in: memory that the CPU writes and kernels read.

use std::sync::mpsc::{Receiver, channel};

use crate::buffer::{Buffer, Slice};
use crate::gpu::Gpu;
use crate::read_back::CALL_BACK;
use crate::{Error, Result};

/// Memory for one frame. Where the device shares the CPU's memory, kernels read what the CPU wrote; elsewhere it is copied
/// first, in the same submission.
pub struct Upload {
    /// Mapped whenever no submission uses it.
    staging: Buffer,
    /// What kernels read, if not `staging` itself.
    device: Option<Buffer>,
    /// Tells that `staging` is mapped again, if a submission used it.
    mapped: Option<Receiver<std::result::Result<(), wgpu::BufferAsyncError>>>,
}

impl Upload {
    /// Room for `bytes`.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] naming need and limit.
    pub fn new(gpu: &Gpu, bytes: u64) -> Result<Self> {
        let device = if gpu.abilities().mappable_storage { None } else { Some(Buffer::arena(gpu, "frame", bytes)?) };
        let usage = if device.is_some() { wgpu::BufferUsages::COPY_SRC } else { wgpu::BufferUsages::STORAGE };
        let staging = Buffer::mapped(gpu, "frame upload", bytes, wgpu::BufferUsages::MAP_WRITE | usage)?;
        Ok(Self { staging, device, mapped: None })
    }

    /// What kernels bind.
    #[must_use]
    pub fn whole(&self) -> Slice<'_> {
        self.device.as_ref().unwrap_or(&self.staging).whole()
    }

    /// Writes pieces, each at its offset in bytes, once the last submission that read this memory is done.
    ///
    /// # Errors
    /// [`Error::Length`] for a piece that reaches beyond the end; [`Error::Lost`] or [`Error::Refused`].
    pub fn write<'p>(&mut self, gpu: &Gpu, pieces: impl IntoIterator<Item = (usize, &'p [u8])>) -> Result<()> {
        let refused = |message: String| Error::Refused { what: "writing a frame".to_owned(), message };
        if let Some(mapped) = self.mapped.take()
            && mapped.try_recv().is_err()
        {
            gpu.wait()?;
            mapped.recv_timeout(CALL_BACK).map_err(|error| refused(error.to_string()))?.map_err(|error| refused(error.to_string()))?;
        }
        gpu.check()?;
        let mut view = self.staging.raw.get_mapped_range_mut(..).map_err(|error| refused(error.to_string()))?;
        for (offset, piece) in pieces {
            let end = offset.saturating_add(piece.len());
            if end > view.len() {
                return Err(Error::Length { what: "frame upload", got: view.len() as u64, expected: end as u64 });
            }
            view.slice(offset..end).copy_from_slice(piece);
        }
        Ok(())
    }

    /// Hands the memory to the device for the submission that `encoder` records.
    pub(crate) fn hand_over(&self, encoder: &mut wgpu::CommandEncoder) {
        self.staging.raw.unmap();
        if let Some(device) = &self.device {
            encoder.copy_buffer_to_buffer(&self.staging.raw, 0, &device.raw, 0, self.staging.bytes());
        }
    }

    /// Asks for the memory back as soon as that submission is done.
    pub(crate) fn take_back(&mut self) {
        let (sender, receiver) = channel();
        self.staging.raw.map_async(wgpu::MapMode::Write, .., move |mapped| {
            // Nobody listens any more if this was dropped meanwhile.
            let _ = sender.send(mapped);
        });
        self.mapped = Some(receiver);
    }
}
