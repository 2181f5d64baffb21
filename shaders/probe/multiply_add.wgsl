// The most that the device multiplies and adds, in f32: `lib/chains` for each value.
//
// x, y (lanes) quads. One invocation owns one quad.

override LANES: u32 = 8u;

alias Quad = vec4f;

struct Params {
    rounds: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) lane: vec3u) {
    let item = group.x * LANES + lane.x;
    if item >= arrayLength(&x) {
        return;
    }
    y[item] = chains(x[item], params.rounds);
}
