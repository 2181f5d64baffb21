// A copy as kernels access maps: y[i] = x[i].
//
// x, y (quads). One workgroup owns LANES * QUADS of them, an invocation every LANES-th.

override LANES: u32 = 8u;
override QUADS: u32 = 8u;

struct Params {
    quads: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Stored>;
@group(0) @binding(2) var<storage, read_write> y: array<Stored>;

// Fetches the lines of an item.
fn look_ahead(item: u32) {
    fetch(x[item]);
    fetch(y[item]);
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) lane: vec3u) {
    for (var k = 0u; k < QUADS; k++) {
        let row = folded(group) * QUADS + k;
        let item = row * LANES + lane.x;
        look_ahead(leader(row, 0u));
        look_ahead(leader(row, 1u));
        if item < params.quads {
            y[item] = x[item];
        }
    }
    if never(params.quads) {
        y[0] = x[0];
    }
}
