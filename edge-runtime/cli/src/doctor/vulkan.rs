//! Vulkan: the loader, the drivers it is told of, the device files, the adapters.

#[cfg(feature = "gpu")]
use std::path::PathBuf;

use super::Check;

/// What of Vulkan is here. Without the cargo feature `gpu` there is nothing to look for.
#[cfg(feature = "gpu")]
pub(crate) fn checks() -> Vec<Check> {
    let adapters = fathom_gpu::gpu::adapters();
    let mut checks = vec![loader(!adapters.is_empty()), device_files()];
    let shown = |adapter: &fathom_gpu::gpu::AdapterReport| {
        let software = if adapter.software { ", software" } else { "" };
        format!("{} ({}{software})", adapter.name, adapter.driver)
    };
    let names = adapters.iter().map(shown).collect::<Vec<_>>().join("; ");
    checks.push(if adapters.is_empty() {
        Check::warning("gpu", "no Vulkan device", format!("networks run on the CPU; {}", driver_advice()))
    } else if adapters.iter().all(|adapter| adapter.software) {
        let advice =
            format!("a software device is used only when named (--adapter llvmpipe) and is slower than the CPU path; {}", driver_advice());
        Check::warning("gpu", names, advice)
    } else {
        Check::ok("gpu", names)
    });
    checks
}

/// What of Vulkan is here. Without the cargo feature `gpu` there is nothing to look for.
#[cfg(not(feature = "gpu"))]
pub(crate) fn checks() -> Vec<Check> {
    vec![Check::warning("gpu", "this program was built without GPU support", "build it with the cargo feature `gpu`")]
}

#[cfg(feature = "gpu")]
fn loader(works: bool) -> Check {
    let drivers: Vec<String> = ["/usr/share/vulkan/icd.d", "/etc/vulkan/icd.d", "/usr/local/share/vulkan/icd.d"]
        .iter()
        .filter_map(|folder| std::fs::read_dir(folder).ok())
        .flat_map(|entries| entries.filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned())))
        .collect();
    let listed = if drivers.is_empty() { "no driver".into() } else { drivers.join(", ") };
    match (loader_file(), works) {
        (_, true) => Check::ok("vulkan", format!("the loader works; drivers listed: {listed}")),
        (Some(file), false) if drivers.is_empty() => {
            Check::warning("vulkan", format!("{} is here, but no driver is listed", file.display()), driver_advice())
        }
        (Some(file), false) => {
            let advice = "does the driver's version fit the kernel's? `vulkaninfo --summary` (package vulkan-tools) says what fails";
            Check::warning("vulkan", format!("{} is here and lists {listed}, but no device opens", file.display()), advice)
        }
        (None, false) => Check::warning("vulkan", "no loader (libvulkan.so.1)", "Debian, Ubuntu, JetPack: apt install libvulkan1"),
    }
}

#[cfg(feature = "gpu")]
fn loader_file() -> Option<PathBuf> {
    let architecture = format!("{}-linux-gnu", std::env::consts::ARCH);
    let folders = ["/usr/lib", "/lib", "/usr/lib64", "/usr/local/lib"].map(PathBuf::from);
    let nested = ["/usr/lib", "/lib"].map(|folder| PathBuf::from(folder).join(&architecture));
    folders.into_iter().chain(nested).map(|folder| folder.join("libvulkan.so.1")).find(|file| file.exists())
}

/// Device files of GPUs, and whether this user may open them.
#[cfg(feature = "gpu")]
fn device_files() -> Check {
    let entries = std::fs::read_dir("/dev/dri").into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    let render: Vec<PathBuf> = entries.filter(|path| path.to_string_lossy().contains("renderD")).collect();
    let nvidia: Vec<PathBuf> =
        ["/dev/nvhost-gpu", "/dev/nvgpu/igpu0/channel", "/dev/nvidia0"].iter().map(PathBuf::from).filter(|path| path.exists()).collect();
    let all: Vec<PathBuf> = render.into_iter().chain(nvidia).collect();
    let listed = |paths: &[PathBuf]| paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ");
    let closed: Vec<PathBuf> =
        all.iter().filter(|path| std::fs::OpenOptions::new().read(true).write(true).open(path).is_err()).cloned().collect();
    if all.is_empty() {
        let advice = "in a container, pass the device through (docker: --device /dev/dri or --runtime nvidia)";
        Check::warning("devices", "no GPU device files", advice)
    } else if closed.is_empty() {
        Check::ok("devices", listed(&all))
    } else {
        let advice = "let this user open them: sudo usermod -aG render,video $USER, then log in again";
        Check::warning("devices", format!("{} cannot be opened", listed(&closed)), advice)
    }
}

#[cfg(feature = "gpu")]
fn driver_advice() -> &'static str {
    "Jetson: the driver comes with JetPack (package nvidia-l4t-3d-core); Intel, AMD, Raspberry Pi: apt install mesa-vulkan-drivers"
}
