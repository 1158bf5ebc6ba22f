//! Operands of kernels that compute in floats but read and write quantized bytes as well.

use fathom_core::quant::QuantParams;

/// A tensor as a kernel sees it: element type, place within the bound memory, and what bytes mean.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Operand {
    /// First element; a multiple of 4.
    pub start: usize,
    /// Elements from one row of channels to the next; a multiple of 4.
    pub pitch: usize,
    /// What bytes mean; `None` for floats.
    pub quant: Option<QuantParams>,
}

impl Operand {
    /// A tensor of its own.
    #[must_use]
    pub const fn whole(channels: usize, quant: Option<QuantParams>) -> Self {
        Self { start: 0, pitch: channels.next_multiple_of(4), quant }
    }

    /// Value of the constants `SOURCE`, `TARGET`, `A` and `B`.
    pub(crate) const fn code(&self) -> f64 {
        match self.quant {
            None => 0.0,
            Some(QuantParams { signed: false, .. }) => 1.0,
            Some(QuantParams { signed: true, .. }) => 2.0,
        }
    }

    pub(crate) fn scale(&self) -> f32 {
        self.quant.map_or(1.0, |quant| quant.scale)
    }

    pub(crate) fn zero(&self) -> i32 {
        self.quant.map_or(0, |quant| quant.zero_point)
    }

    /// First quad of four elements, and quads a row.
    pub(crate) const fn quads(&self) -> [u32; 2] {
        [(self.start / 4) as u32, (self.pitch / 4) as u32]
    }

    /// The same bytes read and written as they are, in steps: a choice among them is then exact.
    pub(crate) const fn raw(&self) -> Self {
        match self.quant {
            None => *self,
            Some(QuantParams { signed, .. }) => Self { quant: Some(QuantParams { scale: 1.0, zero_point: 0, signed }), ..*self },
        }
    }

    /// Bytes that a binding must hold for `elements` from the start.
    pub(crate) const fn binding_bytes(&self, elements: usize) -> u64 {
        let end = self.start + elements.next_multiple_of(4);
        (if self.quant.is_some() { end } else { 4 * end }) as u64
    }

    /// As [`Operand::binding_bytes`], for `rows` of `channels`.
    pub(crate) const fn rows_bytes(&self, rows: usize, channels: usize) -> u64 {
        if rows == 0 { 0 } else { self.binding_bytes((rows - 1) * self.pitch + channels) }
    }
}
