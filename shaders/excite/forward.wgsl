// Every channel times its gate: y[n, p, c] = x[n, p, c] * gate[n, c] for the kept channels of image n.
//
// x and y (N, P, C), gate (N, C). One invocation owns PIXELS pixels of one image in one quad.

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

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) lane: vec3u) {
    let image = group.z;
    let kept = min(widths[params.kept_row + image], params.channels);
    let written = quads(kept);
    let item = group.x * LANES + lane.x;
    if written == 0u || item / written * PIXELS >= params.pixels {
        return;
    }
    let quad = item % written;
    let first = item / written * PIXELS;
    let last = min(first + PIXELS, params.pixels);
    let factor = keep(gate[image * params.quads + quad], quad, kept);
    for (var p = first; p < last; p++) {
        let at = (image * params.pixels + p) * params.quads + quad;
        y[at] = stored(loaded(x[at]) * factor);
    }
}
