// Gradient of a normalisation's input; with x^ = (z - mean) / deviation, g = dy * act'(gamma * x^ + beta)
// and m the pixels of the images that keep the channel:
//
//   dz = gamma / deviation * (g - dbeta / m - x^ * dgamma / m).
//
// dy (N, H, W, C), z (N, H, W, F), moments (3, F), affine and gradient (2, F), dz (N, H, W, F).
// One invocation owns PIXELS pixels of one image in QUADS quads; dropped quads are not written.

override LANES: u32 = 8u;
override PIXELS: u32 = 8u;
override ACTIVATION: u32 = 0u;

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

// Fetches the lines of a pixel.
fn look_ahead(lead: Stretch, pixel: u32, columns: u32) {
    let at = (pixel + lead.first) * params.filter_quads + lead.column;
    let from_dy = (pixel + lead.first) * params.out_quads + lead.column;
    for (var k = 0u; k < QUADS; k++) {
        fetch(z[at + k * columns]);
        fetch(dy[from_dy + k * columns]);
        fetch(dz[at + k * columns]);
    }
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) lane: vec3u) {
    let image = group.z;
    let kept = min(widths[params.kept_row + image], params.filters);
    let written = quads(kept);
    let columns = columns_of(written);
    let own = stretch_of(group.x * LANES + lane.x, columns, PIXELS, params.pixels);
    if columns == 0u || own.first >= own.last {
        return;
    }
    let column = own.column;
    let lead0 = stretch_of(leader(group.x, 0u), columns, PIXELS, params.pixels);
    let lead1 = stretch_of(leader(group.x, 1u), columns, PIXELS, params.pixels);
    var n: array<Normalised, MOST_QUADS>;
    var factor: Held;
    var product: Held;
    var sum: Held;
    for (var k = 0u; k < QUADS; k++) {
        let quad = min(column + k * columns, written - 1u);
        n[k] = normalised(quad, params.filter_quads, params.epsilon);
        let count = max(moments[2u * params.filter_quads + quad], vec4f(1.0));
        factor[k] = n[k].scale * n[k].inverse_deviation;
        product[k] = gradient[quad] / count;
        sum[k] = gradient[params.filter_quads + quad] / count;
    }
    for (var step = 0u; step < own.last - own.first; step++) {
        let pixel = image * params.pixels + step;
        look_ahead(lead0, pixel, columns);
        look_ahead(lead1, pixel, columns);
        let at = (pixel + own.first) * params.filter_quads;
        let from_dy = (pixel + own.first) * params.out_quads;
        for (var k = 0u; k < QUADS; k++) {
            let quad = column + k * columns;
            if quad < written {
                let normal = (loaded(z[at + quad]) - n[k].mean) * n[k].inverse_deviation;
                let slope = activate_gradient(ACTIVATION, fma(normal, n[k].scale, n[k].shift));
                let g = factor[k] * (fma(loaded(dy[from_dy + quad]), slope, -sum[k]) - normal * product[k]);
                // A dropped quad is read in vain and masked: cheaper than a branch.
                dz[at + quad] = stored(keep(g, quad, kept));
            }
        }
    }
    if never(params.pixels) {
        dz[0] = stored(vec4f(0.0));
    }
}
