// Weighted sums of the points at the front. Twin of core/src/ops/splat/accumulate.rs: change them in one commit.
//
// One invocation per point. Sums of integers wrap and do not depend on the order of invocations. `sums` starts as zeros.

struct Params {
    width: u32,
    height: u32,
    points: u32,
    reserved: u32,
}

override WG: u32 = 64u;
override DEPTH_BAND: u32 = 262144u;   // bits of depth behind the nearest that still count
override BAND_SHIFT: u32 = 10u;       // bits of that distance that are dropped

@group(0) @binding(0) var<uniform> params: Params;
// Column and row in 1/64 pixel (signed), bits of the depth, colour.
@group(0) @binding(1) var<storage, read_write> points: array<vec4u>;
@group(0) @binding(2) var<storage, read_write> nearest: array<u32>;
// Red, green, blue, steps behind the nearest depth, weight.
@group(0) @binding(3) var<storage, read_write> sums: array<array<atomic<u32>, 5>>;

fn tap(x: i32, y: i32, weight: i32, point: vec4u) {
    if weight <= 0 || x < 0 || y < 0 || x >= i32(params.width) || y >= i32(params.height) {
        return;
    }
    let pixel = u32(y) * params.width + u32(x);
    let behind = point.z - nearest[pixel];
    if behind > DEPTH_BAND {
        return;
    }
    let w = u32(weight);
    atomicAdd(&sums[pixel][0], w * (point.w & 255u));
    atomicAdd(&sums[pixel][1], w * (point.w >> 8u & 255u));
    atomicAdd(&sums[pixel][2], w * (point.w >> 16u & 255u));
    atomicAdd(&sums[pixel][3], w * (behind >> BAND_SHIFT));
    atomicAdd(&sums[pixel][4], w);
}

@compute @workgroup_size(WG)
fn main(
    @builtin(local_invocation_id) local: vec3u,
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
) {
    let i = (group.y * groups.x + group.x) * WG + local.x;
    if i >= params.points {
        return;
    }
    let point = points[i];
    if point.z == 0xffffffffu {
        return;
    }
    let place = bitcast<vec2i>(point.xy) - 32;
    let corner = place >> vec2u(6u);
    let right = place & vec2i(63);
    let left = 64 - right;
    tap(corner.x, corner.y, left.x * left.y, point);
    tap(corner.x + 1, corner.y, right.x * left.y, point);
    tap(corner.x, corner.y + 1, left.x * right.y, point);
    tap(corner.x + 1, corner.y + 1, right.x * right.y, point);
}
