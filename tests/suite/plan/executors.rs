//! The fast executor against core's plain loops, step by step: integer steps bit for bit, at awkward shapes.

use std::sync::Arc;

use fathom_core::ops::nn::activation::Activation;
use fathom_core::ops::nn::elementwise::{Binary, Unary};
use fathom_core::ops::nn::resize::{Coordinates, ResizeMode};
use fathom_core::tensor::{Elements, Tensor};
use fathom_runtime::network::cpu::{CpuExecutor, ReferenceExecutor};
use fathom_runtime::network::graph::{Graph, Op};
use fathom_runtime::network::lower::lower;
use fathom_runtime::network::plan::{Arithmetic, Plan, StepOp};
use fathom_tests::graphs::{Builder, ConvShape, image};

#[test]
fn byte_convolutions_are_exact_at_awkward_shapes() {
    // (height, width, channels before, convolution): one, primes, one past a tile of 64 pixels or a block of 16 channels.
    let shapes = [
        (1, 1, 1, ConvShape::same(1, 1, 1, 1, 1)),
        (1, 1, 5, ConvShape::same(3, 3, 1, 1, 1)),
        (7, 11, 3, ConvShape::same(13, 3, 2, 1, 1)),
        (5, 13, 17, ConvShape::same(33, 1, 1, 1, 1)),
        (13, 5, 6, ConvShape::same(9, 5, 1, 1, 3)),
        (9, 9, 17, ConvShape::same(17, 3, 1, 1, 17)),
        (11, 7, 33, ConvShape::same(33, 5, 2, 1, 33)),
        (7, 17, 5, ConvShape::same(5, 3, 1, 3, 5)),
        (10, 10, 8, ConvShape::same(7, 3, 1, 2, 1)),
        // Few channels before and behind; kernel rows long enough for bands.
        (6, 9, 4, ConvShape::same(35, 5, 2, 1, 1)),
        (9, 7, 33, ConvShape::same(1, 3, 1, 1, 1)),
        (6, 5, 20, ConvShape::same(2, 3, 2, 2, 1)),
        (11, 19, 17, ConvShape::same(33, 3, 1, 1, 1)),
        (19, 17, 48, ConvShape::same(16, 3, 2, 1, 1)),
        (37, 9, 48, ConvShape::same(48, 3, 1, 1, 48)),
    ];
    for (height, width, channels, conv) in shapes {
        for signed in [false, true] {
            let zero_point = if signed { -3 } else { 121 };
            let (mut b, input) = Builder::new(height, width);
            let x = b.rounded(input, 1.0 / 200.0, zero_point, signed);
            let stem = b.conv(x, ConvShape::same(channels, 1, 1, 1, 1), Some(1.0 / 200.0));
            let stem = b.rounded(stem, 0.011, zero_point + 5, signed);
            let y = b.conv(stem, conv, Some(0.011));
            let y = b.rounded(y, 0.05, zero_point - 7, signed);
            let plan = exact(&b.finish(&[y]));
            assert_eq!(plan.steps.len(), 2, "both convolutions are one step each: {conv:?}");
            assert!(plan.steps.iter().all(|s| matches!(s.op.arithmetic(), Some(Arithmetic::Bytes { .. }))), "{plan}");
        }
    }
}

#[test]
fn byte_residuals_tables_and_joins_are_exact() {
    for (height, width) in [(1, 1), (5, 7), (9, 8)] {
        let (mut b, input) = Builder::new(height, width);
        let x = b.rounded(input, 0.005, 128, false);
        let a = b.conv(x, ConvShape::same(8, 3, 1, 1, 1), Some(0.005));
        let a = b.rounded(a, 0.02, 100, false);
        let c = b.conv(a, ConvShape::same(8, 3, 1, 1, 1), Some(0.02));
        let c = b.rounded(c, 0.05, 120, false);
        // The convolution is the second operand of the sum: the order matters to the last bit.
        let shape = b.shape(c);
        let sum = b.float(Op::Binary(Binary::Add), &[a, c], &shape);
        let sum = b.rounded(sum, 0.06, 117, false);
        let slope = b.scalar(0.2);
        let scaled = b.float(Op::Binary(Binary::Mul), &[sum, slope], &shape);
        let scaled = b.rounded(scaled, 0.013, 117, false);
        let leaky = b.float(Op::Binary(Binary::Max), &[sum, scaled], &shape);
        let leaky = b.rounded(leaky, 0.04, 60, false);
        let joined = b.float(Op::Concat { axis: 1 }, &[leaky, a], &[1, 16, height, width]);
        let joined = b.rounded(joined, 0.04, 80, false);
        let y = b.conv(joined, ConvShape::same(5, 1, 1, 1, 1), Some(0.04));
        let y = b.rounded(y, 0.1, 90, false);
        let plan = exact(&b.finish(&[y]));
        let names: Vec<&str> = plan.steps.iter().map(|s| s.op.name()).collect();
        assert_eq!(names, ["conv", "conv", "table", "conv"], "{plan}");
    }
}

#[test]
fn byte_matrix_products_of_two_variables_are_exact() {
    for (rows, inner, columns) in [(1, 1, 1), (7, 13, 5), (65, 33, 17)] {
        let (mut b, input) = Builder::new(rows, inner);
        let x = b.rounded(input, 0.004, 131, false);
        let a = b.float(Op::Slice { starts: vec![0; 4], steps: vec![1; 4] }, &[x], &[1, 1, rows, inner]);
        let second = b.float(Op::Slice { starts: vec![0, 1, 0, 0], steps: vec![1; 4] }, &[x], &[1, 1, rows.min(columns), inner]);
        let turned = b.float(Op::Transpose { perm: vec![0, 1, 3, 2] }, &[second], &[1, 1, inner, rows.min(columns)]);
        let y = b.float(Op::MatMul, &[a, turned], &[1, 1, rows, rows.min(columns)]);
        let y = b.rounded(y, 0.1, 128, false);
        let plan = exact(&b.finish(&[y]));
        assert!(plan.steps.iter().any(|s| matches!(s.op.arithmetic(), Some(Arithmetic::Bytes { .. }))), "{plan}");
    }
}

#[test]
fn float_networks_agree_to_rounding() {
    for (height, width) in [(1, 1), (7, 11), (9, 16)] {
        let (mut b, input) = Builder::new(height, width);
        let x = b.conv(input, ConvShape::same(17, 3, 1, 1, 1), None);
        let shape = b.shape(x);
        let x = b.float(Op::Unary(Unary::Activation(Activation::Silu)), &[x], &shape);
        let d = b.conv(x, ConvShape::same(17, 5, 1, 1, 17), None);
        let sum = b.float(Op::Binary(Binary::Add), &[d, x], &shape);
        let relu = b.float(Op::Unary(Unary::Activation(Activation::Relu)), &[sum], &shape);
        let up = [1, 17, 2 * height, 2 * width];
        let resize = Op::Resize { mode: ResizeMode::Linear, coordinates: Coordinates::HalfPixel, scales: [2.0, 2.0] };
        let wide = b.float(resize, &[relu], &up);
        let y = b.conv(wide, ConvShape::same(1, 3, 1, 1, 1), None);
        close(&b.finish(&[y]));
    }
}

#[test]
fn attention_reads_its_heads_where_the_projection_left_them() {
    let (tokens, heads, each) = (13, 3, 8);
    let (mut b, input) = Builder::new(tokens, 8);
    let x = b.float(Op::Transpose { perm: vec![0, 2, 1, 3] }, &[input], &[1, tokens, 3, 8]);
    let x = b.float(Op::Reshape, &[x], &[1, tokens, 24]);
    let scale = b.floats(&[24], 1.0);
    let x = b.float(Op::LayerNormalization { epsilon: 1e-6 }, &[x, scale], &[1, tokens, 24]);
    let w = b.floats(&[24, 72], 0.4);
    let qkv = b.float(Op::MatMul, &[x, w], &[1, tokens, 72]);
    let qkv = b.float(Op::Reshape, &[qkv], &[1, tokens, 3, heads, each]);
    let qkv = b.float(Op::Transpose { perm: vec![2, 0, 3, 1, 4] }, &[qkv], &[3, 1, heads, tokens, each]);
    let parts: Vec<_> = (0..3)
        .map(|i| {
            let index = b.constant(Tensor::new(vec![], Elements::I64(vec![i])).unwrap());
            b.float(Op::Gather { axis: 0 }, &[qkv, index], &[1, heads, tokens, each])
        })
        .collect();
    let keys = b.float(Op::Transpose { perm: vec![0, 1, 3, 2] }, &[parts[1]], &[1, heads, each, tokens]);
    let scores = b.float(Op::MatMul, &[parts[0], keys], &[1, heads, tokens, tokens]);
    let weights = b.float(Op::Softmax { axis: 3 }, &[scores], &[1, heads, tokens, tokens]);
    let mixed = b.float(Op::MatMul, &[weights, parts[2]], &[1, heads, tokens, each]);
    let mixed = b.float(Op::Transpose { perm: vec![0, 2, 1, 3] }, &[mixed], &[1, tokens, heads, each]);
    let mixed = b.float(Op::Reshape, &[mixed], &[1, tokens, 24]);
    let plan = close(&b.finish(&[mixed]));
    let moved = plan.steps.iter().filter(|s| matches!(s.op, StepOp::Copy { .. })).count();
    assert!(moved <= 1, "only the image is rearranged: {plan}");
}

/// Runs both executors; every byte and every step must be equal.
fn exact(graph: &Graph) -> Arc<Plan> {
    let (plan, fast, slow) = both(graph);
    for (i, (fast, slow)) in fast.iter().zip(&slow).enumerate() {
        assert_eq!(fast, slow, "step {i} ({}) of\n{plan}", plan.steps[i].name);
    }
    plan
}

/// Runs both executors; floats may differ by the order of summation: 2e-5 of the step's largest value, measured 3e-6.
fn close(graph: &Graph) -> Arc<Plan> {
    let (plan, fast, slow) = both(graph);
    for (i, (fast, slow)) in fast.iter().zip(&slow).enumerate() {
        let (fast, slow) = (fast.as_f32().unwrap(), slow.as_f32().unwrap());
        let largest = slow.iter().fold(1e-3_f32, |m, x| m.max(x.abs()));
        for (at, (a, b)) in fast.iter().zip(slow).enumerate() {
            assert!((a - b).abs() <= 2e-5 * largest, "step {i} ({}), element {at}: {a} and {b}", plan.steps[i].name);
        }
    }
    plan
}

#[test]
fn weights_leave_a_plan_that_nobody_else_holds_and_stay_in_one_that_is_shared() {
    let (mut b, input) = Builder::new(6, 9);
    let y = b.conv(input, ConvShape::same(8, 3, 1, 1, 1), None);
    let graph = b.finish(&[y]);
    let shared = Arc::new(lower(&graph).unwrap());
    let picture = image(&shared.input.shape);
    let expected = CpuExecutor::new(Arc::clone(&shared), 1).unwrap().run(&picture).unwrap();
    assert_eq!(shared.released_bytes(), 0);
    let bytes = shared.weights_bytes();
    let mut alone = CpuExecutor::new(Arc::new(lower(&graph).unwrap()), 1).unwrap();
    assert!(alone.plan().released_bytes() >= 4 * 8 * 3 * 9, "{} bytes left the plan", alone.plan().released_bytes());
    assert_eq!(alone.plan().weights_bytes(), bytes, "what the weights take is still told");
    assert_eq!(alone.run(&picture).unwrap(), expected);
}

fn both(graph: &Graph) -> (Arc<Plan>, Vec<Tensor>, Vec<Tensor>) {
    let plan = Arc::new(lower(graph).unwrap());
    let picture = image(&plan.input.shape);
    let mut slow = Vec::new();
    let expected = ReferenceExecutor::new(Arc::clone(&plan))
        .run_observed(&picture, &mut |i, memory| slow.push(memory.tensor(&plan, plan.steps[i].output).unwrap()))
        .unwrap();
    let mut outputs = None;
    let mut fast = Vec::new();
    for threads in [1, 2, 3] {
        let mut executor = CpuExecutor::new(Arc::clone(&plan), threads).unwrap();
        fast.clear();
        executor.run_observed(&picture, &mut |i, memory| fast.push(memory.tensor(&plan, plan.steps[i].output).unwrap())).unwrap();
        let again = executor.run(&picture).unwrap();
        let first = outputs.get_or_insert_with(|| again.clone());
        assert_eq!(*first, again, "neither threads nor earlier frames change the answer");
    }
    assert_eq!(expected[0].shape(), outputs.unwrap()[0].shape());
    (plan, fast, slow)
}
