//! What the rest of Fathom must know of a network: its card, and the one trait through which calibration runs it.

use crate::depth::{OutputKind, RelativeDepth};
use crate::frame::{Frame, Size};
use crate::{Error, Result};

/// Channel order in which a network wants its input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChannelOrder {
    /// Red first.
    Rgb,
    /// Blue first.
    Bgr,
}

/// Share of a rotation's depth change that a network realises, and how much that share differs between cameras.
///
/// Card keys `fathom.kappa` and `fathom.kappa_sigma`; measured as the calibration crate describes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Response {
    /// Median over cameras; 1 is a perfect network, 0 one that ignores the view.
    pub value: f64,
    /// One sigma between cameras.
    pub sigma: f64,
}

/// How far the scale of single frames, and of single pixels in them, lies from the one scale of their camera.
///
/// One sigma of its logarithm each. Card key `fathom.scale_spread`; measured as the calibration crate describes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ScaleSpread {
    /// Of a frame's best scale about the camera's.
    pub frame: f64,
    /// Of a pixel's depth about the truth, at its frame's best scale.
    pub pixel: f64,
}

impl ScaleSpread {
    /// What a network is taken to have whose card does not say: every frame nearly a scale of its own, as the usual losses allow.
    pub const UNMEASURED: Self = Self { frame: 0.4, pixel: 0.2 };
}

/// Facts about a frozen network that its graph does not hold.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelCard {
    /// Short name.
    pub name: String,
    /// Input size the network runs at.
    pub input: Size,
    /// Channel order.
    pub channel_order: ChannelOrder,
    /// Subtracted from each channel (values scaled to 0..1), in the network's channel order.
    pub mean: [f32; 3],
    /// Divides each channel after the mean.
    pub std: [f32; 3],
    /// What the output means.
    pub output_kind: OutputKind,
    /// Name of the depth output in the graph; `None`: the first.
    pub output: Option<String>,
    /// Name of the field-of-view output, if it has one.
    pub fov_output: Option<String>,
    /// Horizontal fields of view seen in training, degrees (smallest, largest).
    pub train_fov_deg: Option<(f64, f64)>,
    /// Response coefficient: share of a rotation's depth change that the network realises (see the calibration crate).
    pub kappa: Option<Response>,
    /// Shift that suits a domain like the training data, network units.
    pub default_tau: f64,
    /// One sigma of the shift between cameras about [`ModelCard::default_tau`]; `None` if it was never measured.
    pub default_tau_sigma: Option<f64>,
    /// How far frames and pixels lie from their camera's scale; `None` if it was never measured.
    pub scale_spread: Option<ScaleSpread>,
    /// Licence of the weights.
    pub licence: Option<String>,
}

impl ModelCard {
    /// A network of which nothing more is known: RGB in 0..1, the first output, shift 0, no second output, no response.
    #[must_use]
    pub fn new(name: impl Into<String>, input: Size, output_kind: OutputKind) -> Self {
        Self {
            name: name.into(),
            input,
            channel_order: ChannelOrder::Rgb,
            mean: [0.0; 3],
            std: [1.0; 3],
            output_kind,
            output: None,
            fov_output: None,
            train_fov_deg: None,
            kappa: None,
            default_tau: 0.0,
            default_tau_sigma: None,
            scale_spread: None,
            licence: None,
        }
    }

    /// The card's spread of the scale, or what is assumed of a network whose card does not say.
    #[must_use]
    pub fn assumed_scale_spread(&self) -> ScaleSpread {
        self.scale_spread.unwrap_or(ScaleSpread::UNMEASURED)
    }

    /// Checks the numbers a network cannot run without.
    ///
    /// # Errors
    /// [`Error::BadSize`] or [`Error::OutOfRange`] naming the field.
    pub fn checked(self) -> Result<Self> {
        self.input.checked()?;
        let refuse = |what, got: f32, allowed| Err(Error::OutOfRange { what, got: got.to_string(), allowed });
        if let Some(&bad) = self.mean.iter().find(|v| !v.is_finite()) {
            return refuse("card mean", bad, "finite");
        }
        if let Some(&bad) = self.std.iter().find(|v| !(v.is_finite() && **v > 0.0)) {
            return refuse("card std", bad, "finite and above 0");
        }
        if !self.default_tau.is_finite() {
            return refuse("card default_tau", self.default_tau as f32, "finite");
        }
        if let Some(kappa) = self.kappa
            && !(kappa.value.is_finite() && kappa.sigma.is_finite() && kappa.sigma >= 0.0)
        {
            return refuse("card kappa", kappa.value as f32, "finite, with a sigma of 0 or more");
        }
        if let Some(sigma) = self.default_tau_sigma
            && !(sigma.is_finite() && sigma > 0.0)
        {
            return refuse("card default_tau_sigma", sigma as f32, "finite and above 0");
        }
        if let Some(ScaleSpread { frame, pixel }) = self.scale_spread
            && let Some(&bad) = [frame, pixel].iter().find(|sigma| !(sigma.is_finite() && **sigma > 0.0))
        {
            return refuse("card scale_spread", bad as f32, "finite and above 0");
        }
        Ok(self)
    }
}

/// Horizontal field of view as a network sees it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FovEstimate {
    /// Radians.
    pub fov_rad: f64,
    /// One sigma of the natural logarithm of the focal length.
    pub ln_focal_sigma: f64,
}

/// One answer of a network to one image.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// Raw output at the network's own resolution.
    pub relative: RelativeDepth,
    /// Second output, where the card names one.
    pub fov: Option<FovEstimate>,
}

/// A frozen depth network, however it is run. Implemented by the engine, and by analytic models in tests.
pub trait DepthModel {
    /// The network's card.
    fn card(&self) -> &ModelCard;

    /// Runs the network on one image of any size; preprocessing is the model's.
    ///
    /// # Errors
    /// [`Error::Model`] with what the executor said.
    fn predict(&mut self, image: &Frame<'_>) -> Result<Prediction, Error>;
}
