// Mirrored or repeated border. Twin of core/src/ops/nn/pad.rs: change them in one commit.
//
// One invocation moves one word of one pixel.

struct Params {
    input: vec2u,            // height, width
    output: vec2u,
    before: vec2u,
    source_start: u32,       // words
    source_pitch: u32,       // words a pixel
    target_start: u32,
    target_pitch: u32,
    words: u32,              // words of a pixel
    reflect: u32,            // 1 mirrors, 0 repeats the edge
    first_group: u32,        // first workgroup
    reserved: u32,
}

override WG: u32 = 64u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> source: array<u32>;
@group(0) @binding(2) var<storage, read_write> destination: array<u32>;

fn inside(o: u32, before: u32, extent: u32) -> u32 {
    let last = i32(extent) - 1;
    var at = i32(o) - i32(before);
    if params.reflect == 1u {
        at = select(abs(at), 2 * last - at, at > last);
    }
    return u32(clamp(at, 0, last));
}

@compute @workgroup_size(WG)
fn main(
    @builtin(local_invocation_id) local: vec3u,
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
) {
    let i = (params.first_group + group.y * groups.x + group.x) * WG + local.x;
    let pixel = i / params.words;
    let word = i % params.words;
    if pixel >= params.output.x * params.output.y {
        return;
    }
    let y = inside(pixel / params.output.y, params.before.x, params.input.x);
    let x = inside(pixel % params.output.y, params.before.y, params.input.y);
    let start = params.source_start + (y * params.input.y + x) * params.source_pitch + word;
    destination[params.target_start + pixel * params.target_pitch + word] = source[start];
}
