// The Euclidean norm from sums of squares, added in their order: norm = sqrt(sum over p of partial[p]).
//
// partial (parts), norm (1). One invocation does it all.

struct Params {
    parts: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> partial: array<f32>;
@group(0) @binding(2) var<storage, read_write> norm: array<f32>;

@compute @workgroup_size(1)
fn main() {
    var sum = 0.0;
    for (var p = 0u; p < params.parts; p++) {
        sum += partial[p];
    }
    norm[0] = sqrt(sum);
}
