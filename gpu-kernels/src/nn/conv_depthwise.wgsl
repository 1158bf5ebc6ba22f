// Depthwise byte convolution. Twin of core/src/ops/nn/conv.rs with epilogue.rs: change them in one commit.
//
// One invocation of `main` computes one pixel of four channels, which is one word; one of `main_quads` two pixels of sixteen,
// because devices load four words as fast as one. The bias holds the input's zero point, so padding is
// filled with it.

struct Params {
    input: vec2u,            // height, width
    output: vec2u,
    kernel: vec2u,
    stride: vec2u,
    dilation: vec2u,
    pad: vec2u,
    source_start: u32,       // words
    source_pitch: u32,       // words a pixel
    residual_start: u32,     // words
    residual_pitch: u32,
    target_start: u32,       // words
    target_pitch: u32,
    words: u32,              // 1
    group_blocks: u32,       // 1
    blocks: u32,             // blocks of four output channels
    channels: u32,           // output channels
    flip: u32,               // not used here
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
override SIGNED: bool = false;    // input bytes are i8
override RESIDUAL: bool = false;  // a second operand is added
override REAL: bool = false;      // the result is f32

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> source: array<u32>;         // of main
@group(0) @binding(1) var<storage, read_write> source_quads: array<vec4u>;  // of main_quads
@group(0) @binding(2) var<storage, read> weights: array<u32>;     // of main, [block, tap]: four channels
@group(0) @binding(2) var<storage, read> weights_quads: array<vec4u>; // of main_quads, [four blocks, tap]: sixteen channels
@group(0) @binding(3) var<storage, read> columns: array<vec4u>;   // [block]: bias, multiplier, real bias
@group(0) @binding(4) var<storage, read> tables: array<u32>;      // tables, then 65536 bytes [own, residual]
@group(0) @binding(5) var<storage, read_write> residual: array<u32>;
@group(0) @binding(6) var<storage, read_write> destination: array<u32>;

fn load(row: i32, column: i32, word: u32) -> vec4i {
    var four = params.fill;
    if row >= 0 && row < i32(params.input.x) && column >= 0 && column < i32(params.input.y) {
        four = source[params.source_start + (u32(row) * params.input.y + u32(column)) * params.source_pitch + word];
    }
    return unpack(four);
}

fn load_quad(row: i32, column: i32, quad: u32) -> vec4u {
    if row >= 0 && row < i32(params.input.x) && column >= 0 && column < i32(params.input.y) {
        let pixel = u32(row) * params.input.y + u32(column);
        return source_quads[((params.source_start + pixel * params.source_pitch) >> 2u) + quad];
    }
    return vec4u(params.fill);
}

fn unpack(four: u32) -> vec4i {
    if SIGNED {
        return unpack4xI8(four);
    }
    return vec4i(unpack4xU8(four));
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
    // Neighbouring invocations take neighbouring words.
    let at = group.x * WG_X + local.x;
    let block = at % params.blocks;
    let x = at / params.blocks;
    let y = group.y * WG_Y + local.y;
    if x >= params.output.y || y >= params.output.x {
        return;
    }
    var sum = vec4i();
    var w = block * params.kernel.x * params.kernel.y;
    for (var ky = 0u; ky < params.kernel.x; ky++) {
        let row = i32(y * params.stride.x + ky * params.dilation.x) - i32(params.pad.x);
        for (var kx = 0u; kx < params.kernel.y; kx++) {
            let column = i32(x * params.stride.y + kx * params.dilation.y) - i32(params.pad.y);
            sum += unpack4xI8(weights[w]) * load(row, column, block);
            w++;
        }
    }
    finish(sum, column_of(block), block, y * params.output.y + x);
}

@compute @workgroup_size(WG_X, WG_Y)
fn main_quads(@builtin(local_invocation_id) local: vec3u, @builtin(workgroup_id) workgroup: vec3u) {
    let group = workgroup + vec3u(params.origin_x, params.origin_y, params.origin_z);
    let quads = params.blocks / 4u;
    let at = group.x * WG_X + local.x;
    let quad = at % quads;
    let x = at / quads * 2u;
    let y = group.y * WG_Y + local.y;
    if x >= params.output.y || y >= params.output.x {
        return;
    }
    var sum: array<vec4i, 8>;
    var w = quad * params.kernel.x * params.kernel.y;
    for (var ky = 0u; ky < params.kernel.x; ky++) {
        let row = i32(y * params.stride.x + ky * params.dilation.x) - i32(params.pad.x);
        for (var kx = 0u; kx < params.kernel.y; kx++) {
            let column = i32(x * params.stride.y + kx * params.dilation.y) - i32(params.pad.y);
            let weight = weights_quads[w];
            let a = load_quad(row, column, quad);
            let b = load_quad(row, column + i32(params.stride.y), quad);
            for (var i = 0u; i < 4u; i++) {
                let four = unpack4xI8(weight[i]);
                sum[i] += four * unpack(a[i]);
                sum[4u + i] += four * unpack(b[i]);
            }
            w++;
        }
    }
    let pixel = y * params.output.y + x;
    for (var i = 0u; i < 4u; i++) {
        let block = 4u * quad + i;
        let column = column_of(block);
        finish(sum[i], column, block, pixel);
        if x + 1u < params.output.y {
            finish(sum[4u + i], column, block, pixel + 1u);
        }
    }
}
