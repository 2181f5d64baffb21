// Stochastic gradient descent with Nesterov momentum, as PyTorch has it, over all parameters at once:
//
//   g = clip * gradient + decay * value;  m = momentum * m + g;  value -= rate * (g + momentum * m)
//
// gradient, value and moment (quads), block_tensor (blocks): the tensor of each block, norm (1): that
// of all gradients.
// One workgroup owns one block.

struct Params {
    blocks: u32,
    momentum: f32,
    decay: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> control: array<f32>;
@group(0) @binding(2) var<storage, read> tensors: array<Tensor>;
@group(0) @binding(3) var<storage, read> block_tensor: array<u32>;
@group(0) @binding(4) var<storage, read> norm: array<f32>;
@group(0) @binding(5) var<storage, read> gradient: array<vec4f>;
@group(0) @binding(6) var<storage, read_write> value: array<vec4f>;
@group(0) @binding(7) var<storage, read_write> moment: array<vec4f>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) lane: vec3u) {
    let block = folded(group);
    if block >= params.blocks {
        return;
    }
    let tensor = tensors[block_tensor[block]];
    let at = block * BLOCK + lane.x;
    let moves = active_channels(tensor, at - tensor.first_block * BLOCK);
    let decay = select(0.0, params.decay, tensor.decays == 1u);
    let old = value[at];
    let g = clip_factor(norm[0], control[CLIP_NORM]) * gradient[at] + decay * old;
    let m = params.momentum * moment[at] + g;
    moment[at] = select(moment[at], m, moves);
    value[at] = select(old, old - control[LEARNING_RATE] * (g + params.momentum * m), moves);
}
