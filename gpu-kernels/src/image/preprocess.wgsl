// Camera frame to network input: conversion, resampling, normalisation, quantization. Twin of core/src/ops/image/convert.rs,
// resize.rs and normalise.rs, one after the other: change them in one commit.
//
// One invocation per pixel of the input. Everything up to the resampled shade is whole numbers, and a byte is found among
// the least shades that give each byte, which the host computed by the definition: bytes are exact on every device.

struct Params {
    frame: vec2u,            // height, width
    output: vec2u,
    row_words: u32,          // words from one row of the frame to the next
    rows_start: u32,         // word of `taps` where the rows' taps begin
    target_start: u32,       // words
    target_pitch: u32,       // words a pixel
    mean: vec3f,
    origin_x: u32,           // first workgroup
    deviation: vec3f,
    origin_y: u32,
}

override WG_X: u32 = 8u;
override WG_Y: u32 = 8u;
override FORMAT: u32 = 0u;       // 0 RGB8, 1 BGR8, 2 RGBA8, 3 GRAY8, 4 NV12, 5 YUYV
override BLUE_FIRST: bool = false; // the network's channel order
override TARGET: u32 = 0u;       // 0 f32, 1 u8, 2 i8

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> frame: array<u32>;
@group(0) @binding(2) var<storage, read> taps: array<u32>;       // of columns, then of rows: [output]: first input, start, end of
                                                                 // its weights within `taps`; then the weights
@group(0) @binding(3) var<storage, read> thresholds: array<u32>; // [channel, 256]: least shade that gives a byte, in order
@group(0) @binding(4) var<storage, read_write> destination: array<u32>;

fn byte_at(row: u32, at: u32) -> u32 {
    return (frame[row + (at >> 2u)] >> (8u * (at & 3u))) & 0xffu;
}

// core/src/ops/image/convert.rs, pair_to_rgb.
fn from_yuv(luma: u32, u: u32, v: u32) -> vec3u {
    let y = 298 * (i32(luma) - 16) + 128;
    let cu = i32(u) - 128;
    let cv = i32(v) - 128;
    let fixed = vec3i(y + 409 * cv, y - 100 * cu - 208 * cv, y + 516 * cu) >> vec3u(8u);
    return vec3u(clamp(fixed, vec3i(0), vec3i(255)));
}

// Red, green, blue.
fn pixel_at(x: u32, y: u32) -> vec3u {
    let row = y * params.row_words;
    switch FORMAT {
        case 0u: {
            return vec3u(byte_at(row, 3u * x), byte_at(row, 3u * x + 1u), byte_at(row, 3u * x + 2u));
        }
        case 1u: {
            return vec3u(byte_at(row, 3u * x + 2u), byte_at(row, 3u * x + 1u), byte_at(row, 3u * x));
        }
        case 2u: {
            return unpack4xU8(frame[row + x]).xyz;
        }
        case 3u: {
            return vec3u(byte_at(row, x));
        }
        case 4u: {
            let chroma = (params.frame.x + (y >> 1u)) * params.row_words;
            let pair = x & 0xfffffffeu;
            return from_yuv(byte_at(row, x), byte_at(chroma, pair), byte_at(chroma, pair + 1u));
        }
        default: {
            let pair = unpack4xU8(frame[row + (x >> 1u)]);
            return from_yuv(select(pair.x, pair.z, (x & 1u) == 1u), pair.y, pair.w);
        }
    }
}

// Resampled shades, in steps of 2^-16.
fn shades(x: u32, y: u32) -> vec3u {
    let column = vec3u(taps[3u * x], taps[3u * x + 1u], taps[3u * x + 2u]);
    let entry = params.rows_start + 3u * y;
    let row = vec3u(taps[entry], taps[entry + 1u], taps[entry + 2u]);
    var sum = vec3u();
    for (var i = row.y; i < row.z; i++) {
        let from_y = row.x + (i - row.y);
        var across = vec3u();
        for (var j = column.y; j < column.z; j++) {
            across += taps[j] * pixel_at(column.x + (j - column.y), from_y);
        }
        sum += taps[i] * ((across + vec3u(8192u)) >> vec3u(14u));
    }
    return (sum + vec3u(128u)) >> vec3u(8u);
}

// How many bytes above the least one have a threshold at or below the shade.
fn byte_of(shade: u32, channel: u32) -> u32 {
    var q = 0u;
    for (var step = 128u; step > 0u; step >>= 1u) {
        if thresholds[256u * channel + q + step] <= shade {
            q += step;
        }
    }
    return q;
}

@compute @workgroup_size(WG_X, WG_Y)
fn main(@builtin(local_invocation_id) local: vec3u, @builtin(workgroup_id) group: vec3u) {
    let x = (group.x + params.origin_x) * WG_X + local.x;
    let y = (group.y + params.origin_y) * WG_Y + local.y;
    if x >= params.output.y || y >= params.output.x {
        return;
    }
    var shade = shades(x, y);
    if BLUE_FIRST {
        shade = shade.zyx;
    }
    let to = params.target_start + (y * params.output.y + x) * params.target_pitch;
    if TARGET == 0u {
        let value = (vec3f(shade) / 65536.0 / 255.0 - params.mean) / params.deviation;
        destination[to] = bitcast<u32>(value.x);
        destination[to + 1u] = bitcast<u32>(value.y);
        destination[to + 2u] = bitcast<u32>(value.z);
        destination[to + 3u] = 0u;
        return;
    }
    var q = vec3u(byte_of(shade.x, 0u), byte_of(shade.y, 1u), byte_of(shade.z, 2u));
    if TARGET == 2u {
        q = q ^ vec3u(0x80u); // -128 is the least byte
    }
    destination[to] = q.x | (q.y << 8u) | (q.z << 16u);
}
