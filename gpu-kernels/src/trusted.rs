//! The three calls into wgpu that it marks unsafe, and why each is sound here. The only unsafe code of the crate.
#![expect(unsafe_code, reason = "wgpu marks these calls unsafe; each block below says why its conditions hold")]

/// The token for experimental features, if any was asked for.
pub(crate) fn experimental(features: wgpu::Features) -> wgpu::ExperimentalFeatures {
    if features.intersects(wgpu::Features::all_experimental_mask()) {
        // SAFETY: the contract is to accept that such features may have bugs. Cooperative matrices are used only by a
        // tactic that is validated by naga in the tests and checked on the device against the integer path.
        unsafe { wgpu::ExperimentalFeatures::enabled() }
    } else {
        wgpu::ExperimentalFeatures::disabled()
    }
}

/// Compiles a kernel of this crate without wgpu's loop counters and index clamps.
///
/// What a loop counter costs is measured in `tests/benches`: the inner loops of a convolution are a few instructions.
pub(crate) fn shader(device: &wgpu::Device, name: &str, wgsl: &'static str) -> wgpu::ShaderModule {
    let descriptor = wgpu::ShaderModuleDescriptor { label: Some(name), source: wgpu::ShaderSource::Wgsl(wgsl.into()) };
    // SAFETY: only files of this crate come here (`&'static str` of a `Kernel`). Their loops count up to a parameter, so
    // they end; divisors are parameters that the launch halves check to be positive; every index is below the length
    // that the launch half checks against the binding, which the parity suite confirms at awkward sizes.
    unsafe { device.create_shader_module_trusted(descriptor, wgpu::ShaderRuntimeChecks::unchecked()) }
}

/// A pipeline cache, filled with `bytes` of an earlier one.
pub(crate) fn pipeline_cache(device: &wgpu::Device, bytes: Option<&[u8]>) -> wgpu::PipelineCache {
    let descriptor = wgpu::PipelineCacheDescriptor { label: Some("fathom"), data: bytes, fallback: true };
    // SAFETY: `bytes` must come from `PipelineCache::get_data`. The caller, `cache::open`, hands over only what lies
    // behind its own header whose key (adapter, driver, shaders) and SHA-256 agree: truncated, foreign and damaged files
    // do not get here, and wgpu and the driver check their own headers besides.
    unsafe { device.create_pipeline_cache(&descriptor) }
}
