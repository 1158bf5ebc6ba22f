//! Rows of a convolution's matrix: the patch of the input under each output pixel.

use fathom_core::ops::nn::{Map, Window, pitch};

/// Which elements of the input make up a row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patches {
    pub(super) input: Map,
    /// Elements from one pixel of the input to the next.
    pub(super) pitch: usize,
    pub(super) window: Window,
    /// Columns of the output.
    pub(super) out_width: usize,
    /// First channel, and how many (of a group; with their padding lanes if there is one group).
    pub(super) channels: (usize, usize),
}

impl Patches {
    /// All channels, padded to a multiple of four: the weights of the padding lanes are 0.
    pub(super) fn whole(input: Map, pixel_pitch: usize, window: Window, out_width: usize) -> Self {
        Self { input, pitch: pixel_pitch, window, out_width, channels: (0, pitch(input.channels)) }
    }

    /// Elements of a row.
    pub(super) const fn row_len(&self) -> usize {
        self.window.kernel[0] * self.window.kernel[1] * self.channels.1
    }

    /// Whether rows are the input's own pixels.
    pub(super) fn is_identity(&self) -> bool {
        let Window { kernel, stride, pad_before, pad_after, .. } = self.window;
        kernel == [1, 1] && stride == [1, 1] && pad_before == [0, 0] && pad_after == [0, 0]
    }

    /// Writes the rows of output pixels `first..`; `padding` stands for what lies outside the image.
    pub(super) fn gather<T: Copy>(&self, input: &[T], first: usize, padding: T, rows: &mut [T]) {
        let (mut y, mut x) = (first / self.out_width, first % self.out_width);
        for row in rows.chunks_exact_mut(self.row_len()) {
            self.patch(input, y, x, padding, row);
            x += 1;
            if x == self.out_width {
                (x, y) = (0, y + 1);
            }
        }
    }

    fn patch<T: Copy>(&self, input: &[T], y: usize, x: usize, padding: T, row: &mut [T]) {
        let Window { kernel: [_, kernel_w], stride, dilation, pad_before, .. } = self.window;
        let (first, count) = self.channels;
        let line_len = kernel_w * count;
        let left = (x * stride[1]) as isize - pad_before[1] as isize;
        let contiguous = dilation[1] == 1 && count == self.pitch && first == 0;
        for (ky, line) in row.chunks_exact_mut(line_len).enumerate() {
            let iy = (y * stride[0] + ky * dilation[0]) as isize - pad_before[0] as isize;
            if iy < 0 || iy >= self.input.height as isize {
                line.fill(padding);
                continue;
            }
            let start = iy.unsigned_abs() * self.input.width * self.pitch;
            if contiguous && left >= 0 && left as usize + kernel_w <= self.input.width {
                let from = start + left.unsigned_abs() * self.pitch;
                line.copy_from_slice(&input[from..from + line_len]);
                continue;
            }
            for (kx, tap) in line.chunks_exact_mut(count).enumerate() {
                let ix = left + (kx * dilation[1]) as isize;
                if ix < 0 || ix >= self.input.width as isize {
                    tap.fill(padding);
                } else {
                    let from = start + ix.unsigned_abs() * self.pitch + first;
                    tap.copy_from_slice(&input[from..from + count]);
                }
            }
        }
    }
}
