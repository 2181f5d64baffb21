// Mean over the pixels: y[n, c] = sum over p of x[n, p, c] / P, zero in dropped channels.
//
// x (N, P, C), y (N, C), written whole. One invocation owns a slice of the pixels of one quad of one
// image.

override LANES: u32 = 8u;

struct Params {
    images: u32,
    pixels: u32,
    quads: u32,
    channels: u32,
    kept_row: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> widths: array<u32>;
@group(0) @binding(2) var<storage, read> x: array<Stored>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>;

// Fetches the lines of a pixel.
fn look_ahead(item: u32, p: u32) {
    let at = (item / params.quads * params.pixels + p) * params.quads + item % params.quads;
    fetch(x[at]);
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) lane: vec3u) {
    let item = item_of(folded(group), lane.x);
    let slice = slice_of(lane.x);
    let present = item < params.images * params.quads;
    let image = select(0u, item / params.quads, present);
    let quad = item % params.quads;
    let kept = min(widths[params.kept_row + image], params.channels);
    var sum = vec4f(0.0);
    let pixels = select(0u, params.pixels, present && quad < quads(kept));
    for (var p = slice; p < pixels; p += SLICES) {
        look_ahead(leader(folded(group), 0u), p);
        look_ahead(leader(folded(group), 1u), p);
        sum += loaded(x[(image * params.pixels + p) * params.quads + quad]);
    }
    sum = over_slices(sum, lane.x);
    if slice == 0u && present {
        y[item] = keep(sum / f32(params.pixels), quad, kept);
    }
    if never(params.pixels) {
        y[0] = vec4f(0.0);
    }
}
