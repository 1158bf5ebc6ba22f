// Resampling of feature maps. Twin of core/src/ops/nn/resize.rs: change them in one commit.
//
// One invocation handles four channels of one pixel. Sample positions and weights come from the twin itself, as tables.
// Nearest bytes move in raw steps (scale 1, zero 0), hence exact.

struct Params {
    input: vec2u,            // height, width
    output: vec2u,
    source_start: u32,       // quads: four elements
    source_pitch: u32,       // quads a pixel
    target_start: u32,
    target_pitch: u32,
    source_scale: f32,
    target_scale: f32,
    source_zero: i32,
    target_zero: i32,
    channels: u32,
    taps: u32,               // 1, 2 or 4 samples along an axis
    first_group: u32,        // first workgroup
    reserved: u32,
}

override WG: u32 = 64u;
override SOURCE: u32 = 0u;   // elements: 0 f32, 1 u8, 2 i8
override TARGET: u32 = 0u;
override MAPPED: bool = false;  // bytes are mapped by the table after rounding

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> source: array<u32>;
@group(0) @binding(2) var<storage, read> positions: array<vec4u>; // rows, then columns: four samples, then their weights
@group(0) @binding(3) var<storage, read> tables: array<u32>;     // 256 bytes
@group(0) @binding(4) var<storage, read_write> destination: array<u32>;

fn load(quad: u32) -> vec4f {
    if SOURCE == 0u {
        return bitcast<vec4f>(vec4u(source[4u * quad], source[4u * quad + 1u], source[4u * quad + 2u], source[4u * quad + 3u]));
    }
    let word = source[quad];
    var q = vec4i(unpack4xU8(word));
    if SOURCE == 2u {
        q = unpack4xI8(word);
    }
    return params.source_scale * vec4f(q - vec4i(params.source_zero));
}

fn look_up(q: u32) -> u32 {
    return (tables[q >> 2u] >> (8u * (q & 3u))) & 0xffu;
}

// Stores four values of which `used` carry something; the others become 0.
fn store(quad: u32, values: vec4f, used: u32) {
    let carries = vec4u(0u, 1u, 2u, 3u) < vec4u(used);
    if TARGET == 0u {
        let bits = select(vec4u(), bitcast<vec4u>(values), carries);
        destination[4u * quad] = bits.x;
        destination[4u * quad + 1u] = bits.y;
        destination[4u * quad + 2u] = bits.z;
        destination[4u * quad + 3u] = bits.w;
        return;
    }
    let steps = vec4i(clamp(round(values / params.target_scale), vec4f(-1e6), vec4f(1e6))) + vec4i(params.target_zero);
    var q = clamp(steps, vec4i(0), vec4i(255));
    if TARGET == 2u {
        q = clamp(steps, vec4i(-128), vec4i(127));
    }
    var bits = vec4u(q) & vec4u(0xffu);
    if MAPPED {
        bits = vec4u(look_up(bits.x), look_up(bits.y), look_up(bits.z), look_up(bits.w));
    }
    destination[quad] = pack4xU8(select(vec4u(), bits, carries));
}

@compute @workgroup_size(WG)
fn main(
    @builtin(local_invocation_id) local: vec3u,
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
) {
    let i = (params.first_group + group.y * groups.x + group.x) * WG + local.x;
    let quads = (params.channels + 3u) / 4u;
    let pixel = i / quads;
    let quad = i % quads;
    if pixel >= params.output.x * params.output.y {
        return;
    }
    let row = 2u * (pixel / params.output.y);
    let column = 2u * (params.output.x + pixel % params.output.y);
    let rows = positions[row];
    let row_weights = bitcast<vec4f>(positions[row + 1u]);
    let columns = positions[column];
    let column_weights = bitcast<vec4f>(positions[column + 1u]);
    var result = vec4f();
    for (var j = 0u; j < params.taps; j++) {
        var across = vec4f();
        for (var k = 0u; k < params.taps; k++) {
            let tap = rows[j] * params.input.y + columns[k];
            across += column_weights[k] * load(params.source_start + tap * params.source_pitch + quad);
        }
        result += row_weights[j] * across;
    }
    store(params.target_start + pixel * params.target_pitch + quad, result, params.channels - 4u * quad);
}
