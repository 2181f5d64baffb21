// Gradient of a normalisation's input; with x^ = (z - mean) / deviation, g = dy * act'(gamma * x^ + beta)
// and m the pixels of the images that keep the channel:
//
//   dz = gamma / deviation * (g - dbeta / m - x^ * dgamma / m);   without NORMALISE, dz = g.
//
// dy (N, H, W, C), z (N, H, W, F), moments (3, F), affine and gradient (2, F) or (1, F), dz (N, H, W, F).
// One invocation owns PIXELS pixels of one image in one quad; dropped quads are not written, unless
// FILL asks for zeros.

override LANES: u32 = 8u;
override PIXELS: u32 = 8u;
override NORMALISE: u32 = 1u;
override ACTIVATION: u32 = 0u;
override FILL: u32 = 0u;

struct Params {
    pixels: u32,
    filter_quads: u32,
    out_quads: u32,
    filters: u32,
    kept_row: u32,
    epsilon: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> widths: array<u32>;
@group(0) @binding(2) var<storage, read> dy: array<Stored>;
@group(0) @binding(3) var<storage, read> z: array<Stored>;
@group(0) @binding(4) var<storage, read> moments: array<vec4f>;
@group(0) @binding(5) var<storage, read> affine: array<vec4f>;
@group(0) @binding(6) var<storage, read> gradient: array<vec4f>;
@group(0) @binding(7) var<storage, read_write> dz: array<Stored>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) lane: vec3u) {
    let image = group.z;
    let kept = min(widths[params.kept_row + image], params.filters);
    let written = select(quads(kept), params.filter_quads, FILL != 0u);
    let item = group.x * LANES + lane.x;
    if written == 0u || item / written * PIXELS >= params.pixels {
        return;
    }
    let quad = item % written;
    let first = item / written * PIXELS;
    let last = min(first + PIXELS, params.pixels);
    let n = normalised(NORMALISE != 0u, quad, params.filter_quads, params.epsilon);
    var factor = vec4f(1.0);
    var product = vec4f(0.0);
    var sum = vec4f(0.0);
    if NORMALISE != 0u {
        let count = max(moments[2u * params.filter_quads + quad], vec4f(1.0));
        factor = n.scale * n.inverse_deviation;
        product = gradient[quad] / count;
        sum = gradient[params.filter_quads + quad] / count;
    }
    // A dropped quad is read in vain and masked: cheaper than a branch at every pixel.
    let mine = below(quad, kept);
    var at = (image * params.pixels + first) * params.filter_quads + quad;
    var from_dy = (image * params.pixels + first) * params.out_quads + quad;
    for (var pixel = first; pixel < last; pixel++) {
        let normal = (loaded(z[at]) - n.mean) * n.inverse_deviation;
        let slope = activate_gradient(ACTIVATION, fma(normal, n.scale, n.shift));
        let g = factor * (fma(loaded(dy[from_dy]), slope, -sum) - normal * product);
        dz[at] = stored(select(vec4f(0.0), g, mine));
        at += params.filter_quads;
        from_dy += params.out_quads;
    }
}
