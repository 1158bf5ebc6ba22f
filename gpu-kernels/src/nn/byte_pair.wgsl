// Two byte operands, broadcast, by a table of all pairs of bytes. Twin of ByteSum and ByteProduct in
// core/src/ops/nn/elementwise.rs: change them in one commit.
//
// One invocation handles one word of the result: four elements of the last axis.

struct Params {
    shape: vec4u,            // of the result
    a_strides: vec4u,        // elements; the last is 1, or 0 to broadcast
    b_strides: vec4u,
    out_strides: vec4u,
    a_start: u32,            // elements
    b_start: u32,
    out_start: u32,
    reserved: u32,
}

override WG: u32 = 64u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> a: array<u32>;
@group(0) @binding(2) var<storage, read_write> b: array<u32>;
@group(0) @binding(3) var<storage, read> pairs: array<u32>;      // 65536 bytes, [a, b]
@group(0) @binding(4) var<storage, read_write> destination: array<u32>;

fn spread(word: u32, element: u32, stride: u32) -> vec4u {
    let four = unpack4xU8(word);
    if stride == 0u {
        return vec4u(four[element & 3u]);
    }
    return four;
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
    let i = (group.y * groups.x + group.x) * WG + local.x;
    let words = (params.shape.w + 3u) / 4u;
    let row = i / words;
    let first = 4u * (i % words);
    let index = vec4u(row / (params.shape.z * params.shape.y), row / params.shape.z % params.shape.y, row % params.shape.z, first);
    if index.x >= params.shape.x {
        return;
    }
    let at_a = params.a_start + dot(index, params.a_strides);
    let at_b = params.b_start + dot(index, params.b_strides);
    let x = spread(a[at_a >> 2u], at_a, params.a_strides.w);
    let y = spread(b[at_b >> 2u], at_b, params.b_strides.w);
    let q = vec4u(look_up(x.x, y.x), look_up(x.y, y.y), look_up(x.z, y.z), look_up(x.w, y.w));
    let carries = vec4u(0u, 1u, 2u, 3u) < vec4u(params.shape.w - first);
    destination[(params.out_start + dot(index, params.out_strides)) >> 2u] = pack4xU8(select(vec4u(), q, carries));
}
