//! ONNX as untrusted input, to a [`Graph`] of fixed shapes and a [`ModelCard`].
//!
//! `bytes -> messages (bounded by scan, decoded by prost) -> card -> needed nodes in order -> each node resolved by its
//! operator's room in ops (shapes inferred, constants folded) -> outputs chosen, what nothing needs dropped`.
//!
//! Quantization is kept: a `DequantizeLinear` of a constant is never folded. What a file may ask for is said by [`Limits`];
//! whatever breaks a rule is an error that names the node or value. Nothing recurses, and all arithmetic on numbers of
//! the file is bounded or checked. `tests/suite/import*.rs` hold this to fixtures, `mutated_onnx.rs` to damaged ones.

mod attributes;
mod builder;
mod call;
mod decode;
mod external;
mod finish;
mod fold;
mod input;
mod limits;
pub mod onnx;
mod ops;
mod order;
mod scan;

use prost::Message as _;
use sha2::{Digest as _, Sha256};

pub use external::{ExternalData, ExternalRange};
pub use limits::Limits;
pub use ops::{OPSETS, supported};

use super::card::CardFacts;
use super::graph::Graph;
use crate::{Error, Result};
use fathom_core::model::ModelCard;

/// A network ready to be planned.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// What it computes.
    pub graph: Graph,
    /// What its numbers mean.
    pub card: ModelCard,
    /// SHA-256 of the file, lower-case hexadecimal.
    pub sha256: String,
}

/// What a caller adds to the file's bytes.
#[derive(Default, Clone, Copy)]
pub struct ImportOptions<'a> {
    /// Text of the TOML card beside the file; it wins over the file's metadata.
    pub card_toml: Option<&'a str>,
    /// Facts given by hand; they win over both.
    pub card: Option<&'a CardFacts>,
    /// Reads tensors kept in files beside the network; without it such a network is refused.
    pub external: Option<&'a ExternalData<'a>>,
    /// What the file may ask for.
    pub limits: Limits,
}

/// Reads an ONNX file.
///
/// # Errors
/// Whatever of the file cannot be read, is not supported, or exceeds a limit: see [`Error`].
pub fn import(bytes: &[u8], options: ImportOptions<'_>) -> Result<Model> {
    let limits = options.limits;
    let file_bytes = bytes.len() as u64;
    if file_bytes > limits.file_bytes {
        return Err(Error::OverLimit { place: "file".into(), what: "size in bytes", got: file_bytes, limit: limits.file_bytes });
    }
    scan::check(bytes, &limits)?;
    let model = onnx::ModelProto::decode(bytes).map_err(|e| Error::Malformed(e.to_string()))?;
    let opsets = ops::Opsets::of(&model)?;
    let mut file = model.graph.ok_or_else(|| Error::Malformed("it holds no graph".into()))?;

    let image = input::image(&file)?;
    let mut facts = CardFacts::from_metadata(&model.metadata_props)?;
    if let Some(text) = options.card_toml {
        facts = facts.overridden_by(CardFacts::from_toml(text)?);
    }
    if let Some(given) = options.card {
        facts = facts.overridden_by(given.clone());
    }
    let card = facts.complete(image.fixed_size, &file.name)?;

    let outputs = finish::wanted(&file, &card)?;
    let needed = order::needed(&file, &outputs)?;
    let mut builder = builder::Builder::new(limits, file_bytes);
    let input = input::declare(&mut builder, &image, card.input)?;
    decode::initializers(&mut builder, &mut file, &needed, options.external)?;
    for &index in &needed.nodes {
        ops::resolve(&mut builder, &opsets, &file.node[index])?;
    }
    let graph = finish::graph(builder, input, &outputs, card.input)?;
    Ok(Model { graph, card, sha256: hex(&Sha256::digest(bytes)) })
}

fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
