//! A frame is one submission: launches are recorded once, with their buffers, and replayed for every frame.

use std::sync::Arc;

use crate::buffer::{Buffer, Slice};
use crate::cache::Pipelines;
use crate::gpu::Gpu;
use crate::kernel::Launch;
use crate::read_back::ReadBack;
use crate::upload::Upload;
use crate::{Error, Result};

/// Collects launches and the buffers they bind.
#[derive(Default)]
pub struct Recorder {
    steps: Vec<Recorded>,
    params: Vec<u8>,
}

struct Recorded {
    pipeline: Arc<wgpu::ComputePipeline>,
    bindings: Vec<(wgpu::Buffer, u64, u64)>,
    params_offset: u64,
    params_bytes: u64,
    workgroups: [u32; 3],
    work: u64,
    mark: usize,
}

/// Launches with their bind groups, ready to be submitted any number of times.
pub struct Frame {
    dispatches: Vec<Dispatch>,
    marks: usize,
    most_work: u64,
}

struct Dispatch {
    pipeline: Arc<wgpu::ComputePipeline>,
    group: wgpu::BindGroup,
    workgroups: [u32; 3],
    mark: usize,
}

impl Recorder {
    /// Appends a launch. `mark` tells for whom, for timing: marks are 0, 1, 2, .. and do not decrease.
    ///
    /// # Errors
    /// [`Error::Length`] if a binding is missing or too short, [`Error::Limit`] if the launch exceeds the device, and as
    /// compiling the kernel.
    pub fn launch(&mut self, gpu: &Gpu, pipelines: &mut Pipelines, launch: &Launch, bindings: &[Slice<'_>], mark: usize) -> Result<()> {
        if bindings.len() != launch.bytes.len() {
            let (got, expected) = (bindings.len() as u64, launch.bytes.len() as u64);
            return Err(Error::Length { what: "list of bindings", got, expected });
        }
        let limits = gpu.limits();
        for (slice, &expected) in bindings.iter().zip(&launch.bytes) {
            if slice.bytes < expected {
                return Err(Error::Length { what: launch.kernel.name, got: slice.bytes, expected });
            }
            if slice.bytes > limits.binding_bytes {
                let (needed, limit) = (slice.bytes, limits.binding_bytes);
                return Err(Error::Limit { kernel: launch.kernel.name, what: "bytes in one binding", needed, limit });
            }
        }
        let largest = launch.workgroups.iter().copied().max().unwrap_or(0);
        if largest > limits.workgroups {
            let (needed, limit) = (u64::from(largest), u64::from(limits.workgroups));
            return Err(Error::Limit { kernel: launch.kernel.name, what: "workgroups along an axis", needed, limit });
        }
        let pipeline = pipelines.get(gpu, launch)?;
        let params_offset = (self.params.len() as u64).next_multiple_of(limits.uniform_alignment.max(16));
        self.params.resize(params_offset as usize, 0);
        self.params.extend_from_slice(&launch.params);
        self.steps.push(Recorded {
            pipeline,
            bindings: bindings.iter().map(|slice| (slice.buffer.raw.clone(), slice.offset, slice.bytes)).collect(),
            params_offset,
            params_bytes: launch.params.len() as u64,
            workgroups: launch.workgroups,
            work: launch.work,
            mark,
        });
        Ok(())
    }

    /// Makes the parameters' buffer and all bind groups.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`], or [`Error::Refused`] if bindings do not fit the kernels.
    pub fn finish(self, gpu: &Gpu) -> Result<Frame> {
        let params = Buffer::uniform(gpu, &self.params)?;
        let divisible = self.steps.iter().filter(|step| step.workgroups.iter().product::<u32>() > 1);
        let most_work = divisible.map(|step| step.work).max().unwrap_or(0);
        let dispatches = self.steps.into_iter().map(|step| {
            let uniform = wgpu::BufferBinding {
                buffer: &params.raw,
                offset: step.params_offset,
                size: std::num::NonZeroU64::new(step.params_bytes.next_multiple_of(16)),
            };
            let mut entries = vec![wgpu::BindGroupEntry { binding: 0, resource: wgpu::BindingResource::Buffer(uniform) }];
            for (index, (buffer, offset, bytes)) in step.bindings.iter().enumerate() {
                let storage = wgpu::BufferBinding { buffer, offset: *offset, size: std::num::NonZeroU64::new(*bytes) };
                entries.push(wgpu::BindGroupEntry { binding: index as u32 + 1, resource: wgpu::BindingResource::Buffer(storage) });
            }
            let layout = step.pipeline.get_bind_group_layout(0);
            let descriptor = wgpu::BindGroupDescriptor { label: None, layout: &layout, entries: &entries };
            let group = gpu.scoped("bind group", 0, || gpu.device.create_bind_group(&descriptor))?;
            Ok(Dispatch { pipeline: step.pipeline, group, workgroups: step.workgroups, mark: step.mark })
        });
        let dispatches = dispatches.collect::<Result<Vec<Dispatch>>>()?;
        let marks = dispatches.last().map_or(0, |dispatch| dispatch.mark + 1);
        Ok(Frame { dispatches, marks, most_work })
    }
}

impl Frame {
    /// Dispatches of one submission.
    #[must_use]
    pub const fn dispatches(&self) -> usize {
        self.dispatches.len()
    }

    /// Most work of one dispatch of more than one workgroup: multiply-accumulates or, where there are none, elements.
    #[must_use]
    pub const fn most_work(&self) -> u64 {
        self.most_work
    }

    /// Submits everything as one command buffer, copies the outputs to the CPU and waits for them.
    ///
    /// # Errors
    /// [`Error::Lost`] or [`Error::Refused`].
    pub fn run(&self, gpu: &Gpu, outputs: &mut ReadBack) -> Result<()> {
        self.run_marks(gpu, 0..self.marks, outputs)
    }

    /// As [`Frame::run`], for the dispatches of some marks alone: to look at what lies between them.
    ///
    /// # Errors
    /// As [`Frame::run`].
    pub fn run_marks(&self, gpu: &Gpu, marks: std::ops::Range<usize>, outputs: &mut ReadBack) -> Result<()> {
        gpu.check()?;
        let mut encoder = gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("frame") });
        self.encode(&mut encoder, marks);
        outputs.copy(&mut encoder);
        let submission = gpu.queue.submit([encoder.finish()]);
        outputs.ask(submission);
        outputs.wait(gpu)
    }

    fn encode(&self, encoder: &mut wgpu::CommandEncoder, marks: std::ops::Range<usize>) {
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor { label: Some("frame"), timestamp_writes: None });
        self.dispatches.iter().filter(|d| marks.contains(&d.mark)).for_each(|dispatch| dispatch.encode(&mut pass));
    }

    /// As [`Frame::run`], without outputs: one pass per mark between timestamps. Nanoseconds of each mark.
    ///
    /// # Errors
    /// [`Error::Feature`] without timestamps; else as [`Frame::run`].
    pub fn time(&self, gpu: &Gpu) -> Result<Vec<f64>> {
        if !gpu.abilities().timestamps {
            return Err(Error::Feature { kernel: "frame", feature: "timestamps", adapter: gpu.report().name.clone() });
        }
        let count = 2 * self.marks as u32;
        let descriptor = wgpu::QuerySetDescriptor { label: Some("times"), ty: wgpu::QueryType::Timestamp, count: count.max(2) };
        let queries = gpu.scoped("timestamps", 0, || gpu.device.create_query_set(&descriptor))?;
        let bytes = u64::from(count.max(2)) * 8;
        let resolved = Buffer::create(gpu, "times", bytes, wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC)?;
        let mut outputs = ReadBack::new(gpu, &[resolved.whole()])?;
        let mut encoder = gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("timed frame") });
        for mark in 0..self.marks {
            let timestamp_writes = Some(wgpu::ComputePassTimestampWrites {
                query_set: &queries,
                beginning_of_pass_write_index: Some(2 * mark as u32),
                end_of_pass_write_index: Some(2 * mark as u32 + 1),
            });
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor { label: None, timestamp_writes });
            self.dispatches.iter().filter(|dispatch| dispatch.mark == mark).for_each(|dispatch| dispatch.encode(&mut pass));
        }
        encoder.resolve_query_set(&queries, 0..count, &resolved.raw, 0);
        outputs.copy(&mut encoder);
        let submission = gpu.queue.submit([encoder.finish()]);
        outputs.ask(submission);
        outputs.wait(gpu)?;
        let period = f64::from(gpu.timestamp_period_ns());
        let ticks: Vec<u64> = outputs.bytes(0).chunks_exact(8).map(bytemuck::pod_read_unaligned).collect();
        Ok(ticks.chunks_exact(2).map(|t| t[1].saturating_sub(t[0]) as f64 * period).take(self.marks).collect())
    }
}

/// Submits a whole frame as one command buffer and returns at once: what was written to `upload`, then `frames` in order, then
/// the copies of `outputs`, for which [`ReadBack::wait`] waits.
///
/// # Errors
/// [`Error::Lost`] or [`Error::Refused`], of this submission or an earlier one.
pub fn submit(gpu: &Gpu, upload: &mut Upload, frames: &[&Frame], outputs: &mut ReadBack) -> Result<()> {
    gpu.check()?;
    let mut encoder = gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("camera frame") });
    upload.hand_over(&mut encoder);
    frames.iter().for_each(|frame| frame.encode(&mut encoder, 0..frame.marks));
    outputs.copy(&mut encoder);
    let submission = gpu.queue.submit([encoder.finish()]);
    upload.take_back();
    outputs.ask(submission);
    gpu.check()
}

impl Dispatch {
    fn encode(&self, pass: &mut wgpu::ComputePass<'_>) {
        pass.set_pipeline(&self.pipeline);
        pass.set_bind_group(0, &self.group, &[]);
        let [x, y, z] = self.workgroups;
        pass.dispatch_workgroups(x, y, z);
    }
}
