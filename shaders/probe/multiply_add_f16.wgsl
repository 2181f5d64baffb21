enable f16;

// `multiply_add` in f16: eight chains a lane, each s = s * x + x over and over; their sum is one of f32.
//
// x, y (lanes) quads. Chain k starts from x * (k + 1). One invocation owns one quad.

override LANES: u32 = 8u;

struct Params {
    rounds: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) lane: vec3u) {
    let item = group.x * LANES + lane.x;
    if item >= arrayLength(&x) {
        return;
    }
    let a = vec4h(x[item]);
    // Eight chains hide the latency of one; named ones stay in registers on every driver.
    var s0 = a;
    var s1 = 2.0h * a;
    var s2 = 3.0h * a;
    var s3 = 4.0h * a;
    var s4 = 5.0h * a;
    var s5 = 6.0h * a;
    var s6 = 7.0h * a;
    var s7 = 8.0h * a;
    for (var round = 0u; round < params.rounds; round++) {
        s0 = fma(s0, a, a);
        s1 = fma(s1, a, a);
        s2 = fma(s2, a, a);
        s3 = fma(s3, a, a);
        s4 = fma(s4, a, a);
        s5 = fma(s5, a, a);
        s6 = fma(s6, a, a);
        s7 = fma(s7, a, a);
    }
    let low = (vec4f(s0) + vec4f(s1)) + (vec4f(s2) + vec4f(s3));
    let high = (vec4f(s4) + vec4f(s5)) + (vec4f(s6) + vec4f(s7));
    y[item] = low + high;
}
