// Gradients of a bias and of its input:
//
//   dz[n, j] = dy[n, j] * act'(z[n, j] + bias[j]), zero in dropped channels;   gradient[j] = sum over n of dz[n, j].
//
// dy and z (N, F), bias (F), dz (N, F) and gradient (F), written whole. One invocation owns a slice of the images of
// one quad.

override LANES: u32 = 8u;
override ACTIVATION: u32 = 0u;

struct Params {
    images: u32,
    quads: u32,
    filters: u32,
    kept_row: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> widths: array<u32>;
@group(0) @binding(2) var<storage, read> dy: array<vec4f>;
@group(0) @binding(3) var<storage, read> z: array<vec4f>;
@group(0) @binding(4) var<storage, read> bias: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> dz: array<vec4f>;
@group(0) @binding(6) var<storage, read_write> gradient: array<vec4f>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) lane: vec3u) {
    let quad = item_of(group.x, lane.x);
    let slice = slice_of(lane.x);
    let present = quad < params.quads;
    let shift = bias[min(quad, params.quads - 1u)];
    let images = select(0u, params.images, present);
    var sum = vec4f(0.0);
    for (var image = slice; image < images; image += SLICES) {
        let at = image * params.quads + quad;
        let kept = min(widths[params.kept_row + image], params.filters);
        let g = keep(dy[at] * activate_gradient(ACTIVATION, z[at] + shift), quad, kept);
        dz[at] = g;
        sum += g;
    }
    sum = over_slices(sum, lane.x);
    if slice == 0u && present {
        gradient[quad] = sum;
    }
}
