// Paints holes like the farthest of the nearest shown pixels to the left, right, above and below. Twin of
// core/src/ops/splat/fill.rs: change them in one commit.
//
// One invocation per pixel; a hole looks along its row and column. Depths are compared as bits; 0 is a hole.

struct Params {
    width: u32,
    height: u32,
    points: u32,
    reserved: u32,
}

override WG: u32 = 64u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> image: array<u32>;
@group(0) @binding(2) var<storage, read_write> depth_bits: array<u32>;
@group(0) @binding(3) var<storage, read_write> filled: array<u32>;

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
    var colour = image[pixel];
    if depth_bits[pixel] == 0u {
        let x = pixel % params.width;
        let y = pixel / params.width;
        var farthest = 0u;
        for (var side = 0u; side < 4u; side++) {
            // Pixels to go in this direction, and the step from one to the next.
            var left = x;
            var step = 0xffffffffu;
            if side == 1u {
                left = params.width - 1u - x;
                step = 1u;
            } else if side == 2u {
                left = y;
                step = 0u - params.width;
            } else if side == 3u {
                left = params.height - 1u - y;
                step = params.width;
            }
            var at = pixel;
            for (; left > 0u; left--) {
                at += step;
                if depth_bits[at] != 0u {
                    if depth_bits[at] > farthest {
                        farthest = depth_bits[at];
                        colour = image[at];
                    }
                    break;
                }
            }
        }
    }
    filled[pixel] = colour;
}
