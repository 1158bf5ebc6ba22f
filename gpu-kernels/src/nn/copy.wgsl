// Strided copy of words: floats, or bytes four at a time where everything is a multiple of four. Twin of
// core/src/ops/nn/copy.rs: change them in one commit.

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
override MAPPED: bool = false;  // words are four bytes, mapped by the table

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> source: array<u32>;
@group(0) @binding(2) var<storage, read> tables: array<u32>;     // 256 bytes
@group(0) @binding(3) var<storage, read_write> destination: array<u32>;

fn look_up(q: u32) -> u32 {
    return (tables[q >> 2u] >> (8u * (q & 3u))) & 0xffu;
}

// Index i of the copy's index space: where it comes from and where it goes.
fn ends(i: u32) -> vec2u {
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
    return vec2u(u32(start), to);
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
    let at = ends(i);
    let word = source[at.x];
    if MAPPED {
        let q = unpack4xU8(word);
        destination[at.y] = pack4xU8(vec4u(look_up(q.x), look_up(q.y), look_up(q.z), look_up(q.w)));
    } else {
        destination[at.y] = word;
    }
}
