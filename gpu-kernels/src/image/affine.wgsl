// Depth as it leaves the device: the network's tensor without its padding, as floats, with an affine map laid on it. Twin of
// core/src/ops/image/affine.rs: change them in one commit.
//
// One invocation per value; the map with scale 1 and shift 0 changes nothing.

struct Params {
    rows: u32,
    channels: u32,
    source_start: u32,       // elements
    source_pitch: u32,       // elements a row of channels
    source_scale: f32,
    source_zero: i32,
    scale: f32,
    shift: f32,
    first_group: u32,        // first workgroup
}

override WG: u32 = 64u;
override SOURCE: u32 = 0u;   // elements: 0 f32, 1 u8, 2 i8

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> source: array<u32>;
@group(0) @binding(2) var<storage, read_write> destination: array<f32>;

fn load(element: u32) -> f32 {
    if SOURCE == 0u {
        return bitcast<f32>(source[element]);
    }
    let word = source[element >> 2u];
    var q = i32(unpack4xU8(word)[element & 3u]);
    if SOURCE == 2u {
        q = unpack4xI8(word)[element & 3u];
    }
    return params.source_scale * f32(q - params.source_zero);
}

@compute @workgroup_size(WG)
fn main(
    @builtin(local_invocation_id) local: vec3u,
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
) {
    let i = (params.first_group + group.y * groups.x + group.x) * WG + local.x;
    if i >= params.rows * params.channels {
        return;
    }
    let value = load(params.source_start + i / params.channels * params.source_pitch + i % params.channels);
    destination[i] = params.scale * (value + params.shift);
}
