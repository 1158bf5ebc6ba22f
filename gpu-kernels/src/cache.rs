//! Compiled pipelines: one per kernel and constants, kept across runs as bytes that the caller stores.
//!
//! Stored bytes are untrusted: they carry a header with the key of what made them (adapter, driver, shaders, this
//! format) and a SHA-256. Whatever does not agree is dropped, and the cache is built anew.

use std::collections::HashMap;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::gpu::Gpu;
use crate::kernel::{Kernel, Launch, Need};
use crate::{Error, Result, trusted};

/// Pipelines of one device.
pub struct Pipelines {
    cache: Option<wgpu::PipelineCache>,
    modules: HashMap<&'static str, wgpu::ShaderModule>,
    made: HashMap<PipelineKey, Arc<wgpu::ComputePipeline>>,
    start: Start,
    notes: Vec<u8>,
}

/// Kernel, entry point, and the constants' bits.
type PipelineKey = (&'static str, &'static str, Vec<(&'static str, u64)>);

/// How the cache began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// Nothing was stored, or the device cannot store pipelines.
    Cold,
    /// What was stored is used.
    Warm,
    /// What was stored is from another device, driver or version of the kernels.
    Foreign,
    /// What was stored is damaged.
    Corrupt,
}

impl Pipelines {
    /// An empty set, filled from `stored` (an earlier [`Pipelines::store`]) where that is whole and of this device.
    ///
    /// `kernels` are those whose text enters the key: stored pipelines of other texts are foreign.
    #[must_use]
    pub fn open(gpu: &Gpu, kernels: &[&Kernel], stored: Option<&[u8]>) -> Self {
        let key = key(gpu, kernels);
        let (start, payload) = match stored.map(|bytes| unseal(bytes, &key)) {
            None => (Start::Cold, None),
            Some(Ok(payload)) => (Start::Warm, Some(payload)),
            Some(Err(start)) => (start, None),
        };
        let (notes, driver) = payload.unwrap_or((&[], &[]));
        let cache = gpu.abilities().pipeline_cache.then(|| {
            let stored = (!driver.is_empty()).then_some(driver);
            gpu.scoped("pipeline cache", 0, || trusted::pipeline_cache(&gpu.device, stored)).ok()
        });
        Self { cache: cache.flatten(), modules: HashMap::new(), made: HashMap::new(), start, notes: notes.to_vec() }
    }

    /// How the cache began.
    #[must_use]
    pub const fn start(&self) -> Start {
        self.start
    }

    /// What the user of the cache stored beside the pipelines (the tuner's choices); empty unless [`Start::Warm`].
    #[must_use]
    pub fn notes(&self) -> &[u8] {
        &self.notes
    }

    /// Replaces the notes.
    pub fn set_notes(&mut self, notes: Vec<u8>) {
        self.notes = notes;
    }

    /// Number of pipelines made.
    #[must_use]
    pub fn len(&self) -> usize {
        self.made.len()
    }

    /// Whether none was made.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.made.is_empty()
    }

    /// The bytes to store: header, key, checksum, notes, and the driver's own cache.
    #[must_use]
    pub fn store(&self, gpu: &Gpu, kernels: &[&Kernel]) -> Vec<u8> {
        let driver = self.cache.as_ref().and_then(wgpu::PipelineCache::get_data).unwrap_or_default();
        seal(&key(gpu, kernels), &self.notes, &driver)
    }

    /// The pipeline of a launch, compiled at its first use.
    ///
    /// # Errors
    /// [`Error::Feature`] if the device lacks what the kernel needs, [`Error::Refused`] with the compiler's message.
    pub(crate) fn get(&mut self, gpu: &Gpu, launch: &Launch) -> Result<Arc<wgpu::ComputePipeline>> {
        let kernel = launch.kernel;
        let constants = launch.constants.iter().map(|(name, value)| (*name, value.to_bits())).collect();
        let key = (kernel.name, launch.entry, constants);
        if let Some(pipeline) = self.made.get(&key) {
            return Ok(Arc::clone(pipeline));
        }
        check_needs(gpu, kernel)?;
        let cache = self.cache.as_ref();
        let module = match self.modules.entry(kernel.name) {
            std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::hash_map::Entry::Vacant(entry) => {
                entry.insert(gpu.scoped(kernel.name, 0, || trusted::shader(&gpu.device, kernel.name, kernel.wgsl))?)
            }
        };
        let descriptor = wgpu::ComputePipelineDescriptor {
            label: Some(kernel.name),
            layout: None,
            module,
            entry_point: Some(launch.entry),
            compilation_options: wgpu::PipelineCompilationOptions { constants: &launch.constants, zero_initialize_workgroup_memory: false },
            cache,
        };
        let pipeline = Arc::new(gpu.scoped(kernel.name, 0, || gpu.device.create_compute_pipeline(&descriptor))?);
        self.made.insert(key, Arc::clone(&pipeline));
        Ok(pipeline)
    }
}

/// Whether the device has what a kernel needs.
///
/// # Errors
/// [`Error::Feature`] naming the first feature that is missing.
pub fn check_needs(gpu: &Gpu, kernel: &Kernel) -> Result<()> {
    let abilities = gpu.abilities();
    for need in kernel.needs {
        let (has, feature) = match need {
            Need::F16 => (abilities.f16, "half precision"),
            Need::Subgroups => (abilities.subgroups, "subgroup operations"),
            Need::CooperativeMatrix => (abilities.cooperative_matrix, "cooperative matrices"),
        };
        if !has {
            return Err(Error::Feature { kernel: kernel.name, feature, adapter: gpu.report().name.clone() });
        }
    }
    Ok(())
}

/// What stored pipelines must agree with: format, adapter, driver, and the text of every kernel.
fn key(gpu: &Gpu, kernels: &[&Kernel]) -> [u8; 32] {
    let report = gpu.report();
    let mut hash = Sha256::new();
    for text in [FORMAT, &report.name, &report.driver, report.backend].into_iter().chain(kernels.iter().flat_map(|k| [k.name, k.wgsl])) {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text.as_bytes());
    }
    hash.finalize().into()
}

/// Name and version of the stored form.
const FORMAT: &str = "fathom pipelines 1";

/// Magic, key, SHA-256 of the rest, then length of the notes, notes, the driver's bytes.
const MAGIC: &[u8; 8] = b"FATHOMPC";

fn seal(key: &[u8; 32], notes: &[u8], driver: &[u8]) -> Vec<u8> {
    let mut body = (notes.len() as u64).to_le_bytes().to_vec();
    body.extend_from_slice(notes);
    body.extend_from_slice(driver);
    let sum: [u8; 32] = Sha256::digest(&body).into();
    [MAGIC.as_slice(), key, &sum, &body].concat()
}

fn unseal<'a>(bytes: &'a [u8], key: &[u8; 32]) -> std::result::Result<(&'a [u8], &'a [u8]), Start> {
    let (magic, rest) = bytes.split_at_checked(8).ok_or(Start::Corrupt)?;
    let (stored_key, rest) = rest.split_at_checked(32).ok_or(Start::Corrupt)?;
    let (sum, body) = rest.split_at_checked(32).ok_or(Start::Corrupt)?;
    if magic != MAGIC || sum != Sha256::digest(body).as_slice() {
        return Err(Start::Corrupt);
    }
    if stored_key != key {
        return Err(Start::Foreign);
    }
    let (length, body) = body.split_first_chunk::<8>().ok_or(Start::Corrupt)?;
    usize::try_from(u64::from_le_bytes(*length)).ok().and_then(|length| body.split_at_checked(length)).ok_or(Start::Corrupt)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sealed_bytes_come_back_and_any_flipped_bit_is_noticed() {
        let key = [7; 32];
        let sealed = seal(&key, b"notes", b"driver");
        assert_eq!(unseal(&sealed, &key), Ok((b"notes".as_slice(), b"driver".as_slice())));
        for at in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[at] ^= 1;
            assert!(unseal(&damaged, &key).is_err(), "byte {at}");
        }
        for length in 0..sealed.len() {
            assert!(unseal(&sealed[..length], &key).is_err(), "cut to {length}");
        }
    }

    #[test]
    fn a_cache_of_another_device_is_foreign_and_not_corrupt() {
        assert_eq!(unseal(&seal(&[1; 32], b"", b""), &[2; 32]), Err(Start::Foreign));
    }
}
