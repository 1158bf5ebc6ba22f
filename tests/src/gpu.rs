//! The device that GPU suites run on, and one launch on it.
//!
//! `FATHOM_GPU_ADAPTER` names it by a part of its name (`llvmpipe`, `SwiftShader`); otherwise the best one is taken, software
//! included: correctness does not ask for speed.

use std::sync::Arc;

use fathom_gpu::buffer::Buffer;
use fathom_gpu::cache::Pipelines;
use fathom_gpu::kernel::Access;
use fathom_gpu::nn::Prepared;
use fathom_gpu::read_back::ReadBack;
use fathom_gpu::recorder::Recorder;
use fathom_gpu::{AdapterPolicy, Gpu};

use crate::require::{Missing, insisted};

/// Opens the device.
///
/// # Errors
/// [`Missing`] if there is none; required where `FATHOM_GPU_TESTS=required`.
pub fn open() -> Result<Arc<Gpu>, Missing> {
    let policy = std::env::var("FATHOM_GPU_ADAPTER").map_or(AdapterPolicy::Any, AdapterPolicy::Named);
    Gpu::open(&policy).map(Arc::new).map_err(|error| Missing { why: error.to_string(), required: insisted("FATHOM_GPU_TESTS") })
}

/// Runs one launch. `memory` is the initial contents of its read-write bindings, in order; returns those of the last one.
///
/// The launch is split as a board's profile would, into parts of `split` work.
///
/// # Errors
/// As recording and running.
pub fn run(gpu: &Gpu, prepared: &Prepared, memory: &[Vec<u8>], split: u64) -> fathom_gpu::Result<Vec<u8>> {
    let mut pipelines = Pipelines::open(gpu, fathom_gpu::ALL, None);
    let (mut constants, mut arenas) = (prepared.constants.iter(), memory.iter());
    let buffers = prepared.launch.kernel.bindings.iter().map(|access| match access {
        Access::Read => Buffer::constants(gpu, "constants", constants.next().map_or(&[], Vec::as_slice)),
        Access::ReadWrite => {
            let contents = arenas.next().map_or(&[0; 4][..], Vec::as_slice);
            let buffer = Buffer::arena(gpu, "memory", contents.len() as u64)?;
            let mut words = contents.to_vec();
            words.resize(buffer.bytes() as usize, 0);
            buffer.write(gpu, 0, &words)?;
            Ok(buffer)
        }
    });
    let buffers = buffers.collect::<fathom_gpu::Result<Vec<Buffer>>>()?;
    let bindings: Vec<_> = buffers.iter().map(Buffer::whole).collect();
    let mut recorder = Recorder::default();
    for part in prepared.launch.clone().split(split) {
        recorder.launch(gpu, &mut pipelines, &part, &bindings, 0)?;
    }
    let last = prepared.launch.kernel.bindings.iter().rposition(|access| *access == Access::ReadWrite).unwrap_or(0);
    let mut read_back = ReadBack::new(gpu, &[bindings[last]])?;
    recorder.finish(gpu)?.run(gpu, &mut read_back)?;
    Ok(read_back.bytes(0).to_vec())
}
