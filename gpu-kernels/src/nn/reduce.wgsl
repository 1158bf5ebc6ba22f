// Mean, sum, largest or norm over axes. Twin of core/src/ops/nn/reduce.rs: change them in one commit.
//
// One invocation computes one result. A byte result shares its word with others, so it changes its own bits alone, atomically.

struct Params {
    kept: vec4u,             // extents
    kept_strides: vec4u,     // in the input, elements
    out_strides: vec4u,
    reduced: vec4u,          // extents
    reduced_strides: vec4u,
    source_start: u32,       // elements
    target_start: u32,
    source_scale: f32,
    target_scale: f32,
    source_zero: i32,
    target_zero: i32,
    first_group: u32,        // first workgroup
    reserved: u32,
}

override WG: u32 = 64u;
override SOURCE: u32 = 0u;   // elements: 0 f32, 1 u8, 2 i8
override TARGET: u32 = 0u;
override FUNCTION: u32 = 0u; // 0 mean, 1 sum, 2 largest, 3 root of the sum of squares

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> source: array<u32>;
@group(0) @binding(2) var<storage, read_write> destination: array<atomic<u32>>;

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

fn store(element: u32, value: f32) {
    if TARGET == 0u {
        atomicStore(&destination[element], bitcast<u32>(value));
        return;
    }
    let steps = i32(clamp(round(value / params.target_scale), -1e6, 1e6)) + params.target_zero;
    var q = clamp(steps, 0, 255);
    if TARGET == 2u {
        q = clamp(steps, -128, 127);
    }
    let shift = 8u * (element & 3u);
    atomicAnd(&destination[element >> 2u], ~(0xffu << shift));
    atomicOr(&destination[element >> 2u], (u32(q) & 0xffu) << shift);
}

fn index(i: u32, shape: vec4u) -> vec4u {
    return vec4u(i / (shape.w * shape.z * shape.y), i / (shape.w * shape.z) % shape.y, i / shape.w % shape.z, i % shape.w);
}

// The end of a loop, which is a parameter, as a number that no compiler takes for one: Mesa's lavapipe (22.3) compiles a kernel whose
// short loops end at parameters anew for every dispatch, and keeps them all.
fn end(count: u32, invocation: u32) -> u32 {
    return min(count, invocation | 0x80000000u);
}

@compute @workgroup_size(WG)
fn main(
    @builtin(local_invocation_id) local: vec3u,
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
) {
    let i = (params.first_group + group.y * groups.x + group.x) * WG + local.x;
    let kept = index(i, params.kept);
    if kept.x >= params.kept.x {
        return;
    }
    let first = params.source_start + dot(kept, params.kept_strides);
    let count = end(params.reduced.x * params.reduced.y * params.reduced.z * params.reduced.w, local.x);
    var result = select(0.0, load(first), FUNCTION == 2u);
    for (var k = 0u; k < count; k++) {
        let value = load(first + dot(index(k, params.reduced), params.reduced_strides));
        switch FUNCTION {
            case 2u: { result = max(result, value); }
            case 3u: { result += value * value; }
            default: { result += value; }
        }
    }
    if FUNCTION == 0u {
        result /= f32(count);
    }
    if FUNCTION == 3u {
        result = sqrt(result);
    }
    store(params.target_start + dot(kept, params.out_strides), result);
}
