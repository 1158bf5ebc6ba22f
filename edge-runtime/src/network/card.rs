//! The model card: facts about a network that its graph does not hold, read from three places.
//!
//! The file's own metadata (`fathom.KEY`), a TOML beside it (`KEY = ...`) and what the caller gives; later ones win.
//!
//! | key | TOML | meaning |
//! |---|---|---|
//! | `card_version` | `1` | form of the card |
//! | `name` | text | short name; else the graph's |
//! | `input_width`, `input_height` | integer | pixels; may be left out if the file fixes them |
//! | `channel_order` | `"rgb"`, `"bgr"` | |
//! | `mean`, `std` | three numbers | of channels scaled to 0..1 |
//! | `output_kind` | `"inverse-depth"`, `"depth"`, `"metric-depth"` | |
//! | `output`, `fov_output` | text | names of outputs; depth is the first unless named |
//! | `train_fov_deg` | two numbers | horizontal field of view in training, degrees |
//! | `kappa`, `kappa_quartiles` | number, two numbers | response coefficient: its median over cameras, and its quartiles; both or neither |
//! | `default_tau` | number | shift that suits the training domain; 0 unless given |
//! | `default_tau_quartiles` | two numbers | quartiles over cameras of the shift that suits each best |
//! | `scale_spread` | two numbers | one sigma of ln scale of a frame about its camera, and of a pixel about its frame |
//! | `licence`, `origin` | text | of the weights |
//! | `fov_meaning`, `fov_sigma_factor`, `kappa_angle_deg`, `kappa_frames` | text | for people: what the field-of-view output holds, how kappa was measured |
//!
//! In metadata everything is text: `0.485, 0.456, 0.406`. A fact that is still `unmeasured` counts as not given.

use fathom_core::depth::OutputKind;
use fathom_core::frame::Size;
use fathom_core::model::{ChannelOrder, ModelCard, Response, ScaleSpread};

use super::import::onnx::StringStringEntryProto;
use crate::{Error, Result};

/// Facts of a card, each of which may be missing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CardFacts {
    /// Short name.
    pub name: Option<String>,
    /// Input width, pixels.
    pub input_width: Option<u32>,
    /// Input height, pixels.
    pub input_height: Option<u32>,
    /// Channel order.
    pub channel_order: Option<ChannelOrder>,
    /// Subtracted from channels scaled to 0..1.
    pub mean: Option<[f32; 3]>,
    /// Divides channels after the mean.
    pub std: Option<[f32; 3]>,
    /// What the output means.
    pub output_kind: Option<OutputKind>,
    /// Name of the depth output.
    pub output: Option<String>,
    /// Name of the field-of-view output.
    pub fov_output: Option<String>,
    /// Fields of view seen in training, degrees.
    pub train_fov_deg: Option<(f64, f64)>,
    /// Response coefficient: median over cameras.
    pub kappa: Option<f64>,
    /// Its lower and upper quartile over cameras.
    pub kappa_quartiles: Option<(f64, f64)>,
    /// Shift that suits the training domain.
    pub default_tau: Option<f64>,
    /// Lower and upper quartile over cameras of the shift that suits each.
    pub default_tau_quartiles: Option<(f64, f64)>,
    /// How far frames and pixels lie from their camera's scale.
    pub scale_spread: Option<ScaleSpread>,
    /// Licence of the weights.
    pub licence: Option<String>,
}

impl CardFacts {
    /// The facts in a file's metadata; keys without `fathom.` are others' business.
    ///
    /// # Errors
    /// [`Error::BadCard`] naming the key.
    pub fn from_metadata(entries: &[StringStringEntryProto]) -> Result<Self> {
        let mut facts = Self::default();
        for entry in entries {
            if let Some(key) = entry.key.strip_prefix("fathom.") {
                facts.set(key, &entry.value)?;
            }
        }
        Ok(facts)
    }

    /// The facts in a TOML beside the file.
    ///
    /// # Errors
    /// [`Error::BadCard`] naming the key, or the line that is not TOML.
    pub fn from_toml(text: &str) -> Result<Self> {
        let table: toml::Table = text.parse().map_err(|e: toml::de::Error| bad("card", e.message(), "a TOML table"))?;
        let mut facts = Self::default();
        for (key, value) in &table {
            facts.set(key, &plain(key, value)?)?;
        }
        Ok(facts)
    }

    /// These facts, where `other` does not say otherwise.
    #[must_use]
    pub fn overridden_by(self, other: Self) -> Self {
        Self {
            name: other.name.or(self.name),
            input_width: other.input_width.or(self.input_width),
            input_height: other.input_height.or(self.input_height),
            channel_order: other.channel_order.or(self.channel_order),
            mean: other.mean.or(self.mean),
            std: other.std.or(self.std),
            output_kind: other.output_kind.or(self.output_kind),
            output: other.output.or(self.output),
            fov_output: other.fov_output.or(self.fov_output),
            train_fov_deg: other.train_fov_deg.or(self.train_fov_deg),
            kappa: other.kappa.or(self.kappa),
            kappa_quartiles: other.kappa_quartiles.or(self.kappa_quartiles),
            default_tau: other.default_tau.or(self.default_tau),
            default_tau_quartiles: other.default_tau_quartiles.or(self.default_tau_quartiles),
            scale_spread: other.scale_spread.or(self.scale_spread),
            licence: other.licence.or(self.licence),
        }
    }

    /// The card, with the input size from the file where it fixes one.
    ///
    /// # Errors
    /// [`Error::CardIncomplete`] listing every key that is missing, or core's error naming a number out of range.
    pub fn complete(self, fixed_size: Option<Size>, graph_name: &str) -> Result<ModelCard> {
        let width = self.input_width.or(fixed_size.map(|s| s.width));
        let height = self.input_height.or(fixed_size.map(|s| s.height));
        let (Some(width), Some(height), Some(channel_order), Some(mean), Some(std), Some(output_kind)) =
            (width, height, self.channel_order, self.mean, self.std, self.output_kind)
        else {
            let facts = [
                ("input_width", width.is_some()),
                ("input_height", height.is_some()),
                ("channel_order", self.channel_order.is_some()),
                ("mean", self.mean.is_some()),
                ("std", self.std.is_some()),
                ("output_kind", self.output_kind.is_some()),
            ];
            return Err(Error::CardIncomplete { missing: facts.iter().filter(|(_, known)| !known).map(|(key, _)| *key).collect() });
        };
        let kappa = response(self.kappa, self.kappa_quartiles)?;
        let card = ModelCard {
            name: self.name.unwrap_or_else(|| graph_name.to_owned()),
            input: Size::new(width, height),
            channel_order,
            mean,
            std,
            output_kind,
            output: self.output,
            fov_output: self.fov_output,
            train_fov_deg: self.train_fov_deg,
            kappa,
            default_tau: self.default_tau.unwrap_or(0.0),
            default_tau_sigma: self.default_tau_quartiles.map(|(lower, upper)| (upper - lower) / NORMAL_QUARTILES),
            scale_spread: self.scale_spread,
            licence: self.licence,
        };
        Ok(card.checked()?)
    }

    /// Sets one fact from its text; empty or `unmeasured` leaves it unknown.
    fn set(&mut self, key: &str, text: &str) -> Result<()> {
        let text = text.trim();
        if matches!(text, "" | "unmeasured") {
            return Ok(());
        }
        match key {
            "card_version" if text == "1" => {}
            "card_version" => return Err(bad(key, text, "1, the only version there is")),
            "name" => self.name = Some(text.to_owned()),
            "input_width" => self.input_width = Some(text.parse().map_err(|_| bad(key, text, "a number of pixels"))?),
            "input_height" => self.input_height = Some(text.parse().map_err(|_| bad(key, text, "a number of pixels"))?),
            "channel_order" => self.channel_order = Some(channel_order(text)?),
            "mean" => self.mean = Some(numbers(key, text)?.map(|v: f64| v as f32)),
            "std" => self.std = Some(numbers(key, text)?.map(|v: f64| v as f32)),
            "output_kind" => self.output_kind = Some(output_kind(text)?),
            "output" => self.output = Some(text.to_owned()),
            "fov_output" => self.fov_output = Some(text.to_owned()),
            "train_fov_deg" => {
                let [low, high] = numbers(key, text)?;
                if !(0.0 < low && low <= high && high < 180.0) {
                    return Err(bad(key, text, "two angles between 0 and 180 degrees, the smaller first"));
                }
                self.train_fov_deg = Some((low, high));
            }
            "kappa_quartiles" => {
                let [lower, upper] = numbers(key, text)?;
                if lower > upper {
                    return Err(bad(key, text, "the lower quartile first"));
                }
                self.kappa_quartiles = Some((lower, upper));
            }
            "default_tau_quartiles" => {
                let [lower, upper] = numbers(key, text)?;
                if lower >= upper {
                    return Err(bad(key, text, "the lower quartile first"));
                }
                self.default_tau_quartiles = Some((lower, upper));
            }
            "scale_spread" => {
                let [frame, pixel] = numbers(key, text)?;
                self.scale_spread = Some(ScaleSpread { frame, pixel });
            }
            "kappa" => self.kappa = Some(numbers::<1>(key, text)?[0]),
            "default_tau" => self.default_tau = Some(numbers::<1>(key, text)?[0]),
            "licence" => self.licence = Some(text.to_owned()),
            // For people; nothing is computed from them.
            "origin" | "fov_meaning" | "fov_sigma_factor" | "kappa_angle_deg" | "kappa_frames" => {}
            _ => return Err(bad(key, text, "a key of the card's table in the documentation")),
        }
        Ok(())
    }
}

/// The card as a file's metadata, from which [`CardFacts::from_metadata`] reads it back.
#[must_use]
pub fn metadata(card: &ModelCard) -> Vec<(String, String)> {
    let three = |v: [f32; 3]| format!("{},{},{}", v[0], v[1], v[2]);
    let quartiles =
        |middle: f64, sigma: f64| format!("{},{}", middle - sigma * NORMAL_QUARTILES / 2.0, middle + sigma * NORMAL_QUARTILES / 2.0);
    let order = if card.channel_order == ChannelOrder::Rgb { "rgb" } else { "bgr" };
    let mut entries = vec![
        ("card_version", "1".to_owned()),
        ("name", card.name.clone()),
        ("input_width", card.input.width.to_string()),
        ("input_height", card.input.height.to_string()),
        ("channel_order", order.to_owned()),
        ("mean", three(card.mean)),
        ("std", three(card.std)),
        ("output_kind", card.output_kind.name().to_owned()),
        ("default_tau", card.default_tau.to_string()),
    ];
    let texts = [("output", &card.output), ("fov_output", &card.fov_output), ("licence", &card.licence)];
    entries.extend(texts.into_iter().filter_map(|(key, text)| text.clone().map(|text| (key, text))));
    entries.extend(card.train_fov_deg.map(|(low, high)| ("train_fov_deg", format!("{low},{high}"))));
    entries.extend(card.default_tau_sigma.map(|sigma| ("default_tau_quartiles", quartiles(card.default_tau, sigma))));
    entries.extend(card.scale_spread.map(|spread| ("scale_spread", format!("{},{}", spread.frame, spread.pixel))));
    if let Some(Response { value, sigma }) = card.kappa {
        entries.extend([("kappa", value.to_string()), ("kappa_quartiles", quartiles(value, sigma))]);
    }
    entries.into_iter().map(|(key, text)| (format!("fathom.{key}"), text)).collect()
}

/// Distance of a normal distribution's quartiles, standard deviations: 2 * 0.6745.
const NORMAL_QUARTILES: f64 = 1.349;

/// The response coefficient.
fn response(kappa: Option<f64>, quartiles: Option<(f64, f64)>) -> Result<Option<Response>> {
    match (kappa, quartiles) {
        (None, None) => Ok(None),
        (Some(value), Some((lower, upper))) => Ok(Some(Response { value, sigma: (upper - lower) / NORMAL_QUARTILES })),
        (Some(value), None) => Err(bad("kappa", &value.to_string(), "kappa_quartiles beside it")),
        (None, Some((lower, upper))) => Err(bad("kappa_quartiles", &format!("{lower}, {upper}"), "kappa beside them")),
    }
}

fn bad(key: &str, got: &str, expected: &'static str) -> Error {
    Error::BadCard { key: key.to_owned(), got: got.chars().take(80).collect(), expected }
}

/// The text that a TOML value would have in metadata.
fn plain(key: &str, value: &toml::Value) -> Result<String> {
    Ok(match value {
        toml::Value::String(text) => text.clone(),
        toml::Value::Integer(number) => number.to_string(),
        toml::Value::Float(number) => number.to_string(),
        toml::Value::Array(items) => items.iter().map(|item| plain(key, item)).collect::<Result<Vec<_>>>()?.join(", "),
        other => return Err(bad(key, other.type_str(), "a text, a number or numbers")),
    })
}

/// `N` finite numbers, separated by commas or spaces, in brackets or not.
fn numbers<const N: usize>(key: &str, text: &str) -> Result<[f64; N]> {
    const EXPECTED: [&str; 4] = ["no number", "a finite number", "two finite numbers", "three finite numbers"];
    let fail = || bad(key, text, EXPECTED[N]);
    let separators = |c: char| c == ',' || c.is_whitespace() || matches!(c, '[' | ']' | '(' | ')');
    let parsed =
        text.split(separators).filter(|part| !part.is_empty()).map(str::parse::<f64>).collect::<Result<Vec<_>, _>>().map_err(|_| fail())?;
    let values: [f64; N] = parsed.try_into().map_err(|_| fail())?;
    if values.iter().all(|v| v.is_finite()) { Ok(values) } else { Err(fail()) }
}

fn channel_order(text: &str) -> Result<ChannelOrder> {
    match text {
        "rgb" => Ok(ChannelOrder::Rgb),
        "bgr" => Ok(ChannelOrder::Bgr),
        _ => Err(bad("channel_order", text, "rgb or bgr")),
    }
}

fn output_kind(text: &str) -> Result<OutputKind> {
    let kinds = [OutputKind::InverseDepth, OutputKind::Depth, OutputKind::MetricDepth];
    kinds.into_iter().find(|kind| kind.name() == text).ok_or_else(|| bad("output_kind", text, "inverse-depth, depth or metric-depth"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMPLETE: &str = r#"
        card_version = 1
        name = "tiny"
        input_width = 64
        input_height = 48
        channel_order = "bgr"
        mean = [0.5, 0.25, 0]
        std = [1.0, 1.0, 0.5]
        output_kind = "inverse-depth"
        train_fov_deg = [40, 95.5]
        kappa = 0.8
        kappa_quartiles = [0.7, 0.9]
        default_tau = 0.125
        scale_spread = [0.2, 0.15]
        licence = "MIT"
        origin = "here"
    "#;

    #[test]
    fn a_toml_and_the_same_facts_as_metadata_give_the_same_card() {
        let entry = |key: &str, value: &str| StringStringEntryProto { key: format!("fathom.{key}"), value: value.into() };
        let metadata = [
            entry("card_version", "1"),
            entry("name", "tiny"),
            entry("input_width", "64"),
            entry("input_height", "48"),
            entry("channel_order", "bgr"),
            entry("mean", "0.5,0.25,0"),
            entry("std", "[1.0 1.0 0.5]"),
            entry("output_kind", "inverse-depth"),
            entry("train_fov_deg", "40, 95.5"),
            entry("kappa", "0.8"),
            entry("kappa_quartiles", "0.7 0.9"),
            entry("default_tau", "0.125"),
            entry("scale_spread", "0.2,0.15"),
            entry("licence", "MIT"),
            StringStringEntryProto { key: "onnx.infer".into(), value: "others' business".into() },
        ];
        let card = CardFacts::from_toml(COMPLETE).unwrap().complete(None, "graph").unwrap();
        assert_eq!(CardFacts::from_metadata(&metadata).unwrap().complete(None, "graph").unwrap(), card);
        assert_eq!((card.input, card.mean, card.default_tau), (Size::new(64, 48), [0.5, 0.25, 0.0], 0.125));
    }

    #[test]
    fn a_card_written_as_metadata_reads_back() {
        let card = CardFacts::from_toml(COMPLETE).unwrap().complete(None, "graph").unwrap();
        let entries: Vec<_> = metadata(&card).into_iter().map(|(key, value)| StringStringEntryProto { key, value }).collect();
        let again = CardFacts::from_metadata(&entries).unwrap().complete(None, "graph").unwrap();
        let sigma = |card: &ModelCard| card.kappa.unwrap().sigma;
        assert!((sigma(&again) - sigma(&card)).abs() < 1e-9);
        assert_eq!(ModelCard { kappa: card.kappa, ..again }, card);
    }

    #[test]
    fn missing_facts_are_all_listed_with_their_flags() {
        let facts = CardFacts { mean: Some([0.0; 3]), ..CardFacts::default() };
        let text = facts.complete(Some(Size::new(64, 48)), "g").unwrap_err().to_string();
        assert!(text.contains("missing: channel_order, std, output_kind."), "{text}");
        assert!(text.ends_with("--channel-order --std --output-kind"), "{text}");
    }

    #[test]
    fn later_facts_win_over_earlier_ones() {
        let given = CardFacts { input_width: Some(128), ..CardFacts::default() };
        let card = CardFacts::from_toml(COMPLETE).unwrap().overridden_by(given).complete(Some(Size::new(1, 1)), "g").unwrap();
        assert_eq!(card.input, Size::new(128, 48));
    }

    #[test]
    fn a_fact_that_makes_no_sense_is_named() {
        for (text, expected) in [
            ("std = [1, 1]", "model card: std is \"1, 1\", expected three finite numbers"),
            ("mean = [0, nan, 0]", "model card: mean is \"0, NaN, 0\", expected three finite numbers"),
            ("channel_order = \"gbr\"", "model card: channel_order is \"gbr\", expected rgb or bgr"),
            ("input_width = -3", "model card: input_width is \"-3\", expected a number of pixels"),
            ("card_version = 2", "model card: card_version is \"2\", expected 1, the only version there is"),
            ("meen = 1", "model card: meen is \"1\", expected a key of the card's table in the documentation"),
            ("output_kind = {}", "model card: output_kind is \"table\", expected a text, a number or numbers"),
        ] {
            assert_eq!(CardFacts::from_toml(text).unwrap_err().to_string(), expected);
        }
        assert!(CardFacts::from_toml("this is not toml").is_err());
    }
}
