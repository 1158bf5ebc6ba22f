//! The plan's border: the image in, the graph's outputs out, each in the graph's own layout.

use fathom_core::tensor::{Element, Tensor};
use pulp::{Arch, Simd, WithSimd};

use super::memory::{Memory, rows};
use super::vector::quantize_row;
use crate::Result;
use crate::network::plan::{Plan, Port};

/// Lays the image out as the plan wants it, quantizing if the plan's input is bytes.
pub(super) fn load(plan: &Plan, memory: &mut Memory, image: &Tensor) -> Result<()> {
    let port = &plan.input;
    if image.shape() != port.shape {
        let (got, expected) = (image.shape().to_vec(), port.shape.clone());
        return Err(fathom_core::Error::Shape { what: "network input", got, expected }.into());
    }
    let values = image.as_f32()?;
    let tensor = plan.tensor(port.tensor);
    let bytes = memory.bytes_mut(plan, port.tensor)?;
    match tensor.quant {
        None => {
            let span: &mut [f32] = bytemuck::cast_slice_mut(bytes);
            Walk::of(port).rows(|row, first, step, count| {
                let row = &mut span[row * tensor.pitch..(row + 1) * tensor.pitch];
                (0..count).for_each(|i| row[i] = values[first + i * step]);
                row[count..].fill(0.0);
            });
        }
        Some(quant) => {
            let mut levels = vec![0; values.len()];
            Arch::new().dispatch(|| quantize_row(quant, values, &mut levels));
            if let (true, [red, green, blue]) = (port.axes == [0, 2, 3, 1] && tensor.pitch == 4, planes(&levels, &port.shape)) {
                Arch::new().dispatch(Interleave { red, green, blue, pixels: bytes.as_chunks_mut().0 });
                return Ok(());
            }
            Walk::of(port).rows(|row, first, step, count| {
                let row = &mut bytes[row * tensor.pitch..(row + 1) * tensor.pitch];
                (0..count).for_each(|i| row[i] = levels[first + i * step]);
                row[count..].fill(0);
            });
        }
    }
    Ok(())
}

/// The planes of an image `[1, 3, height, width]`; empty ones of anything else.
fn planes<'a>(levels: &'a [u8], shape: &[usize]) -> [&'a [u8]; 3] {
    match *shape {
        [1, 3, height, width] => [0, 1, 2].map(|c| &levels[c * height * width..(c + 1) * height * width]),
        _ => [&[]; 3],
    }
}

/// Three planes become pixels of four bytes.
struct Interleave<'a> {
    red: &'a [u8],
    green: &'a [u8],
    blue: &'a [u8],
    pixels: &'a mut [[u8; 4]],
}

impl WithSimd for Interleave<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let planes = self.red.iter().zip(self.green).zip(self.blue);
        for (pixel, ((&r, &g), &b)) in self.pixels.iter_mut().zip(planes) {
            *pixel = u32::to_le_bytes(u32::from(r) | u32::from(g) << 8 | u32::from(b) << 16);
        }
    }
}

/// The plan's outputs as float tensors of the graph's shapes.
pub(super) fn outputs(plan: &Plan, memory: &Memory) -> Result<Vec<Tensor>> {
    plan.outputs.iter().map(|port| output(plan, memory, port)).collect()
}

fn output(plan: &Plan, memory: &Memory, port: &Port) -> Result<Tensor> {
    let bytes = memory.bytes(plan, port.tensor)?;
    let tensor = plan.tensor(port.tensor);
    let level = |q: i32| tensor.quant.map_or(q as f32, |p| p.dequantize(q));
    let values = match tensor.element {
        Element::F32 => laid_out(port, rows(bytemuck::cast_slice(bytes), tensor), |real: f32| real),
        Element::U8 => laid_out(port, rows(bytes, tensor), |q: u8| level(q.into())),
        Element::I8 => laid_out(port, rows(bytemuck::cast_slice(bytes), tensor), |q: i8| level(q.into())),
        other => {
            return Err(fathom_core::Error::ElementType { what: "network output", got: other.name(), expected: Element::F32.name() }.into());
        }
    };
    Ok(Tensor::f32(port.shape.clone(), values)?)
}

/// The plan's rows as reals in the graph's layout.
fn laid_out<'m, T: Copy + 'm>(port: &Port, mut rows: impl Iterator<Item = &'m [T]>, real: impl Fn(T) -> f32) -> Vec<f32> {
    let mut values = vec![0.0; port.shape.iter().product()];
    Walk::of(port).rows(|_, first, step, _| {
        let row = rows.next().unwrap_or_default();
        row.iter().enumerate().for_each(|(i, &x)| values[first + i * step] = real(x));
    });
    values
}

/// The plan's tensor, row by row, within the graph's layout.
struct Walk {
    /// Extents in the plan's order.
    extents: Vec<usize>,
    /// Row-major strides of the graph's layout, in the plan's order.
    steps: Vec<usize>,
}

impl Walk {
    fn of(port: &Port) -> Self {
        let mut strides = vec![1; port.shape.len()];
        for axis in (0..strides.len().saturating_sub(1)).rev() {
            strides[axis] = strides[axis + 1] * port.shape[axis + 1];
        }
        Self {
            extents: port.axes.iter().map(|&axis| port.shape[axis]).collect(),
            steps: port.axes.iter().map(|&axis| strides[axis]).collect(),
        }
    }

    /// Calls `visit(row, first index, step, count)` for each row of the last axis.
    fn rows(&self, mut visit: impl FnMut(usize, usize, usize, usize)) {
        let Some((&count, outer)) = self.extents.split_last() else { return visit(0, 0, 1, 1) };
        let step = self.steps[outer.len()];
        let mut index = vec![0; outer.len()];
        let mut first = 0;
        for row in 0..outer.iter().product() {
            visit(row, first, step, count);
            // The next index, the last axis fastest.
            for axis in (0..outer.len()).rev() {
                index[axis] += 1;
                first += self.steps[axis];
                if index[axis] < outer[axis] {
                    break;
                }
                first -= index[axis] * self.steps[axis];
                index[axis] = 0;
            }
        }
    }
}
