// Combines the parts of `norm/statistics` in their order (Chan, Golub, LeVeque 1979):
//
//   moments = mean, biased variance, count;  running += rate * (mean - running mean), likewise the
//   unbiased variance. A channel that no image keeps leaves its running statistics alone.
//
// partial (N, chunks, 3, C), of which images that drop a quad wrote nothing, moments (G, 3, C),
// running (G, 2, C); the images come in G groups of neighbours. One invocation owns one quad of
// channels of one group. control[STATISTICS_RATE] is the rate: 1 to overwrite, 1 / (k + 1) to average.

override LANES: u32 = 8u;

struct Params {
    group_images: u32,
    groups: u32,
    quads: u32,
    channels: u32,
    chunks: u32,
    kept_row: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> widths: array<u32>;
@group(0) @binding(2) var<storage, read> control: array<f32>;
@group(0) @binding(3) var<storage, read> partial: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> moments: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> running: array<vec4f>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) lane: vec3u) {
    let item = group.x * LANES + lane.x;
    if item >= params.groups * params.quads {
        return;
    }
    let quad = item % params.quads;
    let g = item / params.quads;
    var count = vec4f(0.0);
    var mean = vec4f(0.0);
    var deviation = vec4f(0.0);
    for (var image = g * params.group_images; image < (g + 1u) * params.group_images; image++) {
        let kept = min(widths[params.kept_row + image], params.channels);
        let chunks = select(0u, params.chunks, quad < quads(kept));
        for (var chunk = 0u; chunk < chunks; chunk++) {
            let at = ((image * params.chunks + chunk) * 3u) * params.quads + quad;
            let n = partial[at];
            let delta = partial[at + params.quads] - mean;
            let total = max(count + n, vec4f(1.0));
            mean += delta * (n / total);
            deviation += max(partial[at + 2u * params.quads], vec4f(0.0)) + delta * delta * (count * n / total);
            count += n;
        }
    }
    let variance = deviation / max(count, vec4f(1.0));
    let at = g * 3u * params.quads + quad;
    moments[at] = mean;
    moments[at + params.quads] = variance;
    moments[at + 2u * params.quads] = count;

    let seen = count > vec4f(0.0);
    let rate = control[STATISTICS_RATE];
    let unbiased = deviation / max(count - 1.0, vec4f(1.0));
    let r = g * 2u * params.quads + quad;
    running[r] = select(running[r], mix(running[r], mean, rate), seen);
    running[r + params.quads] = select(running[r + params.quads], mix(running[r + params.quads], unbiased, rate), seen);
}
