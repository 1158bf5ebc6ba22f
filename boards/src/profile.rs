//! What is known of one board, in the units of its data sheet.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Where networks run on a board.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// On its GPU, through Vulkan.
    Gpu,
    /// On its CPU.
    Cpu,
}

/// Peak rates of a board's GPU; `None`: it lacks the feature, or nobody has said.
///
/// Rates of arithmetic are in 10^12 operations a second; a multiplication and its addition are two.
#[derive(Debug, Clone, Copy, PartialEq, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Peak {
    /// 32-bit float.
    pub fp32_tops: Option<f64>,
    /// 16-bit float.
    pub fp16_tops: Option<f64>,
    /// Four-byte integer dot products (`dot4I8Packed`).
    pub dot4_tops: Option<f64>,
    /// Tensor cores, 16-bit float.
    pub tensor_fp16_tops: Option<f64>,
    /// Tensor cores, bytes (out of WGSL's reach).
    pub tensor_int8_tops: Option<f64>,
    /// Memory, 10^9 bytes a second.
    pub dram_gb_s: Option<f64>,
}

/// One board.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Short name, as in `fathom boards jetson-nano`.
    pub name: String,
    /// Name in full.
    pub title: String,
    /// Where networks run.
    pub backend: Backend,
    /// Parts of the device tree's model text by which the board is recognised.
    pub device_tree: Vec<String>,
    /// Memory of the board, shared by CPU and GPU, MiB.
    pub memory_mib: u32,
    /// What a depth network may take of it, MiB.
    pub memory_budget_mib: u32,
    /// Edges of a workgroup for kernels over pixels.
    pub workgroup: [u32; 2],
    /// Peak rates.
    pub peak: Peak,
    /// Where the numbers come from.
    pub source: String,
    /// What its owner should know, one sentence each.
    pub advice: Vec<String>,
}

impl Profile {
    /// Reads a profile's TOML.
    ///
    /// # Errors
    /// [`Error::Profile`] for what is not a profile; [`Error::OutOfRange`] naming the number that makes no sense.
    pub fn parse(text: &str) -> Result<Self> {
        let profile: Self = toml::from_str(text)?;
        let refuse = |key, got: String, allowed| Err(Error::OutOfRange { board: profile.name.clone(), key, got, allowed });
        if profile.memory_budget_mib == 0 || profile.memory_budget_mib > profile.memory_mib {
            return refuse("memory_budget_mib", profile.memory_budget_mib.to_string(), "above 0, at most memory_mib");
        }
        if profile.workgroup.contains(&0) || profile.workgroup.iter().product::<u32>() > 1024 {
            return refuse("workgroup", format!("{:?}", profile.workgroup), "edges above 0 whose product is at most 1024");
        }
        let Peak { fp32_tops, fp16_tops, dot4_tops, tensor_fp16_tops, tensor_int8_tops, dram_gb_s } = profile.peak;
        for rate in [fp32_tops, fp16_tops, dot4_tops, tensor_fp16_tops, tensor_int8_tops, dram_gb_s].into_iter().flatten() {
            if !(rate.is_finite() && rate > 0.0) {
                return refuse("peak", rate.to_string(), "finite and above 0");
            }
        }
        Ok(profile)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = include_str!("../profiles/jetson-nano.toml");

    #[test]
    fn a_rate_of_zero_is_refused_by_board_and_value() {
        let error = Profile::parse(&TEXT.replace("25.6", "0.0")).unwrap_err();
        assert_eq!(error.to_string(), "board \"jetson-nano\": peak is 0, allowed is finite and above 0");
    }

    #[test]
    fn a_misspelt_key_is_refused() {
        let error = Profile::parse(&TEXT.replace("fp16_tops", "fp16")).unwrap_err();
        assert!(error.to_string().contains("unknown field `fp16`"), "{error}");
    }

    #[test]
    fn a_budget_above_the_memory_is_refused() {
        assert!(matches!(Profile::parse(&TEXT.replace("= 256", "= 8192")), Err(Error::OutOfRange { key: "memory_budget_mib", .. })));
    }
}
