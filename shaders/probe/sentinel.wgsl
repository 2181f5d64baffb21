// Writes the host's number: y[0] = number. Only a device that ran it can hand that number back.
//
// y (one quad). One workgroup of one invocation.

struct Params {
    number: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> y: array<vec4u>;

@compute @workgroup_size(1)
fn main() {
    y[0].x = params.number;
}
