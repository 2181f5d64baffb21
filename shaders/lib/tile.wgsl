// Tiles of dense convolutions: an invocation owns PIXELS pixels of one image times QUADS quads of channels,
// QUAD_LANES apart. QUAD_LANES neighbours share their pixels: GPUs then read a pixel once and weights in a row.
// Software adapters want one, and weights at addresses that the whole workgroup shares. The shader declares
// `weight`, rows of quads, a row for each channel that is summed over.

override PIXELS: u32 = 4u;
override QUADS: u32 = 2u;
override QUAD_LANES: u32 = 1u;
// 1 where the pixels of an invocation are neighbours in one row of a 3x3 convolution of stride 1, which is then read
// once for three taps. Said by the host, since it sets the order of a sum: tiles of one row may be cut further.
override IN_ROW: u32 = 0u;
// Channels of each quad that is summed over: less than four where it is the only one, as of an image.
override CHANNELS: u32 = 4u;

const MAX_PIXELS: u32 = 8u;
const MAX_SPAN: u32 = 10u; // MAX_PIXELS + 2

// One quad of channels of an invocation's pixels. A tile is four of them by name, of which QUADS are used: loops over
// pixels alone are short enough for every driver to unroll, and accumulators at an index that varies are memory.
alias Row = array<vec4f, MAX_PIXELS>;
alias Span = array<vec4f, MAX_SPAN>;

// First of a lane's quads.
fn tile_quad(group: u32, lane: u32) -> u32 {
    return group * QUADS * QUAD_LANES + select(lane % QUAD_LANES, 0u, QUAD_LANES == 1u);
}

// First of its pixels.
fn tile_pixel(group: u32, lane: u32) -> u32 {
    return (group * (LANES / QUAD_LANES) + lane / QUAD_LANES) * PIXELS;
}

// Row and column of each pixel of a tile in an image of this width, by one division: some adapters divide lane by lane.
fn tile_positions(first_pixel: u32, width: u32) -> array<vec2u, MAX_PIXELS> {
    var positions: array<vec2u, MAX_PIXELS>;
    var row = first_pixel / width;
    var column = first_pixel % width;
    for (var p = 0u; p < PIXELS; p++) {
        positions[p] = vec2u(row, column);
        column += 1u;
        if column == width {
            column = 0u;
            row += 1u;
        }
    }
    return positions;
}

// Adds a stretch of pixels, from `shift` on, to one row of a tile, through the four quads of weights from `at` on, `row`
// apart: one for each channel of a pixel's quad.
fn add_row(acc: ptr<function, Row>, span: ptr<function, Span>, shift: u32, at: u32, row: u32) {
    let weight0 = quad_values(weight[at]);
    let weight1 = quad_values(weight[at + row]);
    let weight2 = quad_values(weight[at + 2u * row]);
    let weight3 = quad_values(weight[at + 3u * row]);
    for (var p = 0u; p < PIXELS; p++) {
        let v = (*span)[p + shift];
        var sum = fma(vec4f(v.x), weight0, (*acc)[p]);
        if CHANNELS > 1u {
            sum = fma(vec4f(v.y), weight1, sum);
        }
        if CHANNELS > 2u {
            sum = fma(vec4f(v.z), weight2, sum);
        }
        if CHANNELS > 3u {
            sum = fma(vec4f(v.w), weight3, sum);
        }
        (*acc)[p] = sum;
    }
}

// The same to all rows of a tile.
fn add(
    acc0: ptr<function, Row>,
    acc1: ptr<function, Row>,
    acc2: ptr<function, Row>,
    acc3: ptr<function, Row>,
    span: ptr<function, Span>,
    shift: u32,
    at: u32,
    row: u32,
) {
    add_row(acc0, span, shift, at, row);
    if QUADS > 1u {
        add_row(acc1, span, shift, at + QUAD_LANES, row);
    }
    if QUADS > 2u {
        add_row(acc2, span, shift, at + 2u * QUAD_LANES, row);
    }
    if QUADS > 3u {
        add_row(acc3, span, shift, at + 3u * QUAD_LANES, row);
    }
}
