// Gradient of a dense convolution's weights, in parts that `reduce/sum` adds up:
//
//   dw[part, ky, kx, i, o] = sum over pixels of the part of x[n, p*s + ky - pad, q*s + kx - pad, i] * dz[n, p, q, o]
//
// over images that keep input channel i, filter o and the tap. A part is some rows of the batch's outputs.
//
// x (N, H, W, I), dz (N, P, Q, O), dw (parts, K, K, I, O). One invocation owns one quad of input
// channels at one tap times QUADS quads of filters, and a slice of the part's rows. Filters are read at
// addresses that the workgroup shares where there is one slice. Four neighbours are taken at a time where an
// image keeps all of the tile's filters.

override LANES: u32 = 8u;
override QUADS: u32 = 4u;
override KERNEL: u32 = 1u;
// Channels of each quad: less than four where it is the only one, as of an image. The gradients of others are zeros.
override CHANNELS: u32 = 4u;

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
@group(0) @binding(2) var<storage, read> x: array<Stored>;
@group(0) @binding(3) var<storage, read> dz: array<Stored>;
@group(0) @binding(4) var<storage, read_write> dw: array<vec4f>;

// Four input channels times a quad of filters. No index into one varies: it has to stay in registers.
alias Block = array<vec4f, 4>;

// Adds one pixel of four input channels and a quad of filters.
fn add(acc: ptr<function, Block>, v: vec4f, d: vec4f) {
    (*acc)[0] = fma(vec4f(v.x), d, (*acc)[0]);
    if CHANNELS > 1u {
        (*acc)[1] = fma(vec4f(v.y), d, (*acc)[1]);
    }
    if CHANNELS > 2u {
        (*acc)[2] = fma(vec4f(v.z), d, (*acc)[2]);
    }
    if CHANNELS > 3u {
        (*acc)[3] = fma(vec4f(v.w), d, (*acc)[3]);
    }
}

// Adds four pixels, the filters from `at` on: all of one accumulator in turn, so that it is loaded and stored once.
fn add_four(acc: ptr<function, Block>, v: mat4x4f, at: u32) {
    let d0 = loaded(dz[at]);
    let d1 = loaded(dz[at + params.filter_quads]);
    let d2 = loaded(dz[at + 2u * params.filter_quads]);
    let d3 = loaded(dz[at + 3u * params.filter_quads]);
    add(acc, v[0], d0);
    add(acc, v[1], d1);
    add(acc, v[2], d2);
    add(acc, v[3], d3);
}

// Adds one pixel where the image keeps `quad`.
fn add_kept(acc: ptr<function, Block>, v: vec4f, at: u32, quad: u32, kept_quads: u32) {
    let kept = quad < kept_quads;
    add(acc, v, select(vec4f(0.0), loaded(dz[at + quad]), kept));
}

// Writes the sum over the slices of a quad of filters, where the lane is one that writes.
fn store(acc: ptr<function, Block>, at: u32, quad: u32, lane: u32, writes: bool) {
    let sum0 = over_slices((*acc)[0], lane);
    let sum1 = over_slices((*acc)[1], lane);
    let sum2 = over_slices((*acc)[2], lane);
    let sum3 = over_slices((*acc)[3], lane);
    if writes && quad < params.filter_quads {
        dw[at + quad] = sum0;
        dw[at + params.filter_quads + quad] = sum1;
        dw[at + 2u * params.filter_quads + quad] = sum2;
        dw[at + 3u * params.filter_quads + quad] = sum3;
    }
}

// Whether tap `k` of output row or column `p` lies within an input of `size`.
fn is_inside(p: u32, k: u32, size: u32) -> bool {
    let at = i32(p * params.stride + k) - i32(KERNEL / 2u);
    return at >= 0 && at < i32(size);
}

// The input under tap column `kx` of output column `c`, zero outside.
fn load(at_row: u32, c: u32, kx: u32, row_inside: bool, quad: u32) -> vec4f {
    if KERNEL == 1u {
        return loaded(x[(at_row + c * params.stride) * params.in_quads + quad]);
    }
    let inside = row_inside && is_inside(c, kx, params.width);
    let column = select(0u, c * params.stride + kx - KERNEL / 2u, inside);
    return select(vec4f(0.0), loaded(x[(at_row + column) * params.in_quads + quad]), inside);
}

// Fetches the lines of four neighbours' inputs.
fn look_ahead(at: u32) {
    let next = params.stride * params.in_quads;
    fetch(x[at]);
    fetch(x[at + next]);
    fetch(x[at + 2u * next]);
    fetch(x[at + 3u * next]);
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

    var acc0: Block;
    var acc1: Block;
    var acc2: Block;
    var acc3: Block;
    let lead0 = leader(group.x, 0u) % params.in_quads;
    let lead1 = leader(group.x, 1u) % params.in_quads;
    let all_rows = params.images * params.out_height;
    let first_row = min(group.z * SLICES * params.slice_rows, all_rows);
    let last_row = min(first_row + SLICES * params.slice_rows, all_rows);
    let last_image = (last_row + params.out_height - 1u) / params.out_height;
    for (var image = first_row / params.out_height; image < last_image; image++) {
        let above = image * params.out_height;
        // Slices take rows in turn, so that neighbours work on one image: what one of them skips all do.
        let start = max(first_row, above);
        let turn = (slice + SLICES - (start - first_row) % SLICES) % SLICES;
        let first_p = start - above + turn;
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
        // were never written, so only a tile that has some masks them; past the filters are another pixel's, not stored.
        let whole = min(first_quad + QUADS, params.filter_quads) <= kept_quads;
        let whole_end = select(0u, last_p, kept && whole);
        let part_end = select(0u, last_p, kept && !whole);
        for (var p = first_p; p < whole_end; p += SLICES) {
            let row_inside = is_inside(p, ky, params.height);
            let at_row = (image * params.height + select(0u, p * params.stride + ky - KERNEL / 2u, row_inside)) * params.width;
            var at_out = (image * params.out_height + p) * params.out_width * params.filter_quads + first_quad;
            var c = 0u;
            for (; c + 4u <= params.out_width; c += 4u) {
                if KERNEL == 1u && SLICES == 1u {
                    let at_pixel = ((image * params.height + p * params.stride) * params.width + c * params.stride) * params.in_quads;
                    look_ahead(at_pixel + lead0);
                    look_ahead(at_pixel + lead1);
                }
                let v = mat4x4f(
                    load(at_row, c, kx, row_inside, quad),
                    load(at_row, c + 1u, kx, row_inside, quad),
                    load(at_row, c + 2u, kx, row_inside, quad),
                    load(at_row, c + 3u, kx, row_inside, quad),
                );
                add_four(&acc0, v, at_out);
                if QUADS > 1u {
                    add_four(&acc1, v, at_out + 1u);
                }
                if QUADS > 2u {
                    add_four(&acc2, v, at_out + 2u);
                }
                if QUADS > 3u {
                    add_four(&acc3, v, at_out + 3u);
                }
                at_out += 4u * params.filter_quads;
            }
            for (; c < params.out_width; c++) {
                let v = load(at_row, c, kx, row_inside, quad);
                add(&acc0, v, loaded(dz[at_out]));
                if QUADS > 1u {
                    add(&acc1, v, loaded(dz[at_out + 1u]));
                }
                if QUADS > 2u {
                    add(&acc2, v, loaded(dz[at_out + 2u]));
                }
                if QUADS > 3u {
                    add(&acc3, v, loaded(dz[at_out + 3u]));
                }
                at_out += params.filter_quads;
            }
        }
        for (var p = first_p; p < part_end; p += SLICES) {
            let row_inside = is_inside(p, ky, params.height);
            let at_row = (image * params.height + select(0u, p * params.stride + ky - KERNEL / 2u, row_inside)) * params.width;
            let at_out = (image * params.out_height + p) * params.out_width;
            for (var c = 0u; c < params.out_width; c++) {
                let v = load(at_row, c, kx, row_inside, quad);
                let at = (at_out + c) * params.filter_quads;
                add_kept(&acc0, v, at, first_quad, kept_quads);
                if QUADS > 1u {
                    add_kept(&acc1, v, at, first_quad + 1u, kept_quads);
                }
                if QUADS > 2u {
                    add_kept(&acc2, v, at, first_quad + 2u, kept_quads);
                }
                if QUADS > 3u {
                    add_kept(&acc3, v, at, first_quad + 3u, kept_quads);
                }
            }
        }
    }
    let at = (group.z * rows + row) * 4u * params.filter_quads;
    let writes = slice == 0u && present;
    store(&acc0, at, first_quad, lane.x, writes);
    if QUADS > 1u {
        store(&acc1, at, first_quad + 1u, lane.x, writes);
    }
    if QUADS > 2u {
        store(&acc2, at, first_quad + 2u, lane.x, writes);
    }
    if QUADS > 3u {
        store(&acc3, at, first_quad + 3u, lane.x, writes);
    }
    if never(params.images) {
        dw[0] = vec4f(0.0);
    }
}
