//! Copies, fills and borders: exact.

use std::sync::Arc;

use fathom_core::ops::nn::byte::ByteTable;
use fathom_core::ops::nn::copy::Copy;
use fathom_core::ops::nn::pad::Pad;
use fathom_core::ops::nn::{Map, pitch};
use fathom_gpu::Gpu;
use fathom_gpu::nn::{Lay, copy, pad};
use fathom_tests::cases::Case;
use fathom_tests::require::Missing;

use crate::device::{equal, on, run, run_plain};
use crate::noise::Noise;

pub(crate) fn cases(gpu: &Result<Arc<Gpu>, Missing>) -> Vec<Case> {
    vec![
        on(gpu, "copy moves bytes exactly and leaves the others alone", |gpu| copies().iter().for_each(|c| check_bytes(gpu, c))),
        on(gpu, "copy moves words exactly and leaves the others alone", |gpu| copies().iter().for_each(|c| check_words(gpu, c))),
        on(gpu, "fill sets rows and clears their padding", check_fill),
        on(gpu, "pad mirrors and repeats", check_pad),
    ]
}

/// Whole quads; a transposition; a reversal; a part of odd channels; one element.
fn copies() -> Vec<Copy> {
    let of = |shape: [usize; 3], source_offset, source: [isize; 3], target_offset, target: [usize; 3]| Copy {
        shape: [1, 1, 1, shape[0], shape[1], shape[2]],
        source_offset,
        source: [0, 0, 0, source[0], source[1], source[2]],
        target_offset,
        target: [0, 0, 0, target[0], target[1], target[2]],
    };
    vec![
        of([5, 7, 8], 4, [84, 12, 1], 8, [112, 16, 1]),
        of([3, 5, 7], 0, [35, 1, 5], 2, [40, 8, 1]),
        of([1, 6, 9], 53, [0, -9, -1], 0, [0, 12, 1]),
        of([4, 3, 3], 1, [12, 4, 1], 5, [24, 8, 1]),
        of([1, 1, 1], 3, [0, 0, 0], 6, [0, 0, 0]),
    ]
}

const ROOM: usize = 700;

fn check_bytes(gpu: &Gpu, op: &Copy) {
    let mut noise = Noise::new(1);
    let [source, before] = [noise.bytes(ROOM), noise.bytes(ROOM)];
    let table = ByteTable::new(noise.bytes(256)).unwrap();
    for table in [None, Some(&table)] {
        let mapped: Vec<u8> = source.iter().map(|&q| table.map_or(q, |t| t.look_up(0, q))).collect();
        let mut expected = before.clone();
        op.run(&mapped, &mut expected).unwrap();
        equal(&run(gpu, &copy::prepare(op, [0, 0], true, table), &[source.clone(), before.clone()]), &expected);
    }
}

fn check_words(gpu: &Gpu, op: &Copy) {
    let mut noise = Noise::new(1);
    let [source, before] = [noise.bytes(4 * ROOM), noise.bytes(4 * ROOM)];
    let words = |bytes: &[u8]| bytes.chunks_exact(4).map(|b| [b[0], b[1], b[2], b[3]]).collect::<Vec<[u8; 4]>>();
    let mut expected = words(&before);
    op.run(&words(&source), &mut expected).unwrap();
    equal(&run(gpu, &copy::prepare(op, [0, 0], false, None), &[source, before]), &expected.concat());
}

fn check_fill(gpu: &Gpu) {
    for (rows, channels) in [(1, 1), (3, 6), (9, 8)] {
        let result = run_plain(gpu, copy::fill(0x7b, true, rows, channels, Lay::bytes(channels)), &[vec![0xff; rows * pitch(channels)]]);
        for row in result.chunks_exact(pitch(channels)) {
            assert!(row.iter().enumerate().all(|(c, &b)| b == if c < channels { 0x7b } else { 0 }), "{row:?}");
        }
        let bits = 1.5_f32.to_bits();
        let result = run_plain(gpu, copy::fill(bits, false, rows, 4, Lay::floats(4)), &[vec![0xff; rows * 16]]);
        equal(&result, &1.5_f32.to_le_bytes().repeat(rows * 4));
    }
}

fn check_pad(gpu: &Gpu) {
    for reflect in [false, true] {
        let op = Pad { input: Map { height: 4, width: 5, channels: 6 }, before: [1, 3], after: [2, 0], reflect };
        let input = Noise::new(2).bytes(op.input.len());
        let expected = op.run(&input).unwrap();
        let launch = pad::prepare(&op, 2, Lay::bytes(6), Lay::bytes(6));
        equal(&run_plain(gpu, launch, &[input, vec![0; expected.len()]]), &expected);
    }
}
