// Maps whose values lie in memory as f32.

alias Stored = vec4f;

fn loaded(quad: Stored) -> vec4f {
    return quad;
}

fn stored(value: vec4f) -> Stored {
    return value;
}
