//! Errors of shape: LSIV of whole surfaces, angles of and between planes. Points are in the camera frame, any unit.

use nalgebra::{Matrix3, Vector3};

/// Locally scale-invariant surface error (LSIV) of predicted points against true ones, pixel by pixel.
///
/// Truth is divided by the standard deviation of its X; then `min over a, dz of sum |a P + dz e_z - Q|^2`, divided by the
/// number of points. Source: Chen et al., *OASIS: A Large-Scale Dataset for Single Image 3D in the Wild*, CVPR 2020,
/// section 5 ("LSIV"); here the whole image is one surface.
///
/// `None` of fewer than two points, or where X or the prediction does not vary.
#[must_use]
pub fn lsiv(predicted: &[Vector3<f64>], truth: &[Vector3<f64>]) -> Option<f64> {
    let n = predicted.len().min(truth.len());
    let points = || predicted.iter().zip(truth).take(n);
    let count = n as f64;
    let x_mean = points().map(|(_, q)| q.x).sum::<f64>() / count;
    let x_std = (points().map(|(_, q)| (q.x - x_mean).powi(2)).sum::<f64>() / count).sqrt();
    if n < 2 || x_std.is_nan() || x_std <= 0.0 {
        return None;
    }
    // Normal equations of (a, dz): [P.P  P_z; P_z  n] [a; dz] = [P.Q; Q_z].
    let (mut pp, mut pz, mut pq, mut qz) = (0.0, 0.0, 0.0, 0.0);
    for (p, q) in points() {
        pp += p.norm_squared();
        pz += p.z;
        pq += p.dot(q) / x_std;
        qz += q.z / x_std;
    }
    let determinant = pp * count - pz * pz;
    if determinant.is_nan() || determinant <= f64::EPSILON * pp * count {
        return None;
    }
    let a = (pq * count - pz * qz) / determinant;
    let dz = (pp * qz - pz * pq) / determinant;
    let residual = |p: &Vector3<f64>, q: &Vector3<f64>| (a * p + Vector3::new(0.0, 0.0, dz) - q / x_std).norm_squared();
    Some(points().map(|(p, q)| residual(p, q)).sum::<f64>() / count)
}

/// Unit normal of the least-squares plane through `points`: the direction of least variance, turned towards the camera.
/// `None` of fewer than three points, or points on a line.
#[must_use]
pub fn plane_normal(points: &[Vector3<f64>]) -> Option<Vector3<f64>> {
    if points.len() < 3 {
        return None;
    }
    let mean = points.iter().sum::<Vector3<f64>>() / points.len() as f64;
    let scatter = points.iter().map(|p| (p - mean) * (p - mean).transpose()).sum::<Matrix3<f64>>();
    let eigen = scatter.symmetric_eigen();
    let mut axes = [0, 1, 2];
    axes.sort_unstable_by(|&i, &j| eigen.eigenvalues[i].total_cmp(&eigen.eigenvalues[j]));
    let [least, second, largest] = axes.map(|i| eigen.eigenvalues[i]);
    // On a line the two smaller variances vanish against the largest and the normal is free to spin.
    if !(second > 1e-12 * largest && least.is_finite()) {
        return None;
    }
    let normal = eigen.eigenvectors.column(axes[0]).into_owned();
    Some(if normal.dot(&mean) > 0.0 { -normal } else { normal })
}

/// Angle between the planes fitted to predicted and to true points of one flat region, radians, `0..=pi/2`.
#[must_use]
pub fn plane_angle_error_rad(predicted: &[Vector3<f64>], truth: &[Vector3<f64>]) -> Option<f64> {
    Some(angle_rad(&plane_normal(predicted)?, &plane_normal(truth)?))
}

/// Difference between the predicted and the true dihedral angle of two flat regions, radians. Each region is
/// `(predicted points, true points)`. A wrong focal length or shift keeps planes flat but changes this.
#[must_use]
pub fn dihedral_angle_error_rad(first: (&[Vector3<f64>], &[Vector3<f64>]), second: (&[Vector3<f64>], &[Vector3<f64>])) -> Option<f64> {
    let predicted = angle_rad(&plane_normal(first.0)?, &plane_normal(second.0)?);
    let truth = angle_rad(&plane_normal(first.1)?, &plane_normal(second.1)?);
    Some((predicted - truth).abs())
}

/// Angle between two planes by their unit normals, whatever the normals' signs.
fn angle_rad(a: &Vector3<f64>, b: &Vector3<f64>) -> f64 {
    a.cross(b).norm().atan2(a.dot(b).abs())
}

#[cfg(test)]
mod tests {
    use std::f64::consts::{FRAC_PI_4, FRAC_PI_6};

    use super::*;

    fn points(values: &[[f64; 3]]) -> Vec<Vector3<f64>> {
        values.iter().map(|&p| Vector3::from(p)).collect()
    }

    #[test]
    fn lsiv_does_not_see_scale_and_offset_along_z() {
        let truth = points(&[[-1.0, 0.0, 2.0], [1.0, 0.0, 2.0], [0.0, 1.0, 3.0]]);
        let predicted: Vec<_> = truth.iter().map(|q| 0.1 * q + Vector3::new(0.0, 0.0, 7.0)).collect();
        assert!(lsiv(&predicted, &truth).unwrap() < 1e-20);
    }

    #[test]
    fn lsiv_of_a_hand_computed_pair() {
        // X = -1, 1: std 1. P has the two z swapped: P.P = 12, sum P_z = 4, P.Q = 2 + 2 * 1 * 3 = 8, sum Q_z = 4, n = 2.
        // Determinant 12 * 2 - 16 = 8; a = (8 * 2 - 16) / 8 = 0, dz = (12 * 4 - 4 * 8) / 8 = 2.
        // Residuals (0, 0, 2) - Q: (1, 0, 1) and (-1, 0, -1): (2 + 2) / 2 = 2.
        let truth = points(&[[-1.0, 0.0, 1.0], [1.0, 0.0, 3.0]]);
        let predicted = points(&[[-1.0, 0.0, 3.0], [1.0, 0.0, 1.0]]);
        assert!((lsiv(&predicted, &truth).unwrap() - 2.0).abs() < 1e-12);
    }

    #[test]
    fn lsiv_needs_points_that_differ() {
        let one = points(&[[1.0, 1.0, 1.0]]);
        assert_eq!(lsiv(&one, &one), None);
        let column = points(&[[1.0, 1.0, 1.0], [1.0, 2.0, 1.0]]);
        assert_eq!(lsiv(&column, &column), None);
    }

    #[test]
    fn a_tilted_plane_is_off_by_its_tilt() {
        let flat = points(&[[0.0, 0.0, 2.0], [1.0, 0.0, 2.0], [0.0, 1.0, 2.0], [1.0, 1.0, 2.0]]);
        let slope = FRAC_PI_6.tan();
        let tilted: Vec<_> = flat.iter().map(|p| Vector3::new(p.x, p.y, 2.0 + slope * p.x)).collect();
        assert!((plane_angle_error_rad(&tilted, &flat).unwrap() - FRAC_PI_6).abs() < 1e-9);
        assert!((plane_normal(&flat).unwrap() - Vector3::new(0.0, 0.0, -1.0)).norm() < 1e-9);
    }

    #[test]
    fn a_right_angle_seen_as_a_half_right_one_is_off_by_the_difference() {
        let floor = points(&[[0.0, 1.0, 1.0], [1.0, 1.0, 1.0], [0.0, 1.0, 2.0]]);
        let wall = points(&[[0.0, 1.0, 2.0], [1.0, 1.0, 2.0], [0.0, 0.0, 2.0]]);
        let ramp = points(&[[0.0, 1.0, 2.0], [1.0, 1.0, 2.0], [0.0, 0.0, 3.0]]);
        let error = dihedral_angle_error_rad((&floor, &floor), (&ramp, &wall)).unwrap();
        assert!((error - FRAC_PI_4).abs() < 1e-9, "{error}");
    }

    #[test]
    fn points_on_a_line_have_no_plane() {
        assert_eq!(plane_normal(&points(&[[0.0, 0.0, 1.0], [1.0, 0.0, 1.0], [2.0, 0.0, 1.0]])), None);
        assert_eq!(plane_normal(&points(&[[0.0, 0.0, 1.0]; 5])), None);
    }
}
