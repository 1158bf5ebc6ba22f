//! Folds that move elements of any type: each is a map from positions of the result to positions of an operand.

use fathom_core::tensor::{Elements, Tensor};

use crate::Result;

/// The elements of `source` at `indices`, in their order.
fn pick(source: &Elements, indices: impl Iterator<Item = usize>) -> Elements {
    match source {
        Elements::F32(v) => Elements::F32(indices.map(|i| v[i]).collect()),
        Elements::I8(v) => Elements::I8(indices.map(|i| v[i]).collect()),
        Elements::U8(v) => Elements::U8(indices.map(|i| v[i]).collect()),
        Elements::I32(v) => Elements::I32(indices.map(|i| v[i]).collect()),
        Elements::I64(v) => Elements::I64(indices.map(|i| v[i]).collect()),
        Elements::Bool(v) => Elements::Bool(indices.map(|i| v[i]).collect()),
    }
}

/// Distance in elements between neighbours along each axis.
pub(super) fn strides(shape: &[usize]) -> Vec<isize> {
    let mut strides = vec![1_isize; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis].saturating_mul(shape[axis] as isize);
    }
    strides
}

/// Strides by which a value of `shape` is read as one of `result`: 0 along axes that repeat.
pub(super) fn broadcast_strides(shape: &[usize], result: &[usize]) -> Vec<isize> {
    let mut padded = vec![0; result.len() - shape.len()];
    padded.extend(strides(shape).iter().zip(shape).map(|(&stride, &extent)| if extent == 1 { 0 } else { stride }));
    padded
}

/// Positions in the operand for each position of the result, row-major: `first + sum of index[axis] step[axis]`.
pub(super) struct Walk {
    shape: Vec<usize>,
    steps: Vec<isize>,
    index: Vec<usize>,
    position: isize,
    left: usize,
}

impl Walk {
    pub(super) fn new(first: isize, steps: Vec<isize>, shape: &[usize]) -> Self {
        Self { index: vec![0; shape.len()], steps, position: first, left: shape.iter().product(), shape: shape.to_vec() }
    }
}

impl Iterator for Walk {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        self.left = self.left.checked_sub(1)?;
        let here = self.position as usize;
        for axis in (0..self.shape.len()).rev() {
            self.index[axis] += 1;
            self.position += self.steps[axis];
            if self.index[axis] < self.shape[axis] {
                break;
            }
            self.position -= self.steps[axis] * self.shape[axis] as isize;
            self.index[axis] = 0;
        }
        Some(here)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

fn walked(x: &Tensor, first: isize, steps: Vec<isize>, shape: &[usize]) -> Result<Tensor> {
    Ok(Tensor::new(shape.to_vec(), pick(x.elements(), Walk::new(first, steps, shape)))?)
}

pub(super) fn slice(x: &Tensor, starts: &[usize], steps: &[isize], shape: &[usize]) -> Result<Tensor> {
    let strides = strides(x.shape());
    let first = strides.iter().zip(starts).map(|(&stride, &start)| stride * start as isize).sum();
    walked(x, first, strides.iter().zip(steps).map(|(stride, step)| stride * step).collect(), shape)
}

pub(super) fn transpose(x: &Tensor, perm: &[usize], shape: &[usize]) -> Result<Tensor> {
    let strides = strides(x.shape());
    walked(x, 0, perm.iter().map(|&axis| strides[axis]).collect(), shape)
}

pub(super) fn expand(x: &Tensor, shape: &[usize]) -> Result<Tensor> {
    walked(x, 0, broadcast_strides(x.shape(), shape), shape)
}

/// One value, everywhere.
pub(in super::super) fn repeated(value: &Tensor, shape: &[usize]) -> Result<Tensor> {
    walked(value, 0, vec![0; shape.len()], shape)
}

pub(super) fn gather(x: &Tensor, indices: &Tensor, axis: usize, shape: &[usize]) -> Result<Tensor> {
    let Elements::I64(indices) = indices.elements() else {
        return Err(fathom_core::Error::ElementType { what: "indices", got: indices.element().name(), expected: "i64" }.into());
    };
    let inner: usize = x.shape()[axis + 1..].iter().product();
    let outer: usize = x.shape()[..axis].iter().product();
    let extent = x.shape()[axis];
    let blocks = (0..outer).flat_map(|o| indices.iter().map(move |&i| (o * extent + i as usize) * inner));
    Ok(Tensor::new(shape.to_vec(), pick(x.elements(), blocks.flat_map(|start| start..start + inner)))?)
}

pub(super) fn concat(parts: &[&Tensor], axis: usize, shape: &[usize]) -> Result<Tensor> {
    fn join<'a, T: Copy + 'a>(parts: &[&'a Tensor], axis: usize, shape: &[usize], get: impl Fn(&'a Tensor) -> Option<&'a [T]>) -> Vec<T> {
        let outer: usize = shape[..axis].iter().product();
        let mut joined = Vec::with_capacity(shape.iter().product());
        for row in 0..outer {
            for part in parts {
                let chunk: usize = part.shape()[axis..].iter().product();
                joined.extend_from_slice(get(part).and_then(|all| all.get(row * chunk..(row + 1) * chunk)).unwrap_or_default());
            }
        }
        joined
    }
    macro_rules! of {
        ($variant:ident) => {
            Elements::$variant(join(parts, axis, shape, |t| match t.elements() {
                Elements::$variant(values) => Some(values.as_slice()),
                _ => None,
            }))
        };
    }
    let elements = match parts.first().map(|part| part.elements()) {
        Some(Elements::F32(_)) | None => of!(F32),
        Some(Elements::I8(_)) => of!(I8),
        Some(Elements::U8(_)) => of!(U8),
        Some(Elements::I32(_)) => of!(I32),
        Some(Elements::I64(_)) => of!(I64),
        Some(Elements::Bool(_)) => of!(Bool),
    };
    Ok(Tensor::new(shape.to_vec(), elements)?)
}

/// `Where(condition, a, b)`, all broadcast to `shape`.
pub(in super::super) fn select(operands: [Result<&Tensor>; 3], shape: &[usize]) -> Result<Tensor> {
    let [condition, a, b] = operands;
    let (condition, a, b) = (condition?, a?, b?);
    let Elements::Bool(holds) = condition.elements() else {
        return Err(fathom_core::Error::ElementType { what: "condition", got: condition.element().name(), expected: "bool" }.into());
    };
    let both = concat(&[a, b], 0, &[a.len() + b.len()])?;
    let walk = |x: &Tensor| Walk::new(0, broadcast_strides(x.shape(), shape), shape);
    let indices = walk(condition).zip(walk(a).zip(walk(b))).map(|(c, (i, j))| if holds[c] { i } else { a.len() + j });
    Ok(Tensor::new(shape.to_vec(), pick(both.elements(), indices))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp(shape: &[usize]) -> Tensor {
        Tensor::new(shape.to_vec(), Elements::I64((0..shape.iter().product::<usize>() as i64).collect())).unwrap()
    }

    fn integers(t: &Tensor) -> &[i64] {
        let Elements::I64(values) = t.elements() else { panic!("{:?}", t.element()) };
        values
    }

    #[test]
    fn a_transpose_moves_axes() {
        assert_eq!(integers(&transpose(&ramp(&[2, 3]), &[1, 0], &[3, 2]).unwrap()), [0, 3, 1, 4, 2, 5]);
    }

    #[test]
    fn a_slice_with_a_negative_step_runs_backwards() {
        assert_eq!(integers(&slice(&ramp(&[2, 3]), &[0, 2], &[1, -2], &[2, 2]).unwrap()), [2, 0, 5, 3]);
        assert!(slice(&ramp(&[2, 3]), &[0, 0], &[1, 1], &[2, 0]).unwrap().is_empty());
    }

    #[test]
    fn gather_replaces_its_axis_by_the_indices() {
        let indices = Tensor::new(vec![2], Elements::I64(vec![2, 0])).unwrap();
        assert_eq!(integers(&gather(&ramp(&[2, 3]), &indices, 1, &[2, 2]).unwrap()), [2, 0, 5, 3]);
    }

    #[test]
    fn concat_joins_along_an_inner_axis() {
        assert_eq!(integers(&concat(&[&ramp(&[2, 2]), &ramp(&[2, 1])], 1, &[2, 3]).unwrap()), [0, 1, 0, 2, 3, 1]);
    }

    #[test]
    fn where_takes_from_either_with_broadcasting() {
        let condition = Tensor::new(vec![2, 1], Elements::Bool(vec![true, false])).unwrap();
        let b = Tensor::new(vec![], Elements::I64(vec![9])).unwrap();
        assert_eq!(integers(&select([Ok(&condition), Ok(&ramp(&[2])), Ok(&b)], &[2, 2]).unwrap()), [0, 1, 9, 9]);
    }
}
