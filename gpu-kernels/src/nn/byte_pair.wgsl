// Two byte operands, broadcast, by a table of all pairs of bytes. Twin of ByteSum and ByteProduct in
// core/src/ops/nn/elementwise.rs: change them in one commit.
//
// One invocation handles one word of the result: four elements of the last axis, or one where those of the result lie apart.
// Forms, as quads.rs says: 0 a whole word, 1 one element for all, 2 elements a stride apart.

struct Params {
    shape: vec4u,            // of the result
    a_strides: vec4u,        // elements; 0 to broadcast
    b_strides: vec4u,
    out_strides: vec4u,
    a_start: u32,            // elements
    b_start: u32,
    out_start: u32,
    first_group: u32,        // first workgroup
}

override WG: u32 = 64u;
override EACH: u32 = 4u;     // elements of an invocation
override A_FORM: u32 = 0u;
override B_FORM: u32 = 0u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> a: array<u32>;
@group(0) @binding(2) var<storage, read_write> b: array<u32>;
@group(0) @binding(3) var<storage, read> pairs: array<u32>;      // 65536 bytes, [a, b]
@group(0) @binding(4) var<storage, read_write> destination: array<u32>;

// How far each of four elements is from the first: no farther than the last that is there.
fn steps_of(used: u32) -> vec4u {
    return min(vec4u(0u, 1u, 2u, 3u), vec4u(used - 1u));
}

fn one_a(element: u32) -> u32 {
    return unpack4xU8(a[element >> 2u])[element & 3u];
}

fn load_a(element: u32, used: u32) -> vec4u {
    if A_FORM == 1u {
        return vec4u(one_a(element));
    }
    if A_FORM == 2u {
        let at = vec4u(element) + steps_of(used) * params.a_strides.w;
        return vec4u(one_a(at.x), one_a(at.y), one_a(at.z), one_a(at.w));
    }
    return unpack4xU8(a[element >> 2u]);
}

fn one_b(element: u32) -> u32 {
    return unpack4xU8(b[element >> 2u])[element & 3u];
}

fn load_b(element: u32, used: u32) -> vec4u {
    if B_FORM == 1u {
        return vec4u(one_b(element));
    }
    if B_FORM == 2u {
        let at = vec4u(element) + steps_of(used) * params.b_strides.w;
        return vec4u(one_b(at.x), one_b(at.y), one_b(at.z), one_b(at.w));
    }
    return unpack4xU8(b[element >> 2u]);
}

fn look_up(own: u32, other: u32) -> u32 {
    let at = own * 256u + other;
    return (pairs[at >> 2u] >> (8u * (at & 3u))) & 0xffu;
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
    let q = vec4u(look_up(x.x, y.x), look_up(x.y, y.y), look_up(x.z, y.z), look_up(x.w, y.w));
    let carries = vec4u(0u, 1u, 2u, 3u) < vec4u(used);
    destination[(params.out_start + dot(index, params.out_strides)) >> 2u] = pack4xU8(select(vec4u(), q, carries));
}
