// Nearest depth at every pixel that some points reach. Twin of core/src/ops/splat/nearest.rs: change them in one commit.
//
// One invocation per point. Bits of positive floats order as the floats do, so a minimum of bits is a minimum of depths;
// minima do not depend on the order of invocations. `nearest` starts as 0xffffffff.

struct Params {
    width: u32,
    height: u32,
    points: u32,
    reserved: u32,
}

override WG: u32 = 64u;

@group(0) @binding(0) var<uniform> params: Params;
// Column and row in 1/64 pixel (signed), bits of the depth, colour.
@group(0) @binding(1) var<storage, read_write> points: array<vec4u>;
@group(0) @binding(2) var<storage, read_write> nearest: array<atomic<u32>>;

fn tap(x: i32, y: i32, weight: i32, depth_bits: u32) {
    if weight > 0 && x >= 0 && y >= 0 && x < i32(params.width) && y < i32(params.height) {
        atomicMin(&nearest[u32(y) * params.width + u32(x)], depth_bits);
    }
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
    // Half a pixel up and left; the shift rounds towards minus infinity.
    let place = bitcast<vec2i>(point.xy) - 32;
    let corner = place >> vec2u(6u);
    let right = place & vec2i(63);
    let left = 64 - right;
    tap(corner.x, corner.y, left.x * left.y, point.z);
    tap(corner.x + 1, corner.y, right.x * left.y, point.z);
    tap(corner.x, corner.y + 1, left.x * right.y, point.z);
    tap(corner.x + 1, corner.y + 1, right.x * right.y, point.z);
}
