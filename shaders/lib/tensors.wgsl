// Parameters lie one after another in blocks of BLOCK quads, each tensor (K, K, I, O) from a block of
// its own. Only what some image of the batch kept takes part in a step: a channel that none kept gets
// no decay, no momentum and no step.

const BLOCK: u32 = 64u;
struct Tensor {
    first_block: u32,
    // Quads of a row of O, rows of I, side of the kernel.
    row_quads: u32,
    rows: u32,
    kernel: u32,
    // Widths and kernel that some image of the batch keeps.
    active_rows: u32,
    active_channels: u32,
    active_kernel: u32,
    // 1 where weight decay applies.
    decays: u32,
}

// Which channels of quad `at` of a tensor take part.
fn active_channels(tensor: Tensor, at: u32) -> vec4<bool> {
    let row = at / tensor.row_quads;
    let tap = row / tensor.rows;
    let border = (tensor.kernel - min(tensor.active_kernel, tensor.kernel)) / 2u;
    let ky = tap / tensor.kernel;
    let kx = tap % tensor.kernel;
    let inside = tap < tensor.kernel * tensor.kernel
        && min(ky, kx) >= border && max(ky, kx) + border < tensor.kernel
        && row % tensor.rows < tensor.active_rows;
    return below(at % tensor.row_quads, select(0u, tensor.active_channels, inside));
}

// The factor that brings gradients of this norm to the largest one allowed; 0 allows any.
fn clip_factor(norm: f32, largest: f32) -> f32 {
    if largest > 0.0 && norm > largest {
        return largest / norm;
    }
    return 1.0;
}
