//! What was fused behind a sum, in order, each stage with the number that it yields.

use std::rc::Rc;

use fathom_core::ops::nn::activation::Activation;
use fathom_core::ops::nn::elementwise::ByteSum;
use fathom_core::ops::nn::epilogue::FloatEpilogue;

use super::constant::Constant;
use super::net::Number;
use super::table::Table;

/// The epilogue of a convolution or matrix product.
#[derive(Debug, Clone)]
pub(super) struct Finish {
    /// One per output channel or column.
    pub(super) bias: Option<Rc<Constant>>,
    /// What the sum with its bias is rounded to.
    pub(super) number: Number,
    /// Clamp of a byte sum, in quantized values, where ReLU or Clip was folded in.
    pub(super) clamp: Option<(i32, i32)>,
    /// The rest, in order.
    pub(super) stages: Vec<(Stage, Number)>,
}

/// One stage.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Stage {
    /// On floats.
    Activation(Activation),
    /// On bytes.
    Table(Table),
    /// Adds the node's last operand; on bytes as [`ByteSum`] says.
    Residual(Option<ByteSum>),
}

impl Finish {
    pub(super) const fn new(bias: Option<Rc<Constant>>, number: Number) -> Self {
        Self { bias, number, clamp: None, stages: Vec::new() }
    }

    /// The number after the last stage.
    pub(super) fn result(&self) -> Number {
        self.stages.last().map_or(self.number, |(_, number)| *number)
    }

    pub(super) fn has_residual(&self) -> bool {
        self.stages.iter().any(|(stage, _)| matches!(stage, Stage::Residual(_)))
    }

    /// Takes an activation whose result is `number`; says whether it could.
    pub(super) fn push_activation(&mut self, activation: Activation, number: Number) -> bool {
        if self.result() != Number::Float {
            return false;
        }
        if let (true, Number::Bytes(quant), Some((low, high))) = (self.stages.is_empty(), number, clamp_of(activation)) {
            // Rounding is monotonous: clamping the rounded value equals rounding the clamped one.
            self.number = number;
            self.clamp = Some((quant.quantize(low), quant.quantize(high)));
            return true;
        }
        let room = match self.stages.last() {
            None | Some((Stage::Residual(_), _)) => true,
            Some(_) => false,
        };
        if room {
            self.stages.push((Stage::Activation(activation), number));
        }
        room
    }

    /// Takes a table whose result is `number`; says whether it could.
    pub(super) fn push_table(&mut self, table: &Table, number: Number) -> bool {
        let Number::Bytes(_) = self.result() else { return false };
        match self.stages.last_mut() {
            Some((Stage::Table(last), last_number)) => match last.then(table) {
                Some(both) => {
                    (*last, *last_number) = (both, number);
                    true
                }
                None => false,
            },
            Some((Stage::Activation(_), _)) => false,
            None | Some((Stage::Residual(_), _)) => {
                self.stages.push((Stage::Table(table.clone()), number));
                true
            }
        }
    }

    /// Takes the addition of another operand; says whether it could.
    pub(super) fn push_residual(&mut self, sum: Option<ByteSum>, number: Number) -> bool {
        let fits = !self.has_residual() && (self.result() == Number::Float) == sum.is_none();
        if fits {
            self.stages.push((Stage::Residual(sum), number));
        }
        fits
    }

    /// The float stages as an epilogue, without bias; `None` if a stage works on bytes.
    pub(super) fn float(&self) -> Option<FloatEpilogue> {
        let mut epilogue = FloatEpilogue::none();
        for (stage, _) in &self.stages {
            match stage {
                Stage::Activation(activation) if epilogue.residual => epilogue.then = *activation,
                Stage::Activation(activation) => epilogue.activation = *activation,
                Stage::Residual(None) => epilogue.residual = true,
                Stage::Residual(Some(_)) | Stage::Table(_) => return None,
            }
        }
        Some(epilogue)
    }
}

/// The bounds of an activation that only clamps.
pub(super) fn clamp_of(activation: Activation) -> Option<(f32, f32)> {
    match activation {
        Activation::Relu => Some((0.0, f32::INFINITY)),
        Activation::Clip { low, high } => Some((low, high)),
        Activation::None => Some((f32::NEG_INFINITY, f32::INFINITY)),
        _ => None,
    }
}
