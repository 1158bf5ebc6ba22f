//! Lines of a feature map as floats, block by block of channels, padding included: what loops over small windows read.
//!
//! A line is converted once and serves every output line that it touches. Sums of bytes times bytes are whole numbers below
//! 2^22 here ([`Lines::exact`]), which floats add without rounding in any order.

use fathom_core::ops::nn::conv::Conv2d;
use pulp::{Simd, WithSimd};

use super::memory::Operand;
use super::work::at_least;

/// Channels of a block: their sums are kept in registers together.
pub(super) const BLOCK: usize = 16;

/// Neighbouring output pixels that are summed together.
pub(super) const TILE: usize = 4;

/// Geometry of the lines under a convolution's windows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lines {
    conv: Conv2d,
    /// Pixels of a line, padding included, up to the last that a whole tile of outputs reads.
    width: usize,
    /// Lines held at a time.
    slots: usize,
}

/// Lines at hand.
pub(super) struct Held<'s> {
    floats: &'s mut [f32],
    /// The input line in each slot.
    lines: Vec<Option<isize>>,
}

/// What the bytes of the input are to the sums.
#[derive(Debug, Clone, Copy)]
pub(super) enum Reading {
    /// Their values as they are; padding counts as the zero point.
    Levels {
        /// Zero point.
        zero: i32,
    },
    /// The reals they stand for.
    Reals,
}

impl Held<'_> {
    pub(super) fn floats(&self) -> &[f32] {
        self.floats
    }
}

impl Lines {
    pub(super) fn new(conv: &Conv2d) -> Self {
        let window = conv.window;
        let columns = conv.output().width.next_multiple_of(TILE);
        let reach = |axis: usize| (window.kernel[axis] - 1) * window.dilation[axis] + 1;
        Self { conv: *conv, width: (columns - 1) * window.stride[1] + reach(1), slots: reach(0) }
    }

    /// Whether `products` products of two bytes add up without rounding in floats, to what [`whole`] takes.
    pub(super) const fn exact(products: usize) -> bool {
        products <= (1 << 22) / (255 * 128)
    }

    /// Blocks of channels.
    pub(super) const fn blocks(&self) -> usize {
        self.conv.input.channels.div_ceil(BLOCK)
    }

    /// First channel of a block: the last one overlaps its neighbour to be whole.
    pub(super) fn first_channel(&self, block: usize) -> usize {
        (block * BLOCK).min(self.conv.input.channels.saturating_sub(BLOCK))
    }

    /// Room for the lines in a thread's buffer.
    pub(super) fn hold<'s>(&self, buffer: &'s mut Vec<f32>) -> Held<'s> {
        Held { floats: at_least(buffer, self.slots * self.line_len()), lines: vec![None; self.slots] }
    }

    /// Floats of a line.
    const fn line_len(&self) -> usize {
        self.blocks() * self.block_len()
    }

    /// Floats of one block of a line.
    pub(super) const fn block_len(&self) -> usize {
        self.width * BLOCK
    }

    /// Makes sure that the lines under output line `y` are at hand; `starts[ky]` is where the line of kernel row `ky` begins.
    #[inline(always)]
    pub(super) fn bring(&self, held: &mut Held<'_>, x: &Operand<'_>, reading: Reading, y: usize, starts: &mut [usize]) {
        let window = self.conv.window;
        for (ky, start) in starts.iter_mut().enumerate() {
            let line = (y * window.stride[0] + ky * window.dilation[0]) as isize - window.pad_before[0] as isize;
            let slot = line.rem_euclid(self.slots as isize).unsigned_abs();
            *start = slot * self.line_len();
            if held.lines[slot] != Some(line) {
                self.convert(x, reading, line, &mut held.floats[*start..*start + self.line_len()]);
                held.lines[slot] = Some(line);
            }
        }
    }

    #[inline(always)]
    fn convert(&self, x: &Operand<'_>, reading: Reading, line: isize, out: &mut [f32]) {
        let input = self.conv.input;
        let padding = match reading {
            Reading::Levels { zero } => zero as f32,
            Reading::Reals => 0.0,
        };
        let Some(line) = usize::try_from(line).ok().filter(|&line| line < input.height) else { return out.fill(padding) };
        let left = self.conv.window.pad_before[1].min(self.width);
        let seen = input.width.min(self.width - left);
        let start = line * input.width * x.tensor.pitch;
        for (block, out) in out.chunks_exact_mut(self.block_len()).enumerate() {
            let (before, rest) = out.split_at_mut(left * BLOCK);
            let (inside, after) = rest.split_at_mut(seen * BLOCK);
            before.fill(padding);
            after.fill(padding);
            let pixels = Pixels { first: start + self.first_channel(block), pitch: x.tensor.pitch, count: BLOCK.min(input.channels) };
            match x.quant() {
                None => pixels.convert(x.f32(), inside, |x| x),
                Some(quant) if quant.signed => pixels.convert(&x.bytes, inside, |b| f32::from(b.cast_signed())),
                Some(_) => pixels.convert(&x.bytes, inside, f32::from),
            }
            if let (Reading::Reals, Some(quant)) = (reading, x.quant()) {
                let zero_point = quant.zero_point as f32;
                inside.iter_mut().for_each(|x| *x = quant.scale * (*x - zero_point));
            }
        }
    }
}

/// One block of channels of neighbouring pixels.
struct Pixels {
    first: usize,
    pitch: usize,
    /// Channels that there are; the other lanes become 0.
    count: usize,
}

impl Pixels {
    #[inline(always)]
    fn convert<T: Copy>(&self, from: &[T], to: &mut [f32], real: impl Fn(T) -> f32) {
        let pixels = to.as_chunks_mut::<BLOCK>().0.iter_mut().zip(from[self.first..].chunks(self.pitch));
        if self.count == BLOCK {
            for (to, from) in pixels {
                // By value: the compiler need not fear that writing changes what is still to be read.
                let Some(&from) = from.first_chunk::<BLOCK>() else { return };
                *to = lanes(from, &real);
            }
        } else {
            // Padding lanes hold 0, and no weight.
            for (to, from) in pixels {
                let (few, rest) = to.as_chunks_mut::<4>().0.split_at_mut(self.count.div_ceil(4));
                few.iter_mut().zip(from.as_chunks::<4>().0).for_each(|(to, &from)| *to = lanes(from, &real));
                rest.fill([0.0; 4]);
            }
        }
    }
}

#[inline(always)]
fn lanes<T: Copy, const N: usize>(from: [T; N], real: impl Fn(T) -> f32) -> [f32; N] {
    let mut to = [0.0; N];
    for i in 0..N {
        to[i] = real(from[i]);
    }
    to
}

/// Brings the lines under an output line, with the widest vectors there are.
pub(super) struct Bring<'a, 's> {
    pub(super) lines: &'a Lines,
    pub(super) held: &'a mut Held<'s>,
    pub(super) x: &'a Operand<'a>,
    pub(super) reading: Reading,
    /// The output line.
    pub(super) y: usize,
    pub(super) starts: &'a mut [usize],
}

impl WithSimd for Bring<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        self.lines.bring(self.held, self.x, self.reading, self.y, self.starts);
    }
}

/// Columns of a window.
#[derive(Clone, Copy)]
pub(super) struct Taps {
    /// Columns of the kernel.
    pub(super) columns: usize,
    pub(super) stride: usize,
    pub(super) dilation: usize,
}

/// One pixel's block of channels.
type Pixel = [f32; BLOCK];

impl Taps {
    pub(super) const fn of(conv: &Conv2d) -> Self {
        let window = conv.window;
        Self { columns: window.kernel[1], stride: window.stride[1], dilation: window.dilation[1] }
    }

    /// Calls `visit(weights, [a, b, c, d])` for each tap with the pixels that [`TILE`] neighbouring outputs read there: `starts` are
    /// the lines' first floats for the first of them, `weights` has a row of `columns weights_len` for each line.
    #[inline(always)]
    pub(super) fn visit(
        self,
        lines: &[f32],
        starts: impl Iterator<Item = usize>,
        weights: &[f32],
        weights_len: usize,
        mut visit: impl FnMut(&[f32], [&Pixel; TILE]),
    ) {
        let step = self.stride.wrapping_mul(BLOCK);
        for (start, row) in starts.zip(weights.chunks_exact(self.columns.wrapping_mul(weights_len))) {
            let row = row.chunks_exact(weights_len);
            let [a, b, c, d] = [0, 1, 2, 3].map(|p: usize| {
                let from = lines.get(start.wrapping_add(p.wrapping_mul(step))..).unwrap_or_default();
                from.as_chunks::<BLOCK>().0.iter()
            });
            if self.dilation == 1 {
                row.zip(a).zip(b).zip(c).zip(d).for_each(|((((w, a), b), c), d)| visit(w, [a, b, c, d]));
            } else {
                let [a, b, c, d] = [a, b, c, d].map(|pixels| pixels.step_by(self.dilation));
                row.zip(a).zip(b).zip(c).zip(d).for_each(|((((w, a), b), c), d)| visit(w, [a, b, c, d]));
            }
        }
    }
}

/// `totals[p] += pixels[p] w`, lane by lane.
#[inline(always)]
pub(super) fn add_products(totals: &mut [Pixel; TILE], pixels: [&Pixel; TILE], w: &Pixel, add: impl Fn(f32, f32, f32) -> f32) {
    let ([ta, tb, tc, td], [a, b, c, d]) = (totals, pixels);
    for i in 0..BLOCK {
        ta[i] = add(ta[i], a[i], w[i]);
        tb[i] = add(tb[i], b[i], w[i]);
        tc[i] = add(tc[i], c[i], w[i]);
        td[i] = add(td[i], d[i], w[i]);
    }
}

/// A whole number below 2^22 as an integer: what stands behind the point of `1.5 * 2^23` plus the number.
#[inline(always)]
pub(super) fn whole(total: f32) -> i32 {
    const MAGIC: f32 = 12_582_912.0;
    (total + MAGIC).to_bits().cast_signed().wrapping_sub(MAGIC.to_bits().cast_signed())
}

/// `total + x w`, fused where that is one instruction: elsewhere its emulation would be called, and whole numbers come out the same.
#[inline(always)]
pub(super) fn multiply_add<S: Simd>(total: f32, x: f32, w: f32) -> f32 {
    if S::IS_SCALAR { total + x * w } else { x.mul_add(w, total) }
}
