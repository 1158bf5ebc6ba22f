//! `fathom quantize`: an fp32 network and frames in, a standard ONNX QDQ network out, and what that cost.

use std::io::Write as _;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use fathom_runtime::network::quantize::{QuantizeOptions, RangeMethod, quantize};
use fathom_runtime::preprocess::preprocess;
use serde::Serialize;

use crate::args::CardArgs;
use crate::io::{pictures, write_file};
use crate::network::Source;
use crate::progress;
use crate::report::{Report, bytes, table};

/// Arguments of `fathom quantize`.
#[derive(Debug, Args)]
#[command(after_help = "\
The result opens in onnxruntime and carries its card. Some tens of frames of the kind the camera will see do well.

Examples:
  fathom quantize midas.onnx --frames frames/ -o midas.int8.onnx
  fathom quantize midas.onnx --frames frames/ -o midas.int8.onnx --ranges percentile --limit 50")]
pub(crate) struct QuantizeArgs {
    /// fp32 ONNX file.
    #[arg(value_name = "M.onnx")]
    model: PathBuf,

    /// Folder of pictures, or pictures, from which ranges are taken. Repeatable.
    #[arg(long, value_name = "DIR", required = true, num_args = 1..)]
    frames: Vec<PathBuf>,

    /// Where to write the quantized network.
    #[arg(short, long, value_name = "Q.onnx")]
    out: PathBuf,

    /// How ranges of activations are chosen.
    #[arg(long, value_enum, default_value_t = Ranges::Mse)]
    ranges: Ranges,

    /// Share of values inside the range with --ranges percentile, percent.
    #[arg(long, value_name = "P", default_value_t = 99.99)]
    percentile: f64,

    /// Leave weights as they are instead of balancing them between neighbouring layers.
    #[arg(long)]
    no_equalise: bool,

    /// At most this many frames, evenly spread.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,

    #[command(flatten)]
    card: CardArgs,
}

/// `--ranges`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Ranges {
    /// Smallest and largest value.
    MinMax,
    /// A share of the values.
    Percentile,
    /// The least squared error.
    Mse,
}

/// What it cost.
#[derive(Debug, Serialize)]
pub(crate) struct QuantizeReport {
    model: String,
    file: String,
    file_bytes: usize,
    fp32_bytes: usize,
    frames: usize,
    equalised_pairs: usize,
    /// Difference of the depth output from fp32's, as shares of its range.
    mean_of_range: f64,
    largest_of_range: f64,
    correlation: f64,
    layers: Vec<Layer>,
}

/// Noise of one value; `null` where there is none.
#[derive(Debug, Serialize)]
struct Layer {
    name: String,
    snr_db: Option<f64>,
}

pub(crate) fn run(args: &QuantizeArgs) -> anyhow::Result<QuantizeReport> {
    let source = Source::open(Some(&args.model))?;
    let model = source.import(&args.card)?;
    let paths = spread(&pictures::expand(&args.frames)?, args.limit as usize);
    let tensor = |path: &PathBuf| -> anyhow::Result<_> { Ok(preprocess(&pictures::read(path)?.as_frame(), &model.card)?) };
    let images = paths.iter().map(tensor).collect::<anyhow::Result<Vec<_>>>()?;
    let ranges = match args.ranges {
        Ranges::MinMax => RangeMethod::MinMax,
        Ranges::Percentile => RangeMethod::Percentile(args.percentile),
        Ranges::Mse => RangeMethod::LeastError,
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let bar = progress::bar(images.len(), "quantize");
    let options = QuantizeOptions { ranges, equalise: !args.no_equalise, threads };
    let made = quantize(&model, &images, &options, &mut |done, total| {
        bar.set_length(total as u64);
        bar.set_position(done as u64);
    })?;
    bar.finish_and_clear();
    write_file(&args.out, |file| Ok(file.write_all(&made.onnx)?))?;
    let layer = |layer: fathom_runtime::network::quantize::LayerNoise| Layer {
        name: layer.name,
        snr_db: Some(layer.snr_db).filter(|snr| snr.is_finite()),
    };
    Ok(QuantizeReport {
        model: source.name.clone(),
        file: args.out.display().to_string(),
        file_bytes: made.onnx.len(),
        fp32_bytes: source.bytes().len(),
        frames: images.len(),
        equalised_pairs: made.report.equalised_pairs,
        mean_of_range: made.report.output.mean_of_range,
        largest_of_range: made.report.output.largest_of_range,
        correlation: made.report.output.correlation,
        layers: made.report.layers.into_iter().map(layer).collect(),
    })
}

/// At most `limit` of the files, evenly spread over all.
fn spread(paths: &[PathBuf], limit: usize) -> Vec<PathBuf> {
    let count = paths.len().min(limit);
    (0..count).map(|i| paths[i * paths.len() / count].clone()).collect()
}

/// Layers that the text lists, the noisiest first.
const NOISIEST: usize = 8;

impl Report for QuantizeReport {
    fn text(&self) -> String {
        let mut layers: Vec<(&str, f64)> = self.layers.iter().filter_map(|layer| Some((layer.name.as_str(), layer.snr_db?))).collect();
        layers.sort_by(|a, b| a.1.total_cmp(&b.1));
        let rows: Vec<_> = layers.iter().take(NOISIEST).map(|(name, snr)| vec![(*name).to_owned(), format!("{snr:.1}")]).collect();
        [
            format!("{} -> {} ({} from {})", self.model, self.file, bytes(self.file_bytes as u64), bytes(self.fp32_bytes as u64)),
            format!("  ranges from {} frames, {} pairs of layers equalised", self.frames, self.equalised_pairs),
            format!(
                "  depth against fp32: mean difference {:.3}% of its range, largest {:.2}%, correlation {:.5}",
                100.0 * self.mean_of_range,
                100.0 * self.largest_of_range,
                self.correlation
            ),
            String::new(),
            table(&["noisiest layers", "SNR dB"], &rows),
        ]
        .join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_spread_over_the_whole_folder() {
        let paths: Vec<PathBuf> = (0..10).map(|i| PathBuf::from(i.to_string())).collect();
        assert_eq!(spread(&paths, 4), ["0", "2", "5", "7"].map(PathBuf::from));
        assert_eq!(spread(&paths[..2], 4).len(), 2);
    }
}
