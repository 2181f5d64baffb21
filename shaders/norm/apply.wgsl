// Normalisation, activation and shortcut in one pass:
//
//   y_j = act(gamma_j * (z_j - mean_j) / sqrt(var_j + eps) + beta_j)   for j < kept, merged with the
//   shortcut's source.
//
// z (N, H, W, F), moments (G, MOMENTS, F) with mean and variance first, affine (2, F): gamma, then beta,
// source (N, H, W, .), y (N, H, W, C). One invocation owns PIXELS pixels of one image in QUADS quads;
// dropped quads are not computed and not written.

override LANES: u32 = 8u;
override PIXELS: u32 = 8u;
override MOMENTS: u32 = 3u;
override ACTIVATION: u32 = 0u;
override SHORTCUT: u32 = 0u;

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
@group(0) @binding(2) var<storage, read> z: array<Stored>;
@group(0) @binding(3) var<storage, read> moments: array<vec4f>;
@group(0) @binding(4) var<storage, read> affine: array<vec4f>;
@group(0) @binding(5) var<storage, read> source: array<Stored>;
@group(0) @binding(6) var<storage, read_write> y: array<Stored>;

// Fetches the lines of a pixel.
fn look_ahead(lead: Stretch, pixel: u32, columns: u32) {
    let at = pixel + lead.first;
    for (var k = 0u; k < QUADS; k++) {
        let quad = lead.column + k * columns;
        fetch(z[at * params.filter_quads + quad]);
        fetch(y[at * params.out_quads + quad]);
        if SHORTCUT != NO_SHORTCUT {
            fetch(source[at * params.source_quads + quad]);
        }
    }
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) lane: vec3u) {
    let image = group.z;
    let kept = min(widths[params.kept_row + image], params.filters);
    let bypass = select(0u, widths[params.bypass_row + image], SHORTCUT != NO_SHORTCUT);
    let written = quads(max(kept, bypass));
    let columns = columns_of(written);
    let own = stretch_of(group.x * LANES + lane.x, columns, PIXELS, params.pixels);
    if columns == 0u || own.first >= own.last {
        return;
    }
    let column = own.column;
    let lead0 = stretch_of(leader(group.x, 0u), columns, PIXELS, params.pixels);
    let lead1 = stretch_of(leader(group.x, 1u), columns, PIXELS, params.pixels);

    var mean: Held;
    var scale: Held;
    var shift: Held;
    for (var k = 0u; k < QUADS; k++) {
        let quad = min(column + k * columns, params.filter_quads - 1u);
        let at = image / params.group_images * MOMENTS * params.filter_quads + quad;
        mean[k] = moments[at];
        scale[k] = affine[quad] * inverseSqrt(moments[at + params.filter_quads] + params.epsilon);
        shift[k] = affine[params.filter_quads + quad];
    }
    for (var step = 0u; step < own.last - own.first; step++) {
        let pixel = image * params.pixels + step;
        look_ahead(lead0, pixel, columns);
        look_ahead(lead1, pixel, columns);
        let from_z = (pixel + own.first) * params.filter_quads;
        let from_source = (pixel + own.first) * params.source_quads;
        let to = (pixel + own.first) * params.out_quads;
        for (var k = 0u; k < QUADS; k++) {
            let quad = column + k * columns;
            if quad < written {
                // Dropped channels are read in the place of others and masked: cheaper than a branch.
                let centred = loaded(z[from_z + min(quad, params.filter_quads - 1u)]) - mean[k];
                var v = activate(ACTIVATION, fma(centred, scale[k], shift[k]));
                if SHORTCUT == NO_SHORTCUT {
                    v = keep(v, quad, kept);
                } else {
                    let theirs = loaded(source[from_source + min(quad, params.source_quads - 1u)]);
                    v = merge(SHORTCUT, v, theirs, quad, kept, bypass);
                }
                y[to + quad] = stored(v);
            }
        }
    }
    if never(params.pixels) {
        y[0] = stored(vec4f(0.0));
    }
}
