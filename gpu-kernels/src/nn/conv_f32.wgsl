// Float convolution. Twin of core/src/ops/nn/conv.rs with epilogue.rs: change them in one commit.
//
// One invocation computes 4 pixels of a row by 4 output channels. Operands may be quantized bytes, read as reals.

struct Params {
    input: vec2u,            // height, width
    output: vec2u,
    kernel: vec2u,
    stride: vec2u,
    dilation: vec2u,
    pad: vec2u,
    source_start: u32,       // quads: four elements
    source_pitch: u32,       // quads a pixel
    residual_start: u32,
    residual_pitch: u32,
    target_start: u32,
    target_pitch: u32,
    source_scale: f32,
    residual_scale: f32,
    target_scale: f32,
    source_zero: i32,
    residual_zero: i32,
    target_zero: i32,
    quads: u32,              // input quads of one group
    group_blocks: u32,       // blocks of four output channels of one group
    blocks: u32,             // blocks of four output channels
    channels: u32,           // output channels
    slope: f32,              // factor below 0
    low: f32,
    high: f32,
    then_low: f32,           // range behind the residual
    then_high: f32,
    origin_x: u32,           // first workgroup
    origin_y: u32,
    origin_z: u32,
}

override WG_X: u32 = 8u;
override WG_Y: u32 = 8u;
override SOURCE: u32 = 0u;   // elements: 0 f32, 1 u8, 2 i8
override TARGET: u32 = 0u;
override RESIDUAL: u32 = 0u; // 0 none, 1 f32, 2 u8, 3 i8

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> source: array<u32>;
@group(0) @binding(2) var<storage, read> weights: array<vec4f>;   // [block, tap, channel]: four outputs
@group(0) @binding(3) var<storage, read> bias: array<vec4f>;      // [block]
@group(0) @binding(4) var<storage, read_write> residual: array<u32>;
@group(0) @binding(5) var<storage, read_write> destination: array<u32>;

fn load(quad: u32) -> vec4f {
    if SOURCE == 0u {
        return bitcast<vec4f>(vec4u(source[4u * quad], source[4u * quad + 1u], source[4u * quad + 2u], source[4u * quad + 3u]));
    }
    let word = source[quad];
    var q = vec4i(unpack4xU8(word));
    if SOURCE == 2u {
        q = unpack4xI8(word);
    }
    return params.source_scale * vec4f(q - vec4i(params.source_zero));
}

// Stores four values of which `used` carry something; the others become 0.
fn store(quad: u32, values: vec4f, used: u32) {
    let carries = vec4u(0u, 1u, 2u, 3u) < vec4u(used);
    if TARGET == 0u {
        let bits = select(vec4u(), bitcast<vec4u>(values), carries);
        destination[4u * quad] = bits.x;
        destination[4u * quad + 1u] = bits.y;
        destination[4u * quad + 2u] = bits.z;
        destination[4u * quad + 3u] = bits.w;
        return;
    }
    let steps = vec4i(clamp(round(values / params.target_scale), vec4f(-1e6), vec4f(1e6))) + vec4i(params.target_zero);
    var q = clamp(steps, vec4i(0), vec4i(255));
    if TARGET == 2u {
        q = clamp(steps, vec4i(-128), vec4i(127));
    }
    destination[quad] = pack4xU8(select(vec4u(), vec4u(q) & vec4u(0xffu), carries));
}

fn load_residual(quad: u32) -> vec4f {
    if RESIDUAL == 1u {
        return bitcast<vec4f>(vec4u(residual[4u * quad], residual[4u * quad + 1u], residual[4u * quad + 2u], residual[4u * quad + 3u]));
    }
    let word = residual[quad];
    var q = vec4i(unpack4xU8(word));
    if RESIDUAL == 3u {
        q = unpack4xI8(word);
    }
    return params.residual_scale * vec4f(q - vec4i(params.residual_zero));
}

// What follows the sum: core/src/ops/nn/epilogue.rs. Functions other than slopes and clamps are launches of their own.
fn finish(sum: vec4f, block: u32, pixel: u32) {
    let biased = sum + bias[block];
    let sloped = select(biased, params.slope * biased, biased < vec4f(0.0));
    var result = clamp(sloped, vec4f(params.low), vec4f(params.high));
    if RESIDUAL != 0u {
        result += load_residual(params.residual_start + pixel * params.residual_pitch + block);
        result = clamp(result, vec4f(params.then_low), vec4f(params.then_high));
    }
    store(params.target_start + pixel * params.target_pitch + block, result, params.channels - 4u * block);
}

// Four channels of a pixel, 0 in the padding.
fn tap(row: i32, column: i32, quad: u32) -> vec4f {
    if row < 0 || row >= i32(params.input.x) || column < 0 || column >= i32(params.input.y) {
        return vec4f();
    }
    return load(params.source_start + (u32(row) * params.input.y + u32(column)) * params.source_pitch + quad);
}

@compute @workgroup_size(WG_X, WG_Y)
fn main(@builtin(local_invocation_id) local: vec3u, @builtin(workgroup_id) workgroup: vec3u) {
    let group = workgroup + vec3u(params.origin_x, params.origin_y, params.origin_z);
    let x = (group.x * WG_X + local.x) * 4u;
    let y = group.y * WG_Y + local.y;
    let block = group.z;
    if x >= params.output.y || y >= params.output.x {
        return;
    }
    let first_quad = (block / params.group_blocks) * params.quads;
    let step = i32(params.stride.y);
    var w = block * params.kernel.x * params.kernel.y * params.quads * 4u;
    var sum0 = vec4f();
    var sum1 = vec4f();
    var sum2 = vec4f();
    var sum3 = vec4f();
    for (var ky = 0u; ky < params.kernel.x; ky++) {
        let row = i32(y * params.stride.x + ky * params.dilation.x) - i32(params.pad.x);
        for (var kx = 0u; kx < params.kernel.y; kx++) {
            let column = i32(x * params.stride.y + kx * params.dilation.y) - i32(params.pad.y);
            for (var quad = 0u; quad < params.quads; quad++) {
                let w0 = weights[w];
                let w1 = weights[w + 1u];
                let w2 = weights[w + 2u];
                let w3 = weights[w + 3u];
                w += 4u;
                let x0 = tap(row, column, first_quad + quad);
                let x1 = tap(row, column + step, first_quad + quad);
                let x2 = tap(row, column + 2 * step, first_quad + quad);
                let x3 = tap(row, column + 3 * step, first_quad + quad);
                sum0 += w0 * x0.x + w1 * x0.y + w2 * x0.z + w3 * x0.w;
                sum1 += w0 * x1.x + w1 * x1.y + w2 * x1.z + w3 * x1.w;
                sum2 += w0 * x2.x + w1 * x2.y + w2 * x2.z + w3 * x2.w;
                sum3 += w0 * x3.x + w1 * x3.y + w2 * x3.z + w3 * x3.w;
            }
        }
    }
    let pixel = y * params.output.y + x;
    finish(sum0, block, pixel);
    if x + 1u < params.output.y {
        finish(sum1, block, pixel + 1u);
    }
    if x + 2u < params.output.y {
        finish(sum2, block, pixel + 2u);
    }
    if x + 3u < params.output.y {
        finish(sum3, block, pixel + 3u);
    }
}
