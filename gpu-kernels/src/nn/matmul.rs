//! Batched, strided matrix products of floats ([`float`]) and bytes ([`bytes`]).

use fathom_core::ops::nn::epilogue::FloatEpilogue;
use fathom_core::ops::nn::matmul::{MatMul, Strided};

use super::conv_float::{FloatFinish, TOLERANCE};
use super::epilogue::Finish;
use super::{Operand, Prepared};
use crate::kernel::{Access, Kernel, Launch, Tolerance};
use crate::layout_of;

/// Mirrors `struct Params` of the float kernel.
#[repr(C)]
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Params {
    batch: [u32; 2],
    rows: u32,
    inner: u32,
    columns: u32,
    written: u32,
    a_batch: [u32; 2],
    b_batch: [u32; 2],
    out_batch: [u32; 2],
    a_start: u32,
    b_start: u32,
    out_start: u32,
    a_row: u32,
    a_column: u32,
    b_row: u32,
    b_column: u32,
    out_row: u32,
    a_zero: i32,
    b_zero: i32,
    target_zero: i32,
    a_scale: f32,
    b_scale: f32,
    target_scale: f32,
    alpha: f32,
    slope: f32,
    low: f32,
    high: f32,
    origin_x: u32,
    origin_y: u32,
    origin_z: u32,
    reserved: u32,
}

/// The float kernel.
pub const KERNEL: Kernel = Kernel {
    name: "nn/matmul_f32",
    wgsl: include_str!("matmul_f32.wgsl"),
    params: layout_of!(Params {
        batch,
        rows,
        inner,
        columns,
        written,
        a_batch,
        b_batch,
        out_batch,
        a_start,
        b_start,
        out_start,
        a_row,
        a_column,
        b_row,
        b_column,
        out_row,
        a_zero,
        b_zero,
        target_zero,
        a_scale,
        b_scale,
        target_scale,
        alpha,
        slope,
        low,
        high,
        origin_x,
        origin_y,
        origin_z,
        reserved,
    }),
    bindings: &[Access::ReadWrite, Access::ReadWrite, Access::Read, Access::ReadWrite],
    needs: &[],
    tolerance: TOLERANCE,
};

/// Mirrors `struct Params` of the byte kernel.
#[repr(C)]
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
pub struct ByteParams {
    batch: [u32; 2],
    rows: u32,
    inner: u32,
    columns: u32,
    reserved: u32,
    a_batch: [u32; 2],
    b_batch: [u32; 2],
    out_batch: [u32; 2],
    a_start: u32,
    b_start: u32,
    out_start: u32,
    a_row: u32,
    a_column: u32,
    b_row: u32,
    b_column: u32,
    out_row: u32,
    a_zero: i32,
    b_zero: i32,
    zero_point: i32,
    low: i32,
    high: i32,
    low_real: f32,
    high_real: f32,
    origin_x: u32,
    origin_y: u32,
    origin_z: u32,
}

/// The byte kernel.
pub const BYTES: Kernel = Kernel {
    name: "nn/matmul_bytes",
    wgsl: include_str!("matmul_bytes.wgsl"),
    params: layout_of!(ByteParams {
        batch,
        rows,
        inner,
        columns,
        reserved,
        a_batch,
        b_batch,
        out_batch,
        a_start,
        b_start,
        out_start,
        a_row,
        a_column,
        b_row,
        b_column,
        out_row,
        a_zero,
        b_zero,
        zero_point,
        low,
        high,
        low_real,
        high_real,
        origin_x,
        origin_y,
        origin_z,
    }),
    bindings: &[Access::ReadWrite, Access::ReadWrite, Access::Read, Access::Read, Access::ReadWrite],
    needs: &[],
    // Bytes come out bit for bit; a real result as of nn/conv_dot4.
    tolerance: Tolerance { abs: 0.0, rel: 3e-7 },
};

/// A float product without residual: of the operands, only `start` and `quant` matter, strides are the product's. `None` if a
/// byte result's rows do not start at whole words.
#[must_use]
pub fn float(product: &MatMul, alpha: f32, epilogue: &FloatEpilogue, operands: [&Operand; 3], workgroup: [u32; 2]) -> Option<Prepared> {
    let [a, b, target] = operands;
    if target.quant.is_some() && !in_words(&product.out) {
        return None;
    }
    let numbers = FloatFinish { epilogue, residual: None }.numbers();
    let owns_row = product.out.row == product.columns.next_multiple_of(4);
    let params = Params {
        batch: product.batch.map(|n| n as u32),
        rows: product.rows as u32,
        inner: product.inner as u32,
        columns: product.columns as u32,
        written: if owns_row { product.out.row as u32 } else { product.columns as u32 },
        a_batch: product.a.batch.map(|n| n as u32),
        b_batch: product.b.batch.map(|n| n as u32),
        out_batch: product.out.batch.map(|n| n as u32),
        a_start: (a.start + product.a.offset) as u32,
        b_start: (b.start + product.b.offset) as u32,
        out_start: (target.start + product.out.offset) as u32,
        a_row: product.a.row as u32,
        a_column: product.a.column as u32,
        b_row: product.b.row as u32,
        b_column: product.b.column as u32,
        out_row: product.out.row as u32,
        a_zero: a.zero(),
        b_zero: b.zero(),
        target_zero: target.zero(),
        a_scale: a.scale(),
        b_scale: b.scale(),
        target_scale: target.scale(),
        alpha,
        slope: numbers.slope,
        low: numbers.low,
        high: numbers.high,
        origin_x: 0,
        origin_y: 0,
        origin_z: 0,
        reserved: 0,
    };
    let mut bias = epilogue.bias.clone();
    bias.resize(product.columns.next_multiple_of(4), 0.0);
    let constants = vec![bytemuck::cast_slice(&bias).to_vec()];
    let reaches = reaches(product);
    let bytes = vec![a.binding_bytes(reaches[0]), b.binding_bytes(reaches[1]), constants[0].len() as u64, target.binding_bytes(reaches[2])];
    let tiles = [product.columns.div_ceil(4) as u32, product.rows.div_ceil(4) as u32];
    let workgroups = [tiles[0].div_ceil(workgroup[0]), tiles[1].div_ceil(workgroup[1]), (product.batch[0] * product.batch[1]) as u32];
    let launch = Launch::new(&KERNEL, &params, workgroups, bytes, product.macs())
        .with("WG_X", workgroup[0])
        .with("WG_Y", workgroup[1])
        .with("A", a.code())
        .with("B", b.code())
        .with("TARGET", target.code());
    Some(Prepared { launch, constants })
}

/// A byte product without residual; `zeros` are the operands' zero points, `signed` tells which are `i8`. `None` if the
/// result's rows do not start at whole words, or columns that belong to others would be overwritten.
#[must_use]
pub fn bytes(
    product: &MatMul,
    zeros: [i32; 2],
    signed: [bool; 2],
    finish: &Finish<'_>,
    starts: [usize; 3],
    workgroup: [u32; 2],
) -> Option<Prepared> {
    let owns_row = product.columns.is_multiple_of(4) || product.out.row == product.columns.next_multiple_of(4);
    if !(in_words(&product.out) && owns_row) || finish.has_residual() {
        return None;
    }
    let (tables, table_bytes) = finish.tables();
    let [zero_point, low, high] = match finish {
        Finish::Byte { epilogue, .. } => [epilogue.zero_point, epilogue.low, epilogue.high],
        Finish::Real(_) => [0; 3],
    };
    let [low_real, high_real] = finish.real_range();
    let params = ByteParams {
        batch: product.batch.map(|n| n as u32),
        rows: product.rows as u32,
        inner: product.inner as u32,
        columns: product.columns as u32,
        reserved: 0,
        a_batch: product.a.batch.map(|n| n as u32),
        b_batch: product.b.batch.map(|n| n as u32),
        out_batch: product.out.batch.map(|n| n as u32),
        a_start: (starts[0] + product.a.offset) as u32,
        b_start: (starts[1] + product.b.offset) as u32,
        out_start: (starts[2] + product.out.offset) as u32,
        a_row: product.a.row as u32,
        a_column: product.a.column as u32,
        b_row: product.b.row as u32,
        b_column: product.b.column as u32,
        out_row: product.out.row as u32,
        a_zero: zeros[0],
        b_zero: zeros[1],
        zero_point,
        low,
        high,
        low_real,
        high_real,
        origin_x: 0,
        origin_y: 0,
        origin_z: 0,
    };
    let constants = vec![finish.columns(product.columns.div_ceil(4), &[]), table_bytes];
    let real = matches!(finish, Finish::Real(_));
    let reaches = reaches(product);
    let bytes = vec![
        (starts[0] + reaches[0]).next_multiple_of(4) as u64,
        (starts[1] + reaches[1]).next_multiple_of(4) as u64,
        constants[0].len() as u64,
        constants[1].len() as u64,
        (starts[2] + reaches[2]).next_multiple_of(4) as u64 * if real { 4 } else { 1 },
    ];
    let workgroups = [
        (product.columns.div_ceil(4) as u32).div_ceil(workgroup[0]),
        (product.rows as u32).div_ceil(workgroup[1]),
        (product.batch[0] * product.batch[1]) as u32,
    ];
    let launch = Launch::new(&BYTES, &params, workgroups, bytes, product.macs())
        .with("WG_X", workgroup[0])
        .with("WG_Y", workgroup[1])
        .with("A_SIGNED", u8::from(signed[0]))
        .with("B_SIGNED", u8::from(signed[1]))
        .with("REAL", u8::from(real))
        .with("TABLES", tables.min(2));
    Some(Prepared { launch, constants })
}

/// Whether every row of a matrix starts at a whole word of bytes and is dense.
fn in_words(out: &Strided) -> bool {
    out.column == 1 && [out.offset, out.row, out.batch[0], out.batch[1]].iter().all(|n| n.is_multiple_of(4))
}

/// Elements from each operand's start to one past its last.
fn reaches(product: &MatMul) -> [usize; 3] {
    let last = product.batch.map(|n| n.saturating_sub(1));
    let [rows, inner, columns] = [product.rows, product.inner, product.columns].map(|n| n.saturating_sub(1));
    [product.a.at(last, rows, inner) + 1, product.b.at(last, inner, columns) + 1, product.out.at(last, rows, columns) + 1]
}
