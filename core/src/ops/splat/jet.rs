//! A number with its derivatives with respect to the two unknowns a view depends on.

use std::ops::{Add, Div, Mul, Neg, Sub};

/// A value and its derivatives with respect to `(tau, ln f)`: forward-mode differentiation.
///
/// ```
/// use fathom_core::ops::splat::jet::Jet;
/// let tau = Jet::new(3.0, [1.0, 0.0]);
/// let square = tau * tau;
/// assert_eq!((square.value, square.tangent), (9.0, [6.0, 0.0]));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Jet {
    /// The number itself.
    pub value: f64,
    /// d/dtau and d/d(ln f).
    pub tangent: [f64; 2],
}

impl Jet {
    /// A number with given derivatives.
    #[must_use]
    pub const fn new(value: f64, tangent: [f64; 2]) -> Self {
        Self { value, tangent }
    }

    /// A number that depends on neither unknown.
    #[must_use]
    pub const fn constant(value: f64) -> Self {
        Self::new(value, [0.0; 2])
    }

    /// `f(self)`, given its value and its slope here.
    fn chain(self, value: f64, slope: f64) -> Self {
        Self { value, tangent: self.tangent.map(|t| slope * t) }
    }

    /// `1 / self`.
    #[must_use]
    pub fn recip(self) -> Self {
        let inverse = self.value.recip();
        self.chain(inverse, -inverse * inverse)
    }

    /// `e^self`.
    #[must_use]
    pub fn exp(self) -> Self {
        let value = self.value.exp();
        self.chain(value, value)
    }
}

impl Add for Jet {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        let [tau, focal] = self.tangent;
        Self::new(self.value + other.value, [tau + other.tangent[0], focal + other.tangent[1]])
    }
}

impl Neg for Jet {
    type Output = Self;

    fn neg(self) -> Self {
        self.chain(-self.value, -1.0)
    }
}

impl Sub for Jet {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        self + -other
    }
}

impl Mul for Jet {
    type Output = Self;

    #[expect(clippy::suspicious_arithmetic_impl, reason = "the product rule is a sum")]
    fn mul(self, other: Self) -> Self {
        let product = |i: usize| self.tangent[i] * other.value + self.value * other.tangent[i];
        Self::new(self.value * other.value, [product(0), product(1)])
    }
}

impl Mul<f64> for Jet {
    type Output = Self;

    fn mul(self, factor: f64) -> Self {
        self.chain(self.value * factor, factor)
    }
}

impl Add<f64> for Jet {
    type Output = Self;

    fn add(self, offset: f64) -> Self {
        Self { value: self.value + offset, ..self }
    }
}

impl Div for Jet {
    type Output = Self;

    #[expect(clippy::suspicious_arithmetic_impl, reason = "one rule for the derivative of a quotient is enough")]
    fn div(self, other: Self) -> Self {
        self * other.recip()
    }
}
