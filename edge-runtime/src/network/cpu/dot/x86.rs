//! AVX-512 with or without VNNI, and AVX2.

use std::arch::x86_64::{__m256, __m256i, __m512i, _mm512_dpbusd_epi32};

use archmage::{SimdToken, X64V4xToken, arcane};
use pulp::NullaryFnOnce;
use pulp::bytemuck::cast;
use pulp::x86::{V3, V4};

use super::{Addition, Dot, Job, LANES, Rounding, Weights};

/// AVX-512 with VNNI.
#[derive(Debug, Clone, Copy)]
pub(in crate::network::cpu) struct Vnni {
    token: X64V4xToken,
    v4: V4,
}

/// What this machine has.
#[derive(Debug, Clone, Copy)]
pub(in crate::network::cpu) enum Machine {
    Vnni(Vnni),
    V4(V4),
    V3(V3),
}

impl Machine {
    /// The best there is; none on machines without AVX2.
    pub(in crate::network::cpu) fn new() -> Option<Self> {
        let wide = V4::try_new().map(|v4| X64V4xToken::summon().map_or(Self::V4(v4), |token| Self::Vnni(Vnni { token, v4 })));
        wide.or_else(|| V3::try_new().map(Self::V3))
    }

    /// All there are, the best first.
    #[cfg(test)]
    pub(in crate::network::cpu) fn all() -> Vec<Self> {
        [Self::new(), V4::try_new().map(Self::V4), V3::try_new().map(Self::V3)].into_iter().flatten().collect()
    }

    /// Whether bytes are multiplied as they are; else as i16, half as many at a time.
    pub(in crate::network::cpu) const fn multiplies_bytes(self) -> bool {
        matches!(self, Self::Vnni(_))
    }

    #[inline(always)]
    pub(in crate::network::cpu) fn run(self, job: impl Job) {
        match self {
            Self::Vnni(dot) => with_vnni(dot.token, Call { job, dot }),
            Self::V4(dot) => dot.vectorize(Call { job, dot }),
            Self::V3(dot) => dot.vectorize(Call { job, dot }),
        }
    }
}

struct Call<J, D> {
    job: J,
    dot: D,
}

impl<J: Job, D: Dot> NullaryFnOnce for Call<J, D> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        self.job.run(self.dot);
    }
}

#[arcane]
fn with_vnni<J: Job>(_token: X64V4xToken, call: Call<J, Vnni>) {
    call.call();
}

impl Dot for Vnni {
    type Sums = __m512i;
    type Quads = __m512i;
    type Weights = __m512i;

    const MANY_REGISTERS: bool = true;

    #[inline(always)]
    fn sums(self, first: &[i32; LANES]) -> __m512i {
        cast(*first)
    }

    #[inline(always)]
    fn splat(self, quad: [u8; 4]) -> __m512i {
        self.v4.avx512f._mm512_set1_epi32(i32::from_le_bytes(quad))
    }

    #[inline(always)]
    fn quads(self, quads: &[u32; LANES]) -> __m512i {
        cast(*quads)
    }

    #[inline(always)]
    fn weights(self, weights: &Weights) -> __m512i {
        cast(*weights)
    }

    #[inline(always)]
    fn add_products(self, sums: __m512i, quads: __m512i, weights: __m512i) -> __m512i {
        dot_product(self.token, sums, quads, weights)
    }

    #[inline(always)]
    fn lay(self, quads: [u32; LANES], levels: &[u8; LANES], at: usize) -> [u32; LANES] {
        self.v4.lay(quads, levels, at)
    }

    #[inline(always)]
    fn requantize(self, sums: __m512i, multiplier: &[f32; LANES], to: Rounding) -> [u8; LANES] {
        self.v4.requantize(sums, multiplier, to)
    }

    #[inline(always)]
    fn add(self, first: [u8; LANES], second: [u8; LANES], sum: &Addition) -> [u8; LANES] {
        self.v4.add(first, second, sum)
    }
}

#[arcane]
fn dot_product(_token: X64V4xToken, sums: __m512i, quads: __m512i, weights: __m512i) -> __m512i {
    _mm512_dpbusd_epi32(sums, quads, weights)
}

/// Even and odd bytes as i16.
#[derive(Clone, Copy)]
pub(in crate::network::cpu) struct Split<V> {
    even: V,
    odd: V,
}

impl Dot for V4 {
    type Sums = __m512i;
    type Quads = Split<__m512i>;
    type Weights = Split<__m512i>;

    const MANY_REGISTERS: bool = true;

    #[inline(always)]
    fn sums(self, first: &[i32; LANES]) -> __m512i {
        cast(*first)
    }

    #[inline(always)]
    fn splat(self, quad: [u8; 4]) -> Split<__m512i> {
        let bytes = self.avx512f._mm512_set1_epi32(i32::from_le_bytes(quad));
        Split { even: self.avx512f._mm512_and_si512(bytes, cast([0xff_u16; 2 * LANES])), odd: self.avx512bw._mm512_srli_epi16::<8>(bytes) }
    }

    #[inline(always)]
    fn quads(self, quads: &[u32; LANES]) -> Split<__m512i> {
        let bytes = cast(*quads);
        Split { even: self.avx512f._mm512_and_si512(bytes, cast([0xff_u16; 2 * LANES])), odd: self.avx512bw._mm512_srli_epi16::<8>(bytes) }
    }

    #[inline(always)]
    fn weights(self, weights: &Weights) -> Split<__m512i> {
        let bytes = cast(*weights);
        let even = self.avx512bw._mm512_slli_epi16::<8>(bytes);
        Split { even: self.avx512bw._mm512_srai_epi16::<8>(even), odd: self.avx512bw._mm512_srai_epi16::<8>(bytes) }
    }

    #[inline(always)]
    fn add_products(self, sums: __m512i, quads: Split<__m512i>, weights: Split<__m512i>) -> __m512i {
        let sums = self.avx512f._mm512_add_epi32(sums, self.avx512bw._mm512_madd_epi16(quads.even, weights.even));
        self.avx512f._mm512_add_epi32(sums, self.avx512bw._mm512_madd_epi16(quads.odd, weights.odd))
    }

    #[inline(always)]
    fn lay(self, quads: [u32; LANES], levels: &[u8; LANES], at: usize) -> [u32; LANES] {
        let f = self.avx512f;
        let levels = f._mm512_sllv_epi32(f._mm512_cvtepu8_epi32(cast(*levels)), f._mm512_set1_epi32(8 * at as i32));
        cast(f._mm512_or_si512(cast(quads), levels))
    }

    #[inline(always)]
    fn requantize(self, sums: __m512i, multiplier: &[f32; LANES], to: Rounding) -> [u8; LANES] {
        let f = self.avx512f;
        let scaled = f._mm512_mul_ps(f._mm512_cvtepi32_ps(sums), cast(*multiplier));
        // A NaN becomes the lower bound: the second operand is what comes of it.
        let bounded = f._mm512_min_ps(f._mm512_max_ps(scaled, f._mm512_set1_ps(to.low)), f._mm512_set1_ps(to.high));
        let whole = f._mm512_add_epi32(f._mm512_cvtps_epi32(bounded), f._mm512_set1_epi32(to.zero_point));
        cast(f._mm512_cvtepi32_epi8(whole))
    }

    #[inline(always)]
    fn add(self, first: [u8; LANES], second: [u8; LANES], &Addition { sum, signed }: &Addition) -> [u8; LANES] {
        let f = self.avx512f;
        let real = |levels: [u8; LANES]| {
            f._mm512_cvtepi32_ps(if signed { f._mm512_cvtepi8_epi32(cast(levels)) } else { f._mm512_cvtepu8_epi32(cast(levels)) })
        };
        let (a, b) = if sum.swapped { (second, first) } else { (first, second) };
        let inner = f._mm512_fmadd_ps(real(b), f._mm512_set1_ps(sum.factor_b), f._mm512_set1_ps(sum.fixed));
        let total = f._mm512_fmadd_ps(real(a), f._mm512_set1_ps(sum.factor_a), inner);
        let bounded = f._mm512_min_ps(f._mm512_max_ps(total, f._mm512_set1_ps(sum.low as f32)), f._mm512_set1_ps(sum.high as f32));
        cast(f._mm512_cvtepi32_epi8(f._mm512_cvtps_epi32(bounded)))
    }
}

impl Dot for V3 {
    type Sums = [__m256i; 2];
    type Quads = [Split<__m256i>; 2];
    type Weights = [Split<__m256i>; 2];

    const MANY_REGISTERS: bool = false;

    #[inline(always)]
    fn sums(self, first: &[i32; LANES]) -> [__m256i; 2] {
        cast(*first)
    }

    #[inline(always)]
    fn splat(self, quad: [u8; 4]) -> [Split<__m256i>; 2] {
        let bytes = self.avx._mm256_set1_epi32(i32::from_le_bytes(quad));
        [split(self, bytes); 2]
    }

    #[inline(always)]
    fn quads(self, quads: &[u32; LANES]) -> [Split<__m256i>; 2] {
        let [low, high]: [__m256i; 2] = cast(*quads);
        [split(self, low), split(self, high)]
    }

    #[inline(always)]
    fn weights(self, weights: &Weights) -> [Split<__m256i>; 2] {
        let half = |bytes: __m256i| {
            let even = self.avx2._mm256_slli_epi16::<8>(bytes);
            Split { even: self.avx2._mm256_srai_epi16::<8>(even), odd: self.avx2._mm256_srai_epi16::<8>(bytes) }
        };
        let [low, high]: [__m256i; 2] = cast(*weights);
        [half(low), half(high)]
    }

    #[inline(always)]
    fn add_products(self, sums: [__m256i; 2], quads: [Split<__m256i>; 2], weights: [Split<__m256i>; 2]) -> [__m256i; 2] {
        let half = |i: usize| {
            let sums = self.avx2._mm256_add_epi32(sums[i], self.avx2._mm256_madd_epi16(quads[i].even, weights[i].even));
            self.avx2._mm256_add_epi32(sums, self.avx2._mm256_madd_epi16(quads[i].odd, weights[i].odd))
        };
        [half(0), half(1)]
    }

    #[inline(always)]
    fn lay(self, quads: [u32; LANES], levels: &[u8; LANES], at: usize) -> [u32; LANES] {
        let avx2 = self.avx2;
        let [low, high]: [u64; 2] = cast(*levels);
        let shift = self.avx._mm256_set1_epi32(8 * at as i32);
        let half = |levels: u64| avx2._mm256_sllv_epi32(avx2._mm256_cvtepu8_epi32(cast([levels, 0])), shift);
        let [before, behind]: [__m256i; 2] = cast(quads);
        cast([avx2._mm256_or_si256(before, half(low)), avx2._mm256_or_si256(behind, half(high))])
    }

    #[inline(always)]
    fn requantize(self, sums: [__m256i; 2], multiplier: &[f32; LANES], to: Rounding) -> [u8; LANES] {
        let (avx, avx2) = (self.avx, self.avx2);
        let multiplier: [__m256; 2] = cast(*multiplier);
        let half = |i: usize| {
            let scaled = avx._mm256_mul_ps(avx._mm256_cvtepi32_ps(sums[i]), multiplier[i]);
            // A NaN becomes the lower bound: the second operand is what comes of it.
            let bounded = avx._mm256_min_ps(avx._mm256_max_ps(scaled, avx._mm256_set1_ps(to.low)), avx._mm256_set1_ps(to.high));
            avx2._mm256_add_epi32(avx._mm256_cvtps_epi32(bounded), avx._mm256_set1_epi32(to.zero_point))
        };
        low_bytes(self, half(0), half(1))
    }

    #[inline(always)]
    fn add(self, first: [u8; LANES], second: [u8; LANES], &Addition { sum, signed }: &Addition) -> [u8; LANES] {
        let (avx, avx2) = (self.avx, self.avx2);
        let real = |levels: u64| {
            let levels = cast([levels, 0]);
            avx._mm256_cvtepi32_ps(if signed { avx2._mm256_cvtepi8_epi32(levels) } else { avx2._mm256_cvtepu8_epi32(levels) })
        };
        let (a, b): ([u64; 2], [u64; 2]) = if sum.swapped { (cast(second), cast(first)) } else { (cast(first), cast(second)) };
        let half = |i: usize| {
            let inner = self.fma._mm256_fmadd_ps(real(b[i]), avx._mm256_set1_ps(sum.factor_b), avx._mm256_set1_ps(sum.fixed));
            let total = self.fma._mm256_fmadd_ps(real(a[i]), avx._mm256_set1_ps(sum.factor_a), inner);
            let above = avx._mm256_max_ps(total, avx._mm256_set1_ps(sum.low as f32));
            avx._mm256_cvtps_epi32(avx._mm256_min_ps(above, avx._mm256_set1_ps(sum.high as f32)))
        };
        low_bytes(self, half(0), half(1))
    }
}

/// The lowest byte of each number.
#[inline(always)]
fn low_bytes(v3: V3, low: __m256i, high: __m256i) -> [u8; LANES] {
    let byte = |half: __m256i| v3.avx2._mm256_and_si256(half, v3.avx._mm256_set1_epi32(0xff));
    // Packing works within halves of a vector; the permutation puts the words in order.
    let words = v3.avx2._mm256_permute4x64_epi64::<0b11_01_10_00>(v3.avx2._mm256_packus_epi32(byte(low), byte(high)));
    let (low, high) = (v3.avx._mm256_castsi256_si128(words), v3.avx2._mm256_extracti128_si256::<1>(words));
    cast(v3.sse2._mm_packus_epi16(low, high))
}

#[inline(always)]
fn split(v3: V3, bytes: __m256i) -> Split<__m256i> {
    Split { even: v3.avx2._mm256_and_si256(bytes, cast([0xff_u16; LANES])), odd: v3.avx2._mm256_srli_epi16::<8>(bytes) }
}
