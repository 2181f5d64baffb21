// Gradient of a depthwise convolution's input:
//
//   dx[n, h, w, c] = sum over ky, kx of dz[n, (h + pad - ky) / s, (w + pad - kx) / s, c] * w[ky, kx, c]
//
// where the divisions leave no rest, for the kept channels of image n.
//
// dz (N, P, Q, C), w (K, K, C), dx (N, H, W, C). One invocation owns SEGMENT neighbours of one input
// row in one quad of channels; the lanes of a workgroup share image and quad.

override LANES: u32 = 8u;
override SEGMENT: u32 = 7u;
override KERNEL: u32 = 3u;
override STRIDE: u32 = 1u;

const MAX_SEGMENT: u32 = 8u;
const MAX_SPAN: u32 = 14u; // MAX_SEGMENT - 1 + 7

struct Params {
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
@group(0) @binding(2) var<storage, read> dz: array<vec4f>;
@group(0) @binding(3) var<storage, read> weight: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> dx: array<vec4f>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) lane: vec3u) {
    let image = group.z;
    let quad = group.y;
    let kept = min(widths[params.kept_row + image], params.channels);
    if quad >= quads(kept) {
        return;
    }
    let segments = (params.width + SEGMENT - 1u) / SEGMENT;
    let item = group.x * LANES + lane.x;
    if item >= segments * params.height {
        return;
    }
    let h = item / segments;
    let first_w = item % segments * SEGMENT;
    let border = (KERNEL - widths[params.kernel_row + image]) / 2u;
    // Column of the output, times the stride, under the first neighbour's last tap.
    let left = i32(first_w + KERNEL / 2u) - i32(KERNEL - 1u);

    var acc: array<vec4f, MAX_SEGMENT>;
    for (var s = 0u; s < SEGMENT; s++) {
        acc[s] = vec4f(0.0);
    }
    for (var ky = border; ky < KERNEL - border; ky++) {
        let bottom = i32(h + KERNEL / 2u) - i32(ky);
        let p = u32(max(bottom, 0)) / STRIDE;
        let row_inside = bottom >= 0 && p * STRIDE == u32(bottom) && p < params.out_height;
        let at_row = (image * params.out_height + select(0u, p, row_inside)) * params.out_width;
        var span: array<vec4f, MAX_SPAN>;
        for (var i = 0u; i < SEGMENT - 1u + KERNEL; i++) {
            let column = left + i32(i);
            let q = u32(max(column, 0)) / STRIDE;
            let inside = row_inside && column >= 0 && q * STRIDE == u32(column) && q < params.out_width;
            span[i] = select(vec4f(0.0), dz[(at_row + select(0u, q, inside)) * params.quads + quad], inside);
        }
        for (var kx = 0u; kx < KERNEL; kx++) {
            let inside = kx >= border && kx + border < KERNEL;
            let w = select(vec4f(0.0), weight[(ky * KERNEL + kx) * params.quads + quad], inside);
            for (var s = 0u; s < SEGMENT; s++) {
                acc[s] = fma(span[s + KERNEL - 1u - kx], w, acc[s]);
            }
        }
    }
    for (var s = 0u; s < SEGMENT; s++) {
        if first_w + s < params.width {
            let at = (image * params.height + h) * params.width + first_w + s;
            dx[at * params.quads + quad] = keep(acc[s], quad, kept);
        }
    }
}
