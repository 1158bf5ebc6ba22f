//! Functions that fuse into the step that computes their operand.

/// What follows a sum in the same step. Source of the formulas: the ONNX operators of the same names.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Activation {
    /// Nothing.
    None,
    /// `max(0, x)`.
    Relu,
    /// `min(max(low, x), high)`; ReLU6 is `Clip { low: 0, high: 6 }`.
    Clip {
        /// Smallest result.
        low: f32,
        /// Largest result.
        high: f32,
    },
    /// `x` above 0, `slope x` below.
    LeakyRelu {
        /// Factor below 0.
        slope: f32,
    },
    /// `x` above 0, `alpha (e^x - 1)` below.
    Elu {
        /// Factor below 0.
        alpha: f32,
    },
    /// `1 / (1 + e^-x)`.
    Sigmoid,
    /// `x sigmoid(x)`, also called Swish.
    Silu,
    /// `x clip(x / 6 + 0.5, 0, 1)`.
    HardSwish,
    /// `clip(alpha x + beta, 0, 1)`.
    HardSigmoid {
        /// Slope.
        alpha: f32,
        /// Value at 0.
        beta: f32,
    },
    /// `x (1 + erf(x / sqrt 2)) / 2`.
    Gelu,
    /// `tanh x`.
    Tanh,
    /// `erf x`.
    Erf,
    /// `sqrt x`.
    Sqrt,
    /// `e^x`.
    Exp,
}

impl Activation {
    /// The function's value.
    #[inline]
    #[must_use]
    pub fn apply(self, x: f32) -> f32 {
        match self {
            Self::None => x,
            Self::Relu => x.max(0.0),
            Self::Clip { low, high } => x.max(low).min(high),
            Self::LeakyRelu { slope } => {
                if x < 0.0 {
                    slope * x
                } else {
                    x
                }
            }
            Self::Elu { alpha } => {
                if x < 0.0 {
                    alpha * x.exp_m1()
                } else {
                    x
                }
            }
            Self::Sigmoid => sigmoid(x),
            Self::Silu => x * sigmoid(x),
            Self::HardSwish => x * (x / 6.0 + 0.5).clamp(0.0, 1.0),
            Self::HardSigmoid { alpha, beta } => (alpha * x + beta).clamp(0.0, 1.0),
            Self::Gelu => 0.5 * x * (1.0 + erf(x * std::f32::consts::FRAC_1_SQRT_2)),
            Self::Tanh => x.tanh(),
            Self::Erf => erf(x),
            Self::Sqrt => x.sqrt(),
            Self::Exp => x.exp(),
        }
    }
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

/// The error function, within 3e-7 of the truth: `x P(x^2) / Q(x^2)` on -4..4, beyond which it is 1 in f32.
///
/// Source: the rational approximation of Eigen (`generic_fast_erf_float`), which XLA uses too.
#[inline]
#[must_use]
pub fn erf(x: f32) -> f32 {
    let x = x.clamp(-4.0, 4.0);
    let x2 = x * x;
    let horner = |coefficients: &[f32]| coefficients.iter().fold(0.0, |sum, &c| sum * x2 + c);
    x * horner(&ERF_NUMERATOR) / horner(&ERF_DENOMINATOR)
}

/// Coefficients of `P`, highest power first.
pub const ERF_NUMERATOR: [f32; 7] =
    [-2.726_142_3e-10, 2.770_681_5e-8, -2.101_024e-6, -5.692_506_4e-5, -7.349_906_3e-4, -2.954_6e-3, -1.609_603_3e-2];

/// Coefficients of `Q`, highest power first.
pub const ERF_DENOMINATOR: [f32; 5] = [-1.456_607_2e-5, -2.133_740_6e-4, -1.682_827e-3, -7.373_329_2e-3, -1.426_473_9e-2];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn erf_agrees_with_its_table() {
        // Abramowitz & Stegun, table 7.1.
        for (x, y) in [(0.0, 0.0), (0.1, 0.112_462_92), (0.5, 0.520_499_9), (1.0, 0.842_700_8), (2.0, 0.995_322_3), (3.5, 0.999_999_3)] {
            assert!((erf(x) - y).abs() <= 3e-7 && (erf(-x) + y).abs() <= 3e-7, "erf({x}) = {}", erf(x));
        }
        assert!((erf(30.0) - 1.0).abs() <= 3e-7);
    }

    #[test]
    fn each_activation_has_its_published_value() {
        use Activation::*;
        let cases = [
            (Relu, -2.0, 0.0),
            (Clip { low: 0.0, high: 6.0 }, 7.0, 6.0),
            (LeakyRelu { slope: 0.2 }, -5.0, -1.0),
            (Elu { alpha: 1.0 }, -1.0, -0.632_120_56),
            (Sigmoid, 0.0, 0.5),
            (Silu, 1.0, 0.731_058_6),
            (HardSwish, 1.0, 0.666_666_7),
            (HardSigmoid { alpha: 0.2, beta: 0.5 }, 1.0, 0.7),
            (Gelu, 1.0, 0.841_344_8),
            (Tanh, 0.5, 0.462_117_16),
            (Exp, 1.0, 2.718_281_7),
        ];
        for (activation, x, y) in cases {
            assert!((activation.apply(x) - y).abs() < 1e-6, "{activation:?}({x})");
        }
    }
}
