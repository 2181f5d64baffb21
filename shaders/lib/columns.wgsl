// The quads of a pixel that an invocation owns: QUADS of them, as many apart as there are columns. Lanes of a
// workgroup then take a pixel's quads in turn and go through memory in order, which a processor fetches ahead.
// GPUs run what waits for memory beside each other and want one.

override QUADS: u32 = 1u;

const MOST_QUADS: u32 = 4u;

alias Held = array<vec4f, MOST_QUADS>;

// Invocations that the quads of a pixel are shared by.
fn columns_of(quads: u32) -> u32 {
    return (quads + QUADS - 1u) / QUADS;
}
