//! The fewest bytes that a training step can move, for the bytes that it does move to be held against.

use super::memory::parameter_bytes;
use super::{Graph, Op, TensorId};
use crate::gpu::Precision;
use crate::kernels::Map;
use crate::space::Shortcut;

impl Graph {
    /// Bytes of device memory that a step of `batch` images with `moments` moments a parameter and maps of `precision`
    /// has to read and write, however its kernels are fused, as long as maps do not stay in caches.
    ///
    /// A convolution reads its input and writes its output; on the way back it reads both once more, reads the gradient of
    /// the one and writes the gradient of the other: a batch's statistics are known only when all of it was computed, so
    /// neither way can be one pass over several layers. Statistics, normalisation, activations, means and gates cost
    /// nothing of their own: they belong where a map is written or read. A residual is read both ways.
    /// Parameters are read both ways, their gradients written and read, they and their moments read and written once more.
    pub fn least_step_bytes(&self, batch: u32, moments: u32, precision: Precision) -> u64 {
        let map = |id: &TensorId| {
            let tensor = &self.tensors[*id];
            let shape = [batch, tensor.size, tensor.size, tensor.channels];
            Map::bytes_of(shape, self.precision_of(*id, precision))
        };
        let maps: u64 = self
            .ops
            .iter()
            .map(|op| match op {
                Op::Conv { x, z, .. } | Op::Depthwise { x, z, .. } | Op::Linear { x, z, .. } => {
                    let gradient_of_input = if *x == Self::IMAGES { 0 } else { map(x) };
                    let forward = map(x) + map(z);
                    // The output's gradient is that before the normalisation: made on reading, from its input.
                    forward + map(x) + 2 * map(z) + gradient_of_input
                }
                Op::Norm { shortcut: Some(edge), .. } if edge.kind == Shortcut::Residual => 2 * map(&edge.end),
                Op::Norm { .. } | Op::Bias { .. } | Op::Pool { .. } | Op::Excite { .. } => 0,
            })
            .sum();
        maps + parameter_bytes(self) * u64::from(2 + 2 + 2 + 2 * moments)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::lower;
    use crate::space::Space;

    #[test]
    fn a_step_of_one_convolution_and_a_linear_layer() {
        let space = Space::open("tiny").unwrap();
        let net = space.supernet(8, 3, 10);
        let mut graph = lower(&net, &net.full());
        // The first convolution alone: images of 8 px in one quad, read twice; its output read or written three times.
        graph.ops.truncate(1);
        let Op::Conv { x: Graph::IMAGES, z, .. } = graph.ops[0] else { panic!("it begins with a convolution") };
        let out = graph.tensors[z].clone();
        let map = 5 * u64::from(out.size * out.size * out.channels.div_ceil(4)) * 16;
        let parameters = graph.values() as u64 * 4;
        assert_eq!(graph.least_step_bytes(5, 1, Precision::F32), 2 * 5 * 8 * 8 * 16 + 3 * map + 8 * parameters);
        assert_eq!(
            graph.least_step_bytes(5, 2, Precision::F32) - graph.least_step_bytes(5, 1, Precision::F32),
            2 * parameters
        );
    }

    #[test]
    fn maps_grow_with_the_batch_and_parameters_do_not() {
        let space = Space::open("mobile").unwrap();
        let net = space.supernet(64, 3, 10);
        let graph = lower(&net, &net.full());
        let least = |batch| graph.least_step_bytes(batch, 1, Precision::F32);
        assert_eq!(least(3) - least(2), least(2) - least(1));
        assert_eq!(2 * least(1) - least(2), 8 * graph.values() as u64 * 4);
    }
}
