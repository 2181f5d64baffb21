// Maps whose values lie in memory as bf16, the upper half of an f32: its range, and eight bits of it. Of two values in
// one word the first lies below. All arithmetic is in f32.

alias Stored = Pair;

fn loaded(stored: Stored) -> vec4f {
    let words = pair_words(stored);
    return bitcast<vec4f>(vec4u(words.x << 16u, words.x & 0xffff0000u, words.y << 16u, words.y & 0xffff0000u));
}

// Rounds to the nearest, of two as near to the even one. What is not a number stays none.
fn stored(value: vec4f) -> Stored {
    let bits = bitcast<vec4u>(value);
    let magnitude = bits & vec4u(0x7fffffffu);
    let rounded = min(magnitude + 0x7fffu + ((bits >> vec4u(16u)) & vec4u(1u)), vec4u(0x7fff0000u));
    let halves = (rounded | (bits & vec4u(0x80000000u))) >> vec4u(16u);
    return pair(vec2u(halves.x | (halves.y << 16u), halves.z | (halves.w << 16u)));
}

// Lines of memory, 64 bytes each, that eight neighbours lie in.
const LINES: u32 = 1u;
