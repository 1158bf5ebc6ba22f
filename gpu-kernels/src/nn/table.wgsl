// Bytes to bytes by table. Twin of core/src/ops/nn/byte.rs: change them in one commit.
//
// One invocation handles one word: four channels of one row.

struct Params {
    source_start: u32,       // words
    source_pitch: u32,       // words a row
    target_start: u32,
    target_pitch: u32,
    rows: u32,
    channels: u32,
    tables: u32,             // 1, or one per channel
    first_group: u32,        // first workgroup
}

override WG: u32 = 64u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> source: array<u32>;
@group(0) @binding(2) var<storage, read> tables: array<u32>;
@group(0) @binding(3) var<storage, read_write> destination: array<u32>;

fn look_up(q: u32, channel: u32) -> u32 {
    let at = select(0u, min(channel, params.channels - 1u) * 256u, params.tables > 1u) + q;
    return (tables[at >> 2u] >> (8u * (at & 3u))) & 0xffu;
}

@compute @workgroup_size(WG)
fn main(
    @builtin(local_invocation_id) local: vec3u,
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
) {
    let i = (params.first_group + group.y * groups.x + group.x) * WG + local.x;
    let words = (params.channels + 3u) / 4u;
    let row = i / words;
    let word = i % words;
    if row >= params.rows {
        return;
    }
    let channel = 4u * word;
    let q = unpack4xU8(source[params.source_start + row * params.source_pitch + word]);
    let mapped = vec4u(look_up(q.x, channel), look_up(q.y, channel + 1u), look_up(q.z, channel + 2u), look_up(q.w, channel + 3u));
    let carries = vec4u(0u, 1u, 2u, 3u) < vec4u(params.channels - channel);
    destination[params.target_start + row * params.target_pitch + word] = pack4xU8(select(vec4u(), mapped, carries));
}
