//! A first walk over the protobuf that counts its messages, before any of them is given memory.
//!
//! An empty node takes two bytes in a file and over a hundred in memory, so a file of them would ask for far more than
//! its size. The count is bounded first, then `prost` decodes.

use super::Limits;
use crate::{Error, Result};

/// Fields of `onnx.proto` that hold messages which `prost` will allocate: (message, field, message behind it).
const NESTED: &[(Kind, u64, Kind)] = &[
    (Kind::Model, 7, Kind::Graph),
    (Kind::Model, 8, Kind::Leaf),
    (Kind::Model, 14, Kind::Leaf),
    (Kind::Graph, 1, Kind::Node),
    (Kind::Graph, 5, Kind::Tensor),
    (Kind::Graph, 11, Kind::ValueInfo),
    (Kind::Graph, 12, Kind::ValueInfo),
    (Kind::Node, 5, Kind::Attribute),
    (Kind::Attribute, 5, Kind::Tensor),
    (Kind::Tensor, 13, Kind::Leaf),
    (Kind::ValueInfo, 2, Kind::Type),
    (Kind::Type, 1, Kind::TensorType),
    (Kind::TensorType, 2, Kind::Shape),
    (Kind::Shape, 1, Kind::Leaf),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
    ValueInfo,
    Type,
    TensorType,
    Shape,
    Leaf,
}

/// Refuses a file that holds more messages or nodes than its size and the limits allow, or more than one graph.
///
/// # Errors
/// [`Error::OverLimit`], or [`Error::Malformed`] naming the byte where the protobuf breaks.
pub(super) fn check(bytes: &[u8], limits: &Limits) -> Result<()> {
    let mut messages = 0_u64;
    let mut nodes = 0_u64;
    let mut graphs = 0_u64;
    let allowed = Limits::messages(bytes.len() as u64);
    let mut open = vec![(Kind::Model, bytes)];
    while let Some((kind, body)) = open.pop() {
        let mut reader = Reader { bytes: body };
        while let Some((field, payload)) = reader.next_field().map_err(|left| {
            let at = offset(bytes, body) + (body.len() - left);
            Error::Malformed(format!("the protobuf breaks off or is damaged near byte {at} of {}", bytes.len()))
        })? {
            let Some(payload) = payload else { continue };
            let Some(&(_, _, inner)) = NESTED.iter().find(|(outer, number, _)| *outer == kind && *number == field) else { continue };
            messages += 1;
            nodes += u64::from(inner == Kind::Node);
            graphs += u64::from(inner == Kind::Graph);
            over("messages in the protobuf", messages, allowed)?;
            over("number of nodes", nodes, limits.nodes)?;
            over("number of graphs", graphs, 1)?;
            if inner != Kind::Leaf {
                open.push((inner, payload));
            }
        }
    }
    Ok(())
}

fn over(what: &'static str, got: u64, limit: u64) -> Result<()> {
    if got > limit { Err(Error::OverLimit { place: "file".into(), what, got, limit }) } else { Ok(()) }
}

/// Where `part` begins within `whole`, which it was cut from.
fn offset(whole: &[u8], part: &[u8]) -> usize {
    (part.as_ptr() as usize).saturating_sub(whole.as_ptr() as usize)
}

struct Reader<'a> {
    bytes: &'a [u8],
}

/// A field's number, and its bytes if it is length-delimited.
type Field<'a> = (u64, Option<&'a [u8]>);

impl<'a> Reader<'a> {
    /// The next field; `None` at the end; `Err(bytes left)` where the wire format breaks.
    fn next_field(&mut self) -> Result<Option<Field<'a>>, usize> {
        if self.bytes.is_empty() {
            return Ok(None);
        }
        let key = self.varint()?;
        let payload = match key & 7 {
            0 => {
                self.varint()?;
                None
            }
            1 => self.take(8).map(|_| None)?,
            2 => {
                let length = self.varint()?;
                Some(self.take(usize::try_from(length).map_err(|_| self.bytes.len())?)?)
            }
            5 => self.take(4).map(|_| None)?,
            // Groups (3, 4) do not occur in onnx.proto.
            _ => return Err(self.bytes.len()),
        };
        Ok(Some((key >> 3, payload)))
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], usize> {
        let (head, tail) = self.bytes.split_at_checked(length).ok_or(self.bytes.len())?;
        self.bytes = tail;
        Ok(head)
    }

    fn varint(&mut self) -> Result<u64, usize> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(self.bytes.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_empty_nodes_is_refused_before_they_are_given_memory() {
        let nodes = [0x0a, 0x00].repeat(50_000);
        let mut file = vec![0x3a];
        prost::encoding::encode_varint(nodes.len() as u64, &mut file);
        file.extend(nodes);
        let error = check(&file, &Limits::STANDARD).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("file: messages in the protobuf is 12565, the limit is {}", Limits::messages(file.len() as u64))
        );
    }

    #[test]
    fn a_length_beyond_the_end_names_the_byte() {
        let error = check(&[0x08, 0x08, 0x3a, 0x7f, 0x00], &Limits::STANDARD).unwrap_err();
        assert_eq!(error.to_string(), "not a readable ONNX file: the protobuf breaks off or is damaged near byte 4 of 5");
    }
}
