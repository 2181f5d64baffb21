// Two and four words of memory, as WGSL has them.

alias Pair = vec2u;
alias Quad = vec4f;

fn pair(words: vec2u) -> Pair {
    return words;
}

fn pair_words(pair: Pair) -> vec2u {
    return pair;
}

fn quad(values: vec4f) -> Quad {
    return values;
}

fn quad_values(quad: Quad) -> vec4f {
    return quad;
}
