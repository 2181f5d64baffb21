// Gradient of a depthwise convolution's input:
//
//   dx[n, h, w, c] = sum over ky, kx of dz[n, (h + pad - ky) / s, (w + pad - kx) / s, c] * w[ky, kx, c]
//
// where the divisions leave no rest, for the kept channels of image n.
//
// dz (N, P, Q, C), w (K, K, C), dx (N, H, W, C). One invocation owns a strip: `rows` rows of dx, SEGMENT
// neighbours each, in one quad of channels. It walks down dz, loads each row once and adds it to the
// KERNEL rows of dx that it reaches. Lanes run over the kept quads of one image first, then over strips.

override LANES: u32 = 8u;
// A multiple of the stride, unless it is a whole row.
override SEGMENT: u32 = 7u;
override KERNEL: u32 = 3u;
override STRIDE: u32 = 1u;
// 1 where a segment is a whole row: nothing lies past its ends.
override WHOLE: u32 = 0u;
// 1 where an invocation holds the weights; 0 where it reads them when it uses them: GPUs lack the registers.
override HOLDS: u32 = 1u;

const MAX_SEGMENT: u32 = 8u;
const MAX_SPAN: u32 = 14u; // MAX_SEGMENT - 1 + 7
const MAX_KERNEL: u32 = 7u;

alias Row = array<vec4f, MAX_SEGMENT>;
alias Span = array<vec4f, MAX_SPAN>;
alias Taps = array<vec4f, MAX_KERNEL>;

struct Params {
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
@group(0) @binding(2) var<storage, read> dz: array<Stored>;
@group(0) @binding(3) var<storage, read> weight: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> dx: array<Stored>;

// Tap kx of row ky of the weights, zero outside of the image's kernel.
fn tap(kx: u32, ky: u32, border: u32, quad: u32) -> vec4f {
    let inside = kx >= border && kx + border < KERNEL;
    return select(vec4f(0.0), weight[(ky * KERNEL + kx) * params.quads + quad], inside);
}

fn load_taps(taps: ptr<function, Taps>, ky: u32, border: u32, quad: u32) {
    if HOLDS != 0u {
        for (var kx = 0u; kx < KERNEL; kx++) {
            (*taps)[kx] = tap(kx, ky, border, quad);
        }
    }
}

// The stretch of a row of dz that reaches the segment.
fn load_span(span: ptr<function, Span>, at_row: u32, first_w: u32, quad: u32) {
    let before = KERNEL / 2u / STRIDE;
    let left = i32(first_w / STRIDE) - i32(before);
    for (var i = 0u; i < (SEGMENT - 1u + KERNEL / 2u) / STRIDE + before + 1u; i++) {
        if WHOLE != 0u && (i < before || i > (SEGMENT - 1u) / STRIDE + before) {
            (*span)[i] = vec4f(0.0);
        } else {
            let q = left + i32(i);
            let inside = q >= 0 && q < i32(params.out_width);
            let column = select(0u, u32(q), inside);
            (*span)[i] = select(vec4f(0.0), loaded(dz[(at_row + column) * params.quads + quad]), inside);
        }
    }
}

// Adds a row of dz to a row of dx through row ky of the weights.
fn add(acc: ptr<function, Row>, span: ptr<function, Span>, taps: ptr<function, Taps>, ky: u32, border: u32, quad: u32) {
    // Column q of dz and tap kx reach column q * s + kx - pad of dx.
    let shift = KERNEL / 2u + KERNEL / 2u / STRIDE * STRIDE;
    if ky >= border && ky + border < KERNEL {
        for (var kx = 0u; kx < KERNEL; kx++) {
            var weights = (*taps)[kx];
            if HOLDS == 0u {
                weights = tap(kx, ky, border, quad);
            }
            let first = (shift + KERNEL - 1u - kx) % STRIDE;
            for (var i = 0u; i < (SEGMENT + STRIDE - 1u) / STRIDE; i++) {
                let s = i * STRIDE + first;
                if s < SEGMENT {
                    (*acc)[s] = fma((*span)[(s + shift - kx) / STRIDE], weights, (*acc)[s]);
                }
            }
        }
    }
}

// The first row of dz that reaches the strip.
fn start_of(strip: Strip) -> u32 {
    let pad = KERNEL / 2u;
    return min((max(strip.first_row, pad) - pad + STRIDE - 1u) / STRIDE, (strip.first_row + pad) / STRIDE);
}

// Fetches the lines of a step.
fn look_ahead(lead: Strip, step: u32, image: u32) {
    let p = start_of(lead) + step;
    let from_dz = (image * params.out_height + p) * params.out_width + lead.column / STRIDE;
    for (var i = 0u; i < (SEGMENT + STRIDE - 1u) / STRIDE; i++) {
        fetch(dz[(from_dz + i) * params.quads + lead.quad]);
    }
    for (var row = 0u; row < STRIDE; row++) {
        let at = (image * params.height + p * STRIDE - KERNEL / 2u + row) * params.width + lead.column;
        for (var s = 0u; s < SEGMENT; s++) {
            fetch(dx[(at + s) * params.quads + lead.quad]);
        }
    }
}

fn store(acc: ptr<function, Row>, strip: Strip, image: u32, kept: u32, h: i32) {
    if h >= i32(strip.first_row) && h < i32(strip.last_row) {
        let at_row = (image * params.height + u32(h)) * params.width;
        for (var s = 0u; s < SEGMENT; s++) {
            if strip.column + s < params.width {
                dx[(at_row + strip.column + s) * params.quads + strip.quad] = stored(keep((*acc)[s], strip.quad, kept));
            }
        }
    }
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) lane: vec3u) {
    let image = group.z;
    let kept = min(widths[params.kept_row + image], params.channels);
    let kept_quads = quads(kept);
    let segments = (params.width + SEGMENT - 1u) / SEGMENT;
    let items = kept_quads * segments * ((params.height + params.rows - 1u) / params.rows);
    // First for the workgroup as a whole: software adapters skip work only where all lanes see the same.
    if group.x * LANES >= items {
        return;
    }
    let item = group.x * LANES + lane.x;
    if item >= items {
        return;
    }
    let border = (KERNEL - widths[params.kernel_row + image]) / 2u;
    let strip = strip_of(item, kept_quads, segments, params.rows, params.height);
    let quad = strip.quad;

    var taps0: Taps;
    var taps1: Taps;
    var taps2: Taps;
    var taps3: Taps;
    var taps4: Taps;
    var taps5: Taps;
    var taps6: Taps;
    load_taps(&taps0, 0u, border, quad);
    if KERNEL > 1u {
        load_taps(&taps1, 1u, border, quad);
        load_taps(&taps2, 2u, border, quad);
    }
    if KERNEL > 3u {
        load_taps(&taps3, 3u, border, quad);
        load_taps(&taps4, 4u, border, quad);
    }
    if KERNEL > 5u {
        load_taps(&taps5, 5u, border, quad);
        load_taps(&taps6, 6u, border, quad);
    }
    // acc_j belongs to row p * s - pad + j of dx.
    var acc0: Row;
    var acc1: Row;
    var acc2: Row;
    var acc3: Row;
    var acc4: Row;
    var acc5: Row;
    var acc6: Row;
    let pad = KERNEL / 2u;
    let first_p = start_of(strip);
    let last_p = (strip.last_row - 1u + pad) / STRIDE;
    let lead0 = strip_of(leader(group.x, 0u), kept_quads, segments, params.rows, params.height);
    let lead1 = strip_of(leader(group.x, 1u), kept_quads, segments, params.rows, params.height);
    // Counted as in the forward pass.
    for (var step = 0u; step <= last_p - first_p; step++) {
        look_ahead(lead0, step, image);
        look_ahead(lead1, step, image);
        let p = first_p + step;
        if p < params.out_height {
            var span: Span;
            load_span(&span, (image * params.out_height + p) * params.out_width, strip.column, quad);
            add(&acc0, &span, &taps0, 0u, border, quad);
            if KERNEL > 1u {
                add(&acc1, &span, &taps1, 1u, border, quad);
                add(&acc2, &span, &taps2, 2u, border, quad);
            }
            if KERNEL > 3u {
                add(&acc3, &span, &taps3, 3u, border, quad);
                add(&acc4, &span, &taps4, 4u, border, quad);
            }
            if KERNEL > 5u {
                add(&acc5, &span, &taps5, 5u, border, quad);
                add(&acc6, &span, &taps6, 6u, border, quad);
            }
        }
        let h = i32(p * STRIDE) - i32(pad);
        store(&acc0, strip, image, kept, h);
        if STRIDE == 1u {
            acc0 = acc1;
            acc1 = acc2;
            acc2 = acc3;
            acc3 = acc4;
            acc4 = acc5;
            acc5 = acc6;
            acc6 = Row();
        } else {
            store(&acc1, strip, image, kept, h + 1);
            acc0 = acc2;
            acc1 = acc3;
            acc2 = acc4;
            acc3 = acc5;
            acc4 = acc6;
            acc5 = Row();
            acc6 = Row();
        }
    }
    if never(params.height) {
        dx[0] = stored(vec4f(0.0));
    }
}
