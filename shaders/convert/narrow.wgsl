// The values of a map of f32 in the precision of another: images come as f32.
//
// x and y (N, H, W, C). One invocation owns a quad of one image.

override LANES: u32 = 8u;

struct Params {
    // Quads of an image.
    quads: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> y: array<Stored>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) lane: vec3u) {
    let item = folded(group) * LANES + lane.x;
    if item >= params.quads {
        return;
    }
    let at = group.z * params.quads + item;
    y[at] = stored(x[at]);
}
