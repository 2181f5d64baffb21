// Batch statistics of a feature map, in parts: count, mean and sum of squared deviations of each
// channel over a chunk of the rows of one image. `norm/moments` combines the parts.
//
// z (N, H, W, C); partial (N, chunks, 3, C), written for the image's kept quads only. One invocation
// owns one kept quad in one chunk: lanes run over what is kept, so that dropped channels cost none.
// Sums are taken about the first value, so that a large mean does not eat the variance.

override LANES: u32 = 8u;

struct Params {
    height: u32,
    width: u32,
    quads: u32,
    channels: u32,
    chunks: u32,
    kept_row: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> widths: array<u32>;
@group(0) @binding(2) var<storage, read> z: array<Stored>;
@group(0) @binding(3) var<storage, read_write> partial: array<vec4f>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) lane: vec3u) {
    let image = group.z;
    let kept = min(widths[params.kept_row + image], params.channels);
    let written = quads(kept);
    let item = group.x * LANES + lane.x;
    if item >= written * params.chunks {
        return;
    }
    let quad = item % written;
    let chunk = item / written;
    let first = chunk * params.height / params.chunks * params.width;
    let last = (chunk + 1u) * params.height / params.chunks * params.width;

    var from_z = (image * params.height * params.width + first) * params.quads + quad;
    let pivot = loaded(z[from_z]);
    var sum = vec4f(0.0);
    var squares = vec4f(0.0);
    for (var pixel = first; pixel < last; pixel++) {
        let d = loaded(z[from_z]) - pivot;
        sum += d;
        squares = fma(d, d, squares);
        from_z += params.quads;
    }
    let n = f32(last - first);
    let at = ((image * params.chunks + chunk) * 3u) * params.quads + quad;
    partial[at] = keep(vec4f(n), quad, kept);
    partial[at + params.quads] = keep(pivot + sum / n, quad, kept);
    partial[at + 2u * params.quads] = keep(squares - sum * sum / n, quad, kept);
}
