//! Aligns two real frames by their brightness: the camera's rotation, and with a depth map its motion, tau and ln f.
//!
//! Each pixel of the first frame is lifted along its ray (to the depth that output and tau give, or to infinity for a pure
//! turn), moved, projected into the second, and compared: `e = I2(q(p)) - gain I1(p) - bias`. Levenberg-Marquardt with Huber
//! weights down an image pyramid. Source: Baker and Matthews, *Lucas-Kanade 20 years on*, IJCV 2004; Hartley and Zisserman,
//! section 8.4 (the infinite homography `K R K^-1`).

use fathom_core::depth::RelativeDepth;
use fathom_core::frame::{Frame, Size};
use fathom_core::ops::image::resize::resize_frame;
use nalgebra::{DMatrix, DVector, Rotation3, Vector2, Vector3};

use crate::Result;
use crate::consistency::rotation::{HUBER, MAD_TO_SIGMA};
use crate::scene::{median, sample};
use crate::theta::{depth_of, depth_slope};

/// A grey image.
#[derive(Debug, Clone)]
pub struct Grey {
    /// Width and height.
    pub size: Size,
    values: Vec<f32>,
}

impl Grey {
    /// Luminance of a frame, resampled so that its longer side is at most `longest_px`.
    ///
    /// # Errors
    /// Those of [`resize_frame`].
    pub fn new(frame: &Frame<'_>, longest_px: u32) -> Result<Self> {
        let full = frame.size();
        let scale = (f64::from(longest_px) / f64::from(full.width.max(full.height))).min(1.0);
        let fit = |extent: u32| ((f64::from(extent) * scale).round() as u32).max(1);
        let size = Size::new(fit(full.width), fit(full.height));
        let values = resize_frame(frame, size)?.iter().map(|p| 0.299 * p[0] + 0.587 * p[1] + 0.114 * p[2]).collect();
        Ok(Self { size, values })
    }

    fn halved(&self) -> Self {
        let size = Size::new(self.size.width / 2, self.size.height / 2);
        let (width, out) = (self.size.width as usize, size.width as usize);
        let value = |i: usize| {
            let at = 2 * (i / out) * width + 2 * (i % out);
            (self.values[at] + self.values[at + 1] + self.values[at + width] + self.values[at + width + 1]) / 4.0
        };
        Self { size, values: (0..size.area()).map(value).collect() }
    }

    /// Bilinear value and gradient at a pixel position; `None` within a pixel of the border or outside.
    fn sample(&self, u: f64, v: f64) -> Option<(f64, Vector2<f64>)> {
        let (width, height) = (self.size.width as usize, self.size.height as usize);
        if !(u >= 1.5 && v >= 1.5 && u < width as f64 - 1.5 && v < height as f64 - 1.5) {
            return None;
        }
        let (x, y) = (u - 0.5, v - 0.5);
        let (column, row) = (x as usize, y as usize);
        let (fx, fy) = (x - column as f64, y - row as f64);
        let at = |dx: usize, dy: usize| f64::from(self.values[(row + dy) * width + column + dx]);
        let (a, b, c, d) = (at(0, 0), at(1, 0), at(0, 1), at(1, 1));
        let value = (a * (1.0 - fx) + b * fx) * (1.0 - fy) + (c * (1.0 - fx) + d * fx) * fy;
        let gradient = Vector2::new((b - a) * (1.0 - fy) + (d - c) * fy, (c - a) * (1.0 - fx) + (d - b) * fx);
        Some((value, gradient))
    }
}

/// A frame's brightness, each level half the size of the one before, down to 40 pixels.
#[derive(Debug, Clone)]
pub struct Pyramid(Vec<Grey>);

impl Pyramid {
    /// Of a frame whose longer side is first brought down to `longest_px`.
    ///
    /// # Errors
    /// Those of [`Grey::new`].
    pub fn new(frame: &Frame<'_>, longest_px: u32) -> Result<Self> {
        let mut levels = vec![Grey::new(frame, longest_px)?];
        while let Some(last) = levels.last().filter(|last| last.size.width.min(last.size.height) >= 60) {
            let next = last.halved();
            levels.push(next);
        }
        Ok(Self(levels))
    }

    /// Height over width.
    #[must_use]
    pub fn aspect(&self) -> f64 {
        let size = self.0[0].size;
        f64::from(size.height) / f64::from(size.width)
    }
}

/// Two frames of one size and, for a moving camera, the first one's depth.
#[derive(Debug, Clone, Copy)]
pub struct Pair<'a> {
    before: &'a Pyramid,
    after: &'a Pyramid,
    depth: Option<&'a RelativeDepth>,
}

/// Where the second camera is, and what else the comparison depends on.
#[derive(Debug, Clone, PartialEq)]
pub struct Motion {
    /// Takes points of the first camera to the second.
    pub rotation: Rotation3<f64>,
    /// Likewise, in units of depth with `s = 1`; 0 for a turn.
    pub translation: Vector3<f64>,
    /// Shift, network units.
    pub tau: f64,
    /// Natural logarithm of the focal length over the frame's width.
    pub ln_focal: f64,
    /// Brightness of the second frame over the first's.
    pub gain: f64,
    /// Grey levels added to it.
    pub bias: f64,
}

/// An aligned pair.
#[derive(Debug, Clone, PartialEq)]
pub struct Aligned {
    /// The motion found.
    pub motion: Motion,
    /// Covariance of (rotation 3, ln f) or (rotation 3, ln f, translation 3, tau); meaningless for what was known beforehand.
    pub covariance: DMatrix<f64>,
    /// Correlation of the compared grey values.
    pub correlation: f64,
    /// Share of the first frame's pixels that the second shows.
    pub overlap: f64,
    /// Mean Huber loss, grey levels squared.
    pub loss: f64,
}

/// What is known beforehand of the motion that is looked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Known {
    /// Nothing.
    Nothing,
    /// The angle of its rotation, and one sigma of it, radians.
    Angle(f64, f64),
    /// Tau and focal length: the start's are kept.
    LensAndShift,
}

impl Known {
    /// Share of the loss that a step must win for another to follow: tau and focal length move through long flat valleys.
    fn least_gain(self) -> f64 {
        if self == Self::LensAndShift { 1e-4 } else { 1e-6 }
    }
}

impl Motion {
    /// A turn, seen through a focal length (`ln(f / width)`).
    #[must_use]
    pub fn turn(rotation: Rotation3<f64>, ln_focal: f64) -> Self {
        Self { rotation, translation: Vector3::zeros(), tau: 0.0, ln_focal, gain: 1.0, bias: 0.0 }
    }

    fn stepped(&self, step: &DVector<f64>) -> Self {
        let n = step.len() - 2;
        let moving = n > 4;
        Self {
            rotation: Rotation3::new(Vector3::new(step[0], step[1], step[2])) * self.rotation,
            translation: if moving { self.translation + Vector3::new(step[4], step[5], step[6]) } else { self.translation },
            tau: if moving { self.tau + step[7] } else { self.tau },
            ln_focal: self.ln_focal + step[3],
            gain: self.gain + step[n],
            bias: self.bias + step[n + 1],
        }
    }
}

struct Normal {
    matrix: DMatrix<f64>,
    vector: DVector<f64>,
    loss: f64,
    count: usize,
    correlation: f64,
}

impl Normal {
    /// Adds what is known of the rotation's angle: as strong as the pixels it stands against, which count [`CORRELATED`] times too much.
    fn hold_angle(&mut self, rotation: &Rotation3<f64>, (angle, angle_sigma): (f64, f64), grey_sigma: f64) {
        let found = rotation.angle();
        let axis = rotation.axis().map_or_else(Vector3::y, |a| a.into_inner());
        let weight = CORRELATED / (angle_sigma * angle_sigma);
        for i in 0..3 {
            self.vector[i] += weight * (found - angle) * axis[i];
            for j in 0..3 {
                self.matrix[(i, j)] += weight * axis[i] * axis[j];
            }
        }
        self.loss += weight * (found - angle).powi(2) * grey_sigma * grey_sigma;
    }
}

impl<'a> Pair<'a> {
    /// Compares two frames. With `depth`, the first one's, the camera may move between them, without it it turns.
    #[must_use]
    pub const fn new(before: &'a Pyramid, after: &'a Pyramid, depth: Option<&'a RelativeDepth>) -> Self {
        Self { before, after, depth }
    }

    /// Mean squared difference at the coarsest level after removing gain and bias, over the overlap; infinite where less
    /// than a third overlaps. For searching.
    #[must_use]
    pub fn coarse_error(&self, motion: &Motion) -> f64 {
        let level = self.before.0.len() - 1;
        let size = self.before.0[level].size;
        let (mut n, mut sums) = (0.0, [0.0; 5]);
        self.visit(level, motion, 1, &mut |one, two, _, _| {
            n += 1.0;
            for (sum, value) in sums.iter_mut().zip([one, two, one * one, two * two, one * two]) {
                *sum += value;
            }
        });
        if n < size.area() as f64 / 3.0 {
            return f64::INFINITY;
        }
        let [one, two, one_one, two_two, one_two] = sums.map(|s| s / n);
        let (var_one, var_two) = (one_one - one * one, two_two - two * two);
        // 1 - correlation: gain and bias do not matter.
        1.0 - (one_two - one * two) / (var_one * var_two).sqrt().max(1e-9)
    }

    /// Refines a start down the pyramid. `None` if the frames do not overlap or show nothing.
    #[must_use]
    pub fn align(&self, start: &Motion, known: Known) -> Option<Aligned> {
        let mut motion = start.clone();
        for level in (0..self.before.0.len()).rev() {
            let mut normal = self.normal(level, &motion, known)?;
            let mut damping = 1e-3;
            for _ in 0..STEPS {
                let damped = &normal.matrix + DMatrix::from_diagonal(&normal.matrix.diagonal().map(|d| damping * d + 1e-9));
                let step = -damped.cholesky()?.solve(&normal.vector);
                let candidate = motion.stepped(&step);
                let there = self.normal(level, &candidate, known);
                match there.filter(|n| n.loss < normal.loss && n.count * 10 > normal.count * 8) {
                    Some(there) => {
                        let gain = 1.0 - there.loss / normal.loss;
                        (motion, normal) = (candidate, there);
                        damping = (damping / 4.0).max(1e-9);
                        if gain < known.least_gain() {
                            break;
                        }
                    }
                    None => {
                        damping *= 10.0;
                        if damping > 1e6 {
                            break;
                        }
                    }
                }
            }
        }
        let normal = self.normal(0, &motion, known)?;
        let unknowns = normal.matrix.nrows() - 2;
        // Neighbouring pixels share their error: one independent sample in CORRELATED.
        let covariance = normal.matrix.clone().try_inverse()? * CORRELATED;
        let overlap = normal.count as f64 * f64::from(SKIP * SKIP) / self.before.0[0].size.area() as f64;
        Some(Aligned {
            covariance: covariance.view((0, 0), (unknowns, unknowns)).into_owned(),
            motion,
            correlation: normal.correlation,
            overlap,
            loss: normal.loss / normal.count as f64,
        })
    }

    /// Calls `each(first value, second value, derivatives of the position, second gradient)` for every pixel that both frames show.
    fn visit(&self, level: usize, motion: &Motion, skip: usize, each: Visitor<'_>) {
        let (one, two) = (&self.before.0[level], &self.after.0[level]);
        let (width, height) = (f64::from(one.size.width), f64::from(one.size.height));
        let focal = motion.ln_focal.exp() * width;
        for row in (1..one.size.height as usize - 1).step_by(skip) {
            for column in (1..one.size.width as usize - 1).step_by(skip) {
                let (u, v) = (column as f64 + 0.5, row as f64 + 0.5);
                let ray = Vector3::new((u - width / 2.0) / focal, (v - height / 2.0) / focal, 1.0);
                let (depth, per_tau) = match self.depth {
                    None => (1.0, 0.0),
                    Some(x) => {
                        let (su, sv) = (f64::from(x.size().width) / width, f64::from(x.size().height) / height);
                        let Some(depth) = sample(x, u * su, v * sv).and_then(|x_here| depth_of(x.kind(), x_here, motion.tau)) else {
                            continue;
                        };
                        (depth, depth_slope(x.kind(), depth))
                    }
                };
                let turned = motion.rotation * (ray * depth);
                let point = turned + motion.translation;
                if point.z <= 1e-3 * depth {
                    continue;
                }
                let (x, y) = (point.x / point.z, point.y / point.z);
                let Some((value, gradient)) = two.sample(focal * x + width / 2.0, focal * y + height / 2.0) else { continue };
                let steps = Steps {
                    turned,
                    point,
                    focal,
                    per_tau: motion.rotation * (ray * per_tau),
                    per_focal: motion.rotation * Vector3::new(-ray.x * depth, -ray.y * depth, 0.0),
                };
                each(f64::from(one.values[row * one.size.width as usize + column]), value, &steps, gradient);
            }
        }
    }

    fn normal(&self, level: usize, motion: &Motion, known: Known) -> Option<Normal> {
        let unknowns = if self.depth.is_some() { 8 } else { 4 };
        let skip = if level == 0 { SKIP as usize } else { 1 };
        let size = self.before.0[level].size.area() / (skip * skip);
        let mut rows: Vec<(f64, [f64; MOST_UNKNOWNS])> = Vec::with_capacity(size);
        let (mut n, mut sums) = (0.0, [0.0; 5]);
        self.visit(level, motion, skip, &mut |one, two, steps, gradient| {
            let mut jacobian = [0.0; MOST_UNKNOWNS];
            steps.fill(gradient, unknowns, &mut jacobian);
            if known == Known::LensAndShift {
                (jacobian[3], jacobian[7]) = (0.0, 0.0);
            }
            jacobian[unknowns] = -one;
            jacobian[unknowns + 1] = -1.0;
            rows.push((two - motion.gain * one - motion.bias, jacobian));
            n += 1.0;
            for (sum, value) in sums.iter_mut().zip([one, two, one * one, two * two, one * two]) {
                *sum += value;
            }
        });
        if rows.len() < 30 * unknowns {
            return None;
        }
        let mut sizes: Vec<f64> = rows.iter().map(|(e, _)| e.abs()).collect();
        let sigma = (MAD_TO_SIGMA * median(&mut sizes)?).max(LEAST_NOISE);
        let limit = HUBER * sigma;
        let mut normal = Normal {
            matrix: DMatrix::zeros(unknowns + 2, unknowns + 2),
            vector: DVector::zeros(unknowns + 2),
            loss: 0.0,
            count: rows.len(),
            correlation: 0.0,
        };
        let (mut products, mut sums_of) = ([[0.0; MOST_UNKNOWNS]; MOST_UNKNOWNS], [0.0; MOST_UNKNOWNS]);
        for (residual, jacobian) in &rows {
            let size = residual.abs();
            let weight = if size <= limit { 1.0 } else { limit / size } / (sigma * sigma);
            for (i, value) in jacobian.iter().enumerate() {
                let weighted = weight * value;
                products[i][..=i].iter_mut().zip(jacobian).for_each(|(sum, other)| *sum += weighted * other);
                sums_of[i] += weighted * residual;
            }
            normal.loss += if size <= limit { size * size } else { limit * (2.0 * size - limit) };
        }
        for i in 0..unknowns + 2 {
            normal.vector[i] = sums_of[i];
            for j in 0..unknowns + 2 {
                normal.matrix[(i, j)] = products[i.max(j)][i.min(j)];
            }
        }
        match known {
            Known::Nothing => {}
            Known::Angle(angle, angle_sigma) => normal.hold_angle(&motion.rotation, (angle, angle_sigma), sigma),
            Known::LensAndShift => [3, 7].into_iter().filter(|i| *i < unknowns).for_each(|i| normal.matrix[(i, i)] = 1.0),
        }
        let [one, two, one_one, two_two, one_two] = sums.map(|s| s / n);
        let spread = (one_one - one * one) * (two_two - two * two);
        normal.correlation = if spread > 0.0 { (one_two - one * two) / spread.sqrt() } else { 0.0 };
        Some(normal)
    }
}

/// What is done with each pixel that both frames show.
type Visitor<'a> = &'a mut dyn FnMut(f64, f64, &Steps, Vector2<f64>);

struct Steps {
    turned: Vector3<f64>,
    point: Vector3<f64>,
    focal: f64,
    per_tau: Vector3<f64>,
    per_focal: Vector3<f64>,
}

impl Steps {
    /// Derivatives of the second image's value: rotation, ln f, and if there is room translation and tau.
    fn fill(&self, gradient: Vector2<f64>, unknowns: usize, jacobian: &mut [f64; MOST_UNKNOWNS]) {
        let p = &self.point;
        let (x, y) = (p.x / p.z, p.y / p.z);
        // d value / d point.
        let scale = self.focal / p.z;
        let slope = Vector3::new(gradient.x * scale, gradient.y * scale, -(gradient.x * x + gradient.y * y) * scale);
        let about = self.turned.cross(&slope);
        jacobian[..3].copy_from_slice(about.as_slice());
        jacobian[3] = slope.dot(&self.per_focal) + self.focal * (gradient.x * x + gradient.y * y);
        if unknowns > 4 {
            jacobian[4..7].copy_from_slice(slope.as_slice());
            jacobian[7] = slope.dot(&self.per_tau);
        }
    }
}

/// Longer side at which frames of a turn or a motion are aligned.
pub const LONGEST_PX: u32 = 320;

/// Rotation 3, ln f, translation 3, tau; gain and bias.
const MOST_UNKNOWNS: usize = 10;

/// At the finest level every `SKIP`-th pixel of every `SKIP`-th row is used.
const SKIP: u32 = 2;

/// Steps of the solver per level.
const STEPS: usize = 25;

/// Neighbouring residuals that count as one.
const CORRELATED: f64 = 8.0;

/// Least noise assumed, grey levels: quantisation and resampling.
const LEAST_NOISE: f64 = 1.0;
