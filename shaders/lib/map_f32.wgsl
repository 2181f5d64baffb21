// Maps whose values lie in memory as f32.

alias Stored = Quad;

fn loaded(stored: Stored) -> vec4f {
    return quad_values(stored);
}

fn stored(value: vec4f) -> Stored {
    return quad(value);
}

// Lines of memory, 64 bytes each, that eight neighbours lie in.
const LINES: u32 = 2u;
