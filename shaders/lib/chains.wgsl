// Multiply-adds and nothing else: eight chains, each s = s * a + a over and over, then their sum in f32. Chain k starts
// from a * (k + 1). A kernel says what a Quad is.

fn chains(a: Quad, rounds: u32) -> vec4f {
    // Eight chains hide the latency of one; named ones stay in registers on every driver.
    var s0 = a;
    var s1 = 2.0 * a;
    var s2 = 3.0 * a;
    var s3 = 4.0 * a;
    var s4 = 5.0 * a;
    var s5 = 6.0 * a;
    var s6 = 7.0 * a;
    var s7 = 8.0 * a;
    for (var round = 0u; round < rounds; round++) {
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
    return low + high;
}
