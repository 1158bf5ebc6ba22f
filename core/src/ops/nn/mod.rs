//! Operations of neural networks on one image (batch 1), plain loops.
//!
//! **Layout.** Feature maps are `[height, width, channels]`, row-major, and each pixel's channels are padded to a
//! [`pitch`] of a multiple of four, so that a kernel reads four bytes as one word and four floats as one vector. The
//! padding lanes hold 0 and nothing depends on them: weights have none for them. Tensors of other ranks are row-major
//! with the last axis padded likewise.
//!
//! **Operations without a file of their own.** Slice, Transpose, Expand, constant Pad, Concat, Gather of constant runs and
//! DepthToSpace are [`copy`] with strides; Quantize and Dequantize are [`elementwise`] identity between element types
//! (see [`crate::quant`]); any element-wise chain between two byte tensors is a [`byte::ByteTable`].

pub mod activation;
pub mod byte;
pub mod conv;
pub mod conv_transpose;
pub mod copy;
pub mod elementwise;
pub mod epilogue;
pub mod layer_norm;
pub mod matmul;
pub mod pad;
pub mod pool;
pub mod reduce;
pub mod resize;
pub mod softmax;

pub use activation::Activation;

/// Elements from one pixel (or row of a matrix) to the next: `channels` rounded up to a multiple of four.
#[must_use]
pub const fn pitch(channels: usize) -> usize {
    channels.next_multiple_of(4)
}

/// Extents of a feature map, `[height, width, channels]` with [`pitch`]`(channels)` elements a pixel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Map {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Channels that carry values.
    pub channels: usize,
}

impl Map {
    /// Elements in memory, padding included.
    #[must_use]
    pub const fn len(self) -> usize {
        self.height * self.width * pitch(self.channels)
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Index of the first channel of pixel `(y, x)`.
    #[must_use]
    pub const fn at(self, y: usize, x: usize) -> usize {
        (y * self.width + x) * pitch(self.channels)
    }
}

/// A sliding window, `[vertical, horizontal]` throughout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Window {
    /// Taps.
    pub kernel: [usize; 2],
    /// Step between outputs; at least 1.
    pub stride: [usize; 2],
    /// Distance between taps; at least 1.
    pub dilation: [usize; 2],
    /// Padding before the first row and column.
    pub pad_before: [usize; 2],
    /// Padding behind the last row and column.
    pub pad_after: [usize; 2],
}

impl Window {
    /// Output extents for an input of `[height, width]`; 0 where the window does not fit.
    ///
    /// `floor((in + before + after - dilation (kernel - 1) - 1) / stride) + 1`. Source: ONNX operator Conv.
    #[must_use]
    pub fn output(&self, input: [usize; 2]) -> [usize; 2] {
        std::array::from_fn(|axis| {
            let padded = input[axis] + self.pad_before[axis] + self.pad_after[axis];
            let extent = self.dilation[axis] * (self.kernel[axis] - 1) + 1;
            if padded < extent { 0 } else { (padded - extent) / self.stride[axis] + 1 }
        })
    }
}
