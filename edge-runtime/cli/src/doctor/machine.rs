//! The board and its CPU.

use super::Check;
use crate::commands::boards::this_board;
use crate::report::bytes;

/// Which board this is, and how much memory it has.
pub(crate) fn board() -> anyhow::Result<Check> {
    let memory = total_memory_bytes().map_or_else(|| "memory unknown".into(), |total| format!("{} of memory", bytes(total)));
    let machine = format!("{} {}, {memory}", std::env::consts::OS, std::env::consts::ARCH);
    Ok(match this_board()? {
        Some(board) => Check { advice: board.advice, ..Check::ok("board", format!("{} ({machine})", board.title)) },
        None => Check::ok("board", format!("none that Fathom has a profile of ({machine})")),
    })
}

/// Cores, and the instructions that make int8 networks fast.
pub(crate) fn cpu() -> Check {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let features = fast_features();
    let found = |has: &str| format!("{cores} cores, {has}");
    if features.iter().any(|&(_, integer, present)| integer && present) {
        let names: Vec<&str> = features.iter().filter(|(_, _, present)| *present).map(|(name, _, _)| *name).collect();
        return Check::ok("cpu", found(&names.join(" ")));
    }
    let wanted: Vec<&str> = features.iter().filter(|(_, integer, _)| *integer).map(|(name, _, _)| *name).collect();
    let advice = "int8 networks run, but no faster than float ones";
    Check::warning("cpu", found(&format!("no integer dot product (none of: {})", wanted.join(" "))), advice)
}

/// Name, whether it is an integer dot product, whether it is present.
#[cfg(target_arch = "x86_64")]
fn fast_features() -> Vec<(&'static str, bool, bool)> {
    vec![
        ("avx2", false, std::is_x86_feature_detected!("avx2")),
        ("fma", false, std::is_x86_feature_detected!("fma")),
        ("avx512f", false, std::is_x86_feature_detected!("avx512f")),
        ("avx512vnni", true, std::is_x86_feature_detected!("avx512vnni")),
        ("avxvnni", true, std::is_x86_feature_detected!("avxvnni")),
    ]
}

#[cfg(target_arch = "aarch64")]
fn fast_features() -> Vec<(&'static str, bool, bool)> {
    vec![
        ("neon", false, std::arch::is_aarch64_feature_detected!("neon")),
        ("fp16", false, std::arch::is_aarch64_feature_detected!("fp16")),
        ("dotprod", true, std::arch::is_aarch64_feature_detected!("dotprod")),
        ("i8mm", true, std::arch::is_aarch64_feature_detected!("i8mm")),
    ]
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn fast_features() -> Vec<(&'static str, bool, bool)> {
    vec![]
}

fn total_memory_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}
