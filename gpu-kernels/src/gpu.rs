//! One Vulkan device: which adapter may be used, what it can do, and what it said when something failed.

use std::sync::{Arc, Mutex};

use crate::trusted;
use crate::{Error, Result};

/// Which adapter may be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AdapterPolicy {
    /// The best GPU; a software device is refused.
    Hardware,
    /// The first adapter whose name or driver contains this, ignoring case; software devices included.
    Named(String),
    /// The best adapter, software included: for tests.
    Any,
}

/// What computes: part of every result, so that no fall-back is silent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdapterReport {
    /// Name of the adapter.
    pub name: String,
    /// Driver and its version, as it names itself.
    pub driver: String,
    /// Interface, such as `vulkan`.
    pub backend: &'static str,
    /// Whether it computes on the CPU.
    pub software: bool,
    /// Invocations of a subgroup, smallest and largest.
    pub subgroup: [u32; 2],
}

/// Optional abilities, each present only if the device has it and it was enabled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Abilities {
    /// Half-precision arithmetic in shaders.
    pub f16: bool,
    /// Subgroup operations.
    pub subgroups: bool,
    /// Timestamps between passes.
    pub timestamps: bool,
    /// Compiled pipelines that can be stored.
    pub pipeline_cache: bool,
    /// Host-visible storage buffers (unified memory).
    pub mappable_storage: bool,
    /// Cooperative matrices (tensor cores) of 16x16 halves with single sums.
    pub cooperative_matrix: bool,
}

/// Limits that planning needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Largest buffer, bytes.
    pub buffer_bytes: u64,
    /// Largest storage binding, bytes.
    pub binding_bytes: u64,
    /// Storage buffers of one kernel.
    pub storage_buffers: u32,
    /// Invocations of one workgroup.
    pub workgroup_invocations: u32,
    /// Bytes of workgroup memory.
    pub workgroup_bytes: u32,
    /// Workgroups along one axis of a dispatch.
    pub workgroups: u32,
    /// Alignment of storage bindings, bytes.
    pub storage_alignment: u64,
    /// Alignment of uniform bindings, bytes.
    pub uniform_alignment: u64,
}

/// An open device and its queue.
pub struct Gpu {
    pub(crate) device: wgpu::Device,
    pub(crate) queue: wgpu::Queue,
    report: AdapterReport,
    abilities: Abilities,
    limits: Limits,
    /// First complaint that no error scope caught, and the reason of a lost device.
    faults: Arc<Mutex<Faults>>,
}

#[derive(Default)]
struct Faults {
    uncaptured: Option<String>,
    lost: Option<String>,
}

impl std::fmt::Debug for Gpu {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gpu").field("report", &self.report).field("abilities", &self.abilities).finish_non_exhaustive()
    }
}

impl Gpu {
    /// Opens the adapter that the policy picks, with every limit it offers and the optional features that kernels use.
    ///
    /// # Errors
    /// [`Error::NoAdapter`], [`Error::SoftwareOnly`] or [`Error::Open`].
    pub fn open(policy: &AdapterPolicy) -> Result<Self> {
        let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
        descriptor.backends = wgpu::Backends::VULKAN;
        let instance = wgpu::Instance::new(descriptor);
        let adapter = choose(pollster::block_on(instance.enumerate_adapters(wgpu::Backends::VULKAN)), policy)?;
        let info = adapter.get_info();
        let features = adapter.features() & optional_features(info.device_type);
        let open = wgpu::DeviceDescriptor {
            label: Some("fathom"),
            required_features: features,
            required_limits: adapter.limits(),
            experimental_features: trusted::experimental(features),
            memory_hints: wgpu::MemoryHints::MemoryUsage,
            trace: wgpu::Trace::Off,
        };
        let (device, queue) = pollster::block_on(adapter.request_device(&open))
            .map_err(|error| Error::Open { adapter: info.name.clone(), message: error.to_string() })?;
        let faults = Arc::<Mutex<Faults>>::default();
        watch(&device, &faults);
        let abilities = Abilities { cooperative_matrix: has_matrices(&adapter, features), ..abilities(features) };
        Ok(Self { report: report(&info), abilities, limits: limits(&device.limits()), device, queue, faults })
    }

    /// Which adapter this is.
    #[must_use]
    pub const fn report(&self) -> &AdapterReport {
        &self.report
    }

    /// What it can do beyond the minimum.
    #[must_use]
    pub const fn abilities(&self) -> Abilities {
        self.abilities
    }

    /// Invocations of the narrowest subgroup; 0 without subgroup operations.
    #[must_use]
    pub const fn lanes(&self) -> u32 {
        if self.abilities.subgroups { self.report.subgroup[0] } else { 0 }
    }

    /// Its limits.
    #[must_use]
    pub const fn limits(&self) -> Limits {
        self.limits
    }

    /// Nanoseconds of one timestamp tick.
    #[must_use]
    pub fn timestamp_period_ns(&self) -> f32 {
        self.queue.get_timestamp_period()
    }

    /// Runs `make` and turns what the driver refuses inside it into an error.
    pub(crate) fn scoped<T>(&self, what: &str, needed_bytes: u64, make: impl FnOnce() -> T) -> Result<T> {
        let validation = self.device.push_error_scope(wgpu::ErrorFilter::Validation);
        let internal = self.device.push_error_scope(wgpu::ErrorFilter::Internal);
        let memory = self.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let made = make();
        let memory = pollster::block_on(memory.pop());
        let refused = pollster::block_on(internal.pop()).or(pollster::block_on(validation.pop()));
        if memory.is_some() {
            return Err(Error::OutOfMemory { what: what.to_owned(), needed_bytes, limit_bytes: 0 });
        }
        match refused {
            Some(error) => Err(Error::Refused { what: what.to_owned(), message: chain(&error) }),
            None => Ok(made),
        }
    }

    /// Blocks until all that was submitted is done.
    ///
    /// # Errors
    /// [`Error::Lost`] if the device is gone, [`Error::Refused`] if it complained meanwhile.
    pub fn wait(&self) -> Result<()> {
        let polled = self.device.poll(wgpu::PollType::wait_indefinitely());
        self.polled(polled)
    }

    /// Blocks until one submission is done.
    pub(crate) fn wait_for(&self, submission: wgpu::SubmissionIndex) -> Result<()> {
        let polled = self.device.poll(wgpu::PollType::Wait { submission_index: Some(submission), timeout: None });
        self.polled(polled)
    }

    fn polled(&self, polled: std::result::Result<wgpu::PollStatus, wgpu::PollError>) -> Result<()> {
        self.check()?;
        match polled {
            Ok(_) => Ok(()),
            Err(error) => Err(Error::Lost { adapter: self.report.name.clone(), message: error.to_string() }),
        }
    }

    /// Reports a loss or an uncaught complaint since the last check.
    ///
    /// # Errors
    /// [`Error::Lost`] (for ever after) or [`Error::Refused`] (once).
    pub fn check(&self) -> Result<()> {
        let mut faults = self.faults.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(message) = &faults.lost {
            return Err(Error::Lost { adapter: self.report.name.clone(), message: message.clone() });
        }
        match faults.uncaptured.take() {
            Some(message) => Err(Error::Refused { what: format!("a command to {:?}", self.report.name), message }),
            None => Ok(()),
        }
    }

    /// Gives the device up, as a driver reset would: every later use of it reports [`Error::Lost`]. For tests of recovery.
    pub fn lose(&self) {
        self.device.destroy();
        let _ = self.device.poll(wgpu::PollType::Poll);
        let mut faults = self.faults.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        faults.lost.get_or_insert_with(|| "given up on request".to_owned());
    }
}

/// An error with all its causes, in one line each.
fn chain(error: &dyn std::error::Error) -> String {
    std::iter::successors(error.source(), |cause| cause.source()).fold(error.to_string(), |text, cause| format!("{text}\n{cause}"))
}

/// Names of all Vulkan adapters, software ones marked.
#[must_use]
pub fn adapters() -> Vec<AdapterReport> {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.backends = wgpu::Backends::VULKAN;
    let instance = wgpu::Instance::new(descriptor);
    let adapters = pollster::block_on(instance.enumerate_adapters(wgpu::Backends::VULKAN));
    adapters.iter().map(|adapter| report(&adapter.get_info())).collect()
}

fn choose(mut adapters: Vec<wgpu::Adapter>, policy: &AdapterPolicy) -> Result<wgpu::Adapter> {
    let names = |adapters: &[wgpu::Adapter]| {
        let names: Vec<String> = adapters.iter().map(|a| a.get_info().name).collect();
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    };
    let present = names(&adapters);
    adapters.sort_by_key(|adapter| rank(adapter.get_info().device_type));
    match policy {
        AdapterPolicy::Any => adapters.into_iter().next().ok_or(Error::NoAdapter { wanted: "at all".to_owned(), present }),
        AdapterPolicy::Named(part) => {
            let wanted = part.to_lowercase();
            let fits = |info: wgpu::AdapterInfo| format!("{} {}", info.name, info.driver).to_lowercase().contains(&wanted);
            let found = adapters.into_iter().find(|adapter| fits(adapter.get_info()));
            found.ok_or_else(|| Error::NoAdapter { wanted: format!("named {part:?}"), present })
        }
        AdapterPolicy::Hardware => {
            let any = !adapters.is_empty();
            let found = adapters.into_iter().find(|adapter| adapter.get_info().device_type != wgpu::DeviceType::Cpu);
            found.ok_or(if any { Error::SoftwareOnly { present } } else { Error::NoAdapter { wanted: "at all".to_owned(), present } })
        }
    }
}

/// Order of preference. Boards have an integrated GPU; a workstation's discrete one beats it.
const fn rank(kind: wgpu::DeviceType) -> u8 {
    match kind {
        wgpu::DeviceType::DiscreteGpu => 0,
        wgpu::DeviceType::IntegratedGpu => 1,
        wgpu::DeviceType::VirtualGpu => 2,
        wgpu::DeviceType::Other => 3,
        wgpu::DeviceType::Cpu => 4,
    }
}

fn optional_features(kind: wgpu::DeviceType) -> wgpu::Features {
    let features = wgpu::Features::SHADER_F16
        | wgpu::Features::SUBGROUP
        | wgpu::Features::TIMESTAMP_QUERY
        | wgpu::Features::PIPELINE_CACHE
        | wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX;
    match kind {
        // They compute in the CPU's own memory. Others would read it over a bus.
        wgpu::DeviceType::IntegratedGpu | wgpu::DeviceType::Cpu => features | wgpu::Features::MAPPABLE_PRIMARY_BUFFERS,
        _ => features,
    }
}

fn watch(device: &wgpu::Device, faults: &Arc<Mutex<Faults>>) {
    let uncaptured = Arc::clone(faults);
    device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
        log::error!("uncaught device error: {error}");
        let mut faults = uncaptured.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        faults.uncaptured.get_or_insert(error.to_string());
    }));
    let lost = Arc::clone(faults);
    device.set_device_lost_callback(move |reason, message| {
        // Dropping the device also arrives here; nobody is left to ask then.
        let mut faults = lost.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        faults.lost.get_or_insert(format!("{reason:?}: {message}"));
    });
}

fn report(info: &wgpu::AdapterInfo) -> AdapterReport {
    AdapterReport {
        name: info.name.clone(),
        driver: format!("{} {}", info.driver, info.driver_info).trim().to_owned(),
        backend: info.backend.to_str(),
        software: info.device_type == wgpu::DeviceType::Cpu,
        subgroup: [info.subgroup_min_size, info.subgroup_max_size],
    }
}

/// Whether cooperative matrices of 16x16 halves can be multiplied with sums in single precision, and subgroups, which compute
/// them, are all as wide.
fn has_matrices(adapter: &wgpu::Adapter, features: wgpu::Features) -> bool {
    use wgpu::CooperativeScalarType::{F16, F32};
    let info = adapter.get_info();
    let wanted = |form: &wgpu::CooperativeMatrixProperties| {
        [form.m_size, form.n_size, form.k_size] == [16; 3] && (form.ab_type, form.cr_type) == (F16, F32)
    };
    features.contains(wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX)
        && info.subgroup_min_size == info.subgroup_max_size
        && adapter.cooperative_matrix_properties().iter().any(wanted)
}

fn abilities(features: wgpu::Features) -> Abilities {
    Abilities {
        f16: features.contains(wgpu::Features::SHADER_F16),
        subgroups: features.contains(wgpu::Features::SUBGROUP),
        timestamps: features.contains(wgpu::Features::TIMESTAMP_QUERY),
        pipeline_cache: features.contains(wgpu::Features::PIPELINE_CACHE),
        mappable_storage: features.contains(wgpu::Features::MAPPABLE_PRIMARY_BUFFERS),
        cooperative_matrix: features.contains(wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX),
    }
}

fn limits(limits: &wgpu::Limits) -> Limits {
    Limits {
        buffer_bytes: limits.max_buffer_size,
        binding_bytes: limits.max_storage_buffer_binding_size,
        storage_buffers: limits.max_storage_buffers_per_shader_stage,
        workgroup_invocations: limits.max_compute_invocations_per_workgroup,
        workgroup_bytes: limits.max_compute_workgroup_storage_size,
        workgroups: limits.max_compute_workgroups_per_dimension,
        storage_alignment: u64::from(limits.min_storage_buffer_offset_alignment),
        uniform_alignment: u64::from(limits.min_uniform_buffer_offset_alignment),
    }
}
