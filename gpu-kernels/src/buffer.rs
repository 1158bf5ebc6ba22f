//! Device memory: read-only weights, the arena that steps read and write, and what is read back.

use crate::gpu::Gpu;
use crate::{Error, Result};

/// A piece of device memory.
#[derive(Debug, Clone)]
pub struct Buffer {
    pub(crate) raw: wgpu::Buffer,
    bytes: u64,
}

/// A range of a [`Buffer`].
#[derive(Debug, Clone, Copy)]
pub struct Slice<'a> {
    pub(crate) buffer: &'a Buffer,
    /// First byte.
    pub offset: u64,
    /// Length in bytes.
    pub bytes: u64,
}

impl Slice<'_> {
    /// `bytes` from `offset` within this range, rounded up to whole words.
    ///
    /// # Errors
    /// [`Error::Length`] if that reaches beyond its end.
    pub fn part(&self, offset: u64, bytes: u64) -> Result<Self> {
        let bytes = bytes.max(1).next_multiple_of(4);
        match offset.checked_add(bytes) {
            Some(end) if end <= self.bytes => Ok(Self { offset: self.offset + offset, bytes, ..*self }),
            _ => Err(Error::Length { what: "part of device memory", got: self.bytes, expected: offset.saturating_add(bytes) }),
        }
    }
}

impl Buffer {
    /// Constants of the network, copied to the device once. The length is rounded up to a word; empty becomes one word.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] naming need and limit.
    pub fn constants(gpu: &Gpu, label: &str, contents: &[u8]) -> Result<Self> {
        let bytes = (contents.len().max(1) as u64).next_multiple_of(4);
        let buffer = Self::create(gpu, label, bytes, wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST)?;
        let mut padded = contents.to_vec();
        padded.resize(bytes as usize, 0);
        gpu.scoped(label, bytes, || gpu.queue.write_buffer(&buffer.raw, 0, &padded))?;
        Ok(buffer)
    }

    /// Memory that kernels read and write; holds zeros at first.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] naming need and limit.
    pub fn arena(gpu: &Gpu, label: &str, bytes: u64) -> Result<Self> {
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC;
        Self::create(gpu, label, words(bytes), usage)
    }

    /// Parameters of kernels.
    pub(crate) fn uniform(gpu: &Gpu, contents: &[u8]) -> Result<Self> {
        let usage = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
        let buffer = Self::create(gpu, "parameters", (contents.len().max(16) as u64).next_multiple_of(16), usage)?;
        let mut padded = contents.to_vec();
        padded.resize(buffer.bytes as usize, 0);
        gpu.scoped("parameters", buffer.bytes, || gpu.queue.write_buffer(&buffer.raw, 0, &padded))?;
        Ok(buffer)
    }

    /// Memory that the CPU maps to read results; kernels write it too where `bound`, on devices that share the CPU's memory.
    pub(crate) fn read_back(gpu: &Gpu, bytes: u64, bound: bool) -> Result<Self> {
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let usage = if bound { usage | wgpu::BufferUsages::STORAGE } else { usage };
        Self::create(gpu, "read back", words(bytes), usage)
    }

    /// As [`Buffer::create`], whole words and mapped at once.
    pub(crate) fn mapped(gpu: &Gpu, label: &str, bytes: u64, usage: wgpu::BufferUsages) -> Result<Self> {
        Self::make(gpu, wgpu::BufferDescriptor { label: Some(label), size: words(bytes), usage, mapped_at_creation: true })
    }

    pub(crate) fn create(gpu: &Gpu, label: &str, bytes: u64, usage: wgpu::BufferUsages) -> Result<Self> {
        Self::make(gpu, wgpu::BufferDescriptor { label: Some(label), size: bytes, usage, mapped_at_creation: false })
    }

    fn make(gpu: &Gpu, descriptor: wgpu::BufferDescriptor<'_>) -> Result<Self> {
        let (label, bytes) = (descriptor.label.unwrap_or_default(), descriptor.size);
        // What a kernel binds of it may be smaller still: the recorder looks at that.
        let limit_bytes = gpu.limits().buffer_bytes;
        if bytes > limit_bytes {
            return Err(Error::OutOfMemory { what: label.to_owned(), needed_bytes: bytes, limit_bytes });
        }
        let raw = gpu.scoped(label, bytes, || gpu.device.create_buffer(&descriptor))?;
        Ok(Self { raw, bytes })
    }

    /// Length in bytes.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// All of it.
    #[must_use]
    pub const fn whole(&self) -> Slice<'_> {
        Slice { buffer: self, offset: 0, bytes: self.bytes }
    }

    /// `bytes` from `offset`, rounded up to whole words.
    ///
    /// # Errors
    /// [`Error::Length`] if that reaches beyond the end.
    pub fn slice(&self, offset: u64, bytes: u64) -> Result<Slice<'_>> {
        let bytes = bytes.max(1).next_multiple_of(4);
        match offset.checked_add(bytes) {
            Some(end) if end <= self.bytes => Ok(Slice { buffer: self, offset, bytes }),
            _ => Err(Error::Length { what: "slice of device memory", got: self.bytes, expected: offset.saturating_add(bytes) }),
        }
    }

    /// Copies from the CPU before the next submission; `contents` is whole words.
    ///
    /// # Errors
    /// [`Error::Length`] if it does not fit or is not whole words.
    pub fn write(&self, gpu: &Gpu, offset: u64, contents: &[u8]) -> Result<()> {
        let end = offset.saturating_add(contents.len() as u64);
        if end > self.bytes || !contents.len().is_multiple_of(4) {
            return Err(Error::Length { what: "write to device memory", got: self.bytes, expected: end.next_multiple_of(4) });
        }
        gpu.queue.write_buffer(&self.raw, offset, contents);
        Ok(())
    }
}

/// Bytes rounded up to whole words; at least one.
fn words(bytes: u64) -> u64 {
    bytes.max(4).next_multiple_of(4)
}
