// Combines the parts of `norm/statistics` in a fixed order (Chan, Golub, LeVeque 1979):
//
//   moments = mean, biased variance, count;  running += rate * (mean - running mean), likewise the
//   unbiased variance. A channel that no image keeps leaves its running statistics alone.
//
// partial (N, chunks, 3, C), of which images that drop a quad wrote nothing, moments (G, 3, C),
// running (G, 2, C); the images come in G groups of neighbours. One invocation owns a slice of the images
// of one quad of channels of one group. control[STATISTICS_RATE] is the rate: 1 to overwrite, 1 / (k + 1) to average.

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

// Some values: how many, their mean, the sum of their squared deviations from it.
struct Part {
    count: vec4f,
    mean: vec4f,
    deviation: vec4f,
}

var<workgroup> parts: array<Part, MOST_LANES>;

fn combine(a: Part, b: Part) -> Part {
    let delta = b.mean - a.mean;
    let total = max(a.count + b.count, vec4f(1.0));
    let between = delta * delta * (a.count * b.count / total);
    return Part(a.count + b.count, a.mean + delta * (b.count / total), a.deviation + (b.deviation + between));
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) lane: vec3u) {
    let item = item_of(group.x, lane.x);
    let slice = slice_of(lane.x);
    let present = item < params.groups * params.quads;
    let quad = item % params.quads;
    let g = item / params.quads;
    let images = select(0u, params.group_images, present);
    var part = Part();
    for (var i = slice; i < images; i += SLICES) {
        let image = g * params.group_images + i;
        let kept = min(widths[params.kept_row + image], params.channels);
        let chunks = select(0u, params.chunks, quad < quads(kept));
        for (var chunk = 0u; chunk < chunks; chunk++) {
            let at = ((image * params.chunks + chunk) * 3u) * params.quads + quad;
            let deviation = max(partial[at + 2u * params.quads], vec4f(0.0));
            part = combine(part, Part(partial[at], partial[at + params.quads], deviation));
        }
    }
    if SLICES > 1u {
        parts[lane.x] = part;
        for (var half = SLICES / 2u; half > 0u; half /= 2u) {
            workgroupBarrier();
            if lane.x < half * ITEMS {
                parts[lane.x] = combine(parts[lane.x], parts[lane.x + half * ITEMS]);
            }
        }
        part = parts[lane.x];
    }
    if slice != 0u || !present {
        return;
    }
    let count = part.count;
    let mean = part.mean;
    let variance = part.deviation / max(count, vec4f(1.0));
    let at = g * 3u * params.quads + quad;
    moments[at] = mean;
    moments[at + params.quads] = variance;
    moments[at + 2u * params.quads] = count;

    let seen = count > vec4f(0.0);
    let rate = control[STATISTICS_RATE];
    let unbiased = part.deviation / max(count - 1.0, vec4f(1.0));
    let r = g * 2u * params.quads + quad;
    running[r] = select(running[r], mix(running[r], mean, rate), seen);
    running[r + params.quads] = select(running[r + params.quads], mix(running[r + params.quads], unbiased, rate), seen);
}
