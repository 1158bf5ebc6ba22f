// Strided copy of single bytes, mapped by a table. Twin of core/src/ops/nn/copy.rs: change them in one commit.
//
// One invocation moves one byte. Its neighbours in the word belong to other invocations, or to nobody, so it changes its own
// bits alone, atomically.

struct Params {
    shape: array<vec4u, 2>,   // six extents, outermost first
    from_strides: array<vec4i, 2>,
    to_strides: array<vec4u, 2>,
    source_start: u32,
    target_start: u32,
    count: u32,
    first_group: u32,        // first workgroup
}

override WG: u32 = 64u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> source: array<u32>;
@group(0) @binding(2) var<storage, read> tables: array<u32>;     // 256 bytes
@group(0) @binding(3) var<storage, read_write> destination: array<atomic<u32>>;

fn byte_of(word: u32, at: u32) -> u32 {
    return (word >> (8u * (at & 3u))) & 0xffu;
}

@compute @workgroup_size(WG)
fn main(
    @builtin(local_invocation_id) local: vec3u,
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
) {
    let i = (params.first_group + group.y * groups.x + group.x) * WG + local.x;
    if i >= params.count {
        return;
    }
    var rest = i;
    var start = i32(params.source_start);
    var to = params.target_start;
    for (var axis = 6u; axis > 0u; axis--) {
        let at = axis - 1u;
        let extent = params.shape[at >> 2u][at & 3u];
        let index = rest % extent;
        rest /= extent;
        start += i32(index) * params.from_strides[at >> 2u][at & 3u];
        to += index * params.to_strides[at >> 2u][at & 3u];
    }
    let q = byte_of(source[u32(start) >> 2u], u32(start));
    let mapped = byte_of(tables[q >> 2u], q);
    let shift = 8u * (to & 3u);
    atomicAnd(&destination[to >> 2u], ~(0xffu << shift));
    atomicOr(&destination[to >> 2u], mapped << shift);
}
