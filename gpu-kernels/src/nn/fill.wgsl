// Sets words to one value. Twin of the fill of a constant Pad (core/src/ops/nn/pad.rs): change them in one commit.

struct Params {
    start: u32,              // words
    pitch: u32,              // words a row
    rows: u32,
    words: u32,              // words set in a row
    value: u32,
    last: u32,               // bits of a row's last word that carry something
    first_group: u32,        // first workgroup
    reserved: u32,
}

override WG: u32 = 64u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> destination: array<u32>;

@compute @workgroup_size(WG)
fn main(
    @builtin(local_invocation_id) local: vec3u,
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
) {
    let i = (params.first_group + group.y * groups.x + group.x) * WG + local.x;
    let row = i / params.words;
    let word = i % params.words;
    if row >= params.rows {
        return;
    }
    let keep = select(0xffffffffu, params.last, word + 1u == params.words);
    destination[params.start + row * params.pitch + word] = params.value & keep;
}
