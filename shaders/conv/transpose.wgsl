// Weights of all dense layers for the gradients of their inputs, each tensor in the blocks that it has in the parameters:
//
//   transposed[ky, kx, o, i] = w[ky, kx, i, o]
//
// w (K, K, I, O), transposed (K, K, O, I), channels padded to quads in both; block_tensor (blocks): the tensor of each
// block. One workgroup owns one block of the result. Tensors without quads of rows belong to no dense layer.

struct Params {
    blocks: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> tensors: array<Tensor>;
@group(0) @binding(2) var<storage, read> block_tensor: array<u32>;
@group(0) @binding(3) var<storage, read> weight: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> transposed: array<vec4f>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) lane: vec3u) {
    let block = folded(group);
    if block >= params.blocks {
        return;
    }
    let tensor = tensors[block_tensor[block]];
    let at = block * BLOCK + lane.x;
    let local = at - tensor.first_block * BLOCK;
    let taps = tensor.kernel * tensor.kernel;
    if tensor.rows % 4u != 0u || local >= taps * tensor.rows * tensor.row_quads {
        return;
    }
    let in_quads = tensor.rows / 4u;
    let filters = tensor.row_quads * 4u;
    let i = local % in_quads;
    let o = local / in_quads % filters;
    let tap = local / in_quads / filters;
    let first = tensor.first_block * BLOCK + (tap * tensor.rows + i * 4u) * tensor.row_quads + o / 4u;
    var turned: vec4f;
    for (var row = 0u; row < 4u; row++) {
        turned[row] = weight[first + row * tensor.row_quads][o % 4u];
    }
    transposed[at] = turned;
}
