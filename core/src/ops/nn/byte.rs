//! Bytes that carry quantized values, and tables from byte to byte.

use crate::{Error, Result};

/// `u8` or `i8`: the storage of a quantized value.
pub trait Byte: Copy + Default + Send + Sync + std::fmt::Debug + PartialEq + Into<i32> + 'static {
    /// Smallest value.
    const LOW: i32;
    /// Largest value.
    const HIGH: i32;

    /// The byte of a value, clamped to its range.
    fn clamped(value: i32) -> Self;

    /// The same bits as `u8`; indexes a [`ByteTable`].
    fn bits(self) -> u8;

    /// The byte with these bits.
    fn from_bits(bits: u8) -> Self;
}

impl Byte for u8 {
    const LOW: i32 = 0;
    const HIGH: i32 = 255;

    #[inline]
    fn clamped(value: i32) -> Self {
        value.clamp(Self::LOW, Self::HIGH) as Self
    }

    #[inline]
    fn bits(self) -> u8 {
        self
    }

    #[inline]
    fn from_bits(bits: u8) -> Self {
        bits
    }
}

impl Byte for i8 {
    const LOW: i32 = -128;
    const HIGH: i32 = 127;

    #[inline]
    fn clamped(value: i32) -> Self {
        value.clamp(Self::LOW, Self::HIGH) as Self
    }

    #[inline]
    fn bits(self) -> u8 {
        self.cast_unsigned()
    }

    #[inline]
    fn from_bits(bits: u8) -> Self {
        bits.cast_signed()
    }
}

/// A function from byte to byte: any chain of element-wise operations between two quantizations, evaluated beforehand.
///
/// Entries are bit patterns, indexed by bit pattern, so that signed and unsigned bytes share the form. Either one table
/// of 256 serves all channels, or each channel has its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ByteTable {
    entries: Vec<u8>,
}

impl ByteTable {
    /// A table of `256` entries for all channels or `256 channels` entries, channel by channel.
    ///
    /// # Errors
    /// [`Error::Length`] if the entries are not a positive multiple of 256.
    pub fn new(entries: Vec<u8>) -> Result<Self> {
        if entries.is_empty() || !entries.len().is_multiple_of(256) {
            return Err(Error::Length { what: "byte table", got: entries.len(), expected: entries.len().next_multiple_of(256).max(256) });
        }
        Ok(Self { entries })
    }

    /// The table that evaluates `f` at each bit pattern.
    #[must_use]
    pub fn from_fn(f: impl FnMut(u8) -> u8) -> Self {
        Self { entries: (0..=255).map(f).collect() }
    }

    /// All entries; 256 per table.
    #[must_use]
    pub fn entries(&self) -> &[u8] {
        &self.entries
    }

    /// Number of tables: 1, or one per channel.
    #[inline]
    #[must_use]
    pub fn tables(&self) -> usize {
        self.entries.len() / 256
    }

    /// The 256 entries that serve a channel.
    #[inline]
    #[must_use]
    pub fn of_channel(&self, channel: usize) -> &[u8] {
        let first = if self.tables() == 1 { 0 } else { channel * 256 };
        &self.entries[first..first + 256]
    }

    /// The image of one byte's bits.
    #[inline]
    #[must_use]
    pub fn look_up(&self, channel: usize, bits: u8) -> u8 {
        self.of_channel(channel)[usize::from(bits)]
    }

    /// First this table, then `next`. A table per channel on either side gives one per channel.
    #[must_use]
    pub fn then(&self, next: &Self) -> Self {
        let tables = self.tables().max(next.tables());
        let entries = (0..tables).flat_map(|c| self.of_channel(c).iter().map(move |&bits| next.look_up(c, bits))).collect();
        Self { entries }
    }

    /// Whether every byte maps to itself.
    #[must_use]
    pub fn is_identity(&self) -> bool {
        self.entries.iter().enumerate().all(|(i, &e)| i % 256 == usize::from(e))
    }

    /// Applies the table to a tensor whose last axis has `channels` values at [`super::pitch`]; padding lanes become 0.
    ///
    /// # Errors
    /// [`Error::Length`] if there is neither one table nor one per channel, or the tensor is not whole rows.
    pub fn apply(&self, input: &[u8], channels: usize) -> Result<Vec<u8>> {
        let pitch = super::pitch(channels);
        if self.tables() != 1 && self.tables() != channels {
            return Err(Error::Length { what: "tables per channel", got: self.tables(), expected: channels });
        }
        if pitch == 0 || !input.len().is_multiple_of(pitch) {
            return Err(Error::Length { what: "table input", got: input.len(), expected: input.len().next_multiple_of(pitch.max(1)) });
        }
        Ok(input.iter().enumerate().map(|(i, &bits)| if i % pitch < channels { self.look_up(i % pitch, bits) } else { 0 }).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_compose_in_order_and_per_channel() {
        let double = ByteTable::from_fn(|b| b.saturating_mul(2));
        let per_channel = ByteTable::new((0..512).map(|i| (i % 256) as u8 ^ (i / 256) as u8).collect()).unwrap();
        let both = double.then(&per_channel);
        assert_eq!([both.look_up(0, 3), both.look_up(1, 3), both.look_up(1, 200)], [6, 7, 254]);
    }

    #[test]
    fn padding_lanes_of_a_table_look_up_are_zero() {
        let not = ByteTable::from_fn(|b| !b);
        assert_eq!(not.apply(&[0, 1, 9, 9], 2).unwrap(), [255, 254, 0, 0]);
        assert!(not.apply(&[0; 5], 2).is_err());
    }
}
