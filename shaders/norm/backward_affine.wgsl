// Combines the parts of `norm/backward_reduce` in a fixed order into the gradients of gamma and beta:
//
//   gradient = sum of g * x^, sum of g.
//
// partial (N, chunks, 2, F), of which images that drop a quad wrote nothing, gradient (2, F). One
// invocation owns a slice of the images of one quad of channels.

override LANES: u32 = 8u;

struct Params {
    images: u32,
    quads: u32,
    filters: u32,
    chunks: u32,
    kept_row: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> widths: array<u32>;
@group(0) @binding(2) var<storage, read> partial: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> gradient: array<vec4f>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) lane: vec3u) {
    let quad = item_of(group.x, lane.x);
    let slice = slice_of(lane.x);
    let images = select(0u, params.images, quad < params.quads);
    var sum = vec4f(0.0);
    var product = vec4f(0.0);
    for (var image = slice; image < images; image += SLICES) {
        let kept = min(widths[params.kept_row + image], params.filters);
        let chunks = select(0u, params.chunks, quad < quads(kept));
        for (var chunk = 0u; chunk < chunks; chunk++) {
            let at = (image * params.chunks + chunk) * 2u * params.quads + quad;
            sum += partial[at];
            product += partial[at + params.quads];
        }
    }
    sum = over_slices(sum, lane.x);
    product = over_slices(product, lane.x);
    if slice != 0u || quad >= params.quads {
        return;
    }
    gradient[quad] = product;
    gradient[params.quads + quad] = sum;
}
