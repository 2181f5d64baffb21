// Every channel times its gate: y[n, p, c] = x[n, p, c] * gate[n, c] for the kept channels of image n.
//
// x and y (N, P, C), gate (N, C). One invocation owns PIXELS pixels of one image in QUADS quads.

override LANES: u32 = 8u;
override PIXELS: u32 = 8u;

struct Params {
    pixels: u32,
    quads: u32,
    channels: u32,
    kept_row: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> widths: array<u32>;
@group(0) @binding(2) var<storage, read> x: array<Stored>;
@group(0) @binding(3) var<storage, read> gate: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> y: array<Stored>;

// Fetches the lines of a pixel.
fn look_ahead(lead: Stretch, pixel: u32, columns: u32) {
    let at = (pixel + lead.first) * params.quads + lead.column;
    for (var k = 0u; k < QUADS; k++) {
        fetch(x[at + k * columns]);
        fetch(y[at + k * columns]);
    }
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) lane: vec3u) {
    let image = group.z;
    let kept = min(widths[params.kept_row + image], params.channels);
    let written = quads(kept);
    let columns = columns_of(written);
    let own = stretch_of(group.x * LANES + lane.x, columns, PIXELS, params.pixels);
    if columns == 0u || own.first >= own.last {
        return;
    }
    let column = own.column;
    let lead0 = stretch_of(leader(group.x, 0u), columns, PIXELS, params.pixels);
    let lead1 = stretch_of(leader(group.x, 1u), columns, PIXELS, params.pixels);
    var factor: Held;
    for (var k = 0u; k < QUADS; k++) {
        let quad = column + k * columns;
        factor[k] = keep(gate[image * params.quads + min(quad, written - 1u)], quad, kept);
    }
    for (var step = 0u; step < own.last - own.first; step++) {
        let pixel = image * params.pixels + step;
        look_ahead(lead0, pixel, columns);
        look_ahead(lead1, pixel, columns);
        let at = (pixel + own.first) * params.quads;
        for (var k = 0u; k < QUADS; k++) {
            let quad = column + k * columns;
            if quad < written {
                y[at + quad] = stored(loaded(x[at + quad]) * factor[k]);
            }
        }
    }
    if never(params.pixels) {
        y[0] = stored(vec4f(0.0));
    }
}
