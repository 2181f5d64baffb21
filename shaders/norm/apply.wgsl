// Normalisation, activation and shortcut in one pass:
//
//   y_j = act(gamma_j * (z_j - mean_j) / sqrt(var_j + eps) + beta_j)   for j < kept, merged with the
//   shortcut's source; without NORMALISE, act(z_j + beta_j): a bias.
//
// z (N, H, W, F), moments (G, MOMENTS, F) with mean and variance first, affine (2, F): gamma,
// then beta (without NORMALISE (1, F): beta),
// source (N, H, W, .), y (N, H, W, C). One invocation owns PIXELS pixels of one image in one quad;
// dropped quads are not computed and not written, unless FILL asks for zeros.

override LANES: u32 = 8u;
override PIXELS: u32 = 8u;
override NORMALISE: u32 = 1u;
override MOMENTS: u32 = 3u;
override ACTIVATION: u32 = 0u;
override SHORTCUT: u32 = 0u;
override FILL: u32 = 0u;

struct Params {
    group_images: u32,
    pixels: u32,
    filter_quads: u32,
    out_quads: u32,
    source_quads: u32,
    filters: u32,
    kept_row: u32,
    bypass_row: u32,
    epsilon: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> widths: array<u32>;
@group(0) @binding(2) var<storage, read> z: array<vec4f>;
@group(0) @binding(3) var<storage, read> moments: array<vec4f>;
@group(0) @binding(4) var<storage, read> affine: array<vec4f>;
@group(0) @binding(5) var<storage, read> source: array<vec4f>;
@group(0) @binding(6) var<storage, read_write> y: array<vec4f>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) lane: vec3u) {
    let image = group.z;
    let kept = min(widths[params.kept_row + image], params.filters);
    let bypass = select(0u, widths[params.bypass_row + image], SHORTCUT != NO_SHORTCUT);
    let written = select(quads(max(kept, bypass)), params.out_quads, FILL != 0u);
    let item = group.x * LANES + lane.x;
    if written == 0u || item / written * PIXELS >= params.pixels {
        return;
    }
    let quad = item % written;
    let first = item / written * PIXELS;
    let last = min(first + PIXELS, params.pixels);

    let own = min(quad, params.filter_quads - 1u);
    var mean = vec4f(0.0);
    var scale = vec4f(1.0);
    if NORMALISE != 0u {
        let at = image / params.group_images * MOMENTS * params.filter_quads + own;
        mean = moments[at];
        scale = affine[own] * inverseSqrt(moments[at + params.filter_quads] + params.epsilon);
    }
    let shift = affine[select(own, params.filter_quads + own, NORMALISE != 0u)];
    let has_filters = quad < quads(kept);
    let has_source = SHORTCUT != NO_SHORTCUT && quad < quads(bypass);
    for (var pixel = first; pixel < last; pixel++) {
        let at = image * params.pixels + pixel;
        var mine = vec4f(0.0);
        if has_filters {
            mine = activate(ACTIVATION, fma(z[at * params.filter_quads + quad] - mean, scale, shift));
        }
        var theirs = vec4f(0.0);
        if has_source {
            theirs = source[at * params.source_quads + quad];
        }
        y[at * params.out_quads + quad] = merge(SHORTCUT, mine, theirs, quad, kept, bypass);
    }
}
