// A bias and an activation on maps of one pixel: y[n, j] = act(z[n, j] + bias[j]), zero in dropped channels, since
// linear layers read whole rows.
//
// z (N, F), bias (F), y (N, F), written whole. One invocation owns one quad of one image.

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
@group(0) @binding(2) var<storage, read> z: array<vec4f>;
@group(0) @binding(3) var<storage, read> bias: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> y: array<vec4f>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) lane: vec3u) {
    let item = folded(group) * LANES + lane.x;
    if item >= params.images * params.quads {
        return;
    }
    let quad = item % params.quads;
    let kept = min(widths[params.kept_row + item / params.quads], params.filters);
    y[item] = keep(activate(ACTIVATION, z[item] + bias[quad]), quad, kept);
}
