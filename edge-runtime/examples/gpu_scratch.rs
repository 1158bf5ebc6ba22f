//! scratch
#![allow(warnings)]
use std::sync::Arc;
use std::time::Instant;
use fathom_core::tensor::{Element, Tensor};
use fathom_runtime::network::{cpu::*, gpu::*, import::*, lower::lower, card::CardFacts, plan::*};
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let bytes = std::fs::read(&a[1]).unwrap();
    let check = a.iter().any(|s| s == "check");
    let runs: usize = a.iter().find_map(|s| s.strip_prefix("runs=").map(|v| v.parse().unwrap())).unwrap_or(5);
    let mut facts = CardFacts::default();
    facts.name = Some("x".into()); facts.mean = Some([0.0; 3]); facts.std = Some([1.0; 3]); facts.output_kind = Some(fathom_core::depth::OutputKind::Depth);
    facts.channel_order = Some(fathom_core::model::ChannelOrder::Rgb); facts.licence = Some("x".into()); facts.train_fov_deg = Some((30.0, 90.0));
    let model = import(&bytes, ImportOptions { card: Some(&facts), ..Default::default() }).unwrap();
    let t = Instant::now();
    let plan = Arc::new(lower(&model.graph).unwrap());
    println!("lower {:?}", t.elapsed());
    if a.iter().any(|s| s == "plan") { println!("{plan}"); }
    let name = std::env::var("FATHOM_GPU_ADAPTER").unwrap_or("llvmpipe".into());
    let t = Instant::now();
    let gpu = Arc::new(fathom_gpu::Gpu::open(&fathom_gpu::AdapterPolicy::Named(name)).unwrap());
    println!("open {:?} {:?} {:?}", t.elapsed(), gpu.report(), gpu.abilities());
    let t = Instant::now();
    let mut exe = GpuExecutor::new(Arc::clone(&plan), gpu).unwrap();
    println!("load {:?} dispatches {}", t.elapsed(), exe.dispatches());
    let n: usize = plan.input.shape.iter().product();
    let mut s = 7u32;
    let image = Tensor::f32(plan.input.shape.clone(), (0..n).map(|i| { s = s.wrapping_mul(1664525).wrapping_add(1013904223); ((i % 640) as f32 / 640.0) * 0.7 + 0.3 * (s >> 8) as f32 / 16777216.0 }).collect()).unwrap();
    for _ in 0..runs { let t = Instant::now(); let o = exe.run(&image).unwrap(); println!("run {:?}", t.elapsed()); }
    if a.iter().any(|s| s == "steps") {
        let mut last = Instant::now();
        let mut rows = vec![];
        exe.run_observed(&image, &mut |i, _| { rows.push((last.elapsed().as_secs_f64() * 1e3, i)); last = Instant::now(); }).unwrap();
        for (ms, i) in &rows { println!("{ms:8.2} ms  {:6.2} GMAC/s {} {}", plan.steps[*i].cost.macs as f64 / ms / 1e6, plan.steps[*i].op.name(), plan.steps[*i].name); }
    }
    if check {
        let mut outs: Vec<Vec<u8>> = vec![];
        exe.run_observed(&image, &mut |i, b| outs.push(b.to_vec())).unwrap();
        let t = Instant::now();
        let mut reference = ReferenceExecutor::new(Arc::clone(&plan));
        let mut bad = 0;
        reference.run_observed(&image, &mut |i, mem| {
            let id = plan.steps[i].output; let tn = plan.tensor(id);
            let (pitch, ch, rows) = (tn.pitch, tn.channels(), tn.rows());
            let got = &outs[i];
            let mut worst = 0f32; let mut count = 0usize; let mut mag = 0f32;
            let t = mem.tensor(&plan, id).unwrap(); let want: Vec<f32> = match t.elements() { fathom_core::tensor::Elements::F32(v) => v.clone(), fathom_core::tensor::Elements::U8(v) => v.iter().map(|x| *x as f32).collect(), fathom_core::tensor::Elements::I8(v) => v.iter().map(|x| *x as f32).collect(), _ => panic!() };
            let mut k = 0;
            for r in 0..rows { for c in 0..ch {
                let at = r * pitch + c;
                let g = match tn.element { Element::F32 => f32::from_le_bytes(got[4*at..4*at+4].try_into().unwrap()), Element::U8 => got[at] as f32, _ => got[at] as i8 as f32 };
                let w = want[k]; k += 1;
                if g != w { count += 1; } worst = worst.max((g - w).abs()); mag = mag.max(w.abs());
            } }
            if count > 0 { bad += 1; println!("step {i} {} {}: {count} of {} differ, worst {worst} of {mag}", plan.steps[i].op.name(), plan.steps[i].name, rows*ch); }
        }).unwrap();
        println!("checked {:?}, {bad} steps differ", t.elapsed());
    }
}
