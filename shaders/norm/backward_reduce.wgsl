// Sums over a batch that the gradient of a normalisation needs, in parts; with x^ = (z - mean) / deviation
// and g = dy * act'(gamma * x^ + beta):
//
//   partial = sum of g, sum of g * x^    over the pixels of the images that keep the channel.
//
// dy (N, H, W, C), z (N, H, W, F), moments (3, F), affine (2, F) or (1, F), partial (parts, 2, F).
// One invocation owns one quad of channels in one part of the rows.

override LANES: u32 = 8u;
override NORMALISE: u32 = 1u;
override ACTIVATION: u32 = 0u;

struct Params {
    images: u32,
    height: u32,
    width: u32,
    filter_quads: u32,
    out_quads: u32,
    filters: u32,
    parts: u32,
    kept_row: u32,
    epsilon: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> widths: array<u32>;
@group(0) @binding(2) var<storage, read> dy: array<vec4f>;
@group(0) @binding(3) var<storage, read> z: array<vec4f>;
@group(0) @binding(4) var<storage, read> moments: array<vec4f>;
@group(0) @binding(5) var<storage, read> affine: array<vec4f>;
@group(0) @binding(6) var<storage, read_write> partial: array<vec4f>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) lane: vec3u) {
    let item = group.x * LANES + lane.x;
    if item >= params.parts * params.filter_quads {
        return;
    }
    let quad = item % params.filter_quads;
    let part = item / params.filter_quads;
    let rows = params.images * params.height;
    let first = part * rows / params.parts;
    let last = (part + 1u) * rows / params.parts;
    let n = normalised(NORMALISE != 0u, quad, params.filter_quads, params.epsilon);

    var sum = vec4f(0.0);
    var product = vec4f(0.0);
    for (var row = first; row < last; row++) {
        let kept = min(widths[params.kept_row + row / params.height], params.filters);
        // A loop of no turns, since a branch alone does not skip work on every adapter.
        let width = select(0u, params.width, quad < quads(kept));
        var row_sum = vec4f(0.0);
        var row_product = vec4f(0.0);
        var from_z = row * params.width * params.filter_quads + quad;
        var from_dy = row * params.width * params.out_quads + quad;
        for (var w = 0u; w < width; w++) {
            let normal = (z[from_z] - n.mean) * n.inverse_deviation;
            let g = dy[from_dy] * activate_gradient(ACTIVATION, fma(normal, n.scale, n.shift));
            row_sum += g;
            row_product = fma(g, normal, row_product);
            from_z += params.filter_quads;
            from_dy += params.out_quads;
        }
        sum += keep(row_sum, quad, kept);
        product += keep(row_product, quad, kept);
    }
    let at = part * 2u * params.filter_quads + quad;
    partial[at] = sum;
    partial[at + params.filter_quads] = product;
}
