//! Between the graph's layout and the plan's: the image on its way in, depth on its way out.

use fathom_core::tensor::{Element, Tensor};

use crate::Result;
use crate::network::plan::{Plan, PlanTensor, Port};

/// The image as it lies in the arena: channels last, padded, quantized if the plan's tensor is.
pub(super) fn pack(plan: &Plan, image: &Tensor) -> Result<Vec<u8>> {
    let port = &plan.input;
    if image.shape() != port.shape {
        let (got, expected) = (image.shape().to_vec(), port.shape.clone());
        return Err(fathom_core::Error::Shape { what: "network input", got, expected }.into());
    }
    let tensor = plan.tensor(port.tensor);
    let values = image.as_f32()?;
    let mut packed = vec![0; tensor.bytes().next_multiple_of(4)];
    walk(tensor, port, |from, to| match (&tensor.quant, tensor.element) {
        (Some(quant), _) => packed[to] = quant.quantize(values[from]) as u8,
        (None, _) => packed[4 * to..4 * to + 4].copy_from_slice(&values[from].to_ne_bytes()),
    });
    Ok(packed)
}

/// An output that lies as `tensor` says, as the graph has it.
pub(super) fn unpack(tensor: &PlanTensor, port: &Port, bytes: &[u8]) -> Result<Tensor> {
    let mut values = vec![0.0; port.shape.iter().product()];
    walk(tensor, port, |to, from| {
        values[to] = match (&tensor.quant, tensor.element) {
            (Some(quant), Element::I8) => quant.dequantize(i32::from(bytes[from].cast_signed())),
            (Some(quant), _) => quant.dequantize(i32::from(bytes[from])),
            (None, _) => f32::from_ne_bytes([bytes[4 * from], bytes[4 * from + 1], bytes[4 * from + 2], bytes[4 * from + 3]]),
        };
    });
    Ok(Tensor::f32(port.shape.clone(), values)?)
}

/// Calls `visit(index in the graph's tensor, element in the plan's)` for every element, in the plan's order.
fn walk(tensor: &PlanTensor, port: &Port, mut visit: impl FnMut(usize, usize)) {
    let mut graph_strides = vec![0; port.shape.len()];
    let mut next = 1;
    for axis in (0..port.shape.len()).rev() {
        graph_strides[axis] = next;
        next *= port.shape[axis];
    }
    // Strides of the graph's tensor along the plan's axes.
    let strides: Vec<usize> = port.axes.iter().map(|&axis| graph_strides[axis]).collect();
    let Some((&columns, outer)) = tensor.shape.split_last() else { return };
    let last = strides.last().copied().unwrap_or(0);
    for row in 0..outer.iter().product() {
        let (mut rest, mut at) = (row, 0);
        for axis in (0..outer.len()).rev() {
            at += rest % outer[axis] * strides[axis];
            rest /= outer[axis];
        }
        (0..columns).for_each(|c| visit(at + c * last, row * tensor.pitch + c));
    }
}
