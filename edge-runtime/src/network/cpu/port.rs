//! The plan's border: the image in, the graph's outputs out, each in the graph's own layout.

use fathom_core::tensor::{Element, Elements, Tensor};

use super::memory::{Memory, bits};
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
    let sources = sources(port);
    let channels = tensor.channels();
    let bytes = memory.bytes_mut(plan, port.tensor)?;
    match tensor.quant {
        None => scatter(bytemuck::cast_slice_mut(bytes), tensor.pitch, channels, &sources, |i| values[i]),
        Some(quant) => scatter(bytes, tensor.pitch, channels, &sources, |i| bits(quant, values[i])),
    }
    Ok(())
}

/// The plan's outputs as float tensors of the graph's shapes.
pub(super) fn outputs(plan: &Plan, memory: &Memory) -> Result<Vec<Tensor>> {
    plan.outputs.iter().map(|port| output(plan, memory, port)).collect()
}

fn output(plan: &Plan, memory: &Memory, port: &Port) -> Result<Tensor> {
    let tensor = memory.tensor(plan, port.tensor)?;
    let quant = plan.tensor(port.tensor).quant;
    let reals: Vec<f32> = match tensor.into_elements() {
        Elements::F32(v) => v,
        Elements::U8(v) => v.into_iter().map(|q| quant.map_or(f32::from(q), |p| p.dequantize(q.into()))).collect(),
        Elements::I8(v) => v.into_iter().map(|q| quant.map_or(f32::from(q), |p| p.dequantize(q.into()))).collect(),
        other => {
            return Err(fathom_core::Error::ElementType {
                what: "network output",
                got: other.element().name(),
                expected: Element::F32.name(),
            }
            .into());
        }
    };
    let mut values = vec![0.0; reals.len()];
    for (&to, real) in sources(port).iter().zip(reals) {
        values[to] = real;
    }
    Ok(Tensor::f32(port.shape.clone(), values)?)
}

/// For each element of the plan's tensor, in order, its row-major index in the graph's layout.
fn sources(port: &Port) -> Vec<usize> {
    let mut strides = vec![1; port.shape.len()];
    for axis in (0..strides.len().saturating_sub(1)).rev() {
        strides[axis] = strides[axis + 1] * port.shape[axis + 1];
    }
    let mut indices = vec![0];
    for &axis in &port.axes {
        let extent = port.shape[axis];
        indices = indices
            .iter()
            .flat_map(|&base: &usize| (0..extent).map(move |i| (base, i)))
            .map(|(base, i)| base + i * strides[axis])
            .collect();
    }
    indices
}

fn scatter<T: Copy + Default>(span: &mut [T], pitch: usize, channels: usize, sources: &[usize], value: impl Fn(usize) -> T) {
    for (row, from) in span.chunks_mut(pitch).zip(sources.chunks(channels.max(1))) {
        row[..channels].iter_mut().zip(from).for_each(|(to, &i)| *to = value(i));
        row[channels..].fill(T::default());
    }
}
