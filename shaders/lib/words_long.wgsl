// Two and four words of memory, in words of 64 bits whose lower half is the first: an extension of naga's. Software
// adapters load and store word by word, and take half as long.

alias Pair = u64;
alias Quad = vec2<Pair>;

fn pair(words: vec2u) -> Pair {
    return u64(words.x) | (u64(words.y) << 32u);
}

fn pair_words(pair: Pair) -> vec2u {
    return vec2u(u32(pair), u32(pair >> 32u));
}

fn quad(values: vec4f) -> Quad {
    let words = bitcast<vec4u>(values);
    return Quad(pair(words.xy), pair(words.zw));
}

fn quad_values(quad: Quad) -> vec4f {
    return bitcast<vec4f>(vec4u(pair_words(quad.x), pair_words(quad.y)));
}
