// Adds up what the slices of an item came to, in a fixed order: by halves.

var<workgroup> slices: array<vec4f, MOST_LANES>;

// The sum of `part` over the slices of the lane's item, for its first slice. The whole workgroup has to ask.
fn over_slices(part: vec4f, lane: u32) -> vec4f {
    if SLICES == 1u {
        return part;
    }
    slices[lane] = part;
    for (var half = SLICES / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if lane < half * ITEMS {
            slices[lane] += slices[lane + half * ITEMS];
        }
    }
    let sum = slices[lane];
    workgroupBarrier();
    return sum;
}
