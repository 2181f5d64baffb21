// Gradient of a dense convolution's weights, in parts that `reduce/sum` adds up:
//
//   dw[part, ky, kx, i, o] = sum over pixels of the part of x[n, p*s + ky - pad, q*s + kx - pad, i] * dz[n, p, q, o]
//
// over images that keep input channel i, filter o and the tap. A part is some rows of the batch's outputs.
//
// x (N, H, W, I), dz (N, P, Q, O), dw (parts, K, K, I, O). One invocation owns one quad of input
// channels at one tap times QUADS quads of filters, and a slice of the part's rows. Filters are read at
// addresses that the workgroup shares where there is one slice. PIXELS neighbours are taken at a time where
// an image keeps all of the tile's filters.

override LANES: u32 = 8u;
override QUADS: u32 = 4u;
override KERNEL: u32 = 1u;

const MAX_QUADS: u32 = 4u;
// Pixels that the inner loop takes at a time.
const PIXELS: u32 = 4u;

struct Params {
    images: u32,
    // Rows of the batch's outputs in a slice of a part.
    slice_rows: u32,
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

alias Tile = array<vec4f, 4u * MAX_QUADS>;

// Adds one pixel of four input channels and quad `q` of filters.
fn add(acc: ptr<function, Tile>, q: u32, v: vec4f, d: vec4f) {
    (*acc)[q * 4u] = fma(vec4f(v.x), d, (*acc)[q * 4u]);
    (*acc)[q * 4u + 1u] = fma(vec4f(v.y), d, (*acc)[q * 4u + 1u]);
    (*acc)[q * 4u + 2u] = fma(vec4f(v.z), d, (*acc)[q * 4u + 2u]);
    (*acc)[q * 4u + 3u] = fma(vec4f(v.w), d, (*acc)[q * 4u + 3u]);
}

// Whether tap `k` of output row or column `p` lies within an input of `size`.
fn is_inside(p: u32, k: u32, size: u32) -> bool {
    let at = i32(p * params.stride + k) - i32(KERNEL / 2u);
    return at >= 0 && at < i32(size);
}

// The input under tap column `kx` of output column `c`, zero outside.
fn load(at_row: u32, c: u32, kx: u32, row_inside: bool, quad: u32) -> vec4f {
    if KERNEL == 1u {
        return x[(at_row + c * params.stride) * params.in_quads + quad];
    }
    let inside = row_inside && is_inside(c, kx, params.width);
    let column = select(0u, c * params.stride + kx - KERNEL / 2u, inside);
    return select(vec4f(0.0), x[(at_row + column) * params.in_quads + quad], inside);
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) lane: vec3u) {
    let row = item_of(group.x, lane.x);
    let slice = slice_of(lane.x);
    let rows = KERNEL * KERNEL * params.in_quads;
    let present = row < rows;
    let tap = row / params.in_quads;
    let quad = row % params.in_quads;
    let ky = tap / KERNEL;
    let kx = tap % KERNEL;
    let first_quad = group.y * QUADS;

    var acc: Tile;
    for (var t = 0u; t < 4u * QUADS; t++) {
        acc[t] = vec4f(0.0);
    }
    let all_rows = params.images * params.out_height;
    let first_row = min((group.z * SLICES + slice) * params.slice_rows, all_rows);
    let last_row = min(first_row + params.slice_rows, all_rows);
    let last_image = (last_row + params.out_height - 1u) / params.out_height;
    for (var image = first_row / params.out_height; image < last_image; image++) {
        let above = image * params.out_height;
        let first_p = max(first_row, above) - above;
        let last_p = min(last_row - above, params.out_height);
        let kept_quads = quads(min(widths[params.kept_row + image], params.filters));
        let in_quads = quads(min(widths[params.input_row + image], params.in_width));
        var border = 0u;
        if KERNEL > 1u {
            border = (KERNEL - widths[params.kernel_row + image]) / 2u;
        }
        let kept = present && first_quad < kept_quads && quad < in_quads
            && min(ky, kx) >= border && max(ky, kx) + border < KERNEL;
        // Loops of no turns, since a branch alone does not skip work on every adapter. Quads past the kept ones
        // were never written, so only a tile that has some masks them.
        let whole = first_quad + QUADS <= kept_quads;
        let whole_end = select(0u, last_p, kept && whole);
        let part_end = select(0u, last_p, kept && !whole);
        for (var p = first_p; p < whole_end; p++) {
            let row_inside = is_inside(p, ky, params.height);
            let at_row = (image * params.height + select(0u, p * params.stride + ky - KERNEL / 2u, row_inside)) * params.width;
            var at_out = (image * params.out_height + p) * params.out_width * params.filter_quads + first_quad;
            var c = 0u;
            for (; c + PIXELS <= params.out_width; c += PIXELS) {
                var v: array<vec4f, PIXELS>;
                for (var i = 0u; i < PIXELS; i++) {
                    v[i] = load(at_row, c + i, kx, row_inside, quad);
                }
                // All pixels of one accumulator in turn: it is loaded and stored once for them.
                for (var q = 0u; q < QUADS; q++) {
                    for (var i = 0u; i < PIXELS; i++) {
                        let d = dz[at_out + i * params.filter_quads + q];
                        add(&acc, q, v[i], d);
                    }
                }
                at_out += PIXELS * params.filter_quads;
            }
            for (; c < params.out_width; c++) {
                let v = load(at_row, c, kx, row_inside, quad);
                for (var q = 0u; q < QUADS; q++) {
                    let d = dz[at_out + q];
                    add(&acc, q, v, d);
                }
                at_out += params.filter_quads;
            }
        }
        for (var p = first_p; p < part_end; p++) {
            let row_inside = is_inside(p, ky, params.height);
            let at_row = (image * params.height + select(0u, p * params.stride + ky - KERNEL / 2u, row_inside)) * params.width;
            let at_out = (image * params.out_height + p) * params.out_width;
            for (var c = 0u; c < params.out_width; c++) {
                let v = load(at_row, c, kx, row_inside, quad);
                for (var q = 0u; q < QUADS; q++) {
                    let written = first_quad + q < kept_quads;
                    let d = select(vec4f(0.0), dz[(at_out + c) * params.filter_quads + first_quad + q], written);
                    add(&acc, q, v, d);
                }
            }
        }
    }
    let at = (group.z * rows + row) * 4u;
    for (var q = 0u; q < QUADS; q++) {
        for (var i = 0u; i < 4u; i++) {
            let sum = over_slices(acc[q * 4u + i], lane.x);
            if slice == 0u && present && first_quad + q < params.filter_quads {
                dw[(at + i) * params.filter_quads + first_quad + q] = sum;
            }
        }
    }
}
