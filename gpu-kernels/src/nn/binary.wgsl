// Two operands, broadcast, floats on the inside. Twin of core/src/ops/nn/elementwise.rs: change them in one commit.
//
// One invocation handles four elements of the last axis, or one where those of the result lie apart. Operands and result are f32
// or quantized bytes. Forms, as quads.rs says: 0 a whole quad, 1 one element for all, 2 elements a stride apart.

struct Params {
    shape: vec4u,            // of the result
    a_strides: vec4u,        // elements; 0 to broadcast
    b_strides: vec4u,
    out_strides: vec4u,
    a_start: u32,            // elements
    b_start: u32,
    out_start: u32,
    a_zero: i32,
    b_zero: i32,
    target_zero: i32,
    a_scale: f32,
    b_scale: f32,
    target_scale: f32,
    low: f32,                // range of the result
    high: f32,
    first_group: u32,        // first workgroup
}

override WG: u32 = 64u;
override A: u32 = 0u;        // elements: 0 f32, 1 u8, 2 i8
override B: u32 = 0u;
override TARGET: u32 = 0u;
override EACH: u32 = 4u;     // elements of an invocation
override A_FORM: u32 = 0u;
override B_FORM: u32 = 0u;
override FUNCTION: u32 = 0u; // as `code` of binary.rs says

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> a: array<u32>;
@group(0) @binding(2) var<storage, read_write> b: array<u32>;
@group(0) @binding(3) var<storage, read_write> destination: array<u32>;

fn steps(word: u32, signed: bool) -> vec4i {
    if signed {
        return unpack4xI8(word);
    }
    return vec4i(unpack4xU8(word));
}

// How far each of four elements is from the first: no farther than the last that is there.
fn steps_of(used: u32) -> vec4u {
    return min(vec4u(0u, 1u, 2u, 3u), vec4u(used - 1u));
}

fn one_a(element: u32) -> f32 {
    if A == 0u {
        return bitcast<f32>(a[element]);
    }
    return params.a_scale * f32(steps(a[element >> 2u], A == 2u)[element & 3u] - params.a_zero);
}

fn load_a(element: u32, used: u32) -> vec4f {
    if A_FORM == 1u {
        return vec4f(one_a(element));
    }
    if A_FORM == 2u {
        let at = vec4u(element) + steps_of(used) * params.a_strides.w;
        return vec4f(one_a(at.x), one_a(at.y), one_a(at.z), one_a(at.w));
    }
    if A == 0u {
        return bitcast<vec4f>(vec4u(a[element], a[element + 1u], a[element + 2u], a[element + 3u]));
    }
    return params.a_scale * vec4f(steps(a[element >> 2u], A == 2u) - vec4i(params.a_zero));
}

fn one_b(element: u32) -> f32 {
    if B == 0u {
        return bitcast<f32>(b[element]);
    }
    return params.b_scale * f32(steps(b[element >> 2u], B == 2u)[element & 3u] - params.b_zero);
}

fn load_b(element: u32, used: u32) -> vec4f {
    if B_FORM == 1u {
        return vec4f(one_b(element));
    }
    if B_FORM == 2u {
        let at = vec4u(element) + steps_of(used) * params.b_strides.w;
        return vec4f(one_b(at.x), one_b(at.y), one_b(at.z), one_b(at.w));
    }
    if B == 0u {
        return bitcast<vec4f>(vec4u(b[element], b[element + 1u], b[element + 2u], b[element + 3u]));
    }
    return params.b_scale * vec4f(steps(b[element >> 2u], B == 2u) - vec4i(params.b_zero));
}

// Stores four values of which `used` carry something; the others become 0.
fn store(element: u32, values: vec4f, used: u32) {
    let carries = vec4u(0u, 1u, 2u, 3u) < vec4u(used);
    if TARGET == 0u {
        let bits = select(vec4u(), bitcast<vec4u>(values), carries);
        destination[element] = bits.x;
        destination[element + 1u] = bits.y;
        destination[element + 2u] = bits.z;
        destination[element + 3u] = bits.w;
        return;
    }
    let steps = vec4i(clamp(round(values / params.target_scale), vec4f(-1e6), vec4f(1e6))) + vec4i(params.target_zero);
    var q = clamp(steps, vec4i(0), vec4i(255));
    if TARGET == 2u {
        q = clamp(steps, vec4i(-128), vec4i(127));
    }
    destination[element >> 2u] = pack4xU8(select(vec4u(), vec4u(q) & vec4u(0xffu), carries));
}

// WGSL leaves pow of a negative base open; powers of depth networks are whole or of positive bases.
fn power(x: vec4f, y: vec4f) -> vec4f {
    let magnitude = pow(abs(x), y);
    let odd = abs(y - 2.0 * floor(y * 0.5)) == vec4f(1.0);
    return select(magnitude, -magnitude, odd & (x < vec4f(0.0)));
}

fn apply(x: vec4f, y: vec4f) -> vec4f {
    switch FUNCTION {
        case 1u: { return x - y; }
        case 2u: { return x * y; }
        case 3u: { return x / y; }
        case 4u: { return max(x, y); }
        case 5u: { return min(x, y); }
        case 6u: { return power(x, y); }
        case 7u: { return select(x, x * y, x < vec4f(0.0)); }
        default: { return x + y; }
    }
}

@compute @workgroup_size(WG)
fn main(
    @builtin(local_invocation_id) local: vec3u,
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
) {
    let i = (params.first_group + group.y * groups.x + group.x) * WG + local.x;
    let runs = (params.shape.w + EACH - 1u) / EACH;
    let row = i / runs;
    let first = EACH * (i % runs);
    let index = vec4u(row / (params.shape.z * params.shape.y), row / params.shape.z % params.shape.y, row % params.shape.z, first);
    if index.x >= params.shape.x {
        return;
    }
    let used = min(EACH, params.shape.w - first);
    let x = load_a(params.a_start + dot(index, params.a_strides), used);
    let y = load_b(params.b_start + dot(index, params.b_strides), used);
    let result = min(max(apply(x, y), vec4f(params.low)), vec4f(params.high));
    store(params.out_start + dot(index, params.out_strides), result, used);
}
