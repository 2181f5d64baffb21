// Gradient of a depthwise convolution's weights, in parts that `reduce/sum` adds up:
//
//   dw[part, ky, kx, c] = sum over images of the part and pixels of x[n, p*s + ky - pad, q*s + kx - pad, c] * dz[n, p, q, c]
//
// over images that keep channel c and the tap.
//
// x (N, H, W, C), dz (N, P, Q, C), dw (parts, K, K, C). One invocation owns one row ky of the kernel
// in one quad of channels; the lanes of a workgroup share the part, and with it the image.

override LANES: u32 = 8u;
override SEGMENT: u32 = 7u;
override KERNEL: u32 = 3u;
override STRIDE: u32 = 1u;

const MAX_SEGMENT: u32 = 8u;
const MAX_SPAN: u32 = 21u;
const MAX_KERNEL: u32 = 7u;

struct Params {
    images: u32,
    parts: u32,
    height: u32,
    width: u32,
    out_height: u32,
    out_width: u32,
    quads: u32,
    channels: u32,
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
    let item = group.x * LANES + lane.x;
    let part = group.y;
    if item >= params.quads * KERNEL {
        return;
    }
    let quad = item / KERNEL;
    let ky = item % KERNEL;

    var acc: array<vec4f, MAX_KERNEL>;
    for (var kx = 0u; kx < KERNEL; kx++) {
        acc[kx] = vec4f(0.0);
    }
    let first_image = part * params.images / params.parts;
    let last_image = (part + 1u) * params.images / params.parts;
    for (var image = first_image; image < last_image; image++) {
        let kept = min(widths[params.kept_row + image], params.channels);
        let border = (KERNEL - widths[params.kernel_row + image]) / 2u;
        let skip = quad >= quads(kept) || ky < border || ky + border >= KERNEL;
        // A loop of no turns, since a branch alone does not skip work on every adapter.
        let height = select(params.out_height, 0u, skip);
        for (var p = 0u; p < height; p++) {
            let h = i32(p * STRIDE + ky) - i32(KERNEL / 2u);
            let row_inside = h >= 0 && h < i32(params.height);
            let at_row = (image * params.height + select(0u, u32(h), row_inside)) * params.width;
            let at_out = (image * params.out_height + p) * params.out_width;
            for (var first_q = 0u; first_q < params.out_width; first_q += SEGMENT) {
                let left = i32(first_q * STRIDE) - i32(KERNEL / 2u);
                var span: array<vec4f, MAX_SPAN>;
                for (var i = 0u; i < (SEGMENT - 1u) * STRIDE + KERNEL; i++) {
                    let w = left + i32(i);
                    let inside = row_inside && w >= 0 && w < i32(params.width);
                    let column = select(0u, u32(w), inside);
                    span[i] = select(vec4f(0.0), x[(at_row + column) * params.quads + quad], inside);
                }
                for (var s = 0u; s < SEGMENT; s++) {
                    let inside = first_q + s < params.out_width;
                    let q = select(0u, first_q + s, inside);
                    let d = select(vec4f(0.0), dz[(at_out + q) * params.quads + quad], inside);
                    for (var kx = 0u; kx < KERNEL; kx++) {
                        let tap = kx >= border && kx + border < KERNEL;
                        acc[kx] = fma(span[s * STRIDE + kx], select(vec4f(0.0), d, tap), acc[kx]);
                    }
                }
            }
        }
    }
    for (var kx = 0u; kx < KERNEL; kx++) {
        dw[((part * KERNEL + ky) * KERNEL + kx) * params.quads + quad] = acc[kx];
    }
}
