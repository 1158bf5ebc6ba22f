// Byte convolution with float sums. Twin of core/src/ops/nn/conv.rs with epilogue.rs: change them in one commit.
//
// Exact, because the launch half takes this tactic only where no sum of products can leave the integers of f32 (2^24).
// For devices whose memory is slow and whose registers are fast (software devices): one invocation computes 4 pixels by 8
// output channels, and the lanes of a subgroup, eight of them or twice four, share the load of 32 weight words, which they
// then broadcast. Maps are [height, width, words], a word being four channels. The bias holds the input's zero point, so
// padding is filled with it.

struct Params {
    input: vec2u,            // height, width
    output: vec2u,
    stride: vec2u,
    dilation: vec2u,         // of segments along x: 1 if a segment spans the kernel's width
    pad: vec2u,
    segments: vec2u,         // runs of consecutive words: kernel rows, and taps of a row or 1
    source_start: u32,       // words
    source_pitch: u32,       // words a pixel
    residual_start: u32,     // words
    residual_pitch: u32,
    target_start: u32,       // words
    target_pitch: u32,
    words: u32,              // input words of one group
    limit: u32,              // words of one input row
    chunks: u32,             // groups of four words of a segment, the last one filled up with zero weights
    group_blocks: u32,       // blocks of four output channels of one group
    blocks: u32,             // blocks of four output channels
    channels: u32,           // output channels
    fill: u32,               // a word of the input's zero points
    zero_point: i32,
    low: i32,
    high: i32,
    tables: u32,             // 256-byte tables: none, one, or one per channel
    low_real: f32,
    high_real: f32,
    origin_x: u32,           // first workgroup
    origin_y: u32,
    origin_z: u32,
}

override LANES_X: u32 = 8u;       // of the 8 invocations of a workgroup, those side by side; the others lie below
override NARROW: bool = false;    // subgroups hold four lanes at least, not eight: each loads two outputs' weights
override SIGNED: bool = false;    // input bytes are i8
override RESIDUAL: bool = false;  // a second operand is added
override REAL: bool = false;      // the result is f32

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> source: array<u32>;        // of main_words
@group(0) @binding(1) var<storage, read_write> source_pairs: array<vec2u>; // of main_pairs, where pixels are whole pairs
@group(0) @binding(1) var<storage, read_write> source_quads: array<vec4u>; // of main_quads, where pixels are whole quads
@group(0) @binding(2) var<storage, read> weights: array<vec4u>;   // [pair of blocks, segment, chunk, output of 8]: four words
@group(0) @binding(3) var<storage, read> columns: array<vec4u>;   // [block]: bias, multiplier, real bias
@group(0) @binding(4) var<storage, read> tables: array<u32>;      // tables, then 65536 bytes [own, residual]
@group(0) @binding(5) var<storage, read_write> residual: array<u32>;
@group(0) @binding(6) var<storage, read_write> destination: array<u32>;

fn unpack(word: u32) -> vec4f {
    if SIGNED {
        return vec4f(unpack4xI8(word));
    }
    return vec4f(unpack4xU8(word));
}

// Sums of 4 pixels by 8 channels, as [pixel][half].
var<private> sum: array<vec4f, 8>;

// Lanes that share a load, less one.
fn lanes() -> u32 {
    return select(7u, 3u, NARROW);
}

// The weights that this lane loads for the others: four words of one output, or of two that lie four apart.
struct Spread {
    first: vec4u,
    second: vec4u,
}

fn spread_from(w: u32) -> Spread {
    if NARROW {
        return Spread(weights[w], weights[w + 4u]);
    }
    return Spread(weights[w], vec4u());
}

// Adds one weight word of each of the 8 outputs, spread over the lanes, times one word of each of the 4 pixels.
fn accumulate(first: u32, second: u32, x: vec4u) {
    let a = vec4f(unpack4xI8(first));
    let x0 = unpack(x.x);
    let x1 = unpack(x.y);
    let x2 = unpack(x.z);
    let x3 = unpack(x.w);
    let w0 = subgroupBroadcast(a, 0u);
    let w1 = subgroupBroadcast(a, 1u);
    let w2 = subgroupBroadcast(a, 2u);
    let w3 = subgroupBroadcast(a, 3u);
    var w4: vec4f;
    var w5: vec4f;
    var w6: vec4f;
    var w7: vec4f;
    if NARROW {
        let b = vec4f(unpack4xI8(second));
        w4 = subgroupBroadcast(b, 0u);
        w5 = subgroupBroadcast(b, 1u);
        w6 = subgroupBroadcast(b, 2u);
        w7 = subgroupBroadcast(b, 3u);
    } else {
        w4 = subgroupBroadcast(a, 4u);
        w5 = subgroupBroadcast(a, 5u);
        w6 = subgroupBroadcast(a, 6u);
        w7 = subgroupBroadcast(a, 7u);
    }
    sum[0] += vec4f(dot(w0, x0), dot(w1, x0), dot(w2, x0), dot(w3, x0));
    sum[1] += vec4f(dot(w4, x0), dot(w5, x0), dot(w6, x0), dot(w7, x0));
    sum[2] += vec4f(dot(w0, x1), dot(w1, x1), dot(w2, x1), dot(w3, x1));
    sum[3] += vec4f(dot(w4, x1), dot(w5, x1), dot(w6, x1), dot(w7, x1));
    sum[4] += vec4f(dot(w0, x2), dot(w1, x2), dot(w2, x2), dot(w3, x2));
    sum[5] += vec4f(dot(w4, x2), dot(w5, x2), dot(w6, x2), dot(w7, x2));
    sum[6] += vec4f(dot(w0, x3), dot(w1, x3), dot(w2, x3), dot(w3, x3));
    sum[7] += vec4f(dot(w4, x3), dot(w5, x3), dot(w6, x3), dot(w7, x3));
}

fn load(row: u32, inside: bool, position: i32) -> u32 {
    if inside && position >= 0 && position < i32(params.limit) {
        return source[row + u32(position)];
    }
    return params.fill;
}

fn load_pair(row: u32, inside: bool, position: i32) -> vec2u {
    if inside && position >= 0 && position < i32(params.limit) {
        return source_pairs[(row + u32(position)) >> 1u];
    }
    return vec2u(params.fill);
}

fn load_quad(row: u32, inside: bool, position: i32) -> vec4u {
    if inside && position >= 0 && position < i32(params.limit) {
        return source_quads[(row + u32(position)) >> 2u];
    }
    return vec4u(params.fill);
}

fn store(x: u32, y: u32, block: u32) {
    if x >= params.output.y || y >= params.output.x {
        return;
    }
    let pixel = y * params.output.y + x;
    let last = min(params.output.y - x, 4u);
    let ca = column_of(block);
    let cb = column_of(block + 1u);
    finish(vec4i(sum[0]), ca, block, pixel);
    finish(vec4i(sum[1]), cb, block + 1u, pixel);
    if last > 1u {
        finish(vec4i(sum[2]), ca, block, pixel + 1u);
        finish(vec4i(sum[3]), cb, block + 1u, pixel + 1u);
    }
    if last > 2u {
        finish(vec4i(sum[4]), ca, block, pixel + 2u);
        finish(vec4i(sum[5]), cb, block + 1u, pixel + 2u);
    }
    if last > 3u {
        finish(vec4i(sum[6]), ca, block, pixel + 3u);
        finish(vec4i(sum[7]), cb, block + 1u, pixel + 3u);
    }
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
    if REAL {
        var real = clamp(scaled + bitcast<vec4f>(columns[3u * block + 2u]), vec4f(params.low_real), vec4f(params.high_real));
        let at = params.residual_start + pixel * params.residual_pitch + 4u * block;
        if RESIDUAL {
            real += bitcast<vec4f>(vec4u(residual[at], residual[at + 1u], residual[at + 2u], residual[at + 3u]));
        }
        let bits = select(vec4u(), bitcast<vec4u>(real), vec4u(0u, 1u, 2u, 3u) < vec4u(used));
        let to = params.target_start + pixel * params.target_pitch + 4u * block;
        destination[to] = bits.x;
        destination[to + 1u] = bits.y;
        destination[to + 2u] = bits.z;
        destination[to + 3u] = bits.w;
        return;
    }
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

@compute @workgroup_size(8)
fn main_words(
    @builtin(local_invocation_id) local: vec3u,
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    let group = workgroup + vec3u(params.origin_x, params.origin_y, params.origin_z);
    // Invocations outside the image stay: their lanes load weights for the others.
    let x = (group.x * LANES_X + local.x % LANES_X) * 4u;
    let y = group.y * (8u / LANES_X) + local.x / LANES_X;
    let block = group.z * 2u;
    let first_word = (block / params.group_blocks) * params.words;
    let step = i32(params.stride.y * params.source_pitch);
    var w = group.z * params.segments.x * params.segments.y * params.chunks * 8u + (lane & lanes());
    for (var ky = 0u; ky < params.segments.x; ky++) {
        let iy = i32(y * params.stride.x + ky * params.dilation.x) - i32(params.pad.x);
        let inside = iy >= 0 && iy < i32(params.input.x);
        let row = params.source_start + first_word + u32(max(iy, 0)) * params.input.y * params.source_pitch;
        for (var kx = 0u; kx < params.segments.y; kx++) {
            var at = (i32(x * params.stride.y + kx * params.dilation.y) - i32(params.pad.y)) * i32(params.source_pitch);
            for (var chunk = 0u; chunk < params.chunks; chunk++) {
                let spread = spread_from(w);
                w += 8u;
                for (var i = 0u; i < 4u; i++) {
                    let x0 = load(row, inside, at);
                    let x1 = load(row, inside, at + step);
                    let x2 = load(row, inside, at + 2 * step);
                    let x3 = load(row, inside, at + 3 * step);
                    accumulate(spread.first[i], spread.second[i], vec4u(x0, x1, x2, x3));
                    at++;
                }
            }
        }
    }
    store(x, y, block);
}

@compute @workgroup_size(8)
fn main_pairs(
    @builtin(local_invocation_id) local: vec3u,
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    let group = workgroup + vec3u(params.origin_x, params.origin_y, params.origin_z);
    // Invocations outside the image stay: their lanes load weights for the others.
    let x = (group.x * LANES_X + local.x % LANES_X) * 4u;
    let y = group.y * (8u / LANES_X) + local.x / LANES_X;
    let block = group.z * 2u;
    let first_word = (block / params.group_blocks) * params.words;
    let step = i32(params.stride.y * params.source_pitch);
    var w = group.z * params.segments.x * params.segments.y * params.chunks * 8u + (lane & lanes());
    for (var ky = 0u; ky < params.segments.x; ky++) {
        let iy = i32(y * params.stride.x + ky * params.dilation.x) - i32(params.pad.x);
        let inside = iy >= 0 && iy < i32(params.input.x);
        let row = params.source_start + first_word + u32(max(iy, 0)) * params.input.y * params.source_pitch;
        for (var kx = 0u; kx < params.segments.y; kx++) {
            var at = (i32(x * params.stride.y + kx * params.dilation.y) - i32(params.pad.y)) * i32(params.source_pitch);
            for (var chunk = 0u; chunk < params.chunks; chunk++) {
                let spread = spread_from(w);
                w += 8u;
                for (var i = 0u; i < 2u; i++) {
                    let x0 = load_pair(row, inside, at);
                    let x1 = load_pair(row, inside, at + step);
                    let x2 = load_pair(row, inside, at + 2 * step);
                    let x3 = load_pair(row, inside, at + 3 * step);
                    accumulate(spread.first[2u * i], spread.second[2u * i], vec4u(x0.x, x1.x, x2.x, x3.x));
                    accumulate(spread.first[2u * i + 1u], spread.second[2u * i + 1u], vec4u(x0.y, x1.y, x2.y, x3.y));
                    at += 2;
                }
            }
        }
    }
    store(x, y, block);
}

@compute @workgroup_size(8)
fn main_quads(
    @builtin(local_invocation_id) local: vec3u,
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    let group = workgroup + vec3u(params.origin_x, params.origin_y, params.origin_z);
    // Invocations outside the image stay: their lanes load weights for the others.
    let x = (group.x * LANES_X + local.x % LANES_X) * 4u;
    let y = group.y * (8u / LANES_X) + local.x / LANES_X;
    let block = group.z * 2u;
    let first_word = (block / params.group_blocks) * params.words;
    let step = i32(params.stride.y * params.source_pitch);
    var w = group.z * params.segments.x * params.segments.y * params.chunks * 8u + (lane & lanes());
    for (var ky = 0u; ky < params.segments.x; ky++) {
        let iy = i32(y * params.stride.x + ky * params.dilation.x) - i32(params.pad.x);
        let inside = iy >= 0 && iy < i32(params.input.x);
        let row = params.source_start + first_word + u32(max(iy, 0)) * params.input.y * params.source_pitch;
        for (var kx = 0u; kx < params.segments.y; kx++) {
            var at = (i32(x * params.stride.y + kx * params.dilation.y) - i32(params.pad.y)) * i32(params.source_pitch);
            for (var chunk = 0u; chunk < params.chunks; chunk++) {
                let spread = spread_from(w);
                w += 8u;
                let x0 = load_quad(row, inside, at);
                let x1 = load_quad(row, inside, at + step);
                let x2 = load_quad(row, inside, at + 2 * step);
                let x3 = load_quad(row, inside, at + 3 * step);
                accumulate(spread.first.x, spread.second.x, vec4u(x0.x, x1.x, x2.x, x3.x));
                accumulate(spread.first.y, spread.second.y, vec4u(x0.y, x1.y, x2.y, x3.y));
                accumulate(spread.first.z, spread.second.z, vec4u(x0.z, x1.z, x2.z, x3.z));
                accumulate(spread.first.w, spread.second.w, vec4u(x0.w, x1.w, x2.w, x3.w));
                at += 4;
            }
        }
    }
    store(x, y, block);
}
