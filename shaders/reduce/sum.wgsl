// Adds up parts of tensors in a fixed order, several tensors in one launch:
//
//   total[to + i] = sum over p of partial[first + p * quads + i]   for i < quads, p < parts of each tensor.
//
// One invocation owns a slice of the parts of one quad; a workgroup owns quads of one tensor.

override LANES: u32 = 8u;

// Tensors of a launch at most: as many as lie in a uniform block of 256 bytes.
const MOST_SUMS: u32 = 16u;

struct Params {
    // Of each tensor quads, parts, first, to; without quads there is none.
    sums: array<vec4u, MOST_SUMS>,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> partial: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> total: array<vec4f>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) lane: vec3u) {
    // The workgroup's tensor, and its number among those of the tensor.
    var own = vec4u(0u);
    var number = folded(group);
    for (var i = 0u; i < MOST_SUMS; i++) {
        let groups = (params.sums[i].x + ITEMS - 1u) / ITEMS;
        if number < groups {
            own = params.sums[i];
            break;
        }
        number -= groups;
    }
    let quads = own.x;
    let quad = item_of(number, lane.x);
    let slice = slice_of(lane.x);
    let parts = select(0u, own.y, quad < quads);
    var sum = vec4f(0.0);
    for (var part = slice; part < parts; part += SLICES) {
        sum += partial[own.z + part * quads + quad];
    }
    sum = over_slices(sum, lane.x);
    if slice == 0u && quad < quads {
        total[own.w + quad] = sum;
    }
}
