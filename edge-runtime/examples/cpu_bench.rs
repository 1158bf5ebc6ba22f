//! Times the CPU executor on a network, and onnxruntime on the same file and input where a Python has it.
//!
//! `cargo run --release -p fathom-runtime --example cpu_bench -- MODEL.onnx [--runs N] [--threads N] [--python PYTHON] [--reference] [--steps]`
//!
//! Prints one line of JSON: medians, their ratio, and how far the outputs are apart. `--reference` runs core's plain
//! loops instead, once. Timings of one machine compare only within one run.

#![allow(clippy::print_stdout, reason = "printing is what this program is for")]
#![allow(clippy::disallowed_methods, reason = "a bench reads the clock")]

use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use fathom_core::depth::OutputKind;
use fathom_core::model::ChannelOrder;
use fathom_core::tensor::Tensor;
use fathom_runtime::network::card::CardFacts;
use fathom_runtime::network::cpu::{CpuExecutor, ReferenceExecutor};
use fathom_runtime::network::{import, lower};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let path = args.next().ok_or("usage: cpu_bench MODEL.onnx [--runs N] [--threads N] [--python PYTHON] [--reference] [--steps]")?;
    let (mut runs, mut threads, mut python, mut reference, mut steps) = (9_u32, 2, String::from("python3"), false, false);
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or(format!("{arg} wants a value"));
        match arg.as_str() {
            "--runs" => runs = value()?.parse()?,
            "--threads" => threads = value()?.parse()?,
            "--python" => python = value()?,
            "--reference" => reference = true,
            "--steps" => steps = true,
            _ => return Err(format!("unknown argument {arg}").into()),
        }
    }
    let card = CardFacts {
        channel_order: Some(ChannelOrder::Rgb),
        mean: Some([0.0; 3]),
        std: Some([1.0; 3]),
        output_kind: Some(OutputKind::InverseDepth),
        ..CardFacts::default()
    };
    let model = import::import(&std::fs::read(&path)?, import::ImportOptions { card: Some(&card), ..Default::default() })?;
    let plan = Arc::new(lower::lower(&model.graph)?);
    let image = picture(&plan.input.shape)?;
    let mut cpu = None;
    let (outputs, median_ms, min_ms) = if reference {
        let start = Instant::now();
        let outputs = ReferenceExecutor::new(Arc::clone(&plan)).run(&image)?;
        let ms = start.elapsed().as_secs_f64() * 1e3;
        (outputs, ms, ms)
    } else {
        let mut executor = CpuExecutor::new(Arc::clone(&plan), threads)?;
        let outputs = executor.run(&image)?;
        let mut ms = Vec::new();
        let cpu_before = cpu_ms();
        for _ in 0..runs {
            let start = Instant::now();
            executor.run(&image)?;
            ms.push(start.elapsed().as_secs_f64() * 1e3);
        }
        cpu = cpu_before.zip(cpu_ms()).map(|(before, after)| (after - before) / f64::from(runs));
        if steps {
            print_steps(&mut executor, &image, runs)?;
        }
        ms.sort_by(f64::total_cmp);
        (outputs, ms[ms.len() / 2], ms[0])
    };
    let output = outputs[0].as_f32()?;
    let peer = onnxruntime(&python, &path, &image, runs, threads)?;
    let peer_text = match &peer {
        None => String::from("null"),
        Some((peer_ms, peer_min_ms, peer_cpu_ms, expected)) => {
            let range = expected.iter().copied().fold(f32::MIN, f32::max) - expected.iter().copied().fold(f32::MAX, f32::min);
            let differences = || output.iter().zip(expected).map(|(a, b)| f64::from((a - b).abs()));
            format!(
                "{{\"median_ms\": {peer_ms:.2}, \"min_ms\": {peer_min_ms:.2}, \"cpu_ms\": {peer_cpu_ms:.2}, \"ratio\": {:.3}, \"ratio_of_min\": {:.3}, \"max_of_range\": {:.3e}, \"mean_of_range\": {:.3e}, \"correlation\": {:.7}}}",
                median_ms / peer_ms,
                min_ms / peer_min_ms,
                differences().fold(0.0, f64::max) / f64::from(range),
                differences().sum::<f64>() / output.len() as f64 / f64::from(range),
                correlation(output, expected)
            )
        }
    };
    println!(
        "{{\"model\": {path:?}, \"threads\": {threads}, \"median_ms\": {median_ms:.2}, \"min_ms\": {min_ms:.2}, \"cpu_ms\": {}, \"steps\": {}, \"arena_bytes\": {}, \"onnxruntime\": {peer_text}}}",
        cpu.map_or(String::from("null"), |ms| format!("{ms:.2}")),
        plan.steps.len(),
        plan.arena_bytes
    );
    Ok(())
}

/// Processor time of this process so far, all threads, milliseconds; to 10 ms. Where others load the machine, it tells more
/// than the clock.
fn cpu_ms() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let ticks = fields.next()?.parse::<f64>().ok()? + fields.next()?.parse::<f64>().ok()?;
    Some(ticks * 10.0)
}

/// A smooth picture with noise, the same every time.
fn picture(shape: &[usize]) -> Result<Tensor> {
    let (height, width) = (shape[2], shape[3]);
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut values = Vec::with_capacity(3 * height * width);
    for c in 0..3 {
        for y in 0..height {
            for x in 0..width {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                let noise = (state >> 40) as f32 / (1 << 24) as f32;
                let wave = ((x as f32 * 0.031 + c as f32).sin() * (y as f32 * 0.023).cos() + 1.0) / 2.0;
                values.push(0.85 * wave + 0.15 * noise);
            }
        }
    }
    Ok(Tensor::f32(shape.to_vec(), values)?)
}

fn print_steps(executor: &mut CpuExecutor, image: &Tensor, runs: u32) -> Result<()> {
    let plan = Arc::clone(executor.plan());
    // The least of all runs: what else the machine does lengthens some of them.
    let mut least = vec![f64::INFINITY; plan.steps.len()];
    for _ in 0..runs {
        let mut last = Instant::now();
        executor.run_observed(image, &mut |step, _| {
            least[step] = least[step].min(last.elapsed().as_secs_f64() * 1e3);
            last = Instant::now();
        })?;
    }
    for (i, step) in plan.steps.iter().enumerate() {
        let ms = least[i];
        println!("{i:>4} {ms:>8.3} ms {:>8.1} GMAC/s  {} {}", step.cost.macs as f64 / ms / 1e6, step.op.name(), plan.describe(step.output));
    }
    Ok(())
}

/// Median, least and processor milliseconds, and the first output.
type Answer = (f64, f64, f64, Vec<f32>);

/// What onnxruntime took and gave, if the Python has onnxruntime.
fn onnxruntime(python: &str, path: &str, image: &Tensor, runs: u32, threads: usize) -> Result<Option<Answer>> {
    let folder = std::env::temp_dir().join(format!("fathom-cpu-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let (input, output) = (folder.join("image.f32"), folder.join("output.f32"));
    std::fs::write(&input, image.as_f32()?.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>())?;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/onnxruntime_bench.py");
    let run = Command::new(python).args([script, path]).args([&input, &output]).args([runs.to_string(), threads.to_string()]).output();
    let answer = match run {
        Ok(done) if done.status.success() => {
            let values = std::fs::read(&output)?.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
            let text = String::from_utf8(done.stdout)?;
            let numbers = text.split_whitespace().map(str::parse).collect::<std::result::Result<Vec<f64>, _>>()?;
            let [median, min, cpu] = numbers[..] else { return Err("three numbers expected".into()) };
            Some((median, min, cpu, values))
        }
        _ => None,
    };
    std::fs::remove_dir_all(&folder)?;
    Ok(answer)
}

fn correlation(a: &[f32], b: &[f32]) -> f64 {
    let mean = |v: &[f32]| v.iter().map(|&x| f64::from(x)).sum::<f64>() / v.len() as f64;
    let (ma, mb) = (mean(a), mean(b));
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (&x, &y) in a.iter().zip(b) {
        let (x, y) = (f64::from(x) - ma, f64::from(y) - mb);
        (ab, aa, bb) = (ab + x * y, aa + x * x, bb + y * y);
    }
    ab / (aa * bb).sqrt()
}
