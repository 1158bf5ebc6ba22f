//! Byte tables over an axis of the graph's layout.

use fathom_core::ops::nn::byte::ByteTable;
use fathom_core::quant::QuantParams;

/// A function from byte to byte, one for all elements or one per index of an axis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) bytes: ByteTable,
    /// The axis that the tables run along, counted from the last (0 is the last).
    pub(super) axis_from_end: Option<usize>,
}

impl Table {
    /// First this, then `next`; `None` if they run along different axes.
    pub(super) fn then(&self, next: &Self) -> Option<Self> {
        let axis_from_end = match (self.axis_from_end, next.axis_from_end) {
            (Some(a), Some(b)) if a != b => return None,
            (a, b) => a.or(b),
        };
        Some(Self { bytes: self.bytes.then(&next.bytes), axis_from_end })
    }
}

/// The value that bits stand for, before dequantization.
pub(super) fn value_of(quant: QuantParams, bits: u8) -> i32 {
    if quant.signed { bits.cast_signed().into() } else { bits.into() }
}

/// The bits of a quantized value.
pub(super) fn byte_of(quant: QuantParams, value: i32) -> u8 {
    if quant.signed { (value as i8).cast_unsigned() } else { value as u8 }
}
