// Batched, strided float matrix product. Twin of core/src/ops/nn/matmul.rs with epilogue.rs: change them in one commit.
//
// One invocation computes 4 rows by 4 columns. Operands may be quantized bytes, read as reals.

struct Params {
    batch: vec2u,
    rows: u32,
    inner: u32,
    columns: u32,
    written: u32,            // columns written: those, and zeros up to the row's own padding
    a_batch: vec2u,          // strides in elements
    b_batch: vec2u,
    out_batch: vec2u,
    a_start: u32,            // first elements
    b_start: u32,
    out_start: u32,
    a_row: u32,
    a_column: u32,
    b_row: u32,
    b_column: u32,
    out_row: u32,
    a_zero: i32,
    b_zero: i32,
    target_zero: i32,
    a_scale: f32,
    b_scale: f32,
    target_scale: f32,
    alpha: f32,              // factor of the sum
    slope: f32,              // factor below 0
    low: f32,
    high: f32,
    origin_x: u32,           // first workgroup
    origin_y: u32,
    origin_z: u32,
    reserved: u32,
}

override WG_X: u32 = 8u;
override WG_Y: u32 = 8u;
override A: u32 = 0u;        // elements: 0 f32, 1 u8, 2 i8
override B: u32 = 0u;
override TARGET: u32 = 0u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> a: array<u32>;
@group(0) @binding(2) var<storage, read_write> b: array<u32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;        // one per column, padded to four
@group(0) @binding(4) var<storage, read_write> destination: array<u32>;

fn real_a(element: u32) -> f32 {
    if A == 0u {
        return bitcast<f32>(a[element]);
    }
    let word = a[element >> 2u];
    let lane = element & 3u;
    var q = i32(unpack4xU8(word)[lane]);
    if A == 2u {
        q = unpack4xI8(word)[lane];
    }
    return params.a_scale * f32(q - params.a_zero);
}

fn real_b(element: u32) -> f32 {
    if B == 0u {
        return bitcast<f32>(b[element]);
    }
    let word = b[element >> 2u];
    let lane = element & 3u;
    var q = i32(unpack4xU8(word)[lane]);
    if B == 2u {
        q = unpack4xI8(word)[lane];
    }
    return params.b_scale * f32(q - params.b_zero);
}

fn store(element: u32, value: f32) {
    destination[element] = bitcast<u32>(value);
}

// Bytes are stored four at a time: the launch half takes this kernel only where rows start at whole words.
fn store_bytes(element: u32, values: vec4f, used: u32) {
    let carries = vec4u(0u, 1u, 2u, 3u) < vec4u(used);
    let steps = vec4i(clamp(round(values / params.target_scale), vec4f(-1e6), vec4f(1e6))) + vec4i(params.target_zero);
    var q = clamp(steps, vec4i(0), vec4i(255));
    if TARGET == 2u {
        q = clamp(steps, vec4i(-128), vec4i(127));
    }
    destination[element >> 2u] = pack4xU8(select(vec4u(), vec4u(q) & vec4u(0xffu), carries));
}

fn finish(sum: vec4f, row: u32, column: u32, base: u32) {
    if row >= params.rows {
        return;
    }
    let biased = params.alpha * sum + vec4f(bias[column], bias[column + 1u], bias[column + 2u], bias[column + 3u]);
    let sloped = select(biased, params.slope * biased, biased < vec4f(0.0));
    let result = clamp(sloped, vec4f(params.low), vec4f(params.high));
    let at = base + row * params.out_row + column;
    if TARGET != 0u {
        store_bytes(at, result, params.columns - column);
        return;
    }
    for (var lane = 0u; lane < 4u; lane++) {
        if column + lane < params.written {
            store(at + lane, select(0.0, result[lane], column + lane < params.columns));
        }
    }
}

@compute @workgroup_size(WG_X, WG_Y)
fn main(@builtin(local_invocation_id) local: vec3u, @builtin(workgroup_id) workgroup: vec3u) {
    let group = workgroup + vec3u(params.origin_x, params.origin_y, params.origin_z);
    let column = (group.x * WG_X + local.x) * 4u;
    let row = (group.y * WG_Y + local.y) * 4u;
    if column >= params.columns || row >= params.rows {
        return;
    }
    let batch = vec2u(group.z / params.batch.y, group.z % params.batch.y);
    // Rows and columns beyond the end repeat the last one; their sums are dropped.
    let rows = min(vec4u(row) + vec4u(0u, 1u, 2u, 3u), vec4u(params.rows - 1u));
    let columns = min(vec4u(column) + vec4u(0u, 1u, 2u, 3u), vec4u(params.columns - 1u));
    var at_a = vec4u(params.a_start + dot(batch, params.a_batch)) + rows * params.a_row;
    var at_b = vec4u(params.b_start + dot(batch, params.b_batch)) + columns * params.b_column;
    var sum0 = vec4f();
    var sum1 = vec4f();
    var sum2 = vec4f();
    var sum3 = vec4f();
    for (var k = 0u; k < params.inner; k++) {
        let y = vec4f(real_b(at_b.x), real_b(at_b.y), real_b(at_b.z), real_b(at_b.w));
        sum0 += real_a(at_a.x) * y;
        sum1 += real_a(at_a.y) * y;
        sum2 += real_a(at_a.z) * y;
        sum3 += real_a(at_a.w) * y;
        at_a += vec4u(params.a_column);
        at_b += vec4u(params.b_row);
    }
    let base = params.out_start + dot(batch, params.out_batch);
    finish(sum0, row, column, base);
    finish(sum1, row + 1u, column, base);
    finish(sum2, row + 2u, column, base);
    finish(sum3, row + 3u, column, base);
}
