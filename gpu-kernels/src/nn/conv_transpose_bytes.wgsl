// Transposed byte convolution. Twin of core/src/ops/nn/conv_transpose.rs with epilogue.rs: change them in one commit.
//
// One invocation computes one pixel of four output channels: it gathers the taps that land there. Unsigned bytes are shifted
// to signed ones by `flip` (x xor 0x80 is x - 128). Which taps land depends on the pixel, so the input's zero point cannot be
// folded into the bias: each tap adds `zero_sums`, the sum of its weights times the zero point.

struct Params {
    input: vec2u,            // height, width
    output: vec2u,
    kernel: vec2u,
    stride: vec2u,
    dilation: vec2u,
    pad: vec2u,              // rows and columns cropped before
    source_start: u32,       // words
    source_pitch: u32,       // words a pixel
    residual_start: u32,     // words
    residual_pitch: u32,
    target_start: u32,       // words
    target_pitch: u32,
    words: u32,              // input words
    group_blocks: u32,       // blocks: there is one group
    blocks: u32,             // blocks of four output channels
    channels: u32,           // output channels
    flip: u32,               // 0x80808080 for unsigned input, else 0
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
    reserved: u32,
}

override WG_X: u32 = 8u;
override WG_Y: u32 = 8u;
override RESIDUAL: bool = false;  // a second operand is added
override REAL: bool = false;      // the result is f32

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> source: array<u32>;
@group(0) @binding(2) var<storage, read> weights: array<vec4u>;   // [block, tap, word + 1]: four outputs; the last word is zero_sums
@group(0) @binding(3) var<storage, read> columns: array<vec4u>;   // [block]: bias, multiplier, real bias
@group(0) @binding(4) var<storage, read> tables: array<u32>;      // tables, then 65536 bytes [own, residual]
@group(0) @binding(5) var<storage, read_write> residual: array<u32>;
@group(0) @binding(6) var<storage, read_write> destination: array<u32>;

fn dots(four: vec4u, x: u32) -> vec4i {
    return vec4i(dot4I8Packed(four.x, x), dot4I8Packed(four.y, x), dot4I8Packed(four.z, x), dot4I8Packed(four.w, x));
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

@compute @workgroup_size(WG_X, WG_Y)
fn main(@builtin(local_invocation_id) local: vec3u, @builtin(workgroup_id) workgroup: vec3u) {
    let group = workgroup + vec3u(params.origin_x, params.origin_y, params.origin_z);
    let x = group.x * WG_X + local.x;
    let y = group.y * WG_Y + local.y;
    let block = group.z;
    if x >= params.output.y || y >= params.output.x {
        return;
    }
    var sum = vec4i();
    for (var ky = 0u; ky < params.kernel.x; ky++) {
        let shifted_y = i32(y + params.pad.x) - i32(ky * params.dilation.x);
        if shifted_y < 0 || shifted_y % i32(params.stride.x) != 0 || shifted_y / i32(params.stride.x) >= i32(params.input.x) {
            continue;
        }
        for (var kx = 0u; kx < params.kernel.y; kx++) {
            let shifted_x = i32(x + params.pad.y) - i32(kx * params.dilation.y);
            if shifted_x < 0 || shifted_x % i32(params.stride.y) != 0 || shifted_x / i32(params.stride.y) >= i32(params.input.y) {
                continue;
            }
            let pixel = u32(shifted_y) / params.stride.x * params.input.y + u32(shifted_x) / params.stride.y;
            let at = params.source_start + pixel * params.source_pitch;
            let w = ((block * params.kernel.x + ky) * params.kernel.y + kx) * (params.words + 1u);
            for (var word = 0u; word < params.words; word++) {
                sum += dots(weights[w + word], source[at + word] ^ params.flip);
            }
            sum += bitcast<vec4i>(weights[w + params.words]);
        }
    }
    finish(sum, column_of(block), block, y * params.output.y + x);
}
