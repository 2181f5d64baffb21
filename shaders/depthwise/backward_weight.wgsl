// Gradient of a depthwise convolution's weights, in parts that `reduce/sum` adds up:
//
//   dw[part, ky, kx, c] = sum over images and pixels of the part of x[n, p*s + ky - pad, q*s + kx - pad, c] * dz[n, p, q, c]
//
// over images that keep channel c and the tap.
//
// x (N, H, W, C), dz (N, P, Q, C), dw (parts * strips, K, K, C). Some images are a part; an image is cut
// into stretches: `rows` rows of dz, SEGMENT neighbours each. One invocation owns all taps of one quad of
// channels in one part and every `strips`th stretch. It walks down a stretch, loads each row of x and dz
// once and multiplies a row of x by all rows of dz that it reaches. Lanes run over quads first, then over
// strips; a workgroup shares its part.

override LANES: u32 = 8u;
override SEGMENT: u32 = 7u;
override KERNEL: u32 = 3u;
override STRIDE: u32 = 1u;
// 1 where a segment is a whole row: nothing lies past its ends.
override WHOLE: u32 = 0u;

const MAX_SEGMENT: u32 = 8u;
const MAX_SPAN: u32 = 21u; // (MAX_SEGMENT - 1) * 2 + 7
const MAX_KERNEL: u32 = 7u;

alias Row = array<vec4f, MAX_SEGMENT>;
alias Span = array<vec4f, MAX_SPAN>;
alias Taps = array<vec4f, MAX_KERNEL>;

struct Params {
    images: u32,
    parts: u32,
    strips: u32,
    height: u32,
    width: u32,
    out_height: u32,
    out_width: u32,
    quads: u32,
    channels: u32,
    kept_row: u32,
    kernel_row: u32,
    rows: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> widths: array<u32>;
@group(0) @binding(2) var<storage, read> x: array<Stored>;
@group(0) @binding(3) var<storage, read> dz: array<Stored>;
@group(0) @binding(4) var<storage, read_write> dw: array<vec4f>;

// The stretch of a row of dz that the invocation owns.
fn load_row(row: ptr<function, Row>, at_row: u32, first_q: u32, quad: u32) {
    for (var s = 0u; s < SEGMENT; s++) {
        let inside = first_q + s < params.out_width;
        let column = select(0u, first_q + s, inside);
        (*row)[s] = select(vec4f(0.0), loaded(dz[(at_row + column) * params.quads + quad]), inside);
    }
}

// The stretch of a row of x under it.
fn load_span(span: ptr<function, Span>, at_row: u32, first_q: u32, quad: u32) {
    let left = i32(first_q * STRIDE) - i32(KERNEL / 2u);
    for (var i = 0u; i < (SEGMENT - 1u) * STRIDE + KERNEL; i++) {
        if WHOLE != 0u && (i < KERNEL / 2u || i > SEGMENT * STRIDE - 1u + KERNEL / 2u) {
            (*span)[i] = vec4f(0.0);
        } else {
            let w = left + i32(i);
            let inside = w >= 0 && w < i32(params.width);
            let column = select(0u, u32(w), inside);
            (*span)[i] = select(vec4f(0.0), loaded(x[(at_row + column) * params.quads + quad]), inside);
        }
    }
}

// Adds to row KERNEL - 1 - up of the weights' gradient.
fn add(taps: ptr<function, Taps>, up: u32, border: u32, span: ptr<function, Span>, row: ptr<function, Row>) {
    if up >= border && up + border < KERNEL {
        for (var kx = 0u; kx < KERNEL; kx++) {
            if kx >= border && kx + border < KERNEL {
                var sum = (*taps)[kx];
                for (var s = 0u; s < SEGMENT; s++) {
                    sum = fma((*span)[s * STRIDE + kx], (*row)[s], sum);
                }
                (*taps)[kx] = sum;
            }
        }
    }
}

fn store(taps: ptr<function, Taps>, up: u32, part: u32, quad: u32) {
    for (var kx = 0u; kx < KERNEL; kx++) {
        dw[((part * KERNEL + KERNEL - 1u - up) * KERNEL + kx) * params.quads + quad] = (*taps)[kx];
    }
}

// Fetches the lines of a step.
fn look_ahead(lead: Strip, step: i32, image: u32) {
    let next = lead.first_row + u32(step);
    let window = (KERNEL + STRIDE - 1u) / STRIDE;
    let h = (next + 1u - window) * STRIDE + KERNEL / 2u + 1u - STRIDE;
    let from_dz = (image * params.out_height + next) * params.out_width + lead.column;
    for (var s = 0u; s < SEGMENT; s++) {
        fetch(dz[(from_dz + s) * params.quads + lead.quad]);
    }
    for (var row = 0u; row < STRIDE; row++) {
        let from_x = (image * params.height + h + row) * params.width + lead.column * STRIDE;
        for (var i = 0u; i < SEGMENT * STRIDE; i++) {
            fetch(x[(from_x + i) * params.quads + lead.quad]);
        }
    }
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) lane: vec3u) {
    let item = group.x * LANES + lane.x;
    if item >= params.quads * params.strips {
        return;
    }
    let quad = item % params.quads;
    let strip = item / params.quads;
    let segments = (params.out_width + SEGMENT - 1u) / SEGMENT;
    let stretches = segments * ((params.out_height + params.rows - 1u) / params.rows);
    let pad = i32(KERNEL / 2u);
    let window = i32((KERNEL + STRIDE - 1u) / STRIDE);
    // The step at which the lowest row of x enters.
    let bottom = (i32(params.height) - pad + 2 * i32(STRIDE - 1u)) / i32(STRIDE);

    // taps_u is row KERNEL - 1 - u of the gradient: it leads from a row of x u rows up.
    var taps0: Taps;
    var taps1: Taps;
    var taps2: Taps;
    var taps3: Taps;
    var taps4: Taps;
    var taps5: Taps;
    var taps6: Taps;
    let first_image = group.y * params.images / params.parts;
    let last_image = (group.y + 1u) * params.images / params.parts;
    for (var image = first_image; image < last_image; image++) {
        let kept = min(widths[params.kept_row + image], params.channels);
        let border = (KERNEL - widths[params.kernel_row + image]) / 2u;
        // A loop of no turns, since a branch alone does not skip work on every adapter.
        let last = select(0u, stretches, quad < quads(kept));
        for (var turn = 0u; strip + turn * params.strips < last; turn++) {
            let stretch = strip + turn * params.strips;
            let first_q = stretch % segments * SEGMENT;
            let first_p = i32(stretch / segments * params.rows);
            let last_p = min(first_p + i32(params.rows), i32(params.out_height));
            let end = min(last_p, bottom);
            // row_j is row p + j of dz, or zeros where the strip does not own it.
            var row0: Row;
            var row1: Row;
            var row2: Row;
            var row3: Row;
            var row4: Row;
            var row5: Row;
            var row6: Row;
            let items = turn * params.strips * params.quads;
            let lead0 = strip_of(leader(group.x, 0u) + items, params.quads, segments, params.rows, params.out_height);
            let lead1 = strip_of(leader(group.x, 1u) + items, params.quads, segments, params.rows, params.out_height);
            for (var step = 0; step < end - first_p + window - 1; step++) {
                look_ahead(lead0, step, image);
                look_ahead(lead1, step, image);
                let p = first_p - window + 1 + step;
                row0 = row1;
                row1 = row2;
                row2 = row3;
                row3 = row4;
                row4 = row5;
                row5 = row6;
                row6 = Row();
                let next = p + window - 1;
                if next < last_p {
                    let at_row = (image * params.out_height + u32(next)) * params.out_width;
                    if window == 1 {
                        load_row(&row0, at_row, first_q, quad);
                    } else if window == 2 {
                        load_row(&row1, at_row, first_q, quad);
                    } else if window == 3 {
                        load_row(&row2, at_row, first_q, quad);
                    } else if window == 4 {
                        load_row(&row3, at_row, first_q, quad);
                    } else if window == 5 {
                        load_row(&row4, at_row, first_q, quad);
                    } else {
                        load_row(&row6, at_row, first_q, quad);
                    }
                }
                let h = p * i32(STRIDE) + pad;
                let at_row = (image * params.height + u32(max(h, 0))) * params.width;
                if STRIDE == 1u {
                    if h >= 0 {
                        var span: Span;
                        load_span(&span, at_row, first_q, quad);
                        add(&taps0, 0u, border, &span, &row0);
                        if KERNEL > 1u {
                            add(&taps1, 1u, border, &span, &row1);
                            add(&taps2, 2u, border, &span, &row2);
                        }
                        if KERNEL > 3u {
                            add(&taps3, 3u, border, &span, &row3);
                            add(&taps4, 4u, border, &span, &row4);
                        }
                        if KERNEL > 5u {
                            add(&taps5, 5u, border, &span, &row5);
                            add(&taps6, 6u, border, &span, &row6);
                        }
                    }
                } else {
                    if KERNEL > 1u && h > 0 && h <= i32(params.height) {
                        var span: Span;
                        load_span(&span, at_row - params.width, first_q, quad);
                        add(&taps1, 1u, border, &span, &row0);
                        if KERNEL > 3u {
                            add(&taps3, 3u, border, &span, &row1);
                        }
                        if KERNEL > 5u {
                            add(&taps5, 5u, border, &span, &row2);
                        }
                    }
                    if h >= 0 && h < i32(params.height) {
                        var span: Span;
                        load_span(&span, at_row, first_q, quad);
                        add(&taps0, 0u, border, &span, &row0);
                        if KERNEL > 1u {
                            add(&taps2, 2u, border, &span, &row1);
                        }
                        if KERNEL > 3u {
                            add(&taps4, 4u, border, &span, &row2);
                        }
                        if KERNEL > 5u {
                            add(&taps6, 6u, border, &span, &row3);
                        }
                    }
                }
            }
        }
    }
    let part = group.y * params.strips + strip;
    store(&taps0, 0u, part, quad);
    if KERNEL > 1u {
        store(&taps1, 1u, part, quad);
        store(&taps2, 2u, part, quad);
    }
    if KERNEL > 3u {
        store(&taps3, 3u, part, quad);
        store(&taps4, 4u, part, quad);
    }
    if KERNEL > 5u {
        store(&taps5, 5u, part, quad);
        store(&taps6, 6u, part, quad);
    }
    if never(params.images) {
        dw[0] = vec4f(0.0);
    }
}
