// Gradient of a dense convolution's weights, in parts that `reduce/sum` adds up:
//
//   dw[part, ky, kx, i, o] = sum over images of the part and pixels of x[n, p*s + ky - pad, q*s + kx - pad, i] * dz[n, p, q, o]
//
// over images that keep input channel i, filter o and the tap.
//
// x (N, H, W, I), dz (N, P, Q, O), dw (parts, K, K, I, O). One invocation owns one quad of input
// channels at one tap times QUADS quads of filters; the workgroup's lanes are ROWS of those times
// LANES / ROWS parts. Filters are read at addresses that the workgroup shares where ROWS = LANES.

override LANES: u32 = 8u;
override ROWS: u32 = 8u;
override QUADS: u32 = 4u;
override KERNEL: u32 = 1u;

const MAX_QUADS: u32 = 4u;

struct Params {
    images: u32,
    parts: u32,
    height: u32,
    width: u32,
    out_height: u32,
    out_width: u32,
    stride: u32,
    in_quads: u32,
    filter_quads: u32,
    in_width: u32,
    filters: u32,
    input_row: u32,
    kept_row: u32,
    kernel_row: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> widths: array<u32>;
@group(0) @binding(2) var<storage, read> x: array<vec4f>;
@group(0) @binding(3) var<storage, read> dz: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> dw: array<vec4f>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) lane: vec3u) {
    let row = group.x * ROWS + lane.x % ROWS;
    let part = select(group.z * (LANES / ROWS) + lane.x / ROWS, group.z, LANES == ROWS);
    let rows = KERNEL * KERNEL * params.in_quads;
    if row >= rows || part >= params.parts {
        return;
    }
    let tap = row / params.in_quads;
    let quad = row % params.in_quads;
    let ky = tap / KERNEL;
    let kx = tap % KERNEL;
    let first_quad = group.y * QUADS;

    var acc: array<vec4f, 4u * MAX_QUADS>;
    for (var t = 0u; t < 4u * QUADS; t++) {
        acc[t] = vec4f(0.0);
    }
    let first_image = part * params.images / params.parts;
    let last_image = (part + 1u) * params.images / params.parts;
    for (var image = first_image; image < last_image; image++) {
        let kept_quads = quads(min(widths[params.kept_row + image], params.filters));
        let in_quads = quads(min(widths[params.input_row + image], params.in_width));
        var border = 0u;
        if KERNEL > 1u {
            border = (KERNEL - widths[params.kernel_row + image]) / 2u;
        }
        let kept = first_quad < kept_quads && quad < in_quads
            && min(ky, kx) >= border && max(ky, kx) + border < KERNEL;
        // A loop of no turns, since a branch alone does not skip work on every adapter.
        let height = select(0u, params.out_height, kept);
        for (var p = 0u; p < height; p++) {
            let h = i32(p * params.stride + ky) - i32(KERNEL / 2u);
            let row_inside = h >= 0 && h < i32(params.height);
            let at_row = (image * params.height + select(0u, u32(h), row_inside)) * params.width;
            let at_out = (image * params.out_height + p) * params.out_width;
            for (var c = 0u; c < params.out_width; c++) {
                let w = i32(c * params.stride + kx) - i32(KERNEL / 2u);
                let inside = row_inside && w >= 0 && w < i32(params.width);
                var v = x[(at_row + select(0u, u32(w), inside)) * params.in_quads + quad];
                if KERNEL > 1u {
                    v = select(vec4f(0.0), v, inside);
                }
                for (var q = 0u; q < QUADS; q++) {
                    // Quads past the kept ones were never written.
                    let written = first_quad + q < kept_quads;
                    let d = select(vec4f(0.0), dz[(at_out + c) * params.filter_quads + first_quad + q], written);
                    acc[q * 4u] = fma(vec4f(v.x), d, acc[q * 4u]);
                    acc[q * 4u + 1u] = fma(vec4f(v.y), d, acc[q * 4u + 1u]);
                    acc[q * 4u + 2u] = fma(vec4f(v.z), d, acc[q * 4u + 2u]);
                    acc[q * 4u + 3u] = fma(vec4f(v.w), d, acc[q * 4u + 3u]);
                }
            }
        }
    }
    let at = (part * rows + row) * 4u;
    for (var q = 0u; q < QUADS; q++) {
        if first_quad + q < params.filter_quads {
            for (var i = 0u; i < 4u; i++) {
                dw[(at + i) * params.filter_quads + first_quad + q] = acc[q * 4u + i];
            }
        }
    }
}
