// Softmax over rows. Twin of core/src/ops/nn/softmax.rs: change them in one commit.
//
// One invocation handles one row, in three passes.

struct Params {
    source_start: u32,       // quads: four elements
    source_pitch: u32,       // quads a row
    target_start: u32,
    target_pitch: u32,
    source_scale: f32,
    target_scale: f32,
    source_zero: i32,
    target_zero: i32,
    rows: u32,
    columns: u32,
    first_group: u32,        // first workgroup
    reserved: u32,
}

override WG: u32 = 64u;
override SOURCE: u32 = 0u;   // elements: 0 f32, 1 u8, 2 i8
override TARGET: u32 = 0u;

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

fn carried(quad: u32) -> vec4<bool> {
    return vec4u(4u * quad) + vec4u(0u, 1u, 2u, 3u) < vec4u(params.columns);
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
    let row = (params.first_group + group.y * groups.x + group.x) * WG + local.x;
    if row >= params.rows {
        return;
    }
    let start = params.source_start + row * params.source_pitch;
    let quads = end((params.columns + 3u) / 4u, local.x);
    var largest = vec4f(load(start).x);
    for (var quad = 0u; quad < quads; quad++) {
        largest = select(largest, max(largest, load(start + quad)), carried(quad));
    }
    let top = max(max(largest.x, largest.y), max(largest.z, largest.w));
    var sums = vec4f();
    for (var quad = 0u; quad < quads; quad++) {
        sums += select(vec4f(), exp(load(start + quad) - top), carried(quad));
    }
    let sum = sums.x + sums.y + sums.z + sums.w;
    for (var quad = 0u; quad < quads; quad++) {
        store(params.target_start + row * params.target_pitch + quad, exp(load(start + quad) - top) / sum, params.columns - 4u * quad);
    }
}
