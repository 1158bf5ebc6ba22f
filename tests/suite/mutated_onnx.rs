//! Damaged ONNX files: 40,000 mutants of the fixtures, seeded. None may panic, hang, or give a result with NaN.
//!
//! Half of them are damaged as bytes (bits, truncation, splices, varints, fields twice), half as messages (operands, shapes,
//! attributes, weights), so that the protobuf stays sound and what lies behind it is reached.
//! Each mutant is imported; where that succeeds it is lowered and run on the CPU as the engine would, its output checked
//! as the engine checks it. `FATHOM_MUTANTS` sets another number.

#![allow(clippy::disallowed_methods, reason = "the suite reads its length from the environment and times each mutant")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use fathom_core::depth::RelativeDepth;
use fathom_core::frame::Size;
use fathom_runtime::network::cpu::CpuExecutor;
use fathom_runtime::network::import::onnx::ModelProto;
use fathom_runtime::network::import::{ImportOptions, import};
use fathom_runtime::network::lower::lower;
use fathom_tests::fixtures;
use fathom_tests::random::Random;
use prost::Message as _;

const MUTANTS: usize = 40_000;
const LONGEST: Duration = Duration::from_secs(5);

/// One kind of damage.
fn damage(random: &mut Random, bytes: &mut Vec<u8>, donor: &[u8]) {
    if bytes.is_empty() {
        return;
    }
    match random.below(8) {
        // A bit flips.
        0 | 1 => {
            let at = random.below(bytes.len());
            bytes[at] ^= 1 << random.below(8);
        }
        // The file ends early.
        2 => bytes.truncate(random.below(bytes.len())),
        // A part of another file takes the place of some bytes.
        3 => {
            let (from, to) = (random.range(donor.len()), random.range(bytes.len()));
            bytes.splice(to, donor[from].iter().copied());
        }
        // A field, or a part of one, comes twice.
        4 => {
            let part = random.range(bytes.len());
            let copy = bytes[part.clone()].to_vec();
            bytes.splice(part.end..part.end, copy);
        }
        // A part is lost.
        5 => drop(bytes.drain(random.range(bytes.len()))),
        // A number becomes an extreme one, of one byte or of ten (a varint of -1).
        6 => {
            let at = random.below(bytes.len());
            bytes[at] = [0x00, 0x01, 0x7f, 0x80, 0xff][random.below(5)];
        }
        _ => {
            let at = random.below(bytes.len());
            bytes.splice(at..=at, [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]);
        }
    }
}

/// One change to what the messages say, the protobuf staying sound: such mutants get past the decoder.
fn distort(random: &mut Random, model: &mut ModelProto) {
    let Some(graph) = &mut model.graph else { return };
    let names: Vec<String> =
        graph.node.iter().flat_map(|n| n.output.clone()).chain(graph.initializer.iter().map(|t| t.name.clone())).collect();
    let ops: Vec<String> = graph.node.iter().map(|n| n.op_type.clone()).collect();
    let (nodes, tensors) = (graph.node.len(), graph.initializer.len());
    let number = [0, 1, 2, 3, -1, 7, 1 << 20, 1 << 40, i64::MAX, i64::MIN][random.below(10)];
    let node = random.below(nodes);
    match random.below(10) {
        // A node reads another value, loses an operand, or is another operator.
        0 => {
            if let Some(operand) = pick(random, &mut graph.node[node].input) {
                operand.clone_from(&names[random.below(names.len())]);
            }
        }
        1 => drop(graph.node[node].input.pop()),
        2 => graph.node[node].op_type.clone_from(&ops[random.below(nodes)]),
        // A node comes twice or not at all.
        3 => graph.node.push(graph.node[node].clone()),
        4 => drop(graph.node.remove(node)),
        // A number of an attribute or a shape changes.
        5 | 6 => {
            if let Some(attribute) = pick(random, &mut graph.node[node].attribute) {
                attribute.i = attribute.i.map(|_| number);
                attribute.f = attribute.f.map(|_| [f32::NAN, f32::MAX, -1.0, 0.0][random.below(4)]);
                if let Some(value) = pick(random, &mut attribute.ints) {
                    *value = number;
                }
            }
        }
        7 if tensors > 0 => {
            let tensor = random.below(tensors);
            if let Some(extent) = pick(random, &mut graph.initializer[tensor].dims) {
                *extent = number;
            }
        }
        // Elements of a constant become extreme, or its type another of the same width.
        8 if tensors > 0 => {
            if let Some(raw) = &mut graph.initializer[random.below(tensors)].raw_data {
                let word = [0xff, 0x7f, 0x80, 0x00][random.below(4)];
                let part = random.range(raw.len().max(1)).start..raw.len();
                raw[part].iter_mut().take(4).for_each(|byte| *byte = word);
            }
        }
        _ if tensors > 0 => {
            let tensor = random.below(tensors);
            graph.initializer[tensor].data_type = 1 + random.below(16) as i32;
        }
        _ => {}
    }
}

fn pick<'a, T>(random: &mut Random, from: &'a mut [T]) -> Option<&'a mut T> {
    let count = from.len();
    from.get_mut(random.below(count))
}

/// What became of a mutant.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Refused,
    NotPlanned,
    NotFinite,
    Ran,
}

fn carry_through(bytes: &[u8]) -> End {
    let Ok(model) = import(bytes, ImportOptions::default()) else { return End::Refused };
    let shape = model.graph.value(model.graph.input).shape.clone();
    let depth = model.graph.value(model.graph.outputs[0]).shape.clone();
    let Ok(plan) = lower(&model.graph) else { return End::NotPlanned };
    let Ok(mut executor) = CpuExecutor::new(Arc::new(plan), 1) else { return End::NotPlanned };
    let Ok(outputs) = executor.run(&fixtures::image(&shape).unwrap()) else { return End::NotPlanned };
    let [.., height, width] = depth[..] else { panic!("an output of shape {depth:?} was accepted") };
    let size = Size::new(width as u32, height as u32);
    match RelativeDepth::new(size, model.card.output_kind, outputs[0].as_f32().unwrap().to_vec()) {
        Ok(depth) => {
            assert!(depth.values().iter().all(|v| v.is_finite()));
            End::Ran
        }
        Err(_) => End::NotFinite,
    }
}

#[test]
fn no_mutant_panics_hangs_or_gives_nan() {
    let mutants = std::env::var("FATHOM_MUTANTS").ok().and_then(|n| n.parse().ok()).unwrap_or(MUTANTS);
    let files: Vec<Vec<u8>> = fixtures::networks("valid").unwrap().iter().map(|(_, path)| std::fs::read(path).unwrap()).collect();
    let next = AtomicUsize::new(0);
    let ends = [const { AtomicUsize::new(0) }; 4];
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from).min(8) {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= mutants {
                        break;
                    }
                    ends[try_one(index, &files) as usize].fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    let [refused, not_planned, not_finite, ran] = ends.map(AtomicUsize::into_inner);
    eprintln!("{mutants} mutants: {refused} refused by import, {not_planned} later, {not_finite} not finite, {ran} ran");
    // A mutator that only makes rubbish would prove nothing: a good part must get through.
    assert!(ran * 20 > mutants, "only {ran} of {mutants} ran");
    assert!(refused * 5 > mutants, "only {refused} of {mutants} were refused");
}

fn try_one(index: usize, files: &[Vec<u8>]) -> End {
    let mut random = Random(0x9e37_79b9_7f4a_7c15 ^ (index as u64 + 1).wrapping_mul(0xd134_2543_de82_ef95));
    let (original, donor) = (random.below(files.len()), random.below(files.len()));
    let mut bytes = files[original].clone();
    if random.below(2) == 0 {
        for _ in 0..=random.below(3) {
            damage(&mut random, &mut bytes, &files[donor]);
        }
    } else {
        let mut model = ModelProto::decode(bytes.as_slice()).unwrap();
        for _ in 0..=random.below(2) {
            distort(&mut random, &mut model);
        }
        bytes = model.encode_to_vec();
    }
    let start = Instant::now();
    let end = catch_unwind(AssertUnwindSafe(|| carry_through(&bytes)));
    let taken = start.elapsed();
    let end = end.unwrap_or_else(|_| panic!("mutant {index} of fixture {original} panicked"));
    assert!(taken < LONGEST, "mutant {index} of fixture {original} took {taken:?}");
    end
}
