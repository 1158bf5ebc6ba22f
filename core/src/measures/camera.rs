//! Errors of what was found about the camera: focal length, shift, and whether the sigmas hold.

/// `|f - f*| / f*`.
///
/// ```
/// assert_eq!(fathom_core::measures::camera::focal_error(600.0, 500.0), 0.2);
/// ```
#[must_use]
pub fn focal_error(focal_px: f64, truth_px: f64) -> f64 {
    (focal_px - truth_px).abs() / truth_px
}

/// `|tau - tau*| / (mean(x) + tau*)`: the shift's error as a share of the mean shifted output.
#[must_use]
pub fn tau_error(tau: f64, truth: f64, output_mean: f64) -> f64 {
    (tau - truth).abs() / (output_mean + truth).abs()
}

/// Share of errors at or below `limit`; `None` of no errors.
#[must_use]
pub fn share_within(errors: &[f64], limit: f64) -> Option<f64> {
    (!errors.is_empty()).then(|| errors.iter().filter(|&&error| error <= limit).count() as f64 / errors.len() as f64)
}

/// One estimate with its claimed sigma, and the truth.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Claim {
    /// What was found.
    pub estimate: f64,
    /// One sigma of it, same unit.
    pub sigma: f64,
    /// What is true.
    pub truth: f64,
}

/// Share of truths within `sigmas` sigmas of their estimates: honest Gaussian sigmas give 0.68 for one and 0.95 for two.
/// `None` of no claims.
#[must_use]
pub fn coverage(claims: &[Claim], sigmas: f64) -> Option<f64> {
    let distances: Vec<f64> = claims.iter().map(|claim| (claim.estimate - claim.truth).abs() / claim.sigma).collect();
    share_within(&distances, sigmas)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shifts_error_is_relative_to_the_mean_shifted_output() {
        assert_eq!(tau_error(0.5, 0.25, 0.75), 0.25);
    }

    #[test]
    fn coverage_counts_truths_within_the_claimed_sigma() {
        let claims =
            [(1.0, 0.5, 1.5), (1.0, 0.5, 1.75), (1.0, 0.5, -0.25)].map(|(estimate, sigma, truth)| Claim { estimate, sigma, truth });
        assert_eq!(coverage(&claims, 1.0), Some(1.0 / 3.0));
        assert_eq!(coverage(&claims, 2.0), Some(2.0 / 3.0));
        assert_eq!(coverage(&[], 1.0), None);
        assert_eq!(share_within(&[0.05, 0.1, 0.3], 0.1), Some(2.0 / 3.0));
    }
}
