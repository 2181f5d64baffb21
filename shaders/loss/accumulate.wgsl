// Adds the losses and hits of a batch to the totals of an epoch, in the order of the images, and the
// number of images: a device that only pretends to have worked leaves it short.
//
// result (N, 2), total (4): loss, hits, images, 0. One invocation does it all.

struct Params {
    images: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> result: array<vec2f>;
@group(0) @binding(2) var<storage, read_write> total: array<vec4f>;

@compute @workgroup_size(1)
fn main() {
    var sum = vec2f(0.0);
    for (var n = 0u; n < params.images; n++) {
        sum += result[n];
    }
    total[0] += vec4f(sum, f32(params.images), 0.0);
}
