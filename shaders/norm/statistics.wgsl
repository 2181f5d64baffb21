// Batch statistics of a feature map, in parts: count, mean and sum of squared deviations of each
// channel over a chunk of the rows of one image. `norm/moments` combines the parts.
//
// z (N, H, W, C); partial (N, chunks, 3, C), written for the image's kept quads only. One invocation
// owns QUADS kept quads in one chunk: lanes run over what is kept, so that dropped channels cost none.
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

// Fetches the lines of a pixel.
fn look_ahead(lead: Stretch, pixel: u32, columns: u32) {
    let at = (pixel + lead.first) * params.quads + lead.column;
    for (var k = 0u; k < QUADS; k++) {
        fetch(z[at + k * columns]);
    }
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) lane: vec3u) {
    let image = group.z;
    let kept = min(widths[params.kept_row + image], params.channels);
    let written = quads(kept);
    let item = group.x * LANES + lane.x;
    let columns = columns_of(written);
    if item >= columns * params.chunks {
        return;
    }
    let chunk = item / columns;
    let own = chunk_of(item, columns, params.chunks, params.height, params.width);
    let column = own.column;
    let lead0 = chunk_of(leader(group.x, 0u), columns, params.chunks, params.height, params.width);
    let lead1 = chunk_of(leader(group.x, 1u), columns, params.chunks, params.height, params.width);

    let first_pixel = image * params.height * params.width;
    var quad: array<u32, MOST_QUADS>;
    var pivot: Held;
    var sum: Held;
    var squares: Held;
    for (var k = 0u; k < QUADS; k++) {
        quad[k] = min(column + k * columns, written - 1u);
        pivot[k] = loaded(z[(first_pixel + own.first) * params.quads + quad[k]]);
        sum[k] = vec4f(0.0);
        squares[k] = vec4f(0.0);
    }
    for (var step = 0u; step < own.last - own.first; step++) {
        let pixel = first_pixel + step;
        look_ahead(lead0, pixel, columns);
        look_ahead(lead1, pixel, columns);
        let from_z = (pixel + own.first) * params.quads;
        for (var k = 0u; k < QUADS; k++) {
            let d = loaded(z[from_z + quad[k]]) - pivot[k];
            sum[k] += d;
            squares[k] = fma(d, d, squares[k]);
        }
    }
    let n = f32(own.last - own.first);
    for (var k = 0u; k < QUADS; k++) {
        let at = ((image * params.chunks + chunk) * 3u) * params.quads + quad[k];
        if column + k * columns < written {
            partial[at] = keep(vec4f(n), quad[k], kept);
            partial[at + params.quads] = keep(pivot[k] + sum[k] / n, quad[k], kept);
            partial[at + 2u * params.quads] = keep(squares[k] - sum[k] * sum[k] / n, quad[k], kept);
        }
    }
    if never(params.height) {
        partial[0] = vec4f(0.0);
    }
}
