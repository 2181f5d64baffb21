// Batch statistics of a feature map, in parts: count, mean and sum of squared deviations of each
// channel over the pixels of the images that keep it. `norm/moments` combines the parts.
//
// z (N, H, W, C); partial (G, parts, 3, C). The images come in G groups of neighbours; each group has
// statistics of its own. One invocation owns one quad of channels in one part of a group's rows.
// Sums are taken about the first value seen, so that a large mean does not eat the variance.

override LANES: u32 = 8u;

struct Params {
    group_images: u32,
    height: u32,
    width: u32,
    quads: u32,
    channels: u32,
    parts: u32,
    kept_row: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> widths: array<u32>;
@group(0) @binding(2) var<storage, read> z: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> partial: array<vec4f>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) lane: vec3u) {
    let item = group.x * LANES + lane.x;
    if item >= params.parts * params.quads {
        return;
    }
    let quad = item % params.quads;
    let part = item / params.quads;
    let rows = params.group_images * params.height;
    let first = part * rows / params.parts;
    let last = (part + 1u) * rows / params.parts;

    var count = vec4f(0.0);
    var pivot = vec4f(0.0);
    var sum = vec4f(0.0);
    var squares = vec4f(0.0);
    for (var row = first; row < last; row++) {
        let image = group.y * params.group_images + row / params.height;
        let kept = min(widths[params.kept_row + image], params.channels);
        let mine = below(quad, kept);
        let width = select(0u, params.width, quad < quads(kept));
        var at = (group.y * rows + row) * params.width * params.quads + quad;
        // The first row that keeps a channel gives its pivot.
        pivot = select(pivot, z[at], mine & (count == vec4f(0.0)));
        var row_sum = vec4f(0.0);
        var row_squares = vec4f(0.0);
        for (var w = 0u; w < width; w++) {
            let d = z[at] - pivot;
            row_sum += d;
            row_squares = fma(d, d, row_squares);
            at += params.quads;
        }
        count += select(vec4f(0.0), vec4f(f32(params.width)), mine);
        sum += keep(row_sum, quad, kept);
        squares += keep(row_squares, quad, kept);
    }
    let n = max(count, vec4f(1.0));
    let at = ((group.y * params.parts + part) * 3u) * params.quads + quad;
    partial[at] = count;
    partial[at + params.quads] = pivot + sum / n;
    partial[at + 2u * params.quads] = squares - sum * sum / n;
}
