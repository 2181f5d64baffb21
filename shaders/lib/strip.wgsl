// What an invocation of a depthwise kernel owns of an image: SEGMENT columns from `column` on, in rows from `first_row` up to
// `last_row`, of one quad.

struct Strip {
    quad: u32,
    column: u32,
    first_row: u32,
    last_row: u32,
}

// Items run over `quads` first, then over the segments of a row, then over stretches of `rows` of the `height` rows.
fn strip_of(item: u32, quads: u32, segments: u32, rows: u32, height: u32) -> Strip {
    let strip = item / quads;
    let first_row = strip / segments * rows;
    return Strip(item % quads, strip % segments * SEGMENT, first_row, min(first_row + rows, height));
}
