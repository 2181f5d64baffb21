// Combines the parts of `norm/backward_reduce` in their order into the gradients of gamma and beta:
//
//   gradient = sum of g * x^, sum of g;   without NORMALISE, sum of g: the bias's.
//
// partial (parts, 2, F), gradient (2, F) or (1, F). One invocation owns one quad of channels.

override LANES: u32 = 8u;
override NORMALISE: u32 = 1u;

struct Params {
    quads: u32,
    parts: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> partial: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> gradient: array<vec4f>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) lane: vec3u) {
    let quad = group.x * LANES + lane.x;
    if quad >= params.quads {
        return;
    }
    var sum = vec4f(0.0);
    var product = vec4f(0.0);
    for (var part = 0u; part < params.parts; part++) {
        let at = part * 2u * params.quads + quad;
        sum += partial[at];
        product += partial[at + params.quads];
    }
    if NORMALISE != 0u {
        gradient[quad] = product;
        gradient[params.quads + quad] = sum;
    } else {
        gradient[quad] = sum;
    }
}
