// Byte convolution on cooperative matrices (tensor cores). Twin of core/src/ops/nn/conv.rs with epilogue.rs: change them in
// one commit.
//
// One workgroup, which is one subgroup, computes 32 pixels of a row by 32 output channels as four 16x16 matrices. Bytes are
// staged as halves, which hold them exactly; products are summed in single precision, exactly as long as no sum leaves the
// integers of f32 (2^24), which the launch half checks, and if the device sums so, which the tuner checks. Maps are
// [height, width, words], a word being four channels. The bias holds the input's zero point, so padding is filled with it.

enable f16;
enable wgpu_cooperative_matrix;

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
    words: u32,              // input words of one group
    group_blocks: u32,       // blocks of four output channels of one group
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

override WG_X: u32 = 32u;         // invocations of a subgroup
override WG_Y: u32 = 1u;
override SIGNED: bool = false;    // input bytes are i8
override RESIDUAL: bool = false;  // a second operand is added
override REAL: bool = false;      // the result is f32

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> source: array<u32>;
@group(0) @binding(2) var<storage, read> weights: array<vec4u>;   // [32 outputs, tap, four words, output of 32]: four words
@group(0) @binding(3) var<storage, read> columns: array<vec4u>;   // [block]: bias, multiplier, real bias
@group(0) @binding(4) var<storage, read> tables: array<u32>;      // tables, then 65536 bytes [own, residual]
@group(0) @binding(5) var<storage, read_write> residual: array<u32>;
@group(0) @binding(6) var<storage, read_write> destination: array<u32>;

var<workgroup> pixels: array<f16, 512>;  // [pixel of 32, channel of 16]
var<workgroup> outputs: array<f16, 512>; // [output of 32, channel of 16]
var<workgroup> sums: array<f32, 1024>;   // [pixel, output]

fn load(row: i32, column: i32, word: u32) -> u32 {
    if row < 0 || row >= i32(params.input.x) || column < 0 || column >= i32(params.input.y) || word >= params.words {
        return params.fill;
    }
    let pixel = u32(row) * params.input.y + u32(column);
    return source[params.source_start + pixel * params.source_pitch + word];
}

fn halves(word: u32) -> vec4<f16> {
    if SIGNED {
        return vec4<f16>(unpack4xI8(word));
    }
    return vec4<f16>(unpack4xU8(word));
}

fn stage_pixel(at: u32, four: vec4<f16>) {
    pixels[at] = four.x;
    pixels[at + 1u] = four.y;
    pixels[at + 2u] = four.z;
    pixels[at + 3u] = four.w;
}

fn stage_output(at: u32, four: vec4<f16>) {
    outputs[at] = four.x;
    outputs[at + 1u] = four.y;
    outputs[at + 2u] = four.z;
    outputs[at + 3u] = four.w;
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
    let x = group.x * 32u;
    let y = group.y;
    let chunks = (params.words + 3u) / 4u;
    var w = group.z * params.kernel.x * params.kernel.y * chunks * 32u;
    var sum00 = coop_mat16x16<f32, C>();
    var sum01 = coop_mat16x16<f32, C>();
    var sum10 = coop_mat16x16<f32, C>();
    var sum11 = coop_mat16x16<f32, C>();
    for (var ky = 0u; ky < params.kernel.x; ky++) {
        let row = i32(y * params.stride.x + ky * params.dilation.x) - i32(params.pad.x);
        for (var kx = 0u; kx < params.kernel.y; kx++) {
            for (var chunk = 0u; chunk < chunks; chunk++) {
                for (var i = local.x; i < 32u; i += WG_X) {
                    let column = i32((x + i) * params.stride.y + kx * params.dilation.y) - i32(params.pad.y);
                    let four = weights[w + i];
                    for (var word = 0u; word < 4u; word++) {
                        stage_pixel(16u * i + 4u * word, halves(load(row, column, 4u * chunk + word)));
                        stage_output(16u * i + 4u * word, vec4<f16>(unpack4xI8(four[word])));
                    }
                }
                w += 32u;
                workgroupBarrier();
                let a0 = coopLoadT<coop_mat16x16<f16, A>>(&pixels[0], 16u);
                let a1 = coopLoadT<coop_mat16x16<f16, A>>(&pixels[256], 16u);
                let b0 = coopLoad<coop_mat16x16<f16, B>>(&outputs[0], 16u);
                let b1 = coopLoad<coop_mat16x16<f16, B>>(&outputs[256], 16u);
                sum00 = coopMultiplyAdd(a0, b0, sum00);
                sum01 = coopMultiplyAdd(a0, b1, sum01);
                sum10 = coopMultiplyAdd(a1, b0, sum10);
                sum11 = coopMultiplyAdd(a1, b1, sum11);
                workgroupBarrier();
            }
        }
    }
    coopStoreT(sum00, &sums[0], 32u);
    coopStoreT(sum01, &sums[16], 32u);
    coopStoreT(sum10, &sums[512], 32u);
    coopStoreT(sum11, &sums[528], 32u);
    workgroupBarrier();
    for (var i = local.x; i < 32u; i += WG_X) {
        if x + i < params.output.y {
            for (var j = 0u; j < 8u; j++) {
                let block = group.z * 8u + j;
                let at = 32u * i + 4u * j;
                let sum = vec4i(vec4f(sums[at], sums[at + 1u], sums[at + 2u], sums[at + 3u]));
                finish(sum, column_of(block), block, y * params.output.y + x + i);
            }
        }
    }
}
