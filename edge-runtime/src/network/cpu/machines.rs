//! Byte convolutions on every machine at hand, held to core's plain loops bit for bit.

use std::sync::Arc;

use fathom_core::ops::nn::conv::Conv2d;
use fathom_core::ops::nn::elementwise::ByteSum;
use fathom_core::ops::nn::epilogue::ByteEpilogue;
use fathom_core::ops::nn::{Map, Window, pitch};
use fathom_core::quant::QuantParams;
use fathom_core::tensor::{Element, Elements, Tensor};

use super::dot::Machine;
use super::gemm::Kernels;
use super::{CpuExecutor, ReferenceExecutor};
use crate::network::plan::{Arithmetic, ByteArithmetic, Cost, Place, Plan, PlanTensor, Port, Step, StepOp, TensorId, Weight, WeightId};

/// `(height, width)`, channels before and behind, kernel, stride, dilation.
type Shape = ([usize; 2], [usize; 2], [usize; 2], usize, usize);

#[test]
fn dense_convolutions_are_exact_on_every_machine() {
    let shapes: [Shape; 14] = [
        ([1, 1], [1, 4], [1, 1], 1, 1),
        ([1, 3], [5, 16], [1, 1], 1, 1),
        // One, two, three and more blocks of 16 channels; one past a tile of 8 or 4 pixels.
        ([3, 3], [8, 17], [1, 1], 1, 1),
        ([5, 5], [16, 33], [1, 1], 1, 1),
        ([1, 9], [7, 65], [1, 1], 1, 1),
        ([13, 7], [12, 49], [1, 1], 1, 1),
        ([7, 11], [24, 112], [1, 1], 1, 1),
        // A first convolution, whose windows are joined.
        ([7, 11], [3, 19], [3, 3], 2, 1),
        ([9, 5], [4, 8], [5, 3], 1, 1),
        ([5, 9], [3, 16], [1, 3], 1, 2),
        ([5, 9], [20, 16], [3, 3], 1, 1),
        ([6, 13], [9, 50], [3, 5], 2, 1),
        ([11, 8], [6, 4], [3, 3], 1, 2),
        ([8, 8], [17, 17], [2, 2], 3, 1),
    ];
    for (extents, [before, behind], kernel, stride, dilation) in shapes {
        exact(extents, before, behind, 1, window(kernel, stride, dilation));
    }
}

#[test]
fn depthwise_convolutions_are_exact_on_every_machine() {
    let shapes: [Shape; 10] = [
        ([1, 1], [2, 2], [3, 3], 1, 1),
        ([5, 7], [15, 15], [3, 3], 1, 1),
        ([9, 9], [16, 16], [3, 3], 2, 1),
        ([5, 17], [33, 33], [5, 5], 1, 1),
        ([11, 16], [17, 17], [5, 5], 2, 1),
        // Geometry without loops of its own.
        ([7, 9], [18, 18], [3, 3], 1, 2),
        ([9, 10], [16, 16], [7, 7], 1, 1),
        ([9, 10], [48, 48], [4, 2], 2, 1),
        ([10, 3], [5, 5], [3, 5], 3, 1),
        ([3, 25], [16, 16], [1, 3], 1, 1),
    ];
    for (extents, [channels, _], kernel, stride, dilation) in shapes {
        exact(extents, channels, channels, channels, window(kernel, stride, dilation));
    }
}

fn window(kernel: [usize; 2], stride: usize, dilation: usize) -> Window {
    let padding = |axis: usize| (kernel[axis] - 1) * dilation / 2;
    let pad = [padding(0), padding(1)];
    Window { kernel, stride: [stride; 2], dilation: [dilation; 2], pad_before: pad, pad_after: pad }
}

/// Bytes unsigned and signed; what comes out alone, and added to the input where it has its shape.
fn exact([height, width]: [usize; 2], before: usize, behind: usize, groups: usize, window: Window) {
    let conv = Conv2d { input: Map { height, width, channels: before }, out_channels: behind, window, groups };
    for (signed, zero_point) in [(false, 7), (false, 0), (true, -5)] {
        for adds in [false, true] {
            if adds && conv.output() != conv.input {
                continue;
            }
            let plan = Arc::new(plan(&conv, QuantParams::new(0.02, zero_point, signed).unwrap(), adds));
            let shape = plan.input.shape.clone();
            let count = shape.iter().product::<usize>();
            let image = Tensor::f32(shape, (0..count).map(|i| (i * 2_654_435_761 % 1009) as f32 / 170.0 - 3.0).collect()).unwrap();
            let expected = ReferenceExecutor::new(Arc::clone(&plan)).run(&image).unwrap();
            for machine in std::iter::once(None).chain(Machine::all().into_iter().map(Some)) {
                for threads in [1, 2] {
                    let mut executor = CpuExecutor::with_kernels(Arc::clone(&plan), threads, Kernels::of(machine)).unwrap();
                    let found = executor.run(&image).unwrap();
                    assert_eq!(found, expected, "{conv:?}, {machine:?}, zero point {zero_point}, adds: {adds}");
                }
            }
        }
    }
}

/// One convolution.
fn plan(conv: &Conv2d, quant: QuantParams, adds: bool) -> Plan {
    let out = conv.output();
    let element = if quant.signed { Element::I8 } else { Element::U8 };
    let tensor = |name: &str, map: Map, offset_bytes: usize| PlanTensor {
        name: name.into(),
        element,
        shape: vec![1, map.height, map.width, map.channels],
        pitch: pitch(map.channels),
        quant: Some(quant),
        place: Place::Arena { offset_bytes },
        live: 0..1,
    };
    let port = |tensor: usize, map: Map| Port {
        tensor: TensorId(tensor),
        shape: vec![1, map.channels, map.height, map.width],
        axes: vec![0, 2, 3, 1],
    };
    let weights: Vec<i8> = (0..conv.weights_len()).map(|i| (i * 40_503 % 256) as u8 as i8).collect();
    let channels = 0..conv.out_channels;
    let epilogue = ByteEpilogue {
        bias: channels.clone().map(|c| c as i32 * 37 - 400).collect(),
        multiplier: channels.map(|c| 0.002 + 0.0003 * (c % 7) as f32).collect(),
        zero_point: quant.zero_point,
        low: quant.low() + 3,
        high: quant.high(),
        table: None,
        residual: adds.then(|| ByteSum::new(quant, QuantParams::new(0.031, quant.zero_point, quant.signed).unwrap(), quant)),
        then: None,
    };
    let step = Step {
        name: "convolution".into(),
        op: StepOp::Conv {
            conv: *conv,
            weights: WeightId(0),
            arithmetic: Arithmetic::Bytes { zero_a: quant.zero_point, zero_b: 0, result: ByteArithmetic::Byte(epilogue) },
        },
        inputs: if adds { vec![TensorId(0); 2] } else { vec![TensorId(0)] },
        output: TensorId(1),
        cost: Cost { macs: conv.macs(), integer: true, read_bytes: 0, written_bytes: 0 },
    };
    let (x, y) = (tensor("x", conv.input, 0), tensor("y", out, conv.input.len().next_multiple_of(256)));
    let arena_bytes = conv.input.len().next_multiple_of(256) + out.len();
    Plan {
        tensors: vec![x, y],
        weights: vec![Weight::new("w".into(), Elements::I8(weights))],
        steps: vec![step],
        input: port(0, conv.input),
        outputs: vec![port(1, out)],
        arena_bytes,
        arena_lower_bound_bytes: arena_bytes,
    }
}
