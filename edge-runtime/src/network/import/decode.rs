//! Constants of the file to tensors: every element type that networks use, stored in any of the ways ONNX allows.
//!
//! Half, bfloat16 and double become f32. No memory is given for more elements than the file (or the external file) holds.

use fathom_core::tensor::{Elements, Tensor};
use half::{bf16, f16};

use super::builder::{Builder, count, value_error};
use super::external::{self, ExternalData};
use super::onnx::{GraphProto, TensorProto, data_type};
use super::order::Needed;
use crate::{Error, Result};

/// Moves the file's needed constants into the graph.
pub(super) fn initializers(
    builder: &mut Builder,
    file: &mut GraphProto,
    needed: &Needed,
    external: Option<&ExternalData<'_>>,
) -> Result<()> {
    let mut external_bytes = 0_u64;
    for proto in std::mem::take(&mut file.initializer) {
        if !needed.values.contains(&proto.name) {
            continue;
        }
        if proto.data_location == 1 {
            external_bytes = external_bytes.saturating_add(byte_length(&proto)?);
            let limit = builder.limits.file_bytes;
            if external_bytes > limit {
                let place = format!("value {:?}", proto.name);
                return Err(Error::OverLimit { place, what: "total of bytes in external data", got: external_bytes, limit });
            }
        }
        let name = proto.name.clone();
        let tensor = tensor(proto, external)?;
        builder.constant(&name, tensor)?;
    }
    Ok(())
}

/// Decodes one tensor.
///
/// # Errors
/// [`Error::BadGraph`] naming the tensor: an element type that is not supported, extents that do not fit the elements, a
/// value outside its type.
pub(super) fn tensor(mut proto: TensorProto, external: Option<&ExternalData<'_>>) -> Result<Tensor> {
    if proto.data_location == 1 {
        let bytes = external::read(&proto, byte_length(&proto)?, external)?;
        proto.raw_data = Some(bytes);
    }
    let shape = extents(&proto)?;
    let name = std::mem::take(&mut proto.name);
    let code = proto.data_type;
    let expected = count(&shape);
    let elements = match proto.raw_data.take() {
        Some(raw) => {
            let size = element_size(code).ok_or_else(|| unsupported(&name, code))?;
            if raw.len() as u64 != expected.saturating_mul(size) {
                let needs = expected.saturating_mul(size);
                return Err(value_error(
                    &name,
                    format!("holds {} bytes, its shape {shape:?} of {} needs {needs}", raw.len(), data_type::name(code)),
                ));
            }
            from_raw(code, raw)
        }
        None => from_typed(&name, &mut proto)?,
    }
    .ok_or_else(|| unsupported(&name, code))?;
    if elements.len() as u64 != expected {
        return Err(value_error(&name, format!("holds {} elements, its shape {shape:?} needs {expected}", elements.len())));
    }
    Ok(Tensor::new(shape, elements)?)
}

fn unsupported(name: &str, code: i32) -> Error {
    value_error(name, format!("element type {} ({code}) is not supported", data_type::name(code)))
}

fn extents(proto: &TensorProto) -> Result<Vec<usize>> {
    let extent =
        |&d: &i64| usize::try_from(d).map_err(|_| value_error(&proto.name, format!("shape {:?} has a negative extent", proto.dims)));
    proto.dims.iter().map(extent).collect()
}

fn byte_length(proto: &TensorProto) -> Result<u64> {
    let size = element_size(proto.data_type).ok_or_else(|| unsupported(&proto.name, proto.data_type))?;
    Ok(count(&extents(proto)?).saturating_mul(size))
}

/// Bytes of one element in `raw_data`.
const fn element_size(code: i32) -> Option<u64> {
    match code {
        data_type::UINT8 | data_type::INT8 | data_type::BOOL => Some(1),
        data_type::FLOAT16 | data_type::BFLOAT16 => Some(2),
        data_type::FLOAT | data_type::INT32 => Some(4),
        data_type::DOUBLE | data_type::INT64 => Some(8),
        _ => None,
    }
}

fn from_raw(code: i32, raw: Vec<u8>) -> Option<Elements> {
    fn words<const N: usize, T>(raw: &[u8], read: impl Fn([u8; N]) -> T) -> Vec<T> {
        raw.as_chunks::<N>().0.iter().map(|&word| read(word)).collect()
    }
    Some(match code {
        data_type::FLOAT => Elements::F32(words(&raw, f32::from_le_bytes)),
        data_type::FLOAT16 => Elements::F32(words(&raw, |b| f16::from_le_bytes(b).to_f32())),
        data_type::BFLOAT16 => Elements::F32(words(&raw, |b| bf16::from_le_bytes(b).to_f32())),
        data_type::DOUBLE => Elements::F32(words(&raw, |b| f64::from_le_bytes(b) as f32)),
        data_type::UINT8 => Elements::U8(raw),
        data_type::INT8 => Elements::I8(words(&raw, i8::from_le_bytes)),
        data_type::INT32 => Elements::I32(words(&raw, i32::from_le_bytes)),
        data_type::INT64 => Elements::I64(words(&raw, i64::from_le_bytes)),
        data_type::BOOL => Elements::Bool(raw.iter().map(|&b| b != 0).collect()),
        _ => return None,
    })
}

fn from_typed(name: &str, proto: &mut TensorProto) -> Result<Option<Elements>> {
    let words = std::mem::take(&mut proto.int32_data);
    Ok(Some(match proto.data_type {
        data_type::FLOAT => Elements::F32(std::mem::take(&mut proto.float_data)),
        data_type::DOUBLE => Elements::F32(proto.double_data.iter().map(|&v| v as f32).collect()),
        data_type::FLOAT16 => Elements::F32(narrow(name, &words, |bits: u16| f16::from_bits(bits).to_f32())?),
        data_type::BFLOAT16 => Elements::F32(narrow(name, &words, |bits: u16| bf16::from_bits(bits).to_f32())?),
        data_type::UINT8 => Elements::U8(narrow(name, &words, |v: u8| v)?),
        data_type::INT8 => Elements::I8(narrow(name, &words, |v: i8| v)?),
        data_type::BOOL => Elements::Bool(words.iter().map(|&v| v != 0).collect()),
        data_type::INT32 => Elements::I32(words),
        data_type::INT64 => Elements::I64(std::mem::take(&mut proto.int64_data)),
        _ => return Ok(None),
    }))
}

/// Reads elements that the file keeps in 32-bit integers.
fn narrow<N: TryFrom<i32>, T>(name: &str, words: &[i32], read: impl Fn(N) -> T) -> Result<Vec<T>> {
    let outside = |word| value_error(name, format!("element {word} is outside its type"));
    words.iter().map(|&word| N::try_from(word).map(&read).map_err(|_| outside(word))).collect()
}
