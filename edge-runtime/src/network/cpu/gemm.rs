//! The kernels of this machine. Matrix products by the crate `rten-gemm`: VNNI, AVX-512, AVX2, NEON dot product, or plain loops.

use fathom_core::tensor::Elements;
use rten_gemm::{GemmExecutor, GemmInputA, GemmInputB, GemmOptions, PackedAMatrix, PackedBMatrix};
use rten_tensor::NdTensorView;

use super::dot::Machine;
use crate::network::plan::{Plan, Step};
use crate::{Error, Result};

/// The kernels of this machine.
pub(super) struct Kernels {
    bytes: GemmExecutor<u8, i8, i32>,
    floats: GemmExecutor<f32, f32, f32>,
    machine: Option<Machine>,
    dense: Option<Machine>,
}

/// A second operand `[inner, columns]`, packed for the byte kernel.
pub(super) struct PackedBytes {
    packed: PackedBMatrix<i8>,
    pub(super) inner: usize,
    pub(super) columns: usize,
    /// Per column, the sum over the inner axis: what a zero point of the first operand is multiplied with.
    pub(super) sums: Vec<i32>,
}

/// A second operand `[inner, columns]`, packed for the float kernel.
pub(super) struct PackedFloats {
    packed: PackedBMatrix<f32>,
    pub(super) inner: usize,
    pub(super) columns: usize,
}

/// Rows of a first operand, packed for the byte kernel.
pub(super) struct PackedRows(PackedAMatrix<u8>);

/// Rows of a first operand, each `inner` elements, `stride` apart.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a, T> {
    pub(super) data: &'a [T],
    pub(super) count: usize,
    pub(super) stride: usize,
}

impl Kernels {
    pub(super) fn new() -> Self {
        let kernels = Self::of(Machine::new());
        // Matrix products may have the machine's byte instruction where own loops do not.
        let dense = kernels.machine.filter(|machine| machine.multiplies_bytes() || kernels.may_saturate());
        Self { dense, ..kernels }
    }

    /// With own loops for this machine.
    pub(super) fn of(machine: Option<Machine>) -> Self {
        Self { bytes: GemmExecutor::default(), floats: GemmExecutor::default(), machine, dense: machine }
    }

    /// What own loops of depthwise byte convolutions run on.
    pub(super) const fn machine(&self) -> Option<Machine> {
        self.machine
    }

    /// What own loops of dense byte convolutions run on; none where matrix products are better.
    pub(super) const fn dense_machine(&self) -> Option<Machine> {
        self.dense
    }

    /// Packs `[inner, columns]` given element by element.
    pub(super) fn pack_bytes(&self, inner: usize, columns: usize, at: impl Fn(usize, usize) -> i8) -> PackedBytes {
        let dense = dense(inner, columns, at);
        let mut sums = vec![0_i32; columns];
        for row in dense.chunks(columns.max(1)) {
            sums.iter_mut().zip(row).for_each(|(sum, &w)| *sum += i32::from(w));
        }
        let packed = self.bytes.prepack_b(NdTensorView::from_data([inner, columns], dense.as_slice()));
        PackedBytes { packed, inner, columns, sums }
    }

    /// As [`Kernels::pack_bytes`], for floats.
    pub(super) fn pack_floats(&self, inner: usize, columns: usize, at: impl Fn(usize, usize) -> f32) -> PackedFloats {
        let dense = dense(inner, columns, at);
        let packed = self.floats.prepack_b(NdTensorView::from_data([inner, columns], dense.as_slice()));
        PackedFloats { packed, inner, columns }
    }

    /// `out = rows b`, exact: where the kernel may saturate (no VNNI), the first operand is halved and the rest added.
    pub(super) fn multiply_bytes(&self, rows: Rows<'_, u8>, b: &PackedBytes, out: &mut [i32]) -> Result<()> {
        if !self.bytes.may_saturate() {
            return self.multiply_raw(rows, b, 0, out);
        }
        // Pairs of products stay within i16 for operands up to 127: x = 2 (x >> 1) + (x & 1).
        let part = |f: fn(u8) -> u8| rows.data.iter().map(|&x| f(x)).collect::<Vec<u8>>();
        self.multiply_raw(Rows { data: &part(|x| x >> 1), ..rows }, b, 0, out)?;
        out.iter_mut().for_each(|x| *x *= 2);
        self.multiply_raw(Rows { data: &part(|x| x & 1), ..rows }, b, 1, out)
    }

    /// Whether the byte kernel may saturate, so that operands must be halved.
    pub(super) fn may_saturate(&self) -> bool {
        self.bytes.may_saturate()
    }

    /// Packs rows of `inner` elements once for several products.
    pub(super) fn pack_rows(&self, rows: Rows<'_, u8>, inner: usize) -> Result<PackedRows> {
        let a = NdTensorView::from_slice_with_strides([rows.count, inner], rows.data, [rows.stride, 1]).map_err(|e| refused(&e))?;
        Ok(PackedRows(self.bytes.prepack_a(a)))
    }

    /// `out = rows b`, or `out += rows b`; exact only where the kernel does not saturate.
    pub(super) fn multiply_packed(&self, rows: &PackedRows, b: &PackedBytes, accumulate: bool, out: &mut [i32]) -> Result<()> {
        let options = GemmOptions { beta: i32::from(accumulate), ..GemmOptions::default() };
        self.bytes.gemm(out, GemmInputA::Packed(&rows.0), GemmInputB::Packed(&b.packed), options).map_err(|e| refused(&e))
    }

    fn multiply_raw(&self, rows: Rows<'_, u8>, b: &PackedBytes, beta: i32, out: &mut [i32]) -> Result<()> {
        let a = NdTensorView::from_slice_with_strides([rows.count, b.inner], rows.data, [rows.stride, 1]).map_err(|e| refused(&e))?;
        let options = GemmOptions { beta, ..GemmOptions::default() };
        self.bytes.gemm(out, GemmInputA::Unpacked(a), GemmInputB::Packed(&b.packed), options).map_err(|e| refused(&e))
    }

    /// `out = rows b`.
    pub(super) fn multiply_floats(&self, rows: Rows<'_, f32>, b: &PackedFloats, out: &mut [f32]) -> Result<()> {
        let a = NdTensorView::from_slice_with_strides([rows.count, b.inner], rows.data, [rows.stride, 1]).map_err(|e| refused(&e))?;
        self.floats.gemm(out, GemmInputA::Unpacked(a), GemmInputB::Packed(&b.packed), GemmOptions::default()).map_err(|e| refused(&e))
    }
}

impl std::fmt::Debug for Kernels {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Kernels({}, {}, {:?})", self.bytes.kernel_name(), self.floats.kernel_name(), self.machine)
    }
}

impl std::fmt::Debug for PackedBytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PackedBytes({} x {})", self.inner, self.columns)
    }
}

impl std::fmt::Debug for PackedFloats {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PackedFloats({} x {})", self.inner, self.columns)
    }
}

impl PackedBytes {
    /// Bytes it occupies, to a panel's rounding.
    pub(super) const fn size(&self) -> usize {
        self.inner * self.columns.next_multiple_of(32) + 4 * self.columns
    }
}

impl PackedFloats {
    /// Bytes it occupies, to a panel's rounding.
    pub(super) const fn size(&self) -> usize {
        4 * self.inner * self.columns.next_multiple_of(16)
    }
}

/// `[inner, columns]`, row-major, in memory of just that size.
fn dense<T>(inner: usize, columns: usize, at: impl Fn(usize, usize) -> T) -> Vec<T> {
    let mut all = Vec::with_capacity(inner * columns);
    (0..inner).for_each(|k| all.extend((0..columns).map(|n| at(k, n))));
    all
}

/// The weights of a step as floats.
pub(super) fn floats(elements: &Elements) -> Result<&[f32]> {
    match elements {
        Elements::F32(v) => Ok(v),
        other => Err(wrong_type(other, "f32")),
    }
}

/// The weights of a step as signed bytes.
pub(super) fn bytes(elements: &Elements) -> Result<&[i8]> {
    match elements {
        Elements::I8(v) => Ok(v),
        other => Err(wrong_type(other, "i8")),
    }
}

/// Signed bytes enter the kernels as unsigned ones, 128 higher: the zero point of a step's first operand as such, and the bits that
/// make its bytes so.
pub(super) fn unsigned(plan: &Plan, step: &Step, zero: i32) -> (i32, u8) {
    if plan.tensor(step.inputs[0]).quant.is_some_and(|q| q.signed) { (zero + 128, 0x80) } else { (zero, 0) }
}

fn wrong_type(found: &Elements, expected: &'static str) -> Error {
    fathom_core::Error::ElementType { what: "weights", got: found.element().name(), expected }.into()
}

fn refused(error: &dyn std::fmt::Debug) -> Error {
    Error::Backend { wanted: "cpu", message: format!("matrix product refused: {error:?}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extreme_bytes_do_not_saturate() {
        let kernels = Kernels::new();
        for (rows, inner, columns) in [(1, 1, 1), (3, 5, 7), (65, 257, 33)] {
            for weight in [-128_i8, 127] {
                let b = kernels.pack_bytes(inner, columns, |_, _| weight);
                let mut out = vec![0; rows * columns];
                kernels.multiply_bytes(Rows { data: &vec![255; rows * inner], count: rows, stride: inner }, &b, &mut out).unwrap();
                assert!(out.iter().all(|&x| x == 255 * i32::from(weight) * inner as i32), "{rows} x {inner} x {columns} of {weight}");
            }
        }
    }
}
