// Dense convolution with "same" padding, the kernel being the centre of a super-kernel:
//
//   y[n, p, q, o] = sum over ky, kx, i of x[n, p*s + ky - pad, q*s + kx - pad, i] * w[ky, kx, i, o]
//
// over the kept input channels of image n, for its kept filters only. As a deployed operation
// (DEPLOYED = 1) it adds the bias, applies the activation and merges the shortcut:
//
//   y_o = o < kept ? act(conv_o + bias_o) : 0;  plus (residual) or else (bypass) x_o where o < bypass
//
// x (N, H, W, I), w (K, K, I, O), y (N, P, Q, O), shortcut (N, P, Q, .).

override LANES: u32 = 8u;
override KERNEL: u32 = 1u;
override STRIDE: u32 = 1u;
override DEPLOYED: u32 = 0u;
override ACTIVATION: u32 = 0u;
override SHORTCUT: u32 = 0u;

struct Params {
    height: u32,
    width: u32,
    out_height: u32,
    out_width: u32,
    in_quads: u32,
    filter_quads: u32,
    out_quads: u32,
    shortcut_quads: u32,
    in_width: u32,
    filters: u32,
    input_row: u32,
    kept_row: u32,
    bypass_row: u32,
    kernel_row: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> widths: array<u32>;
@group(0) @binding(2) var<storage, read> x: array<Stored>;
@group(0) @binding(3) var<storage, read> weight: array<Quad>;
@group(0) @binding(4) var<storage, read> bias: array<vec4f>;
@group(0) @binding(5) var<storage, read> shortcut: array<Stored>;
@group(0) @binding(6) var<storage, read_write> y: array<Stored>;

// Writes one quad of an invocation's pixels.
fn write(acc: ptr<function, Row>, image: u32, first_pixel: u32, quad: u32, kept: u32, bypass: u32) {
    if quad >= params.out_quads {
        return;
    }
    let pixels = params.out_height * params.out_width;
    for (var p = 0u; p < PIXELS; p++) {
        let pixel = first_pixel + p;
        if pixel < pixels {
            let at_pixel = image * pixels + pixel;
            var v = (*acc)[p];
            if DEPLOYED != 0u {
                v = activate(ACTIVATION, v + bias[min(quad, params.filter_quads - 1u)]);
            }
            var source = vec4f(0.0);
            if SHORTCUT != NO_SHORTCUT && quad < quads(bypass) {
                source = loaded(shortcut[at_pixel * params.shortcut_quads + quad]);
            }
            y[at_pixel * params.out_quads + quad] = stored(merge(SHORTCUT, v, source, quad, kept, bypass));
        }
    }
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) lane: vec3u) {
    let image = group.z;
    let kept = min(widths[params.kept_row + image], params.filters);
    let bypass = select(0u, widths[params.bypass_row + image], SHORTCUT != NO_SHORTCUT);
    let first_quad = tile_quad(group.y, lane.x);
    if first_quad >= quads(max(kept, bypass)) {
        return;
    }
    let in_quads = quads(min(widths[params.input_row + image], params.in_width));
    let pixels = params.out_height * params.out_width;
    let first_pixel = tile_pixel(group.x, lane.x);

    let weight_row = params.filter_quads;
    var acc0: Row;
    var acc1: Row;
    var acc2: Row;
    var acc3: Row;
    // Top left corner of each pixel's window, at the super-kernel's size.
    var top: array<i32, MAX_PIXELS>;
    var left: array<i32, MAX_PIXELS>;
    var positions = tile_positions(first_pixel, params.out_width);
    for (var p = 0u; p < PIXELS; p++) {
        top[p] = i32(positions[p].x * STRIDE) - i32(KERNEL / 2u);
        left[p] = i32(positions[p].y * STRIDE) - i32(KERNEL / 2u);
    }
    let border = (KERNEL - select(KERNEL, widths[params.kernel_row + image], KERNEL > 1u)) / 2u;
    let computed = first_quad < quads(kept);
    if computed && IN_ROW == 1u && border == 0u {
        for (var ky = 0u; ky < 3u; ky++) {
            let h = top[0] + i32(ky);
            let row_inside = h >= 0 && h < i32(params.height);
            let at_row = (image * params.height + select(0u, u32(h), row_inside)) * params.width;
            var at: array<u32, MAX_SPAN>;
            var inside: array<bool, MAX_SPAN>;
            for (var s = 0u; s < PIXELS + 2u; s++) {
                let w = left[0] + i32(s);
                inside[s] = row_inside && w >= 0 && w < i32(params.width);
                at[s] = (at_row + select(0u, u32(w), inside[s])) * params.in_quads;
            }
            let tap = params.in_quads * 4u * params.filter_quads;
            var at_weight = ky * 3u * tap + first_quad;
            for (var i = 0u; i < in_quads; i++) {
                var span: Span;
                for (var s = 0u; s < PIXELS + 2u; s++) {
                    span[s] = select(vec4f(0.0), loaded(x[at[s] + i]), inside[s]);
                }
                add(&acc0, &acc1, &acc2, &acc3, &span, 0u, at_weight, weight_row);
                add(&acc0, &acc1, &acc2, &acc3, &span, 1u, at_weight + tap, weight_row);
                add(&acc0, &acc1, &acc2, &acc3, &span, 2u, at_weight + 2u * tap, weight_row);
                at_weight += 4u * weight_row;
            }
        }
    } else if computed {
        for (var ky = border; ky < KERNEL - border; ky++) {
            for (var kx = border; kx < KERNEL - border; kx++) {
                var at: array<u32, MAX_PIXELS>;
                var inside: array<bool, MAX_PIXELS>;
                for (var p = 0u; p < PIXELS; p++) {
                    let h = top[p] + i32(ky);
                    let w = left[p] + i32(kx);
                    inside[p] = h >= 0 && h < i32(params.height) && w >= 0 && w < i32(params.width);
                    var pixel = select(0u, u32(h) * params.width + u32(w), inside[p]);
                    if KERNEL == 1u && STRIDE == 1u {
                        pixel = min(first_pixel + p, pixels - 1u); // Without a division, which lanes do one by one.
                    }
                    at[p] = (image * params.height * params.width + pixel) * params.in_quads;
                }
                var at_weight = (ky * KERNEL + kx) * params.in_quads * 4u * params.filter_quads + first_quad;
                for (var i = 0u; i < in_quads; i++) {
                    var span: Span;
                    for (var p = 0u; p < PIXELS; p++) {
                        span[p] = loaded(x[at[p] + i]);
                        if KERNEL > 1u {
                            span[p] = select(vec4f(0.0), span[p], inside[p]);
                        }
                    }
                    add(&acc0, &acc1, &acc2, &acc3, &span, 0u, at_weight, weight_row);
                    at_weight += 4u * weight_row;
                }
            }
        }
    }

    write(&acc0, image, first_pixel, first_quad, kept, bypass);
    if QUADS > 1u {
        write(&acc1, image, first_pixel, first_quad + QUAD_LANES, kept, bypass);
    }
    if QUADS > 2u {
        write(&acc2, image, first_pixel, first_quad + 2u * QUAD_LANES, kept, bypass);
    }
    if QUADS > 3u {
        write(&acc3, image, first_pixel, first_quad + 3u * QUAD_LANES, kept, bypass);
    }
}
