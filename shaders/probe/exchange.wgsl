// Workgroup memory: lanes hand their sums on, round after round.
//
// x, y (groups, LANES) quads. In a round a lane writes its sum, and adds half of what the next lane wrote.
// One workgroup owns LANES quads; LANES is at most 256, what WebGPU promises of 16 KiB.

override LANES: u32 = 8u;

const MOST_LANES = 256u;

struct Params {
    rounds: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;

var<workgroup> shared_sums: array<vec4f, MOST_LANES>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) lane: vec3u) {
    let item = group.x * LANES + lane.x;
    let next = (lane.x + 1u) % LANES;
    var sum = x[item];
    for (var round = 0u; round < params.rounds; round++) {
        shared_sums[lane.x] = sum;
        workgroupBarrier();
        sum = 0.5 * (sum + shared_sums[next]);
        workgroupBarrier();
    }
    y[item] = sum;
}
