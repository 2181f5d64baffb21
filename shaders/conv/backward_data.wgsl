// Gradient of a dense convolution's input, plus what reaches it through the layer's shortcut:
//
//   dx[n, h, w, i] = sum over ky, kx, o of dz[n, (h + pad - ky) / s, (w + pad - kx) / s, o] * w[ky, kx, i, o]
//
// over the kept filters of image n, where the divisions leave no rest, and (SHORTCUT) + dy[n, h, w, i].
//
// dz (N, P, Q, O), w as `conv/transpose` left it (K, K, O, I), dy (N, H, W, .), dx (N, H, W, I).

override LANES: u32 = 8u;
override KERNEL: u32 = 1u;
override STRIDE: u32 = 1u;
override SHORTCUT: u32 = 0u;

struct Params {
    height: u32,
    width: u32,
    out_height: u32,
    out_width: u32,
    in_quads: u32,
    filter_quads: u32,
    shortcut_quads: u32,
    in_width: u32,
    filters: u32,
    input_row: u32,
    kept_row: u32,
    bypass_row: u32,
    split_row: u32,
    kernel_row: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> widths: array<u32>;
@group(0) @binding(2) var<storage, read> dz: array<Stored>;
@group(0) @binding(3) var<storage, read> weight: array<Quad>;
@group(0) @binding(4) var<storage, read> dy: array<Stored>;
@group(0) @binding(5) var<storage, read_write> dx: array<Stored>;

// Writes one quad of an invocation's pixels.
fn write(acc: ptr<function, Row>, image: u32, first_pixel: u32, quad: u32, input: u32, bypass: u32) {
    if quad >= params.in_quads {
        return;
    }
    let pixels = params.height * params.width;
    for (var p = 0u; p < PIXELS; p++) {
        let pixel = first_pixel + p;
        if pixel < pixels {
            let at_pixel = image * pixels + pixel;
            var v = keep((*acc)[p], quad, input);
            if SHORTCUT != NO_SHORTCUT && quad < quads(bypass) {
                let source = loaded(dy[at_pixel * params.shortcut_quads + quad]);
                v += split(SHORTCUT, source, quad, widths[params.split_row + image], bypass);
            }
            dx[at_pixel * params.in_quads + quad] = stored(v);
        }
    }
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) lane: vec3u) {
    let image = group.z;
    let input = min(widths[params.input_row + image], params.in_width);
    let kept = min(widths[params.kept_row + image], params.filters);
    let bypass = select(0u, widths[params.bypass_row + image], SHORTCUT != NO_SHORTCUT);
    let first_quad = tile_quad(group.y, lane.x);
    if first_quad >= quads(input) {
        return;
    }
    let filter_quads = quads(kept);
    let pixels = params.height * params.width;
    let first_pixel = tile_pixel(group.x, lane.x);

    let weight_row = params.in_quads;
    var acc0: Row;
    var acc1: Row;
    var acc2: Row;
    var acc3: Row;
    // The pixel, shifted by the padding: the output row times the stride is `bottom - ky`.
    var bottom: array<i32, MAX_PIXELS>;
    var right: array<i32, MAX_PIXELS>;
    var positions = tile_positions(first_pixel, params.width);
    for (var p = 0u; p < PIXELS; p++) {
        bottom[p] = i32(positions[p].x + KERNEL / 2u);
        right[p] = i32(positions[p].y + KERNEL / 2u);
    }
    let border = (KERNEL - select(KERNEL, widths[params.kernel_row + image], KERNEL > 1u)) / 2u;
    let in_row = IN_ROW == 1u && border == 0u;
    if in_row {
        for (var ky = 0u; ky < 3u; ky++) {
            let h = bottom[0] - i32(ky);
            let row_inside = h >= 0 && h < i32(params.out_height);
            let at_row = (image * params.out_height + select(0u, u32(h), row_inside)) * params.out_width;
            var at: array<u32, MAX_SPAN>;
            var inside: array<bool, MAX_SPAN>;
            for (var s = 0u; s < PIXELS + 2u; s++) {
                let w = right[0] - 2 + i32(s);
                inside[s] = row_inside && w >= 0 && w < i32(params.out_width);
                at[s] = (at_row + select(0u, u32(w), inside[s])) * params.filter_quads;
            }
            let tap = params.filter_quads * 4u * params.in_quads;
            var at_weight = ky * 3u * tap + first_quad;
            for (var o = 0u; o < filter_quads; o++) {
                var span: Span;
                for (var s = 0u; s < PIXELS + 2u; s++) {
                    span[s] = select(vec4f(0.0), loaded(dz[at[s] + o]), inside[s]);
                }
                add(&acc0, &acc1, &acc2, &acc3, &span, 2u, at_weight, weight_row);
                add(&acc0, &acc1, &acc2, &acc3, &span, 1u, at_weight + tap, weight_row);
                add(&acc0, &acc1, &acc2, &acc3, &span, 0u, at_weight + 2u * tap, weight_row);
                at_weight += 4u * weight_row;
            }
        }
    }
    let last_ky = select(KERNEL - border, 0u, in_row);
    for (var ky = border; ky < last_ky; ky++) {
        for (var kx = border; kx < KERNEL - border; kx++) {
            var at: array<u32, MAX_PIXELS>;
            var inside: array<bool, MAX_PIXELS>;
            for (var p = 0u; p < PIXELS; p++) {
                let h = bottom[p] - i32(ky);
                let w = right[p] - i32(kx);
                let p_row = u32(max(h, 0)) / STRIDE;
                let p_column = u32(max(w, 0)) / STRIDE;
                inside[p] = h >= 0 && w >= 0
                    && p_row * STRIDE == u32(h) && p_column * STRIDE == u32(w)
                    && p_row < params.out_height && p_column < params.out_width;
                var pixel = select(0u, p_row * params.out_width + p_column, inside[p]);
                if KERNEL == 1u && STRIDE == 1u {
                    pixel = min(first_pixel + p, pixels - 1u); // Without a division, which lanes do one by one.
                }
                at[p] = (image * params.out_height * params.out_width + pixel) * params.filter_quads;
            }
            var at_weight = (ky * KERNEL + kx) * params.filter_quads * 4u * params.in_quads + first_quad;
            for (var o = 0u; o < filter_quads; o++) {
                var span: Span;
                for (var p = 0u; p < PIXELS; p++) {
                    span[p] = loaded(dz[at[p] + o]);
                    if KERNEL > 1u || STRIDE > 1u {
                        span[p] = select(vec4f(0.0), span[p], inside[p]);
                    }
                }
                add(&acc0, &acc1, &acc2, &acc3, &span, 0u, at_weight, weight_row);
                at_weight += 4u * weight_row;
            }
        }
    }

    write(&acc0, image, first_pixel, first_quad, input, bypass);
    if QUADS > 1u {
        write(&acc1, image, first_pixel, first_quad + QUAD_LANES, input, bypass);
    }
    if QUADS > 2u {
        write(&acc2, image, first_pixel, first_quad + 2u * QUAD_LANES, input, bypass);
    }
    if QUADS > 3u {
        write(&acc3, image, first_pixel, first_quad + 3u * QUAD_LANES, input, bypass);
    }
}
