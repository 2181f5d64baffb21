// Lines of memory that a workgroup fetches one by one before its lanes gather from them or scatter to them.
//
// Processors overlap and foresee single loads, but wait for the lines of a gather one after another. Where a software
// adapter makes a single load of an address that all lanes share, one for each line costs less than the wait.
// Elsewhere all of this is compiled away. Nothing depends on what was fetched, so it may be written meanwhile.

override AHEAD: u32 = 0u;

var<private> fetched: u32;

// Fetches the line of a value of a map. Where eight neighbours lie in one, a gather waits no longer than a fetch.
fn fetch(stored: Stored) {
    if AHEAD != 0u && LINES > 1u {
        fetched |= bitcast<u32>(loaded(stored).x);
    }
}

// Never, as no `extent` is 0; a store that hangs on it keeps compilers from leaving the fetches out.
fn never(extent: u32) -> bool {
    return fetched == 1u && extent == 0u;
}

// The lanes for whose lines a workgroup fetches, two of them: eight neighbours lie in two LINES.
fn leader(group: u32, i: u32) -> u32 {
    return group * LANES + i * (LANES / 2u);
}
