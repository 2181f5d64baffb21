// Depthwise convolution with "same" padding, the kernel being the centre of a super-kernel:
//
//   y[n, p, q, c] = sum over ky, kx of x[n, p*s + ky - pad, q*s + kx - pad, c] * w[ky, kx, c]
//
// for the kept channels of image n; as a deployed operation (DEPLOYED = 1), act(y + bias).
//
// x (N, H, W, C), w (K, K, C), y (N, P, Q, C). One invocation owns a strip: `rows` output rows of SEGMENT
// neighbours in one quad of channels. It walks down the input, loads each row once and adds it to all
// output rows that it reaches. Lanes run over the kept quads of one image first, then over strips.

override LANES: u32 = 8u;
override SEGMENT: u32 = 7u;
override KERNEL: u32 = 3u;
override STRIDE: u32 = 1u;
// 1 where a segment is a whole row: nothing lies past its ends.
override WHOLE: u32 = 0u;
// 1 where an invocation holds the weights; 0 where it reads them when it uses them: GPUs lack the registers.
override HOLDS: u32 = 1u;
override DEPLOYED: u32 = 0u;
override ACTIVATION: u32 = 0u;

const MAX_SEGMENT: u32 = 8u;
const MAX_SPAN: u32 = 21u; // (MAX_SEGMENT - 1) * 2 + 7
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
@group(0) @binding(2) var<storage, read> x: array<Stored>;
@group(0) @binding(3) var<storage, read> weight: array<vec4f>;
@group(0) @binding(4) var<storage, read> bias: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> y: array<Stored>;

// Tap kx of row KERNEL - 1 - up of the weights, zero outside of the image's kernel.
fn tap(kx: u32, up: u32, border: u32, quad: u32) -> vec4f {
    let inside = kx >= border && kx + border < KERNEL;
    return select(vec4f(0.0), weight[((KERNEL - 1u - up) * KERNEL + kx) * params.quads + quad], inside);
}

fn load_taps(taps: ptr<function, Taps>, up: u32, border: u32, quad: u32) {
    if HOLDS != 0u {
        for (var kx = 0u; kx < KERNEL; kx++) {
            (*taps)[kx] = tap(kx, up, border, quad);
        }
    }
}

// The stretch of an input row under the segment.
fn load_span(span: ptr<function, Span>, at_row: u32, left: i32, quad: u32) {
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

// Adds an input row to an output row through row KERNEL - 1 - up of the weights.
fn add(acc: ptr<function, Row>, span: ptr<function, Span>, taps: ptr<function, Taps>, up: u32, border: u32, quad: u32) {
    if up >= border && up + border < KERNEL {
        for (var kx = 0u; kx < KERNEL; kx++) {
            var weights = (*taps)[kx];
            if HOLDS == 0u {
                weights = tap(kx, up, border, quad);
            }
            for (var s = 0u; s < SEGMENT; s++) {
                (*acc)[s] = fma((*span)[s * STRIDE + kx], weights, (*acc)[s]);
            }
        }
    }
}

// The first row whose window holds an input row and one of the strip's.
fn start_of(strip: Strip) -> i32 {
    return max(i32(strip.first_row) - i32((KERNEL + STRIDE - 1u) / STRIDE) + 1, -i32(KERNEL / 2u) / i32(STRIDE));
}

// Fetches the lines of a step.
fn look_ahead(lead: Strip, step: i32, image: u32) {
    let p = u32(start_of(lead) + step);
    let h = p * STRIDE + KERNEL / 2u + 1u - STRIDE;
    for (var row = 0u; row < STRIDE; row++) {
        let at = (image * params.height + h + row) * params.width + lead.column * STRIDE;
        for (var i = 0u; i < SEGMENT * STRIDE; i++) {
            fetch(x[(at + i) * params.quads + lead.quad]);
        }
    }
    let at = (image * params.out_height + p) * params.out_width + lead.column;
    for (var s = 0u; s < SEGMENT; s++) {
        fetch(y[(at + s) * params.quads + lead.quad]);
    }
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) lane: vec3u) {
    let image = group.z;
    let kept = min(widths[params.kept_row + image], params.channels);
    let kept_quads = quads(kept);
    let segments = (params.out_width + SEGMENT - 1u) / SEGMENT;
    let items = kept_quads * segments * ((params.out_height + params.rows - 1u) / params.rows);
    // First for the workgroup as a whole: software adapters skip work only where all lanes see the same.
    if group.x * LANES >= items {
        return;
    }
    let item = group.x * LANES + lane.x;
    if item >= items {
        return;
    }
    let strip = strip_of(item, kept_quads, segments, params.rows, params.out_height);
    let quad = strip.quad;
    let first_q = strip.column;
    let first_p = i32(strip.first_row);
    let last_p = i32(strip.last_row);
    let border = (KERNEL - widths[params.kernel_row + image]) / 2u;
    let pad = i32(KERNEL / 2u);
    let left = i32(first_q * STRIDE) - pad;

    // taps_u is row KERNEL - 1 - u of the weights: it leads from an input row u rows up.
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
    // acc_j belongs to output row p + j.
    var acc0: Row;
    var acc1: Row;
    var acc2: Row;
    var acc3: Row;
    var acc4: Row;
    var acc5: Row;
    var acc6: Row;
    let start = start_of(strip);
    let lead0 = strip_of(leader(group.x, 0u), kept_quads, segments, params.rows, params.out_height);
    let lead1 = strip_of(leader(group.x, 1u), kept_quads, segments, params.rows, params.out_height);
    // Steps that all lanes count alike: Mesa 26.1's lavapipe then aligns what it spills, and takes a fifth less.
    for (var step = 0; step < last_p - start; step++) {
        look_ahead(lead0, step, image);
        look_ahead(lead1, step, image);
        let p = start + step;
        // The lowest input row that output row p needs; where the stride is 2, the one above comes with it.
        let h = p * i32(STRIDE) + pad;
        let at_row = (image * params.height + u32(h)) * params.width;
        if STRIDE == 1u {
            if h < i32(params.height) {
                var span: Span;
                load_span(&span, at_row, left, quad);
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
        } else {
            if KERNEL > 1u && h > 0 && h <= i32(params.height) {
                var span: Span;
                load_span(&span, at_row - params.width, left, quad);
                add(&acc0, &span, &taps1, 1u, border, quad);
                if KERNEL > 3u {
                    add(&acc1, &span, &taps3, 3u, border, quad);
                }
                if KERNEL > 5u {
                    add(&acc2, &span, &taps5, 5u, border, quad);
                }
            }
            if h < i32(params.height) {
                var span: Span;
                load_span(&span, at_row, left, quad);
                add(&acc0, &span, &taps0, 0u, border, quad);
                if KERNEL > 1u {
                    add(&acc1, &span, &taps2, 2u, border, quad);
                }
                if KERNEL > 3u {
                    add(&acc2, &span, &taps4, 4u, border, quad);
                }
                if KERNEL > 5u {
                    add(&acc3, &span, &taps6, 6u, border, quad);
                }
            }
        }
        if p >= first_p {
            for (var s = 0u; s < SEGMENT; s++) {
                if first_q + s < params.out_width {
                    var v = acc0[s];
                    if DEPLOYED != 0u {
                        v = activate(ACTIVATION, v + bias[quad]);
                    }
                    let at = (image * params.out_height + u32(p)) * params.out_width + first_q + s;
                    y[at * params.quads + quad] = stored(keep(v, quad, kept));
                }
            }
        }
        acc0 = acc1;
        acc1 = acc2;
        acc2 = acc3;
        acc3 = acc4;
        acc4 = acc5;
        acc5 = acc6;
        acc6 = Row();
    }
    if never(params.height) {
        y[0] = stored(vec4f(0.0));
    }
}
