//! The command line: exact names and flags, help texts and examples.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use fathom_core::depth::OutputKind;
use fathom_core::model::ChannelOrder;

use crate::calibrate;
#[cfg(feature = "gpu")]
use crate::commands::compare;
use crate::commands::{bench, boards, demo, depth, doctor, eval, inspect, quantize};

/// One camera as a depth sensor: frozen networks on the GPU or CPU of a small board, calibrated by their own consistency.
#[derive(Debug, Parser)]
#[command(name = "fathom", version, about, max_term_width = 110, after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,

    /// Print one JSON object on stdout instead of text.
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// Say more on stderr; twice for even more.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

const EXAMPLES: &str = "\
Examples:
  fathom demo                                   the whole job on frames that come with the program
  fathom depth photo.jpg                        depth of a photograph, and a picture of it
  fathom depth --model midas.onnx --format npy,ply photos/
  fathom doctor                                 what this machine can do, and what is missing

Exit codes: 0 ok, 1 failed, 2 wrong usage, 3 refused (not observable, not trusted, not supported).";

/// What the program can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Depth of images: arrays, point clouds, pictures.
    Depth(depth::DepthArgs),
    /// Shift, focal length and scale of a camera, from its own frames.
    Calibrate(calibrate::CalibrateArgs),
    /// Accuracy tables on frames with ground truth.
    Eval(eval::EvalArgs),
    /// An fp32 network to int8 (standard ONNX QDQ), with ranges taken from frames.
    Quantize(quantize::QuantizeArgs),
    /// CPU against GPU, step by step.
    #[cfg(feature = "gpu")]
    Compare(compare::CompareArgs),
    /// What a network is: card, operators, work, memory, and the least time it takes on each board.
    Inspect(inspect::InspectArgs),
    /// Latency and memory of a network on this machine.
    Bench(bench::BenchArgs),
    /// The boards Fathom knows.
    Boards(boards::BoardsArgs),
    /// What this machine offers, what is missing, and what to do about it.
    Doctor(doctor::DoctorArgs),
    /// The whole job on embedded frames: calibrate, depth, point cloud, pictures.
    Demo(demo::DemoArgs),
}

/// Which network, and what it runs on.
#[derive(Debug, Clone, Args)]
pub(crate) struct NetworkArgs {
    /// ONNX file; without it the embedded network runs.
    #[arg(long, value_name = "M.onnx")]
    pub(crate) model: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) device: DeviceArgs,

    #[command(flatten)]
    pub(crate) card: CardArgs,
}

/// What a network runs on.
#[derive(Debug, Clone, Args)]
pub(crate) struct DeviceArgs {
    /// Where to run; auto takes a real GPU if there is one, and says which it took.
    #[arg(long, value_enum, default_value_t = BackendName::Auto)]
    pub(crate) backend: BackendName,

    /// Part of the GPU's name. A software device (llvmpipe) is used only when named here.
    #[arg(long, value_name = "NAME")]
    pub(crate) adapter: Option<String>,

    /// Threads of the CPU; 0 takes one for each core that the program may use.
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true, allow_negative_numbers = true, value_parser = parse_threads)]
    pub(crate) threads: usize,
}

/// Most threads that may be asked for: more than any board has cores, and few enough to start.
const MOST_THREADS: usize = 256;

/// `--backend`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum BackendName {
    Auto,
    Gpu,
    Cpu,
}

/// What a network's card says, for files without one. A TOML of the same keys beside the file (`m.toml` for `m.onnx`) does as well.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Model card (for files that lack one; or put these keys, with _ for -, into M.toml beside M.onnx)")]
pub(crate) struct CardArgs {
    /// TOML with the card's keys, instead of the one beside the network.
    #[arg(long = "card", value_name = "CARD.toml")]
    pub(crate) file: Option<PathBuf>,

    /// Input size the network runs at, if its file leaves it open.
    #[arg(long, value_name = "WxH", value_parser = parse_size, conflicts_with_all = ["input_width", "input_height"])]
    pub(crate) input_size: Option<(u32, u32)>,

    /// Input width alone, pixels.
    #[arg(long, value_name = "PX")]
    pub(crate) input_width: Option<u32>,

    /// Input height alone, pixels.
    #[arg(long, value_name = "PX")]
    pub(crate) input_height: Option<u32>,

    /// Channel order of the input.
    #[arg(long, value_name = "rgb|bgr", value_parser = parse_channel_order)]
    pub(crate) channel_order: Option<ChannelOrder>,

    /// Subtracted from channels scaled to 0..1: one number, or three with commas.
    #[arg(long, value_name = "A,B,C", value_parser = parse_triple, allow_hyphen_values = true)]
    pub(crate) mean: Option<[f32; 3]>,

    /// Divides channels after the mean: one number, or three with commas.
    #[arg(long, value_name = "A,B,C", value_parser = parse_triple)]
    pub(crate) std: Option<[f32; 3]>,

    /// What the output means.
    #[arg(long, value_name = "inverse-depth|depth|metric-depth", value_parser = parse_output_kind)]
    pub(crate) output_kind: Option<OutputKind>,

    /// Name of the depth output, if it is not the first.
    #[arg(long, value_name = "NAME")]
    pub(crate) output: Option<String>,

    /// Name of an output that holds the field of view.
    #[arg(long, value_name = "NAME")]
    pub(crate) fov_output: Option<String>,

    /// Shift that suits the network's training domain, in units of its output.
    #[arg(long, value_name = "X", allow_hyphen_values = true)]
    pub(crate) default_tau: Option<f64>,
}

fn parse_size(text: &str) -> Result<(u32, u32), String> {
    let sides = text.split_once(['x', 'X']).and_then(|(w, h)| Some((w.trim().parse().ok()?, h.trim().parse().ok()?)));
    sides.filter(|&(w, h)| w > 0 && h > 0).ok_or_else(|| format!("{text:?} is not WIDTHxHEIGHT, as in 256x192"))
}

fn parse_threads(text: &str) -> Result<usize, String> {
    let threads = text.trim().parse().ok().filter(|&n| n <= MOST_THREADS);
    threads.ok_or_else(|| format!("{text:?} is no number of threads: 0 for all cores, or 1 to {MOST_THREADS}"))
}

fn parse_triple(text: &str) -> Result<[f32; 3], String> {
    let numbers: Option<Vec<f32>> = text.split(',').map(|part| part.trim().parse().ok().filter(|x: &f32| x.is_finite())).collect();
    match numbers.as_deref() {
        Some(&[all]) => Ok([all; 3]),
        Some(&[a, b, c]) => Ok([a, b, c]),
        _ => Err(format!("{text:?} is neither one number nor three with commas, as in 0.485,0.456,0.406")),
    }
}

fn parse_channel_order(text: &str) -> Result<ChannelOrder, String> {
    match text {
        "rgb" => Ok(ChannelOrder::Rgb),
        "bgr" => Ok(ChannelOrder::Bgr),
        _ => Err(format!("{text:?} is neither rgb nor bgr")),
    }
}

fn parse_output_kind(text: &str) -> Result<OutputKind, String> {
    let kinds = [OutputKind::InverseDepth, OutputKind::Depth, OutputKind::MetricDepth];
    kinds.into_iter().find(|kind| kind.name() == text).ok_or_else(|| format!("{text:?} is none of inverse-depth, depth, metric-depth"))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn sizes_threads_and_triples_say_what_is_wrong_with_them() {
        assert_eq!(parse_size("256x192"), Ok((256, 192)));
        assert_eq!(parse_triple("0.5"), Ok([0.5; 3]));
        assert_eq!(parse_triple("1, 2,3"), Ok([1.0, 2.0, 3.0]));
        for bad in ["256", "0x4", "ax4", "-1x4"] {
            assert!(parse_size(bad).unwrap_err().contains(bad), "{bad}");
        }
        assert_eq!([parse_threads("0"), parse_threads("256")], [Ok(0), Ok(256)]);
        for bad in ["", "-1", "two", "1.5", "257", "99999999999999999999"] {
            assert!(parse_threads(bad).unwrap_err().contains(bad), "{bad}");
        }
        for bad in ["", "1,2", "1,2,nan", "1,2,3,4"] {
            assert!(parse_triple(bad).is_err(), "{bad}");
        }
    }
}
