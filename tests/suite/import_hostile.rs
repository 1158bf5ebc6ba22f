//! ONNX files that must be refused: each with an error that names the node or value and what is wrong.

use fathom_runtime::network::import::{ImportOptions, Limits, import};
use fathom_tests::{fixtures, require};

/// File and the error it is refused with.
#[rustfmt::skip]
const REFUSED: &[(&str, &str)] = &[
    ("axis_outside", "node \"culprit\" (Softmax): axis 4 is outside a value of 4 axes"),
    ("bomb_broadcast", "value \"add4\": total of bytes made by constant folding is 4194304, the limit is 1083448"),
    ("bomb_concat", "value \"concat17\": total of bytes made by constant folding is 2088960, the limit is 1074008"),
    ("bomb_constant_of_shape", "value \"constantofshape2\": total of bytes made by constant folding is 17179869184, the limit is 1050672"),
    ("bomb_expand", "value \"expand3\": total of bytes made by constant folding is 17179869184, the limit is 1050660"),
    ("bomb_pad", "node \"culprit\": number of elements of its result is 973080288, the limit is 1048576"),
    ("bomb_range", "value \"range5\": total of bytes made by constant folding is 8796093022208, the limit is 1050972"),
    ("bomb_resize", "node \"culprit\": number of elements of its result is 30000000000, the limit is 1048576"),
    ("bomb_window", "node \"culprit\" (MaxPool): kernel_shape is 1099511627776, allowed is 1 to 16384"),
    ("card_absent", "the model card is incomplete; missing: channel_order, mean, std, output_kind. Put them in the file's metadata (`fathom.KEY`), in a TOML beside it, or give the flags --channel-order --mean --std --output-kind"),
    ("card_output", "graph: the card names output \"disparity\", the file has [\"depth\"]"),
    ("card_size", "value \"image\": the file fixes the image's width at 12, the card says 640"),
    ("card_std", "card std is 0, allowed is finite and above 0"),
    ("concat_operands", "node \"culprit\" (Concat): operands [1, 3, 8, 12] and [1, 3, 8, 11] do not join along axis 1"),
    ("cycle", "node \"first\": is part of a cycle, or waits for one (4 of 4 nodes)"),
    ("dangling", "value \"nowhere\": is needed, but nothing in the file makes it"),
    ("dims_huge", "value \"w\": holds 12 bytes, its shape [4611686018427387904, 4611686018427387904, 4611686018427387904, 3] of FLOAT needs 18446744073709551615"),
    ("dims_negative", "value \"w\": shape [1, -3, 1, 1] has a negative extent"),
    ("element_type", "value \"w\": element type UINT16 (4) is not supported"),
    ("empty_result", "node \"culprit\": its result \"slice4\" would be empty, shape [1, 0, 8, 12]"),
    ("external_absent", "value \"w\": is kept in \"w.bin\", and no reader of files beside the network was given"),
    ("external_absolute", "value \"w\": external data's path \"/etc/hostname\" must be relative, without `..`, `\\` or drive"),
    ("external_backslash", "value \"w\": external data's path \"a\\\\..\\\\..\\\\w.bin\" must be relative, without `..`, `\\` or drive"),
    ("external_length", "value \"w\": external data holds 1099511627776 bytes, its shape needs 12"),
    ("external_parent", "value \"w\": external data's path \"../w.bin\" must be relative, without `..`, `\\` or drive"),
    ("foreign_domain", "operator \"Conv\" (node \"n4\") is not supported: it is of domain \"com.example\"; `fathom inspect` lists what a file uses"),
    ("gather_outside", "node \"culprit\" (Gather): index 3 is outside axis 1 of extent 3"),
    ("groups", "node \"culprit\" (Conv): weights [1, 3, 1, 1] in 2 groups do not fit an input of 3 channels"),
    ("input_batch", "value \"image\": extent 2 of the image input's axis 0 is not supported, expected 1"),
    ("input_second", "graph: has 2 inputs [\"image\", \"mask\"], expected one image"),
    ("input_u8", "value \"image\": the image input holds UINT8, expected FLOAT"),
    ("integers_of_image", "operator \"Cast\" (node \"culprit\") is not supported: cast of f32 to i64 of a value that depends on the image; `fathom inspect` lists what a file uses"),
    ("matmul", "node \"culprit\" (MatMul): operands [1, 3, 8, 12] and [5, 2] do not fit one another"),
    ("missing_operand", "node \"culprit\" (Conv): operand 1 is missing"),
    ("opset_8", "file: version 8 of ONNX's operators is not supported, only 9 to 21"),
    ("opset_99", "file: version 99 of ONNX's operators is not supported, only 9 to 21"),
    ("output_constant", "value \"depth\": is an output, but does not depend on what the network computes"),
    ("output_rank", "value \"depth\": is the depth output with shape [1, 3, 8, 12], expected [1, height, width] or [1, 1, height, width]"),
    ("pads_negative", "node \"culprit\" (Conv): pads is -1, allowed is 0 to 16384"),
    ("rank", "value \"reshape2\": number of axes is 9, the limit is 8"),
    ("raw_short", "value \"w\": holds 12 bytes, its shape [1, 3, 1, 2] of FLOAT needs 24"),
    ("reshape", "node \"culprit\" (Reshape): [1, 3, 8, 12] does not reshape to [1, 5, -1]"),
    ("scale_count", "node \"culprit\" (QuantizeLinear): has 2 scales for 3 slices along axis 1 of \"image\""),
    ("scale_nan", "node \"culprit\" (QuantizeLinear): scale \"scale\"[0] is NaN, expected a finite number above 0"),
    ("scale_negative", "node \"culprit\" (QuantizeLinear): scale \"scale\"[0] is -0.02, expected a finite number above 0"),
    ("scale_zero", "node \"culprit\" (QuantizeLinear): scale \"scale\"[0] is 0, expected a finite number above 0"),
    ("stride_zero", "node \"culprit\" (Conv): strides is 0, allowed is 1 to 16384"),
    ("subgraph", "node \"culprit\" (Identity): attribute \"then_branch\" holds a subgraph; subgraphs are not supported"),
    ("twice_defined", "value \"c1\": is defined twice"),
    ("twice_made", "value \"depth\": is defined twice"),
    ("two_attributes", "node \"n4\" (Conv): attribute \"group\" is given twice"),
    ("unsupported_op", "operator \"GridSample\" (node \"culprit\") is not supported; `fathom inspect` lists what a file uses"),
    ("weights_inf", "node \"culprit\": its operand \"w\" holds a NaN or an infinity"),
    ("weights_nan", "node \"culprit\": its operand \"w\" holds a NaN or an infinity"),
    ("where_of_image", "node \"culprit\" (Where): its operand \"image\" must be a constant of the file, but is computed"),
    ("window_outside", "node \"culprit\" (MaxPool): window [9, 9] (dilation [1, 1]) does not fit an input of [8, 12] with padding [0, 0] and [0, 0]"),
    ("zero_point_count", "node \"culprit\" (QuantizeLinear): zero point \"zero_point\" has shape [3], expected as many as the scales (1)"),
    ("zero_point_type", "value \"zero_point\": element type UINT16 (4) is not supported"),
];

fn refusal(bytes: &[u8]) -> String {
    match import(bytes, ImportOptions::default()) {
        Ok(_) => "accepted".into(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn each_hostile_fixture_is_refused_with_its_own_error() {
    let files = fixtures::networks("hostile").unwrap();
    let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, REFUSED.iter().map(|(name, _)| *name).collect::<Vec<_>>());
    for ((name, path), (_, expected)) in files.iter().zip(REFUSED) {
        assert_eq!(refusal(&std::fs::read(path).unwrap()), *expected, "{name}");
    }
}

#[test]
fn what_is_no_onnx_file_is_refused_as_such() {
    assert_eq!(refusal(b""), "file: it does not say which version of ONNX's operators it uses");
    assert_eq!(refusal(b"<html>not found</html>"), "not a readable ONNX file: the protobuf breaks off or is damaged near byte 1 of 22");
}

#[test]
fn a_file_cut_short_is_refused_unless_only_whole_remarks_are_lost() {
    let whole = std::fs::read(require::fixture("onnx/valid/qdq_axis_u8.onnx")).unwrap();
    // The card ends with licence and origin, which nothing needs; protobuf does not say how long a file is.
    let remarks = whole.windows(14).position(|w| w == b"fathom.licence").unwrap() - 4;
    for length in 0..whole.len() {
        let accepted = refusal(&whole[..length]) == "accepted";
        assert!(!accepted || length >= remarks, "{length} of {} bytes", whole.len());
    }
}

#[test]
fn a_file_above_the_size_limit_is_refused_unread() {
    let limits = Limits { file_bytes: 10, ..Limits::STANDARD };
    let error = import(&[0; 11], ImportOptions { limits, ..ImportOptions::default() }).unwrap_err();
    assert_eq!(error.to_string(), "file: size in bytes is 11, the limit is 10");
}

#[test]
fn each_limit_names_itself() {
    let bytes = std::fs::read(require::fixture("onnx/valid/folding13.onnx")).unwrap();
    for (limits, expected) in [
        (Limits { nodes: 20, ..Limits::STANDARD }, "file: number of nodes is 21, the limit is 20"),
        (Limits { rank: 3, ..Limits::STANDARD }, "number of axes is 4, the limit is 3"),
        (Limits { elements: 100, ..Limits::STANDARD }, "number of elements of its result is 192, the limit is 100"),
        (Limits { total_elements_per_input: 0, ..Limits::STANDARD }, "total of elements of all values is 192, the limit is 0"),
        (Limits { macs_per_input: 1, ..Limits::STANDARD }, "total of multiplications is 2496, the limit is 288"),
        (Limits { window: 1, ..Limits::STANDARD }, "kernel height is 2, allowed is 1 to 1"),
    ] {
        let error = import(&bytes, ImportOptions { limits, ..ImportOptions::default() }).unwrap_err().to_string();
        assert!(error.ends_with(expected), "{error}");
    }
}
