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

// What an invocation owns of an image: pixels from `first` up to `last`, and every `columns`th quad from `column` on.
struct Stretch {
    column: u32,
    first: u32,
    last: u32,
}

// A stretch of `length` pixels. Where an image keeps nothing there are no columns, and nothing is done with it.
fn stretch_of(item: u32, columns: u32, length: u32, pixels: u32) -> Stretch {
    let divisor = max(columns, 1u);
    let first = item / divisor * length;
    return Stretch(item % divisor, first, min(first + length, pixels));
}

// One of `chunks` shares of an image's rows.
fn chunk_of(item: u32, columns: u32, chunks: u32, height: u32, width: u32) -> Stretch {
    let chunk = item / columns;
    return Stretch(item % columns, chunk * height / chunks * width, (chunk + 1u) * height / chunks * width);
}
