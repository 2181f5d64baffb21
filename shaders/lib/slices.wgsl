// Items whose sums lanes of a workgroup share: SLICES lanes each take a slice of an item's terms. Lanes run
// over the workgroup's ITEMS items first, so that neighbours read neighbours. Software adapters want one slice:
// no barriers.

override SLICES: u32 = 1u;
override ITEMS: u32 = LANES / SLICES;

// Lanes of a workgroup at most, as WebGPU promises.
const MOST_LANES: u32 = 256u;
// The item of a lane.
fn item_of(group: u32, lane: u32) -> u32 {
    return group * ITEMS + select(lane % ITEMS, lane, SLICES == 1u);
}

// The slice of a lane.
fn slice_of(lane: u32) -> u32 {
    return select(lane / ITEMS, 0u, SLICES == 1u);
}
