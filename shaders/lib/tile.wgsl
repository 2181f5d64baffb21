// Tiles of dense convolutions: an invocation owns PIXELS pixels of one image times QUADS quads of channels,
// QUAD_LANES apart. QUAD_LANES neighbours share their pixels: GPUs then read a pixel once and weights in a row.
// Software adapters want one, and weights at addresses that the whole workgroup shares. The shader declares
// `weight`, rows of quads, a row for each channel that is summed over.

override PIXELS: u32 = 4u;
override QUADS: u32 = 2u;
override QUAD_LANES: u32 = 1u;

const MAX_PIXELS: u32 = 8u;
const MAX_SPAN: u32 = 10u; // MAX_PIXELS + 2
const MAX_TILE: u32 = 32u;

alias Tile = array<vec4f, MAX_TILE>;
alias Span = array<vec4f, MAX_SPAN>;

// First of a lane's quads.
fn tile_quad(group: u32, lane: u32) -> u32 {
    return group * QUADS * QUAD_LANES + select(lane % QUAD_LANES, 0u, QUAD_LANES == 1u);
}

// First of its pixels.
fn tile_pixel(group: u32, lane: u32) -> u32 {
    return (group * (LANES / QUAD_LANES) + lane / QUAD_LANES) * PIXELS;
}

// `sum` and a quad of channels through the quads of weights from `at` on, `row` apart.
fn through(v: vec4f, at: u32, row: u32, sum: vec4f) -> vec4f {
    var total = fma(vec4f(v.x), weight[at], sum);
    total = fma(vec4f(v.y), weight[at + row], total);
    total = fma(vec4f(v.z), weight[at + 2u * row], total);
    return fma(vec4f(v.w), weight[at + 3u * row], total);
}

// Adds a stretch of a row of pixels, from `shift` on, through the weights of one tap and quad of channels.
fn add(acc: ptr<function, Tile>, span: ptr<function, Span>, shift: u32, at: u32, row: u32) {
    for (var p = 0u; p < PIXELS; p++) {
        let v = (*span)[p + shift];
        for (var q = 0u; q < QUADS; q++) {
            (*acc)[p * QUADS + q] = through(v, at + q * QUAD_LANES, row, (*acc)[p * QUADS + q]);
        }
    }
}
