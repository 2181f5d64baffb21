// Gradient of a dense convolution's input, plus what reaches it through the layer's shortcut:
//
//   dx[n, h, w, i] = sum over ky, kx, o of dz[n, (h + pad - ky) / s, (w + pad - kx) / s, o] * w[ky, kx, i, o]
//
// over the kept filters of image n, where the divisions leave no rest, and (SHORTCUT) + dy[n, h, w, i].
//
// dz (N, P, Q, O), w as `conv/transpose` left it (K, K, O, I), dy (N, H, W, .), dx (N, H, W, I). One
// invocation owns PIXELS input pixels of one image times QUADS quads of input channels, QUAD_LANES
// apart; QUAD_LANES neighbours share their pixels, as in `conv/forward`.

override LANES: u32 = 8u;
override PIXELS: u32 = 4u;
override QUADS: u32 = 2u;
override QUAD_LANES: u32 = 1u;
override KERNEL: u32 = 1u;
override SHORTCUT: u32 = 0u;

const MAX_PIXELS: u32 = 8u;
const MAX_SPAN: u32 = 10u; // MAX_PIXELS + 2
const MAX_TILE: u32 = 32u;

struct Params {
    height: u32,
    width: u32,
    out_height: u32,
    out_width: u32,
    stride: u32,
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
@group(0) @binding(2) var<storage, read> dz: array<vec4f>;
@group(0) @binding(3) var<storage, read> weight: array<vec4f>;
@group(0) @binding(4) var<storage, read> dy: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> dx: array<vec4f>;

alias Tile = array<vec4f, MAX_TILE>;
alias Span = array<vec4f, MAX_SPAN>;

// `sum` and a quad of filters' gradients through the weights from `w` on, of four filters and one quad of inputs.
fn through(v: vec4f, w: u32, sum: vec4f) -> vec4f {
    var total = fma(vec4f(v.x), weight[w], sum);
    total = fma(vec4f(v.y), weight[w + params.in_quads], total);
    total = fma(vec4f(v.z), weight[w + 2u * params.in_quads], total);
    return fma(vec4f(v.w), weight[w + 3u * params.in_quads], total);
}

// Adds a stretch of a row of dz, from `shift` on, through the weights of one tap and quad of filters.
fn add(acc: ptr<function, Tile>, span: ptr<function, Span>, shift: u32, row: u32) {
    for (var p = 0u; p < PIXELS; p++) {
        let v = (*span)[p + shift];
        for (var q = 0u; q < QUADS; q++) {
            (*acc)[p * QUADS + q] = through(v, row + q * QUAD_LANES, (*acc)[p * QUADS + q]);
        }
    }
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) lane: vec3u) {
    let image = group.z;
    let input = min(widths[params.input_row + image], params.in_width);
    let kept = min(widths[params.kept_row + image], params.filters);
    let bypass = select(0u, widths[params.bypass_row + image], SHORTCUT != NO_SHORTCUT);
    let first_quad = group.y * QUADS * QUAD_LANES + select(lane.x % QUAD_LANES, 0u, QUAD_LANES == 1u);
    if first_quad >= quads(input) {
        return;
    }
    let filter_quads = quads(kept);
    let pixels = params.height * params.width;
    let first_pixel = (group.x * (LANES / QUAD_LANES) + lane.x / QUAD_LANES) * PIXELS;

    var acc: Tile;
    for (var t = 0u; t < PIXELS * QUADS; t++) {
        acc[t] = vec4f(0.0);
    }
    // The pixel, shifted by the padding: the output row times the stride is `bottom - ky`.
    var bottom: array<i32, MAX_PIXELS>;
    var right: array<i32, MAX_PIXELS>;
    for (var p = 0u; p < PIXELS; p++) {
        let pixel = min(first_pixel + p, pixels - 1u);
        bottom[p] = i32(pixel / params.width + KERNEL / 2u);
        right[p] = i32(pixel % params.width + KERNEL / 2u);
    }
    let border = (KERNEL - select(KERNEL, widths[params.kernel_row + image], KERNEL > 1u)) / 2u;
    // Where an invocation's pixels are neighbours of one row, it is read once for three taps.
    let segment = KERNEL == 3u && params.stride == 1u && border == 0u && params.width % PIXELS == 0u;
    if segment {
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
            var row = ky * 3u * tap + first_quad;
            for (var o = 0u; o < filter_quads; o++) {
                var span: Span;
                for (var s = 0u; s < PIXELS + 2u; s++) {
                    span[s] = select(vec4f(0.0), dz[at[s] + o], inside[s]);
                }
                add(&acc, &span, 2u, row);
                add(&acc, &span, 1u, row + tap);
                add(&acc, &span, 0u, row + 2u * tap);
                row += 4u * params.in_quads;
            }
        }
    }
    let last_ky = select(KERNEL - border, 0u, segment);
    for (var ky = border; ky < last_ky; ky++) {
        for (var kx = border; kx < KERNEL - border; kx++) {
            var at: array<u32, MAX_PIXELS>;
            var inside: array<bool, MAX_PIXELS>;
            for (var p = 0u; p < PIXELS; p++) {
                let h = bottom[p] - i32(ky);
                let w = right[p] - i32(kx);
                let row = u32(max(h, 0)) / params.stride;
                let column = u32(max(w, 0)) / params.stride;
                inside[p] = h >= 0 && w >= 0
                    && row * params.stride == u32(h) && column * params.stride == u32(w)
                    && row < params.out_height && column < params.out_width;
                let pixel = select(0u, row * params.out_width + column, inside[p]);
                at[p] = (image * params.out_height * params.out_width + pixel) * params.filter_quads;
            }
            var row = (ky * KERNEL + kx) * params.filter_quads * 4u * params.in_quads + first_quad;
            for (var o = 0u; o < filter_quads; o++) {
                for (var p = 0u; p < PIXELS; p++) {
                    var v = dz[at[p] + o];
                    if KERNEL > 1u {
                        v = select(vec4f(0.0), v, inside[p]);
                    }
                    for (var q = 0u; q < QUADS; q++) {
                        acc[p * QUADS + q] = through(v, row + q * QUAD_LANES, acc[p * QUADS + q]);
                    }
                }
                row += 4u * params.in_quads;
            }
            // A single tap misses only the pixels between the strides: masked once, not at every filter.
            if KERNEL == 1u {
                for (var t = 0u; t < PIXELS * QUADS; t++) {
                    acc[t] = select(vec4f(0.0), acc[t], inside[t / QUADS]);
                }
            }
        }
    }

    for (var p = 0u; p < PIXELS; p++) {
        let pixel = first_pixel + p;
        if pixel >= pixels {
            break;
        }
        let at_pixel = image * pixels + pixel;
        for (var q = 0u; q < QUADS; q++) {
            let quad = first_quad + q * QUAD_LANES;
            if quad >= params.in_quads {
                break;
            }
            var v = keep(acc[p * QUADS + q], quad, input);
            if SHORTCUT != NO_SHORTCUT && quad < quads(bypass) {
                v += split(SHORTCUT, dy[at_pixel * params.shortcut_quads + quad], quad, widths[params.split_row + image], bypass);
            }
            dx[at_pixel * params.in_quads + quad] = v;
        }
    }
}
