// Sums of squares of a long vector, in parts: partial[p] = sum over i = p, p + parts, ... of value[i]^2.
//
// value (quads), partial (parts). One invocation owns one part.

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
    let part = group.x * LANES + lane.x;
    if part >= params.parts {
        return;
    }
    var sum = vec4f(0.0);
    for (var i = part; i < params.quads; i += params.parts) {
        sum = fma(value[i], value[i], sum);
    }
    partial[part] = sum.x + sum.y + sum.z + sum.w;
}
