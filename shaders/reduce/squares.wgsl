// Sums of squares of a long vector, in parts: partial[p] = sum over i = p, p + parts, ... of value[i]^2.
//
// value (quads), partial (parts). One invocation owns a slice of one part.

override LANES: u32 = 8u;

struct Params {
    quads: u32,
    parts: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> value: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> partial: array<f32>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) lane: vec3u) {
    let part = item_of(group.x, lane.x);
    let slice = slice_of(lane.x);
    let quads = select(0u, params.quads, part < params.parts);
    var sum = vec4f(0.0);
    for (var i = part + slice * params.parts; i < quads; i += SLICES * params.parts) {
        sum = fma(value[i], value[i], sum);
    }
    sum = over_slices(sum, lane.x);
    if slice == 0u && part < params.parts {
        partial[part] = sum.x + sum.y + sum.z + sum.w;
    }
}
