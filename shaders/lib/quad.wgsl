// Channels come in quads. A tensor (N, H, W, C) is stored as (N, H, W, ceil(C / 4)) of vec4f.
//
// The quad rule: an image keeps the first `width` channels of a tensor; the channels from `width` to
// the next multiple of 4 are written as zeros, what lies after them is never read.

fn quads(width: u32) -> u32 {
    return (width + 3u) / 4u;
}

// Which channels of quad `quad` lie below `width`.
fn below(quad: u32, width: u32) -> vec4<bool> {
    return vec4u(quad * 4u) + vec4u(0u, 1u, 2u, 3u) < vec4u(width);
}

// `value` in the channels of quad `quad` below `width`, zero in the others.
fn keep(value: vec4f, quad: u32, width: u32) -> vec4f {
    return select(vec4f(0.0), value, below(quad, width));
}
