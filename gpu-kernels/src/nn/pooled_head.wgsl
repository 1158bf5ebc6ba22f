// Mean over the image, then two small fully connected layers: the head of a network that also estimates a few numbers.
// Twin of core/src/ops/nn/reduce.rs and matmul.rs, one after the other: change them in one commit.
//
// One workgroup does it all, so that three launches of next to nothing become one. The mean passes through bytes where the
// plan's tensor does.

struct Params {
    pixels: u32,
    channels: u32,           // at most 2048
    hidden: u32,             // at most 1024
    outputs: u32,
    source_start: u32,       // elements
    source_pitch: u32,       // elements a pixel
    target_start: u32,
    source_zero: i32,
    mean_zero: i32,
    source_scale: f32,
    mean_scale: f32,
    hidden_low: f32,         // range of the hidden layer
    hidden_high: f32,
    low: f32,                // range of the outputs
    high: f32,
    reserved: u32,
}

override WG: u32 = 64u;
override SOURCE: u32 = 0u;   // elements: 0 f32, 1 u8, 2 i8
override MEAN: u32 = 0u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> source: array<u32>;
@group(0) @binding(2) var<storage, read> weights: array<f32>;     // [hidden, channels], biases, [outputs, hidden], biases
@group(0) @binding(3) var<storage, read_write> destination: array<u32>;

var<workgroup> means: array<f32, 2048>;
var<workgroup> middle: array<f32, 1024>;

fn load(element: u32) -> f32 {
    if SOURCE == 0u {
        return bitcast<f32>(source[element]);
    }
    let word = source[element >> 2u];
    var q = i32(unpack4xU8(word)[element & 3u]);
    if SOURCE == 2u {
        q = unpack4xI8(word)[element & 3u];
    }
    return params.source_scale * f32(q - params.source_zero);
}

fn through_bytes(value: f32) -> f32 {
    if MEAN == 0u {
        return value;
    }
    let steps = i32(clamp(round(value / params.mean_scale), -1e6, 1e6)) + params.mean_zero;
    let q = select(clamp(steps, 0, 255), clamp(steps, -128, 127), MEAN == 2u);
    return params.mean_scale * f32(q - params.mean_zero);
}

// The end of a loop, which is a parameter, as a number that no compiler takes for one: Mesa's lavapipe (22.3) compiles a kernel whose
// short loops end at parameters anew for every dispatch, and keeps them all.
fn end(count: u32, invocation: u32) -> u32 {
    return min(count, invocation | 0x80000000u);
}

@compute @workgroup_size(WG)
fn main(@builtin(local_invocation_id) local: vec3u) {
    let pixels = end(params.pixels, local.x);
    let channels = end(params.channels, local.x);
    let hidden = end(params.hidden, local.x);
    for (var c = local.x; c < params.channels; c += WG) {
        var sum = 0.0;
        for (var pixel = 0u; pixel < pixels; pixel++) {
            sum += load(params.source_start + pixel * params.source_pitch + c);
        }
        means[c] = through_bytes(sum / f32(params.pixels));
    }
    workgroupBarrier();
    let hidden_bias = params.hidden * params.channels;
    for (var h = local.x; h < params.hidden; h += WG) {
        var sum = 0.0;
        for (var c = 0u; c < channels; c++) {
            sum += weights[h * params.channels + c] * means[c];
        }
        middle[h] = clamp(sum + weights[hidden_bias + h], params.hidden_low, params.hidden_high);
    }
    workgroupBarrier();
    let second = hidden_bias + params.hidden;
    let bias = second + params.outputs * params.hidden;
    for (var o = local.x; o < params.outputs; o += WG) {
        var sum = 0.0;
        for (var h = 0u; h < hidden; h++) {
            sum += weights[second + o * params.hidden + h] * middle[h];
        }
        destination[params.target_start + o] = bitcast<u32>(clamp(sum + weights[bias + o], params.low, params.high));
    }
}
