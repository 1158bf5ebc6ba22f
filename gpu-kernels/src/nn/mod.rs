//! Kernels of neural networks, twins of `fathom_core::ops::nn`.
//!
//! Each file holds a kernel's launch half: from an operation to a [`Launch`] and the constants it binds. Maps are
//! `[height, width, channels]` with a pitch of whole words (four bytes, or one float); tensors that are part of another lie
//! at an offset in its memory ([`Lay`]).

pub mod binary;
pub mod byte_pair;
pub mod conv_bytes;
pub mod conv_depthwise;
pub mod conv_depthwise_f32;
pub mod conv_dot4;
pub mod conv_f16;
pub mod conv_f32;
pub mod conv_float;
pub mod conv_matrix;
pub mod conv_separable;
pub mod conv_spread;
pub mod conv_transpose_bytes;
pub mod conv_transpose_f32;
pub mod copy;
pub mod epilogue;
pub mod matmul;
mod operand;
pub mod pad;
pub mod pool;
pub mod pooled_head;
mod quads;
pub mod reduce;
pub mod resize;
pub mod rows;
pub mod table;
pub mod unary;

pub use operand::Operand;

use crate::Kernel;
use crate::kernel::Launch;

/// Every kernel of this folder.
pub const KERNELS: &[&Kernel] = &[
    &binary::KERNEL,
    &byte_pair::KERNEL,
    &conv_depthwise::KERNEL,
    &conv_depthwise_f32::KERNEL,
    &conv_dot4::KERNEL,
    &conv_f16::KERNEL,
    &conv_f32::KERNEL,
    &conv_matrix::KERNEL,
    &conv_separable::KERNEL,
    &conv_spread::KERNEL,
    &conv_transpose_bytes::KERNEL,
    &conv_transpose_f32::KERNEL,
    &copy::BYTES,
    &copy::FILL,
    &copy::WORDS,
    &matmul::BYTES,
    &matmul::KERNEL,
    &pad::KERNEL,
    &pool::KERNEL,
    &pooled_head::KERNEL,
    &reduce::KERNEL,
    &resize::KERNEL,
    &rows::LAYER_NORM,
    &rows::SOFTMAX,
    &table::KERNEL,
    &unary::KERNEL,
];

/// Where a tensor lies within the memory that is bound for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Lay {
    /// First word.
    pub start: u32,
    /// Words from one pixel (or row of a matrix) to the next.
    pub pitch: u32,
}

impl Lay {
    /// A tensor of its own, of `channels` bytes.
    #[must_use]
    pub const fn bytes(channels: usize) -> Self {
        Self { start: 0, pitch: channels.div_ceil(4) as u32 }
    }

    /// A tensor of its own, of `channels` floats.
    #[must_use]
    pub const fn floats(channels: usize) -> Self {
        Self { start: 0, pitch: channels.next_multiple_of(4) as u32 }
    }

    /// Bytes that a binding must hold for `pixels` of `words` each.
    #[must_use]
    pub const fn binding_bytes(self, pixels: usize, words: usize) -> u64 {
        if pixels == 0 { 0 } else { 4 * (self.start as u64 + (pixels as u64 - 1) * self.pitch as u64 + words as u64) }
    }
}

/// A launch and the constants that its read-only bindings take, in the order of those bindings.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// The launch.
    pub launch: Launch,
    /// Contents of the read-only bindings.
    pub constants: Vec<Vec<u8>>,
}
