// Batched, strided byte matrix product. Twin of core/src/ops/nn/matmul.rs with epilogue.rs: change them in one commit.
//
// One invocation computes four columns of one row, as integers. Rows of the result start at whole words.

struct Params {
    batch: vec2u,
    rows: u32,
    inner: u32,
    columns: u32,
    reserved: u32,
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
    zero_point: i32,
    low: i32,
    high: i32,
    low_real: f32,
    high_real: f32,
    origin_x: u32,           // first workgroup
    origin_y: u32,
    origin_z: u32,
}

override WG_X: u32 = 8u;
override WG_Y: u32 = 8u;
override A_SIGNED: bool = false;
override B_SIGNED: bool = false;
override REAL: bool = false; // the result is f32
override TABLES: u32 = 0u;   // of 256 bytes: 0 none, 1 one for all columns, 2 one each

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> a: array<u32>;
@group(0) @binding(2) var<storage, read_write> b: array<u32>;
@group(0) @binding(3) var<storage, read> columns: array<vec4u>;   // [block]: bias, multiplier, real bias
@group(0) @binding(4) var<storage, read> tables: array<u32>;
@group(0) @binding(5) var<storage, read_write> destination: array<u32>;

fn step_a(element: u32) -> i32 {
    let word = a[element >> 2u];
    if A_SIGNED {
        return unpack4xI8(word)[element & 3u] - params.a_zero;
    }
    return i32(unpack4xU8(word)[element & 3u]) - params.a_zero;
}

fn step_b(element: u32) -> i32 {
    let word = b[element >> 2u];
    if B_SIGNED {
        return unpack4xI8(word)[element & 3u] - params.b_zero;
    }
    return i32(unpack4xU8(word)[element & 3u]) - params.b_zero;
}

fn look_up(q: u32, column: u32) -> u32 {
    let at = select(0u, min(column, params.columns - 1u) * 256u, TABLES > 1u) + q;
    return (tables[at >> 2u] >> (8u * (at & 3u))) & 0xffu;
}

// What follows the sum: core/src/ops/nn/epilogue.rs.
fn finish(sum: vec4i, block: u32, at: u32) {
    let biased = sum + bitcast<vec4i>(columns[3u * block]);
    let scaled = vec4f(biased) * bitcast<vec4f>(columns[3u * block + 1u]);
    let column = 4u * block;
    let carries = vec4u(0u, 1u, 2u, 3u) < vec4u(params.columns - column);
    if REAL {
        let real = clamp(scaled + bitcast<vec4f>(columns[3u * block + 2u]), vec4f(params.low_real), vec4f(params.high_real));
        let bits = select(vec4u(), bitcast<vec4u>(real), carries);
        destination[at] = bits.x;
        destination[at + 1u] = bits.y;
        destination[at + 2u] = bits.z;
        destination[at + 3u] = bits.w;
        return;
    }
    let zero_point = vec4i(params.zero_point);
    let clamped = clamp(scaled, vec4f(vec4i(params.low) - zero_point), vec4f(vec4i(params.high) - zero_point));
    var q = vec4u(vec4i(round(clamped)) + zero_point) & vec4u(0xffu);
    if TABLES > 0u {
        q = vec4u(look_up(q.x, column), look_up(q.y, column + 1u), look_up(q.z, column + 2u), look_up(q.w, column + 3u));
    }
    destination[at >> 2u] = pack4xU8(select(vec4u(), q, carries));
}

// The end of a loop, which is a parameter, as a number that no compiler takes for one: Mesa's lavapipe (22.3) compiles a kernel whose
// short loops end at parameters anew for every dispatch, and keeps them all.
fn end(count: u32, invocation: u32) -> u32 {
    return min(count, invocation | 0x80000000u);
}

@compute @workgroup_size(WG_X, WG_Y)
fn main(@builtin(local_invocation_id) local: vec3u, @builtin(workgroup_id) workgroup: vec3u) {
    let group = workgroup + vec3u(params.origin_x, params.origin_y, params.origin_z);
    let block = group.x * WG_X + local.x;
    let row = group.y * WG_Y + local.y;
    if 4u * block >= params.columns || row >= params.rows {
        return;
    }
    let batch = vec2u(group.z / params.batch.y, group.z % params.batch.y);
    let lanes = min(vec4u(4u * block) + vec4u(0u, 1u, 2u, 3u), vec4u(params.columns - 1u));
    var at_a = params.a_start + dot(batch, params.a_batch) + row * params.a_row;
    var at_b = vec4u(params.b_start + dot(batch, params.b_batch)) + lanes * params.b_column;
    var sum = vec4i();
    let inner = end(params.inner, local.x);
    for (var k = 0u; k < inner; k++) {
        sum += step_a(at_a) * vec4i(step_b(at_b.x), step_b(at_b.y), step_b(at_b.z), step_b(at_b.w));
        at_a += params.a_column;
        at_b += vec4u(params.b_row);
    }
    finish(sum, block, params.out_start + dot(batch, params.out_batch) + row * params.out_row + 4u * block);
}
