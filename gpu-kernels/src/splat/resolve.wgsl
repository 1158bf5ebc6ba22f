// Sums to colours and depths. Twin of core/src/ops/splat/resolve.rs: change them in one commit.
//
// One invocation per pixel. Where too little or too much lies on a pixel it is a hole: black, depth 0.

struct Params {
    width: u32,
    height: u32,
    points: u32,
    reserved: u32,
}

override WG: u32 = 64u;
override MIN_WEIGHT: u32 = 256u;
override OVERFULL: u32 = 16777216u;
override BAND_SHIFT: u32 = 10u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> sums: array<array<u32, 5>>;
@group(0) @binding(2) var<storage, read_write> nearest: array<u32>;
@group(0) @binding(3) var<storage, read_write> image: array<u32>;        // red, green, blue from the lowest byte
@group(0) @binding(4) var<storage, read_write> depth_bits: array<u32>;

// Rounded half up; adding half the weight first might wrap.
fn mean(total: u32, weight: u32) -> u32 {
    return total / weight + select(0u, 1u, total % weight >= (weight + 1u) / 2u);
}

@compute @workgroup_size(WG)
fn main(
    @builtin(local_invocation_id) local: vec3u,
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
) {
    let pixel = (group.y * groups.x + group.x) * WG + local.x;
    if pixel >= params.width * params.height {
        return;
    }
    let weight = sums[pixel][4];
    var colour = 0u;
    var bits = 0u;
    if weight >= MIN_WEIGHT && weight < OVERFULL {
        colour = mean(sums[pixel][0], weight) | mean(sums[pixel][1], weight) << 8u | mean(sums[pixel][2], weight) << 16u;
        bits = nearest[pixel] + (mean(sums[pixel][3], weight) << BAND_SHIFT);
    }
    image[pixel] = colour;
    depth_bits[pixel] = bits;
}
