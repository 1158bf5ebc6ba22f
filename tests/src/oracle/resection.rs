//! The projective camera behind a picture whose pixels say where their points are.
//!
//! Direct linear transform with normalised coordinates (Hartley & Zisserman, *Multiple View Geometry*, 2nd ed., algorithm
//! 7.1), repeated with weights from the reprojection error, so that filled holes and blended edges do not count.

use nalgebra::{Matrix3, Matrix3x4, Point3, SMatrix, SVector, SymmetricEigen, Vector3, Vector4};

/// A pixel position and the world point that it shows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Match {
    /// Column and row, pixels.
    pub pixel: [f64; 2],
    /// World point, metres.
    pub point: Point3<f64>,
}

/// A camera `z (u, v, 1) = M (X, 1)`, scaled so that `z` is depth: the third row's first three entries have norm 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ProjectiveCamera {
    matrix: Matrix3x4<f64>,
    inverse: Matrix3<f64>,
}

impl ProjectiveCamera {
    /// From any multiple of the camera's matrix; `None` if it has no centre.
    #[must_use]
    pub fn new(matrix: Matrix3x4<f64>) -> Option<Self> {
        let square = matrix.fixed_columns::<3>(0).into_owned();
        let scale = square.row(2).norm().copysign(square.determinant());
        let inverse = (square / scale).try_inverse()?;
        Some(Self { matrix: matrix / scale, inverse })
    }

    /// Optical centre.
    #[must_use]
    pub fn centre(&self) -> Point3<f64> {
        Point3::from(-(self.inverse * self.matrix.column(3)))
    }

    /// Direction that a pixel looks along, scaled so that `centre + z direction` has depth `z`.
    #[must_use]
    pub fn direction(&self, u: f64, v: f64) -> Vector3<f64> {
        self.inverse * Vector3::new(u, v, 1.0)
    }

    fn error(&self, m: &Match) -> f64 {
        let p = self.matrix * m.point.to_homogeneous();
        if p.z > 1e-9 { (p.x / p.z - m.pixel[0]).hypot(p.y / p.z - m.pixel[1]) } else { f64::INFINITY }
    }
}

/// The camera that explains the matches best; `None` if they lie in a plane or are fewer than six.
#[must_use]
pub fn resect(matches: &[Match]) -> Option<ProjectiveCamera> {
    let mut camera = linear(matches, &vec![1.0; matches.len()])?;
    for _ in 0..12 {
        let mut errors: Vec<f64> = matches.iter().map(|m| camera.error(m)).collect();
        let weights_of = errors.clone();
        let middle = errors.len() / 2;
        let limit = 3.0 * errors.select_nth_unstable_by(middle, f64::total_cmp).1.max(1e-9);
        // Tukey's biweight: what is far off does not count at all.
        let weights: Vec<f64> = weights_of.iter().map(|e| if *e < limit { (1.0 - (e / limit).powi(2)).powi(2) } else { 0.0 }).collect();
        camera = linear(matches, &weights)?;
    }
    Some(camera)
}

fn linear(matches: &[Match], weights: &[f64]) -> Option<ProjectiveCamera> {
    let total: f64 = weights.iter().sum();
    let mean = |value: &dyn Fn(&Match) -> f64| matches.iter().zip(weights).map(|(m, w)| w * value(m)).sum::<f64>() / total;
    let pixel_mean = [mean(&|m| m.pixel[0]), mean(&|m| m.pixel[1])];
    let point_mean = Point3::new(mean(&|m| m.point.x), mean(&|m| m.point.y), mean(&|m| m.point.z));
    let pixel_scale = mean(&|m| (m.pixel[0] - pixel_mean[0]).hypot(m.pixel[1] - pixel_mean[1])) / 2_f64.sqrt();
    let point_scale = mean(&|m| (m.point - point_mean).norm()) / 3_f64.sqrt();
    if !(pixel_scale > 0.0 && point_scale > 0.0 && matches.len() >= 6) {
        return None;
    }
    let mut normal = SMatrix::<f64, 12, 12>::zeros();
    for (m, weight) in matches.iter().zip(weights).filter(|(_, w)| **w > 0.0) {
        let (u, v) = ((m.pixel[0] - pixel_mean[0]) / pixel_scale, (m.pixel[1] - pixel_mean[1]) / pixel_scale);
        let p = Point3::from((m.point - point_mean) / point_scale).to_homogeneous();
        for (row, coordinate) in [(0, u), (1, v)] {
            let mut equation = SVector::<f64, 12>::zeros();
            equation.fixed_rows_mut::<4>(4 * row).copy_from(&p);
            equation.fixed_rows_mut::<4>(8).copy_from(&(-coordinate * p));
            normal.ger(*weight, &equation, &equation, 1.0);
        }
    }
    let eigen = SymmetricEigen::new(normal);
    let smallest = eigen.eigenvalues.imin();
    let solution = eigen.eigenvectors.column(smallest);
    let rows = [0, 4, 8].map(|i| Vector4::new(solution[i], solution[i + 1], solution[i + 2], solution[i + 3]).transpose());
    let to_pixels = Matrix3::new(pixel_scale, 0.0, pixel_mean[0], 0.0, pixel_scale, pixel_mean[1], 0.0, 0.0, 1.0);
    let mut from_points = nalgebra::Matrix4::identity() / point_scale;
    from_points.fixed_view_mut::<3, 1>(0, 3).copy_from(&(-point_mean.coords / point_scale));
    from_points[(3, 3)] = 1.0;
    let camera = to_pixels * Matrix3x4::from_rows(&rows) * from_points;
    // The sign of M is open: points are in front.
    let front: f64 = matches.iter().zip(weights).map(|(m, w)| w * (camera.row(2) * m.point.to_homogeneous())[0]).sum();
    let signed = if front < 0.0 { -camera } else { camera };
    let square = signed.fixed_columns::<3>(0).into_owned();
    (square.determinant() > 0.0).then(|| ProjectiveCamera::new(signed)).flatten()
}
