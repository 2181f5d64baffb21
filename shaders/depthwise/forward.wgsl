// Depthwise convolution with "same" padding, the kernel being the centre of a super-kernel:
//
//   y[n, p, q, c] = sum over ky, kx of x[n, p*s + ky - pad, q*s + kx - pad, c] * w[ky, kx, c]
//
// for the kept channels of image n; as a deployed operation (DEPLOYED = 1), act(y + bias).
//
// x (N, H, W, C), w (K, K, C), y (N, P, Q, C). One invocation owns SEGMENT neighbours of one output
// row in one quad of channels; the lanes of a workgroup share image and quad, so that weights are
// read at shared addresses.

override LANES: u32 = 8u;
override SEGMENT: u32 = 7u;
override KERNEL: u32 = 3u;
override STRIDE: u32 = 1u;
override DEPLOYED: u32 = 0u;
override ACTIVATION: u32 = 0u;

const MAX_SEGMENT: u32 = 8u;
const MAX_SPAN: u32 = 21u; // (MAX_SEGMENT - 1) * 2 + 7

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
@group(0) @binding(2) var<storage, read> x: array<vec4f>;
@group(0) @binding(3) var<storage, read> weight: array<vec4f>;
@group(0) @binding(4) var<storage, read> bias: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> y: array<vec4f>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) lane: vec3u) {
    let image = group.z;
    let quad = group.y;
    let kept = min(widths[params.kept_row + image], params.channels);
    if quad >= quads(kept) {
        return;
    }
    let segments = (params.out_width + SEGMENT - 1u) / SEGMENT;
    let item = group.x * LANES + lane.x;
    if item >= segments * params.out_height {
        return;
    }
    let p = item / segments;
    let first_q = item % segments * SEGMENT;
    let border = (KERNEL - widths[params.kernel_row + image]) / 2u;
    let left = i32(first_q * STRIDE) - i32(KERNEL / 2u);

    var acc: array<vec4f, MAX_SEGMENT>;
    for (var s = 0u; s < SEGMENT; s++) {
        acc[s] = vec4f(0.0);
    }
    for (var ky = border; ky < KERNEL - border; ky++) {
        let h = i32(p * STRIDE + ky) - i32(KERNEL / 2u);
        let row_inside = h >= 0 && h < i32(params.height);
        let at_row = (image * params.height + select(0u, u32(h), row_inside)) * params.width;
        // The stretch of the input row under the segment.
        var span: array<vec4f, MAX_SPAN>;
        for (var i = 0u; i < (SEGMENT - 1u) * STRIDE + KERNEL; i++) {
            let w = left + i32(i);
            let inside = row_inside && w >= 0 && w < i32(params.width);
            let column = select(0u, u32(w), inside);
            span[i] = select(vec4f(0.0), x[(at_row + column) * params.quads + quad], inside);
        }
        for (var kx = 0u; kx < KERNEL; kx++) {
            let inside = kx >= border && kx + border < KERNEL;
            let w = select(vec4f(0.0), weight[(ky * KERNEL + kx) * params.quads + quad], inside);
            for (var s = 0u; s < SEGMENT; s++) {
                acc[s] = fma(span[s * STRIDE + kx], w, acc[s]);
            }
        }
    }
    for (var s = 0u; s < SEGMENT; s++) {
        if first_q + s < params.out_width {
            var v = acc[s];
            if DEPLOYED != 0u {
                v = activate(ACTIVATION, v + bias[quad]);
            }
            let at = (image * params.out_height + p) * params.out_width + first_q + s;
            y[at * params.quads + quad] = keep(v, quad, kept);
        }
    }
}
