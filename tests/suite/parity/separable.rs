//! A depthwise convolution and the pointwise one behind it in one launch: bit for bit what the two give apart.

use std::sync::Arc;

use fathom_core::ops::nn::byte::{Byte, ByteTable};
use fathom_core::ops::nn::conv::{Conv2d, conv2d_bytes};
use fathom_core::ops::nn::elementwise::ByteSum;
use fathom_core::ops::nn::epilogue::ByteEpilogue;
use fathom_core::ops::nn::{Map, Window};
use fathom_core::quant::QuantParams;
use fathom_gpu::Gpu;
use fathom_gpu::nn::Lay;
use fathom_gpu::nn::conv_bytes::ByteConv;
use fathom_gpu::nn::conv_separable::{self, Separable};
use fathom_gpu::nn::epilogue::Finish;
use fathom_tests::cases::Case;
use fathom_tests::require::Missing;

use crate::device::{equal, on, run};
use crate::noise::Noise;

pub(crate) fn cases(gpu: &Result<Arc<Gpu>, Missing>) -> Vec<Case> {
    [false, true]
        .into_iter()
        .map(|floats| {
            let sums = if floats { "floats" } else { "integers" };
            on(gpu, format!("a depthwise and a pointwise convolution in one launch are exact in {sums}"), move |gpu| {
                // One pixel of one channel, less and more than a workgroup of either, a stride, a dilation.
                for (channels, out_channels, kernel, stride, dilation, size) in [
                    (1, 1, 3, 1, 1, [1, 1]),
                    (13, 9, 3, 1, 1, [5, 7]),
                    (48, 264, 5, 1, 1, [3, 3]),
                    (260, 20, 3, 2, 1, [9, 8]),
                    (32, 16, 3, 1, 2, [6, 8]),
                    (1152, 24, 5, 1, 1, [2, 5]),
                ] {
                    let shape = Shape { channels, out_channels, kernel, stride, dilation, size };
                    for extras in [false, true] {
                        check::<u8>(gpu, &shape, floats, extras);
                        check::<i8>(gpu, &shape, floats, extras);
                    }
                }
            })
        })
        .collect()
}

struct Shape {
    channels: usize,
    out_channels: usize,
    kernel: usize,
    stride: usize,
    dilation: usize,
    size: [usize; 2],
}

impl Shape {
    fn convs(&self) -> [Conv2d; 2] {
        let pad = self.dilation * (self.kernel / 2);
        let window = Window {
            kernel: [self.kernel; 2],
            stride: [self.stride; 2],
            dilation: [self.dilation; 2],
            pad_before: [pad; 2],
            pad_after: [pad; 2],
        };
        let input = Map { height: self.size[0], width: self.size[1], channels: self.channels };
        let first = Conv2d { input, out_channels: self.channels, window, groups: self.channels };
        let one = Window { kernel: [1, 1], stride: [1, 1], dilation: [1, 1], pad_before: [0, 0], pad_after: [0, 0] };
        [first, Conv2d { input: first.output(), out_channels: self.out_channels, window: one, groups: 1 }]
    }
}

fn epilogue<B: Byte>(channels: usize, sums: f32, noise: &mut Noise) -> ByteEpilogue {
    ByteEpilogue {
        bias: noise.integers(channels, 3000),
        multiplier: noise.floats(channels, 0.3, 1.0).iter().map(|m| m * 0.02 / sums.sqrt()).collect(),
        zero_point: (B::LOW + B::HIGH) / 2 + 3,
        low: B::LOW + 5,
        high: B::HIGH - 9,
        table: None,
        residual: None,
        then: None,
    }
}

/// `extras`: a table, a residual and a table behind the second.
fn check<B: Byte>(gpu: &Gpu, shape: &Shape, floats: bool, extras: bool) {
    let [first, second] = shape.convs();
    let mut noise = Noise::new(second.macs());
    let input = noise.bytes(first.input.len());
    let weights = [noise.weights(first.weights_len(), 90), noise.weights(second.weights_len(), 90)];
    let between = epilogue::<B>(first.out_channels, (shape.kernel * shape.kernel) as f32, &mut noise);
    let mut last = epilogue::<B>(second.out_channels, shape.channels as f32, &mut noise);
    if extras {
        let q = |scale, zero| QuantParams::new(scale, (B::LOW + B::HIGH) / 2 + zero, B::LOW < 0).unwrap();
        last.table = Some(ByteTable::new(noise.bytes(256)).unwrap());
        last.residual = Some(ByteSum::new(q(0.031, -7), q(0.027, 11), q(0.05, 0)));
        last.then = Some(ByteTable::new(noise.bytes(256)).unwrap());
    }
    let out = second.output();
    let residual = noise.bytes(out.len());
    let typed = |bytes: &[u8]| bytes.iter().map(|&bits| B::from_bits(bits)).collect::<Vec<B>>();
    let zeros = [B::LOW + 117, B::LOW + 90];
    let sums = conv2d_bytes(&first, &typed(&input), zeros[0], &weights[0]).unwrap();
    let middle: Vec<B> = between.apply(&sums, first.out_channels, None).unwrap();
    let sums = conv2d_bytes(&second, &middle, zeros[1], &weights[1]).unwrap();
    let expected: Vec<B> = last.apply(&sums, second.out_channels, Some(&typed(&residual))).unwrap();
    let expected: Vec<u8> = expected.into_iter().map(Byte::bits).collect();

    let signed = B::LOW < 0;
    let lays = [first.input.channels, first.out_channels, second.out_channels].map(Lay::bytes);
    let conv = |i: usize, conv, finish| {
        let (source, target) = (lays[i], lays[i + 1]);
        ByteConv { conv, weights: &weights[i], signed, zero_point: zeros[i], finish, source, residual: target, target }
    };
    let depthwise = conv(0, first, Finish::Byte { epilogue: &between, signed });
    let pointwise = conv(1, second, Finish::Byte { epilogue: &last, signed });
    let prepared = conv_separable::prepare(&Separable { depthwise, pointwise }, floats).expect("a pair that fits");
    equal(&run(gpu, &prepared, &[input, residual, vec![0xaa; expected.len()]]), &expected);
}
