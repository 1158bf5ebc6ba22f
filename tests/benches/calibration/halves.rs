//! The card that some cameras make: what was measured on them, to score others under.

use fathom_core::model::ModelCard;

use crate::campaign::{Scored, quartiles, response, scale_spread};

/// `card` with response, usual shift and spread of the scale as these cameras have them.
pub(crate) fn card<'a>(card: &ModelCard, scores: impl Iterator<Item = &'a Scored> + Clone) -> ModelCard {
    let [lower, middle, upper] = quartiles(scores.clone().map(|s| s.tau_true).collect());
    ModelCard {
        kappa: response(scores.clone()),
        default_tau: middle,
        // Quartiles of a normal distribution lie 1.349 sigma apart.
        default_tau_sigma: Some((upper - lower) / 1.349).filter(|sigma| *sigma > 0.0),
        scale_spread: scale_spread(scores),
        ..card.clone()
    }
}
