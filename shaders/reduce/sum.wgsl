// Adds up parts in their order: sum[i] = sum over p of partial[p, i].
//
// partial (parts, quads), sum (quads). One invocation owns one quad.

override LANES: u32 = 8u;

struct Params {
    quads: u32,
    parts: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> partial: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> sum: array<vec4f>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) lane: vec3u) {
    let quad = group.x * LANES + lane.x;
    if quad >= params.quads {
        return;
    }
    var total = vec4f(0.0);
    for (var part = 0u; part < params.parts; part++) {
        total += partial[part * params.quads + quad];
    }
    sum[quad] = total;
}
