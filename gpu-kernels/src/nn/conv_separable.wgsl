// Depthwise byte convolution and the pointwise one behind it, in one launch: for maps so small that a launch costs more than
// what it computes. Twin of core/src/ops/nn/conv.rs with epilogue.rs, twice: change them in one commit.
//
// One workgroup computes 8 pixels of all channels: first their depthwise bytes, into its own memory, then the products. Maps are
// [height, width, words], a word being four channels. Biases hold the zero points of what they are added to, so padding is
// filled with zero points.

struct Params {
    input: vec2u,            // height, width
    output: vec2u,
    kernel: vec2u,           // of the depthwise convolution
    stride: vec2u,
    dilation: vec2u,
    pad: vec2u,
    source_start: u32,       // words
    source_pitch: u32,       // words a pixel
    residual_start: u32,     // words
    residual_pitch: u32,
    target_start: u32,       // words
    target_pitch: u32,
    words: u32,              // of a pixel in between; at most 480
    blocks: u32,             // blocks of four output channels
    channels: u32,           // output channels
    fill: u32,               // a word of the input's zero points
    middle_zero: i32,        // zero point and range of the bytes in between
    middle_low: i32,
    middle_high: i32,
    zero_point: i32,         // those of the result
    low: i32,
    high: i32,
    tables: u32,             // 256-byte tables: none, one, or one per channel
    flip: u32,               // 0x80808080 for unsigned bytes in between, else 0
    origin_y: u32,           // first workgroup
    reserved: u32,
}

override WG: u32 = 64u;
override SIGNED: bool = false;        // input bytes are i8
override MIDDLE_SIGNED: bool = false; // bytes in between are i8
override RESIDUAL: bool = false;      // a second operand is added
override FLOATS: bool = false;        // products are summed in floats, exactly: for devices without integer dot products

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> source: array<u32>;
@group(0) @binding(2) var<storage, read> taps: array<u32>;        // [word, tap]: four channels
@group(0) @binding(3) var<storage, read> middle_columns: array<vec4u>; // [word]: bias, multiplier, nothing
@group(0) @binding(4) var<storage, read> weights: array<vec4u>;   // [word, block]: four outputs
@group(0) @binding(5) var<storage, read> columns: array<vec4u>;   // [block]: bias, multiplier, nothing
@group(0) @binding(6) var<storage, read> tables: array<u32>;      // tables, then 65536 bytes [own, residual]
@group(0) @binding(7) var<storage, read_write> residual: array<u32>;
@group(0) @binding(8) var<storage, read_write> destination: array<u32>;

var<workgroup> middle: array<vec4u, 960>; // [word, half]: that word of four pixels

fn load(row: i32, column: i32, word: u32) -> vec4i {
    var four = params.fill;
    if row >= 0 && row < i32(params.input.x) && column >= 0 && column < i32(params.input.y) {
        four = source[params.source_start + (u32(row) * params.input.y + u32(column)) * params.source_pitch + word];
    }
    if SIGNED {
        return unpack4xI8(four);
    }
    return vec4i(unpack4xU8(four));
}

// A word of the depthwise result at a pixel; anything for pixels behind the last.
fn depthwise(pixel: u32, word: u32) -> u32 {
    let y = pixel / params.output.y;
    let x = pixel % params.output.y;
    var sum = bitcast<vec4i>(middle_columns[3u * word]);
    var w = word * params.kernel.x * params.kernel.y;
    for (var ky = 0u; ky < params.kernel.x; ky++) {
        let row = i32(y * params.stride.x + ky * params.dilation.x) - i32(params.pad.x);
        for (var kx = 0u; kx < params.kernel.y; kx++) {
            let column = i32(x * params.stride.y + kx * params.dilation.y) - i32(params.pad.y);
            sum += unpack4xI8(taps[w]) * load(row, column, word);
            w++;
        }
    }
    let scaled = vec4f(sum) * bitcast<vec4f>(middle_columns[3u * word + 1u]);
    let zero = vec4i(params.middle_zero);
    let clamped = clamp(scaled, vec4f(vec4i(params.middle_low) - zero), vec4f(vec4i(params.middle_high) - zero));
    return pack4xU8(vec4u(vec4i(round(clamped)) + zero) & vec4u(0xffu));
}

fn unpack_middle(word: u32) -> vec4f {
    if MIDDLE_SIGNED {
        return vec4f(unpack4xI8(word));
    }
    return vec4f(unpack4xU8(word));
}

fn byte_of(word: u32, at: u32) -> u32 {
    return (word >> (8u * (at & 3u))) & 0xffu;
}

fn look_up(q: u32, channel: u32) -> u32 {
    let at = select(0u, channel * 256u, params.tables > 1u) + q;
    return byte_of(tables[at >> 2u], at);
}

fn look_up_pair(own: u32, other: u32) -> u32 {
    let at = params.tables * 256u + own * 256u + other;
    return byte_of(tables[at >> 2u], at);
}

// Bias and multiplier of a block, loaded once for all its pixels.
struct Column {
    bias: vec4i,
    multiplier: vec4f,
}

fn column_of(block: u32) -> Column {
    let at = 3u * min(block, params.blocks - 1u);
    return Column(bitcast<vec4i>(columns[at]), bitcast<vec4f>(columns[at + 1u]));
}

// What follows the sum: core/src/ops/nn/epilogue.rs.
fn finish(sum: vec4i, column: Column, block: u32, pixel: u32) {
    if block >= params.blocks {
        return;
    }
    let scaled = vec4f(sum + column.bias) * column.multiplier;
    let used = params.channels - 4u * block;
    let zero_point = vec4i(params.zero_point);
    let clamped = clamp(scaled, vec4f(vec4i(params.low) - zero_point), vec4f(vec4i(params.high) - zero_point));
    var q = vec4u(vec4i(round(clamped)) + zero_point) & vec4u(0xffu);
    if params.tables > 0u {
        let channel = min(vec4u(4u * block) + vec4u(0u, 1u, 2u, 3u), vec4u(params.channels - 1u));
        q = vec4u(look_up(q.x, channel.x), look_up(q.y, channel.y), look_up(q.z, channel.z), look_up(q.w, channel.w));
    }
    if RESIDUAL {
        let other = unpack4xU8(residual[params.residual_start + pixel * params.residual_pitch + block]);
        q = vec4u(look_up_pair(q.x, other.x), look_up_pair(q.y, other.y), look_up_pair(q.z, other.z), look_up_pair(q.w, other.w));
    }
    q = select(vec4u(), q, vec4u(0u, 1u, 2u, 3u) < vec4u(used));
    destination[params.target_start + pixel * params.target_pitch + block] = pack4xU8(q);
}

// Sums of 8 pixels by 4 channels.
var<private> sum: array<vec4i, 8>;

fn dots(four: vec4u, x: u32) -> vec4i {
    return vec4i(dot4I8Packed(four.x, x), dot4I8Packed(four.y, x), dot4I8Packed(four.z, x), dot4I8Packed(four.w, x));
}

fn sum_integers(block: u32) {
    var s0 = vec4i();
    var s1 = vec4i();
    var s2 = vec4i();
    var s3 = vec4i();
    var s4 = vec4i();
    var s5 = vec4i();
    var s6 = vec4i();
    var s7 = vec4i();
    for (var word = 0u; word < params.words; word++) {
        let four = weights[word * params.blocks + block];
        let a = middle[2u * word] ^ vec4u(params.flip);
        let b = middle[2u * word + 1u] ^ vec4u(params.flip);
        s0 += dots(four, a.x);
        s1 += dots(four, a.y);
        s2 += dots(four, a.z);
        s3 += dots(four, a.w);
        s4 += dots(four, b.x);
        s5 += dots(four, b.y);
        s6 += dots(four, b.z);
        s7 += dots(four, b.w);
    }
    sum = array<vec4i, 8>(s0, s1, s2, s3, s4, s5, s6, s7);
}

// Weights of four outputs, a channel in each component.
var<private> w: array<vec4f, 4>;

fn products(x: u32) -> vec4f {
    let four = unpack_middle(x);
    return vec4f(dot(w[0], four), dot(w[1], four), dot(w[2], four), dot(w[3], four));
}

fn sum_floats(block: u32) {
    var s0 = vec4f();
    var s1 = vec4f();
    var s2 = vec4f();
    var s3 = vec4f();
    var s4 = vec4f();
    var s5 = vec4f();
    var s6 = vec4f();
    var s7 = vec4f();
    for (var word = 0u; word < params.words; word++) {
        let four = weights[word * params.blocks + block];
        w[0] = vec4f(unpack4xI8(four.x));
        w[1] = vec4f(unpack4xI8(four.y));
        w[2] = vec4f(unpack4xI8(four.z));
        w[3] = vec4f(unpack4xI8(four.w));
        let a = middle[2u * word];
        let b = middle[2u * word + 1u];
        s0 += products(a.x);
        s1 += products(a.y);
        s2 += products(a.z);
        s3 += products(a.w);
        s4 += products(b.x);
        s5 += products(b.y);
        s6 += products(b.z);
        s7 += products(b.w);
    }
    sum = array<vec4i, 8>(vec4i(s0), vec4i(s1), vec4i(s2), vec4i(s3), vec4i(s4), vec4i(s5), vec4i(s6), vec4i(s7));
}

@compute @workgroup_size(WG)
fn main(@builtin(local_invocation_id) local: vec3u, @builtin(workgroup_id) group: vec3u) {
    let first = 8u * (group.y + params.origin_y);
    for (var item = local.x; item < 2u * params.words; item += WG) {
        let word = item >> 1u;
        let pixel = first + 4u * (item & 1u);
        middle[item] = vec4u(
            depthwise(pixel, word),
            depthwise(pixel + 1u, word),
            depthwise(pixel + 2u, word),
            depthwise(pixel + 3u, word),
        );
    }
    workgroupBarrier();
    for (var block = local.x; block < params.blocks; block += WG) {
        if FLOATS {
            sum_floats(block);
        } else {
            sum_integers(block);
        }
        let column = column_of(block);
        let last = min(params.output.x * params.output.y - first, 8u);
        for (var i = 0u; i < last; i++) {
            finish(sum[i], column, block, first + i);
        }
    }
}
