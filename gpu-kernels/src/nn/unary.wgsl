// Functions of one operand, and conversion between floats and quantized bytes. Twin of core/src/ops/nn/elementwise.rs and
// activation.rs: change them in one commit.
//
// One invocation handles four channels of one row.

struct Params {
    source_start: u32,       // quads: four elements
    source_pitch: u32,       // quads a pixel
    target_start: u32,
    target_pitch: u32,
    source_scale: f32,
    target_scale: f32,
    source_zero: i32,
    target_zero: i32,
    rows: u32,
    channels: u32,
    alpha: f32,              // slope, low, or factor of the function
    beta: f32,               // high, or summand of the function
    first_group: u32,        // first workgroup
}

override WG: u32 = 64u;
override SOURCE: u32 = 0u;   // elements: 0 f32, 1 u8, 2 i8
override TARGET: u32 = 0u;
override FUNCTION: u32 = 0u; // as `code` of unary.rs says

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

fn erf(v: vec4f) -> vec4f {
    let x = clamp(v, vec4f(-4.0), vec4f(4.0));
    let t = x * x;
    let p = (((((-2.7261423e-10 * t + 2.7706815e-8) * t - 2.101024e-6) * t - 5.6925064e-5) * t - 7.3499063e-4) * t - 2.9545998e-3) * t
        - 1.6096033e-2;
    let q = (((-1.4566072e-5 * t - 2.1337406e-4) * t - 1.682827e-3) * t - 7.3733292e-3) * t - 1.4264739e-2;
    return x * p / q;
}

fn sigmoid(x: vec4f) -> vec4f {
    // exp of large arguments is infinite, and 1 / infinite need not be 0.
    return 1.0 / (1.0 + exp(min(-x, vec4f(88.0))));
}

// tanh overflows on some devices; beyond 10 it is 1 in f32.
fn bounded_tanh(x: vec4f) -> vec4f {
    return tanh(clamp(x, vec4f(-10.0), vec4f(10.0)));
}

fn apply(x: vec4f) -> vec4f {
    switch FUNCTION {
        case 1u: { return max(x, vec4f(0.0)); }
        case 2u: { return min(max(x, vec4f(params.alpha)), vec4f(params.beta)); }
        case 3u: { return select(x, params.alpha * x, x < vec4f(0.0)); }
        case 4u: { return select(x, params.alpha * (exp(min(x, vec4f(0.0))) - 1.0), x < vec4f(0.0)); }
        case 5u: { return sigmoid(x); }
        case 6u: { return x * sigmoid(x); }
        case 7u: { return x * clamp(x / 6.0 + 0.5, vec4f(0.0), vec4f(1.0)); }
        case 8u: { return clamp(params.alpha * x + params.beta, vec4f(0.0), vec4f(1.0)); }
        case 9u: { return 0.5 * x * (1.0 + erf(x * 0.70710678)); }
        case 10u: { return bounded_tanh(x); }
        case 11u: { return erf(x); }
        case 12u: { return sqrt(x); }
        case 13u: { return exp(x); }
        case 14u: { return -x; }
        case 15u: { return abs(x); }
        case 16u: { return 1.0 / x; }
        case 17u: { return log(x); }
        case 18u: { return ceil(x); }
        case 19u: { return floor(x); }
        case 20u: { return round(x); }
        case 21u: { return max(x, vec4f(0.0)) + log(1.0 + exp(-abs(x))); }
        default: { return x; }
    }
}

@compute @workgroup_size(WG)
fn main(
    @builtin(local_invocation_id) local: vec3u,
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
) {
    let i = (params.first_group + group.y * groups.x + group.x) * WG + local.x;
    let quads = (params.channels + 3u) / 4u;
    let row = i / quads;
    let quad = i % quads;
    if row >= params.rows {
        return;
    }
    let values = apply(load(params.source_start + row * params.source_pitch + quad));
    store(params.target_start + row * params.target_pitch + quad, values, params.channels - 4u * quad);
}
