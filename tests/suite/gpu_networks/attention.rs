//! Attention in bytes: heads whose channels are no multiple of four lie one behind the other, and the projection behind them reads
//! rows that a transposition left apart.

use std::sync::Arc;

use fathom_core::ops::nn::elementwise::Binary;
use fathom_core::tensor::{Elements, Tensor};
use fathom_gpu::Gpu;
use fathom_runtime::network::graph::{Op, ValueId};
use fathom_runtime::network::lower::lower;
use fathom_tests::cases::Case;
use fathom_tests::graphs::Builder;
use fathom_tests::require::Missing;

use crate::on;
use crate::steps::check;

pub(crate) fn cases(gpu: &Result<Arc<Gpu>, Missing>) -> Vec<Case> {
    vec![on(gpu, "attention over channels in bytes is the reference's step by step", |gpu| {
        // Heads of 6 and 10 channels, as Lite-Mono has; of one word; of one channel; one head.
        for (tokens, heads, each) in [(35, 8, 6), (17, 3, 10), (9, 4, 4), (5, 7, 1), (33, 1, 13)] {
            across_channels(&gpu, tokens, heads, each);
        }
    })]
}

/// Cross-covariance attention of [`super`]'s kind, each value rounded to bytes, without softmax, which is no integer step.
fn across_channels(gpu: &Arc<Gpu>, tokens: usize, heads: usize, each: usize) {
    let channels = heads * each;
    let (mut b, input) = Builder::new(tokens, channels);
    let x = b.float(Op::Slice { starts: vec![0; 4], steps: vec![1; 4] }, &[input], &[1, 1, tokens, channels]);
    let x = b.float(Op::Reshape, &[x], &[1, tokens, channels]);
    let x = b.rounded(x, 0.011, 120, false);
    let qkv = linear(&mut b, x, [tokens, channels, 3 * channels], 0.03);
    let qkv = b.float(Op::Reshape, &[qkv], &[1, tokens, 3, heads, each]);
    let qkv = b.float(Op::Transpose { perm: vec![2, 0, 3, 4, 1] }, &[qkv], &[3, 1, heads, each, tokens]);
    let part = |b: &mut Builder, i| {
        let index = b.constant(Tensor::new(vec![], Elements::I64(vec![i])).unwrap());
        b.float(Op::Gather { axis: 0 }, &[qkv, index], &[1, heads, each, tokens])
    };
    let [q, k, v] = [0, 1, 2].map(|i| part(&mut b, i));
    // One factor a channel and one summand a head: operands that repeat along the tokens, which are not last in memory.
    let factors = b.floats(&[1, heads, each, 1], 1.0);
    let factors = b.rounded(factors, 0.008, 125, false);
    let q = b.float(Op::Binary(Binary::Mul), &[q, factors], &[1, heads, each, tokens]);
    let q = b.rounded(q, 0.02, 128, false);
    let summands = b.floats(&[heads, 1, 1], 1.0);
    let summands = b.rounded(summands, 0.008, 125, false);
    let k = b.float(Op::Binary(Binary::Add), &[k, summands], &[1, heads, each, tokens]);
    let k = b.rounded(k, 0.04, 128, false);
    let turned = b.float(Op::Transpose { perm: vec![0, 1, 3, 2] }, &[k], &[1, heads, tokens, each]);
    let scores = b.float(Op::MatMul, &[q, turned], &[1, heads, each, each]);
    let scores = b.rounded(scores, 0.1, 128, false);
    let mixed = b.float(Op::MatMul, &[scores, v], &[1, heads, each, tokens]);
    let mixed = b.rounded(mixed, 0.5, 128, false);
    let mixed = b.float(Op::Transpose { perm: vec![0, 3, 1, 2] }, &[mixed], &[1, tokens, heads, each]);
    let mixed = b.float(Op::Reshape, &[mixed], &[1, tokens, channels]);
    let y = linear(&mut b, mixed, [tokens, channels, channels], 0.6);
    let y = b.float(Op::Binary(Binary::Add), &[x, y], &[1, tokens, channels]);
    let y = b.rounded(y, 0.5, 121, false);
    let plan = lower(&b.finish(&[y])).unwrap_or_else(|error| panic!("{tokens} tokens, {heads} heads of {each}: {error}"));
    check(&Arc::new(plan), gpu, None);
}

/// `x` times constant weights in bytes, rounded to bytes.
fn linear(b: &mut Builder, x: ValueId, [rows, inner, columns]: [usize; 3], scale: f32) -> ValueId {
    let weights = (0..inner * columns).map(|_| (b.random() * 127.0) as i8).collect();
    let weights = b.constant(Tensor::new(vec![inner, columns], Elements::I8(weights)).unwrap());
    let scales = (0..columns).map(|_| 0.004 + 0.003 * b.random().abs()).collect();
    let scales = b.constant(Tensor::f32(vec![columns], scales).unwrap());
    let zeros = b.constant(Tensor::new(vec![columns], Elements::I8(vec![0; columns])).unwrap());
    let weights = b.float(Op::DequantizeLinear { axis: 1 }, &[weights, scales, zeros], &[inner, columns]);
    let product = b.float(Op::MatMul, &[x, weights], &[1, rows, columns]);
    b.rounded(product, scale, 117, false)
}
