// Sums over a batch that the gradient of a normalisation needs, in parts; with x^ = (z - mean) / deviation
// and g = dy * act'(gamma * x^ + beta):
//
//   partial = sum of g, sum of g * x^    over a chunk of the rows of one image.
//
// dy (N, H, W, C), z (N, H, W, F), moments (3, F), affine (2, F), partial (N, chunks, 2, F),
// written for the image's kept quads only. One invocation owns QUADS kept quads in one
// chunk.

override LANES: u32 = 8u;
override ACTIVATION: u32 = 0u;

struct Params {
    height: u32,
    width: u32,
    filter_quads: u32,
    out_quads: u32,
    filters: u32,
    chunks: u32,
    kept_row: u32,
    epsilon: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> widths: array<u32>;
@group(0) @binding(2) var<storage, read> dy: array<Stored>;
@group(0) @binding(3) var<storage, read> z: array<Stored>;
@group(0) @binding(4) var<storage, read> moments: array<vec4f>;
@group(0) @binding(5) var<storage, read> affine: array<vec4f>;
@group(0) @binding(6) var<storage, read_write> partial: array<vec4f>;

// Fetches the lines of a pixel.
fn look_ahead(lead: Stretch, pixel: u32, columns: u32) {
    let at = (pixel + lead.first) * params.filter_quads + lead.column;
    let from_dy = (pixel + lead.first) * params.out_quads + lead.column;
    for (var k = 0u; k < QUADS; k++) {
        fetch(z[at + k * columns]);
        fetch(dy[from_dy + k * columns]);
    }
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) lane: vec3u) {
    let image = group.z;
    let kept = min(widths[params.kept_row + image], params.filters);
    let written = quads(kept);
    let item = group.x * LANES + lane.x;
    let columns = columns_of(written);
    if item >= columns * params.chunks {
        return;
    }
    let chunk = item / columns;
    let own = chunk_of(item, columns, params.chunks, params.height, params.width);
    let column = own.column;
    let lead0 = chunk_of(leader(group.x, 0u), columns, params.chunks, params.height, params.width);
    let lead1 = chunk_of(leader(group.x, 1u), columns, params.chunks, params.height, params.width);
    var quad: array<u32, MOST_QUADS>;
    var n: array<Normalised, MOST_QUADS>;
    var sum: Held;
    var product: Held;
    for (var k = 0u; k < QUADS; k++) {
        quad[k] = min(column + k * columns, written - 1u);
        n[k] = normalised(quad[k], params.filter_quads, params.epsilon);
        sum[k] = vec4f(0.0);
        product[k] = vec4f(0.0);
    }
    for (var step = 0u; step < own.last - own.first; step++) {
        let pixel = image * params.height * params.width + step;
        look_ahead(lead0, pixel, columns);
        look_ahead(lead1, pixel, columns);
        let from_z = (pixel + own.first) * params.filter_quads;
        let from_dy = (pixel + own.first) * params.out_quads;
        for (var k = 0u; k < QUADS; k++) {
            let normal = (loaded(z[from_z + quad[k]]) - n[k].mean) * n[k].inverse_deviation;
            let slope = activate_gradient(ACTIVATION, fma(normal, n[k].scale, n[k].shift));
            let g = loaded(dy[from_dy + quad[k]]) * slope;
            sum[k] += g;
            product[k] = fma(g, normal, product[k]);
        }
    }
    for (var k = 0u; k < QUADS; k++) {
        let at = (image * params.chunks + chunk) * 2u * params.filter_quads + quad[k];
        if column + k * columns < written {
            partial[at] = keep(sum[k], quad[k], kept);
            partial[at + params.filter_quads] = keep(product[k], quad[k], kept);
        }
    }
    if never(params.height) {
        partial[0] = vec4f(0.0);
    }
}
