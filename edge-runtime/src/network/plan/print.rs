//! A plan as text: one line a step, for `fathom inspect --plan` and the golden tests.

use std::fmt::{Display, Formatter, Result};

use fathom_core::ops::nn::Window;
use fathom_core::ops::nn::activation::Activation;
use fathom_core::ops::nn::byte::ByteTable;
use fathom_core::ops::nn::epilogue::{ByteEpilogue, FloatEpilogue};
use fathom_core::ops::nn::pool::Pooling;

use super::{Arithmetic, ByteArithmetic, MatMulStep, Place, Plan, Step, StepOp, TensorId};

impl Display for Plan {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        writeln!(
            f,
            "{} steps, {} MACs, weights {} B, arena {} B (lower bound {} B)",
            self.steps.len(),
            self.macs(),
            self.weights_bytes(),
            self.arena_bytes,
            self.arena_lower_bound_bytes
        )?;
        writeln!(f, "input   {}", self.describe(self.input.tensor))?;
        for (i, step) in self.steps.iter().enumerate() {
            self.print_step(f, i, step)?;
        }
        for port in &self.outputs {
            writeln!(f, "output  {} as {:?}", self.describe(port.tensor), port.shape)?;
        }
        Ok(())
    }
}

impl Plan {
    /// A tensor in one phrase: `%3 u8[1, 112, 160, 24] at 4096`.
    #[must_use]
    pub fn describe(&self, id: TensorId) -> String {
        let tensor = self.tensor(id);
        let place = match tensor.place {
            Place::Arena { offset_bytes } => format!("at {offset_bytes}"),
            Place::Part { of, offset } => format!("in %{} + {offset}", of.0),
            Place::Weight(weight) => format!("constant {:?}", self.weight(weight).name),
        };
        format!("%{} {}{:?} {place}", id.0, tensor.element.name(), tensor.shape)
    }

    fn print_step(&self, f: &mut Formatter<'_>, index: usize, step: &Step) -> Result {
        let inputs: Vec<String> = step.inputs.iter().map(|id| format!("%{}", id.0)).collect();
        write!(f, "{index:>4}    {} <- {}", self.describe(step.output), step.op.name())?;
        print_geometry(f, &step.op)?;
        writeln!(f, " ({})", inputs.join(", "))
    }
}

fn print_geometry(f: &mut Formatter<'_>, op: &StepOp) -> Result {
    match op {
        StepOp::Conv { conv, arithmetic, .. } => {
            print_window(f, &conv.window)?;
            if conv.groups > 1 {
                write!(f, " groups {}", conv.groups)?;
            }
            write!(f, "{arithmetic}")
        }
        StepOp::ConvTranspose { conv, arithmetic, .. } => {
            print_window(f, &conv.window)?;
            if conv.groups > 1 {
                write!(f, " groups {}", conv.groups)?;
            }
            write!(f, "{arithmetic}")
        }
        StepOp::MatMul(step) => print_matmul(f, step),
        StepOp::Pool(pool) => {
            write!(f, "{}", if pool.pooling == Pooling::Max { " max" } else { " mean" })?;
            print_window(f, &pool.window)
        }
        StepOp::Resize { resize, then } => {
            write!(f, " {:?} {:?} {}x{}", resize.mode, resize.coordinates, resize.output[0], resize.output[1])?;
            print_table(f, then.as_ref().map(|(_, table)| table))
        }
        StepOp::Unary(unary) => write!(f, " {unary:?}"),
        StepOp::Table(table) => write!(f, " {}", tables(table)),
        StepOp::Binary { op, activation, .. } => {
            write!(f, " {op:?}")?;
            print_activation(f, *activation)
        }
        StepOp::ByteSum { then, .. } | StepOp::ByteProduct { then, .. } => print_table(f, then.as_ref()),
        StepOp::Copy { copy, fill, table } => {
            write!(f, " {:?} from {} by {:?} to {} by {:?}", copy.shape, copy.source_offset, copy.source, copy.target_offset, copy.target)?;
            if let Some(bits) = fill {
                write!(f, " over {bits:#x}")?;
            }
            print_table(f, table.as_ref())
        }
        StepOp::Pad(pad) => {
            write!(f, " {} {:?} {:?}", if pad.reflect { "reflect" } else { "edge" }, pad.before, pad.after)
        }
        StepOp::Softmax(softmax) => write!(f, " {} x {}", softmax.rows, softmax.columns),
        StepOp::LayerNorm { norm, .. } => write!(f, " {} x {}", norm.rows, norm.columns),
        StepOp::Reduce(reduce) => write!(f, " {:?} of {}", reduce.reduction, reduce.count()),
    }
}

fn print_matmul(f: &mut Formatter<'_>, step: &MatMulStep) -> Result {
    let product = &step.product;
    let [i, j] = product.batch;
    write!(f, " {} x {} x {} x {}", i * j, product.rows, product.inner, product.columns)?;
    if step.alpha != 1.0 {
        write!(f, " by {}", step.alpha)?;
    }
    write!(f, "{}", step.arithmetic)
}

/// `3x3/2 pad 1,1,1,1 dilation 2`, leaving out what is 1 or 0.
fn print_window(f: &mut Formatter<'_>, window: &Window) -> Result {
    let [height, width] = window.kernel;
    write!(f, " {height}x{width}")?;
    match window.stride {
        [1, 1] => {}
        [y, x] if y == x => write!(f, "/{y}")?,
        [y, x] => write!(f, "/{y},{x}")?,
    }
    let [top, left] = window.pad_before;
    let [bottom, right] = window.pad_after;
    if [top, left, bottom, right] != [0; 4] {
        write!(f, " pad {top},{left},{bottom},{right}")?;
    }
    if window.dilation != [1, 1] {
        write!(f, " dilation {},{}", window.dilation[0], window.dilation[1])?;
    }
    Ok(())
}

impl Display for Arithmetic {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Float(float) => {
                write!(f, " float")?;
                print_float(f, float)
            }
            Self::Bytes { result: ByteArithmetic::Byte(byte), .. } => {
                write!(f, " bytes")?;
                print_byte(f, byte)
            }
            Self::Bytes { result: ByteArithmetic::Real(real), .. } => {
                write!(f, " bytes to float")?;
                if !real.bias.is_empty() {
                    write!(f, " + bias")?;
                }
                print_float(f, &real.float)
            }
        }
    }
}

fn print_float(f: &mut Formatter<'_>, float: &FloatEpilogue) -> Result {
    if !float.bias.is_empty() {
        write!(f, " + bias")?;
    }
    print_activation(f, float.activation)?;
    if float.residual {
        write!(f, " + residual")?;
    }
    print_activation(f, float.then)
}

fn print_byte(f: &mut Formatter<'_>, byte: &ByteEpilogue) -> Result {
    if !byte.bias.is_empty() {
        write!(f, " + bias")?;
    }
    write!(f, " clamp {}..{}", byte.low, byte.high)?;
    print_table(f, byte.table.as_ref())?;
    if byte.residual.is_some() {
        write!(f, " + residual")?;
    }
    print_table(f, byte.then.as_ref())
}

fn print_activation(f: &mut Formatter<'_>, activation: Activation) -> Result {
    if activation == Activation::None { Ok(()) } else { write!(f, ", {activation:?}") }
}

fn print_table(f: &mut Formatter<'_>, table: Option<&ByteTable>) -> Result {
    table.map_or(Ok(()), |table| write!(f, ", {}", tables(table)))
}

fn tables(table: &ByteTable) -> String {
    if table.tables() == 1 { "table".into() } else { format!("{} tables", table.tables()) }
}
