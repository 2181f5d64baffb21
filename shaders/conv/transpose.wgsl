// A dense convolution's weights for the gradient of its input: transposed[ky, kx, o, i] = w[ky, kx, i, o].
//
// w (K, K, I, O), transposed (K, K, O, I), channels padded to quads in both. One invocation owns a quad of
// input channels times a quad of filters at one tap.

override LANES: u32 = 8u;

struct Params {
    taps: u32,
    in_quads: u32,
    filter_quads: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> weight: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> transposed: array<vec4f>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) lane: vec3u) {
    let item = group.x * LANES + lane.x;
    if item >= params.taps * params.in_quads * params.filter_quads {
        return;
    }
    let o = item % params.filter_quads;
    let i = item / params.filter_quads % params.in_quads;
    let tap = item / params.filter_quads / params.in_quads;
    let at = (tap * params.in_quads + i) * 4u * params.filter_quads + o;
    let block = transpose(mat4x4f(
        weight[at],
        weight[at + params.filter_quads],
        weight[at + 2u * params.filter_quads],
        weight[at + 3u * params.filter_quads],
    ));
    let to = (tap * params.filter_quads + o) * 4u * params.in_quads + i;
    for (var c = 0u; c < 4u; c++) {
        transposed[to + c * params.in_quads] = block[c];
    }
}
