//! A graph made ready to score many sub-networks in one pass.

use super::error::NetworkError;
use super::memory::{Memory, MemoryPlan, read_rows};
use super::record::{Mode, Sums};
use super::slots::{Uses, Value};
use super::{Graph, Op, Tensor, Weights};
use crate::gpu::{Gpu, Precision, Program, Recording};
use crate::kernels::optimizer::Control;
use crate::kernels::{Map, Tuning};
use crate::space::LayerShape;

/// A graph made ready to score sub-networks: groups of images, each group a network with its own
/// widths and statistics.
pub struct Scoring {
    gpu: Gpu,
    graph: Graph,
    memory: Memory,
    recalibrate: Program,
    evaluate: Program,
}

/// Bytes of one feature map of a pass at most: WebGPU's smallest limit of a binding, halved.
const MAP_BYTES: u64 = 64 << 20;

impl Scoring {
    /// Images of a pass at most, of all its networks together: so many that no map is too large for any device.
    pub fn most_images(graph: &Graph) -> u32 {
        let bytes = |tensor: &Tensor| Map::bytes_of([1, tensor.size, tensor.size, tensor.channels], Precision::F32);
        let largest = graph.tensors.iter().map(bytes).max().expect("a graph has tensors");
        (MAP_BYTES / largest).max(1) as u32
    }

    fn plan(graph: &Graph, tuning: &Tuning, [groups, group_images]: [u32; 2]) -> MemoryPlan {
        let actions: Vec<Uses> = graph.ops.iter().map(Op::forward_access).collect();
        MemoryPlan::new(
            graph,
            tuning,
            [groups * group_images, group_images],
            Precision::F32,
            &actions,
            Sums::Statistics,
        )
    }

    /// `groups` networks at a time, each on `group_images` images.
    pub fn new(gpu: &Gpu, graph: Graph, tuning: &Tuning, passes: [u32; 2]) -> Result<Self, NetworkError> {
        let memory = Memory::new(gpu, &graph, Self::plan(&graph, tuning, passes))?;
        let program = |mode: Mode| {
            let recorder = memory.recorder(&graph, tuning);
            let mut rec = Recording::new();
            for op in &graph.ops {
                recorder.forward(&mut rec, op, mode);
            }
            Program::new(gpu, rec)
        };
        let (recalibrate, evaluate) = (program(Mode::Batch)?, program(Mode::Running)?);
        Ok(Self { gpu: gpu.clone(), graph, memory, recalibrate, evaluate })
    }

    /// Networks of a pass.
    pub fn groups(&self) -> u32 {
        self.memory.images / self.memory.group_images
    }

    /// Sets the parameters and, for every group, the running statistics.
    pub fn load(&self, weights: &Weights) -> Result<(), NetworkError> {
        self.memory.write_weights(&self.gpu, &self.graph, weights)
    }

    /// Sets each group's network.
    pub fn set_networks(&self, networks: &[&[LayerShape]]) {
        assert_eq!(networks.len(), self.groups() as usize, "every group has a network");
        let images: Vec<&[LayerShape]> = networks
            .iter()
            .flat_map(|shapes| std::iter::repeat_n(*shapes, self.memory.group_images as usize))
            .collect();
        self.memory.write_widths(&self.gpu, &self.graph, &images);
    }

    /// Averages the statistics of these training images (M, S, S, 4), the `pass`-th from 0, into every
    /// group's running ones.
    pub fn recalibrate(&self, images: &[f32], pass: u32) {
        let rate = 1.0 / (pass + 1) as f32;
        let control = Control { learning_rate: 0.0, statistics_rate: rate, clip_norm: 0.0, step: 0.0 };
        self.gpu.write(&self.memory.control, &[control]);
        self.write_images(images);
        self.recalibrate.run();
    }

    /// Logits (groups, M, classes) of the same images (M, S, S, 4) by every group's network.
    pub fn logits(&self, images: &[f32]) -> Result<Vec<f32>, NetworkError> {
        self.write_images(images);
        self.evaluate.run();
        Ok(read_rows(&self.gpu, &self.memory.maps[&Value::Of(self.graph.logits)])?)
    }

    /// The running statistics of the first group.
    pub fn running(&self) -> Result<Vec<Vec<f32>>, NetworkError> {
        Ok(self.memory.read_running(&self.gpu, &self.graph)?)
    }

    fn write_images(&self, images: &[f32]) {
        // Whole: a group's own part of the buffer need not begin where a binding may.
        let of_all_groups = images.repeat(self.groups() as usize);
        self.gpu.write(&self.memory.maps[&Value::Of(Graph::IMAGES)].buf, &of_all_groups);
    }
}
