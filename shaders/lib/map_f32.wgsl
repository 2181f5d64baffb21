// Maps whose values lie in memory as f32.

alias Stored = Quad;

fn loaded(stored: Stored) -> vec4f {
    return quad_values(stored);
}

fn stored(value: vec4f) -> Stored {
    return quad(value);
}
