// Adds up parts in a fixed order: sum[i] = sum over p of partial[p, i].
//
// partial (parts, quads), sum (quads). One invocation owns a slice of the parts of one quad.

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
    let quad = item_of(folded(group), lane.x);
    let slice = slice_of(lane.x);
    let parts = select(0u, params.parts, quad < params.quads);
    var total = vec4f(0.0);
    for (var part = slice; part < parts; part += SLICES) {
        total += partial[part * params.quads + quad];
    }
    total = over_slices(total, lane.x);
    if slice == 0u && quad < params.quads {
        sum[quad] = total;
    }
}
