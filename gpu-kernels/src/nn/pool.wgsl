// Largest or mean of windows. Twin of core/src/ops/nn/pool.rs: change them in one commit.
//
// One invocation handles four channels of one pixel. The largest byte is found in raw steps (scale 1, zero 0), hence exact.

struct Params {
    input: vec2u,            // height, width
    output: vec2u,
    kernel: vec2u,
    stride: vec2u,
    dilation: vec2u,
    pad: vec2u,
    padded: vec2u,           // extents with padding, where that counts in the mean; else the input's
    source_start: u32,       // quads: four elements
    source_pitch: u32,       // quads a pixel
    target_start: u32,
    target_pitch: u32,
    source_scale: f32,
    target_scale: f32,
    source_zero: i32,
    target_zero: i32,
    channels: u32,
    first_group: u32,        // first workgroup
}

override WG: u32 = 64u;
override SOURCE: u32 = 0u;   // elements: 0 f32, 1 u8, 2 i8
override TARGET: u32 = 0u;
override MEAN: bool = false;
override COUNT_PAD: bool = false;  // padding counts in the divisor

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> source: array<u32>;
@group(0) @binding(2) var<storage, read_write> destination: array<u32>;

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

@compute @workgroup_size(WG)
fn main(
    @builtin(local_invocation_id) local: vec3u,
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
) {
    let i = (params.first_group + group.y * groups.x + group.x) * WG + local.x;
    let quads = (params.channels + 3u) / 4u;
    let pixel = i / quads;
    let quad = i % quads;
    if pixel >= params.output.x * params.output.y {
        return;
    }
    let origin = vec2u(pixel / params.output.y, pixel % params.output.y) * params.stride;
    var result = vec4f();
    var inside = 0u;
    var counted = 0u;
    for (var ky = 0u; ky < params.kernel.x; ky++) {
        for (var kx = 0u; kx < params.kernel.y; kx++) {
            let at = origin + vec2u(ky, kx) * params.dilation;
            if at.x < params.padded.x && at.y < params.padded.y {
                counted++;
            }
            if at.x < params.pad.x || at.y < params.pad.y || at.x - params.pad.x >= params.input.x || at.y - params.pad.y >= params.input.y {
                continue;
            }
            let tap = (at.x - params.pad.x) * params.input.y + at.y - params.pad.y;
            let value = load(params.source_start + tap * params.source_pitch + quad);
            if MEAN {
                result += value;
            } else {
                result = select(max(result, value), value, inside == 0u);
            }
            inside++;
        }
    }
    if MEAN {
        result /= f32(max(select(inside, counted, COUNT_PAD), 1u));
    }
    store(params.target_start + pixel * params.target_pitch + quad, result, params.channels - 4u * quad);
}
