//! Programs of a graph: training steps, scoring of many sub-networks in one pass, deployment.

use super::fold::{Fused, fuse};
use super::plan::{Access, Slots, Value};
use super::record::{Mode, Recorder, scratch_bytes};
use super::{Graph, Op, Weights, statistics_bytes};
use crate::gpu::{Buf, Gpu, GpuError, Program, Recording};
use crate::kernels::conv;
use crate::kernels::loss::{self, CrossEntropy};
use crate::kernels::optimizer::{self, BLOCK, Control, Rule};
use crate::kernels::{Map, Tuning, Widths, depthwise, excite, pool, reduce};
use crate::space::{LayerShape, Row};
use std::collections::HashMap;

/// Why a network could not be made ready or run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetworkError {
    /// The device refused.
    #[error(transparent)]
    Gpu(#[from] GpuError),
    /// Weights of another network.
    #[error("the weights have {got} values, the network {expected}")]
    Weights {
        /// Values that the network has.
        expected: usize,
        /// Values given.
        got: usize,
    },
}

/// Bytes that a session holds on the device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Footprint {
    /// Feature maps and their gradients.
    pub maps: u64,
    /// Parameters, gradients, moments, statistics.
    pub state: u64,
    /// Room for parts of sums.
    pub scratch: u64,
}

/// Memory that every kind of session has.
struct Memory {
    maps: HashMap<Value, Map>,
    widths: Widths,
    control: Buf,
    params: Buf,
    moments: Buf,
    running: Buf,
    scratch: Buf,
    images: u32,
    group_images: u32,
    footprint: Footprint,
}

impl Memory {
    fn new(
        gpu: &Gpu,
        graph: &Graph,
        tuning: &Tuning,
        [images, group_images]: [u32; 2],
        actions: &[Access],
    ) -> Result<Self, GpuError> {
        let shape = |value: Value| {
            let (Value::Of(tensor) | Value::Gradient(tensor)) = value;
            let tensor = &graph.tensors[tensor];
            [images, tensor.size, tensor.size, tensor.channels]
        };
        let kept = [Value::Of(Graph::IMAGES), Value::Of(graph.logits)];
        let slots = Slots::assign(actions, &kept, |value| Map::bytes_of(shape(value)));
        let name_of = |slot: usize| {
            let (Value::Of(tensor) | Value::Gradient(tensor)) =
                slots.slot.iter().filter(|(_, s)| **s == slot).map(|(value, _)| *value).min().expect("a slot is used");
            graph.tensors[tensor].name.clone()
        };
        let bufs = slots
            .bytes
            .iter()
            .enumerate()
            .map(|(slot, bytes)| gpu.allocate(&name_of(slot), *bytes))
            .collect::<Result<Vec<_>, _>>()?;
        let maps = slots
            .slot
            .iter()
            .map(|(value, slot)| {
                let [images, height, width, channels] = shape(*value);
                (*value, Map { buf: bufs[*slot].clone(), images, height, width, channels })
            })
            .collect();
        let groups = images / group_images;
        let statistics =
            |rows: u32| graph.statistics.iter().map(|s| statistics_bytes(s.channels, rows * groups)).sum::<u64>();
        let scratch = gpu.allocate("scratch", scratch_bytes(graph, tuning, images))?;
        let params = gpu.allocate("parameters", u64::from(graph.blocks() * BLOCK) * 16)?;
        let moments = gpu.allocate("batch statistics", statistics(3))?;
        let running = gpu.allocate("running statistics", statistics(2))?;
        let footprint = Footprint {
            maps: slots.bytes.iter().sum(),
            state: params.bytes() + moments.bytes() + running.bytes(),
            scratch: scratch.bytes(),
        };
        Ok(Self {
            maps,
            widths: Widths { buf: gpu.allocate("widths", u64::from(graph.rows() * images) * 4)?, images },
            control: gpu.allocate("control", size_of::<Control>() as u64)?,
            params,
            moments,
            running,
            scratch,
            images,
            group_images,
            footprint,
        })
    }

    fn recorder<'a>(&'a self, graph: &'a Graph, tuning: &'a Tuning) -> Recorder<'a> {
        Recorder {
            graph,
            tuning,
            images: self.images,
            group_images: self.group_images,
            maps: self.maps.clone(),
            widths: &self.widths,
            control: &self.control,
            params: &self.params,
            moments: &self.moments,
            running: &self.running,
            scratch: &self.scratch,
        }
    }

    fn write_widths(&self, gpu: &Gpu, graph: &Graph, shapes: &[&[LayerShape]]) -> Vec<u32> {
        let (table, largest) = width_rows(graph, shapes);
        gpu.write(&self.widths.buf, &table);
        largest
    }

    fn write_weights(&self, gpu: &Gpu, graph: &Graph, weights: &Weights) -> Result<(), NetworkError> {
        let expected = graph.values();
        if weights.values.len() != expected || weights.running.len() != graph.statistics.len() {
            return Err(NetworkError::Weights { expected, got: weights.values.len() });
        }
        gpu.write(&self.params, &weights.values);
        self.write_running(gpu, graph, &weights.running);
        self.write_moments(gpu, graph, &weights.running);
        Ok(())
    }

    /// Running statistics in the place of a batch's, as if over endlessly many images: none of them
    /// has a share in them, so no gradient flows through. A batch's own overwrite them.
    fn write_moments(&self, gpu: &Gpu, graph: &Graph, running: &[Vec<f32>]) {
        let groups = self.images / self.group_images;
        for (index, values) in running.iter().enumerate() {
            let offset = graph.statistics_offset(index, 3 * groups);
            let bytes = statistics_bytes(graph.statistics[index].channels, 3 * groups);
            let mut moments = values.clone();
            moments.resize(values.len() / 2 * 3, f32::MAX);
            gpu.write(&self.moments.range(offset, bytes, "moments"), &moments.repeat(groups as usize));
        }
    }

    /// The same running statistics for every group.
    fn write_running(&self, gpu: &Gpu, graph: &Graph, running: &[Vec<f32>]) {
        let groups = self.images / self.group_images;
        for (index, values) in running.iter().enumerate() {
            let offset = graph.statistics_offset(index, 2 * groups);
            let bytes = statistics_bytes(graph.statistics[index].channels, 2 * groups);
            gpu.write(&self.running.range(offset, bytes, "running"), &values.repeat(groups as usize));
        }
    }

    /// The running statistics of the first group.
    fn read_running(&self, gpu: &Gpu, graph: &Graph) -> Result<Vec<Vec<f32>>, GpuError> {
        if graph.statistics.is_empty() {
            return Ok(Vec::new());
        }
        let groups = self.images / self.group_images;
        let all: Vec<f32> = gpu.read(&self.running)?;
        let part = |index: usize| {
            let start = graph.statistics_offset(index, 2 * groups) as usize / 4;
            let length = graph.statistics[index].channels.div_ceil(4) as usize * 8;
            all[start..start + length].to_vec()
        };
        Ok((0..graph.statistics.len()).map(part).collect())
    }
}

/// The widths buffer of a batch, one list of shapes an image, and the largest number of each row.
fn width_rows(graph: &Graph, shapes: &[&[LayerShape]]) -> (Vec<u32>, Vec<u32>) {
    let images = shapes.len();
    let mut table = vec![u32::MAX; graph.rows() as usize * images];
    let mut largest = vec![0; graph.rows() as usize];
    largest[0] = u32::MAX;
    for (image, layers) in shapes.iter().enumerate() {
        for shape in *layers {
            let first = 1 + shape.layer * Row::COUNT as usize;
            for (row, value) in shape.rows().into_iter().enumerate() {
                table[(first + row) * images + image] = value;
                // The kernel of a removed block is not used.
                let used = if row == Row::Kernel as usize && shape.is_removed() { 0 } else { value };
                largest[first + row] = largest[first + row].max(used);
            }
        }
    }
    (table, largest)
}

/// How a graph is trained.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrainingOptions {
    /// Images of a step.
    pub batch: u32,
    /// Update rule.
    pub rule: Rule,
    /// Label smoothing.
    pub smoothing: f32,
    /// Which statistics normalise.
    pub statistics: BatchStatistics,
    /// Tile sizes.
    pub tuning: Tuning,
}

/// Which statistics a training normalises with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchStatistics {
    /// Those of each batch; they also update the running ones.
    OfBatch,
    /// The running ones of the weights loaded, held fixed: every image's gradient is then its own.
    Frozen,
}

/// Sums over training steps, as the device keeps them.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Totals {
    /// Losses of all images.
    pub loss: f32,
    /// Images whose largest logit was their label's.
    pub hits: f32,
    /// Images: fewer than were submitted where the device did not do its work.
    pub images: f32,
    zero: f32,
}

/// A graph made ready for training steps.
pub struct Training {
    gpu: Gpu,
    graph: Graph,
    memory: Memory,
    program: Program,
    labels: Buf,
    tensors: Buf,
    gradients: Buf,
    moment: Buf,
    total: Buf,
    result: Buf,
}

impl Training {
    /// Allocates and records everything once.
    pub fn new(gpu: &Gpu, graph: Graph, options: TrainingOptions) -> Result<Self, NetworkError> {
        let TrainingOptions { batch, rule, smoothing, statistics, tuning } = options;
        let mode = match statistics {
            BatchStatistics::OfBatch => Mode::Batch,
            BatchStatistics::Frozen => Mode::Frozen,
        };
        let mut actions: Vec<Access> = graph.ops.iter().map(Op::forward_access).collect();
        actions.push(Access { reads: vec![Value::Of(graph.logits)], writes: vec![Value::Gradient(graph.logits)] });
        actions.extend(graph.ops.iter().rev().map(|op| op.backward_access(&graph)));
        let mut memory = Memory::new(gpu, &graph, &tuning, [batch, batch], &actions)?;

        let blocks = graph.blocks();
        let bytes = u64::from(blocks * BLOCK) * 16;
        let gradients = gpu.allocate("gradients", bytes)?;
        let moment = gpu.allocate("moments", bytes * u64::from(rule.moments()))?;
        memory.footprint.state += gradients.bytes() + moment.bytes();
        let labels = gpu.allocate("labels", u64::from(batch) * 4)?;
        let result = gpu.allocate("losses", u64::from(batch) * 8)?;
        let total = gpu.allocate("total loss", size_of::<Totals>() as u64)?;
        let norm = gpu.allocate("gradient norm", 4)?;
        let tensors = gpu.allocate("parameter table", (graph.params.len() * size_of::<optimizer::Tensor>()) as u64)?;
        let block_tensor: Vec<u32> = graph
            .params
            .iter()
            .enumerate()
            .flat_map(|(index, param)| std::iter::repeat_n(index as u32, param.blocks() as usize))
            .collect();
        let block_tensor = gpu.upload("parameter blocks", &block_tensor)?;

        let mut rec = Recording::new();
        {
            let recorder = memory.recorder(&graph, &tuning);
            for op in &graph.ops {
                recorder.forward(&mut rec, op, mode);
            }
            rec.scope("loss");
            let io = CrossEntropy {
                logits: recorder.map(Value::Of(graph.logits)),
                labels: &labels,
                smoothing,
                dlogits: recorder.map(Value::Gradient(graph.logits)),
                result: &result,
            };
            loss::cross_entropy(&mut rec, &tuning, io);
            loss::accumulate(&mut rec, batch, &result, &total);
            for op in graph.ops.iter().rev() {
                recorder.backward(&mut rec, op, &gradients);
            }
            rec.scope("update");
            reduce::norm(&mut rec, &tuning, blocks * BLOCK, &gradients, &memory.scratch, &norm);
            let io = optimizer::Step {
                control: &memory.control,
                tensors: &tensors,
                block_tensor: &block_tensor,
                norm: &norm,
                gradient: &gradients,
                value: &memory.params,
                moment: &moment,
            };
            optimizer::step(&mut rec, &rule, blocks, io);
        }
        let program = Program::new(gpu, rec)?;
        Ok(Self { gpu: gpu.clone(), graph, memory, program, labels, tensors, gradients, moment, total, result })
    }

    /// The network that it trains.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Its launches, for measuring.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// Bytes that it holds.
    pub fn footprint(&self) -> Footprint {
        self.memory.footprint
    }

    /// Sets the parameters and the running statistics.
    pub fn load(&self, weights: &Weights) -> Result<(), NetworkError> {
        self.memory.write_weights(&self.gpu, &self.graph, weights)
    }

    /// Reads the parameters and the running statistics back.
    pub fn weights(&self) -> Result<Weights, NetworkError> {
        let values = self.gpu.read(&self.memory.params)?;
        Ok(Weights { values, running: self.memory.read_running(&self.gpu, &self.graph)? })
    }

    /// The optimiser's moments, all that a resume needs beside the weights.
    pub fn moments(&self) -> Result<Vec<f32>, NetworkError> {
        Ok(self.gpu.read(&self.moment)?)
    }

    /// Sets the optimiser's moments.
    pub fn load_moments(&self, moments: &[f32]) {
        self.gpu.write(&self.moment, moments);
    }

    /// Submits one step: `images` (N, S, S, 4) normalised, `labels` (N), the shapes of every image's network.
    pub fn step(&self, images: &[f32], labels: &[u32], shapes: &[&[LayerShape]], control: Control) {
        assert_eq!(shapes.len(), self.memory.images as usize, "every image has a network");
        let largest = self.memory.write_widths(&self.gpu, &self.graph, shapes);
        let tensors: Vec<_> = self.graph.params.iter().map(|param| param.step_tensor(&largest)).collect();
        self.gpu.write(&self.tensors, &tensors);
        self.gpu.write(&self.memory.control, &[control]);
        self.gpu.write(&self.labels, labels);
        self.gpu.write(&self.memory.maps[&Value::Of(Graph::IMAGES)].buf, images);
        self.program.run();
    }

    /// What the steps since the totals were last set came to, waiting for the device.
    pub fn totals(&self) -> Result<Totals, NetworkError> {
        let totals: Vec<Totals> = self.gpu.read(&self.total)?;
        Ok(totals[0])
    }

    /// Sets what the next steps are added to.
    pub fn load_totals(&self, totals: Totals) {
        self.gpu.write(&self.total, &[totals]);
    }

    /// Loss of every image of the last step.
    pub fn losses(&self) -> Result<Vec<f32>, NetworkError> {
        let result: Vec<f32> = self.gpu.read(&self.result)?;
        Ok(result.chunks(2).take(self.memory.images as usize).map(|pair| pair[0]).collect())
    }

    /// Gradients of the last step, laid out like the parameters.
    pub fn gradients(&self) -> Result<Vec<f32>, NetworkError> {
        Ok(self.gpu.read(&self.gradients)?)
    }
}

/// A graph made ready to score sub-networks: groups of images, each group a network with its own
/// widths and statistics.
pub struct Scoring {
    gpu: Gpu,
    graph: Graph,
    memory: Memory,
    recalibrate: Program,
    evaluate: Program,
}

impl Scoring {
    /// `groups` networks at a time, each on `group_images` images.
    pub fn new(
        gpu: &Gpu,
        graph: Graph,
        tuning: &Tuning,
        [groups, group_images]: [u32; 2],
    ) -> Result<Self, NetworkError> {
        let actions: Vec<Access> = graph.ops.iter().map(Op::forward_access).collect();
        let memory = Memory::new(gpu, &graph, tuning, [groups * group_images, group_images], &actions)?;
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

    /// Images that every network sees in a pass.
    pub fn group_images(&self) -> u32 {
        self.memory.group_images
    }

    /// Bytes that it holds.
    pub fn footprint(&self) -> Footprint {
        self.memory.footprint
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
        let map = &self.memory.maps[&Value::Of(self.graph.logits)];
        let padded: Vec<f32> = self.gpu.read(&map.buf)?;
        Ok(unpad(&padded, map))
    }

    /// The running statistics of the first group.
    pub fn running(&self) -> Result<Vec<Vec<f32>>, NetworkError> {
        Ok(self.memory.read_running(&self.gpu, &self.graph)?)
    }

    fn write_images(&self, images: &[f32]) {
        let buf = &self.memory.maps[&Value::Of(Graph::IMAGES)].buf;
        let bytes = size_of_val(images).next_multiple_of(256) as u64;
        assert_eq!(bytes as usize, size_of_val(images), "a group's images are whole blocks of 256 bytes");
        for group in 0..u64::from(self.groups()) {
            self.gpu.write(&buf.range(group * bytes, bytes, "images"), images);
        }
    }
}

/// The values of a map of one pixel an image without the padding of its channels.
fn unpad(padded: &[f32], map: &Map) -> Vec<f32> {
    let stride = map.quads() as usize * 4;
    padded
        .chunks(stride)
        .take(map.images as usize)
        .flat_map(|row| row[..map.channels as usize].iter().copied())
        .collect()
}

/// A network as it is deployed: normalisation folded, one launch an operation.
pub struct Deployed {
    gpu: Gpu,
    program: Program,
    images: Map,
    logits: Map,
    footprint: Footprint,
}

impl Deployed {
    /// `graph` with `weights`, for batches of `batch`.
    ///
    /// The graph is a compact one, or a super-network's that runs at its full widths.
    pub fn new(
        gpu: &Gpu,
        graph: &Graph,
        weights: &Weights,
        shapes: &[LayerShape],
        tuning: &Tuning,
        batch: u32,
    ) -> Result<Self, NetworkError> {
        let fused = fuse(graph);
        let actions: Vec<Access> = fused.iter().map(|op| op.access(graph)).collect();
        let memory = Memory::new(gpu, graph, tuning, [batch, batch], &actions)?;
        memory.write_weights(gpu, graph, weights)?;
        memory.write_widths(gpu, graph, &vec![shapes; batch as usize]);
        let mut rec = Recording::new();
        let recorder = memory.recorder(graph, tuning);
        for op in &fused {
            op.record(gpu, &mut rec, &recorder, weights)?;
        }
        let map = |tensor| memory.maps[&Value::Of(tensor)].clone();
        Ok(Self {
            gpu: gpu.clone(),
            program: Program::new(gpu, rec)?,
            images: map(Graph::IMAGES),
            logits: map(graph.logits),
            footprint: memory.footprint,
        })
    }

    /// Logits (N, classes) of `images` (N, S, S, 4), normalised.
    pub fn logits(&self, images: &[f32]) -> Result<Vec<f32>, NetworkError> {
        self.gpu.write(&self.images.buf, images);
        self.program.run();
        let padded: Vec<f32> = self.gpu.read(&self.logits.buf)?;
        Ok(unpad(&padded, &self.logits))
    }

    /// Its launches, for measuring.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// Its launches alone.
    pub fn into_program(self) -> Program {
        self.program
    }

    /// Bytes that it holds.
    pub fn footprint(&self) -> Footprint {
        self.footprint
    }
}

impl Fused<'_> {
    fn access(&self, graph: &Graph) -> Access {
        let mut access = self.op.forward_access();
        if let Some(Op::Norm { shortcut, y, .. }) = self.norm {
            access.reads.extend(shortcut.map(|edge| Value::Of(edge.end)));
            access.writes = vec![Value::Of(*y)];
        }
        debug_assert!(access.reads.iter().all(|v| matches!(v, Value::Of(t) if *t < graph.tensors.len())));
        access
    }

    fn record(
        &self,
        gpu: &Gpu,
        rec: &mut Recording,
        recorder: &Recorder<'_>,
        weights: &Weights,
    ) -> Result<(), GpuError> {
        let graph = recorder.graph;
        let of = |tensor: usize| recorder.map(Value::Of(tensor));
        let (tuning, widths) = (recorder.tuning, recorder.widths);
        if let Some(Op::Norm { y, .. }) = self.norm {
            rec.scope(&graph.tensors[*y].name);
        }
        let folded = |weight: usize| -> Result<_, GpuError> {
            let Some(Op::Norm { activation, shortcut, y, .. }) = self.norm else {
                unreachable!("a convolution is followed by its normalisation or bias")
            };
            let folded = self.fold(graph, weights, weight);
            let weight = gpu.upload("folded weights", &folded.weight)?;
            let bias = gpu.upload("folded bias", &folded.bias)?;
            Ok((weight, bias, *activation, *shortcut, of(*y)))
        };
        match self.op {
            Op::Conv { conv, x, weight, .. } => {
                let (weight, bias, activation, shortcut, y) = folded(*weight)?;
                let merge = shortcut.map(|edge| crate::kernels::Merge {
                    kind: edge.kind,
                    source: of(edge.end),
                    bypass: edge.bypass,
                });
                let deployed = Some(conv::Deployed { bias: &bias, activation });
                let io = conv::Forward { x: of(*x), weight: &weight, deployed, merge, y };
                conv::forward(rec, tuning, conv, widths, io);
            }
            Op::Linear { conv, x, weight, .. } => {
                let (weight, bias, activation, _, y) = folded(*weight)?;
                let deployed = Some(conv::Deployed { bias: &bias, activation });
                let io =
                    conv::Forward { x: &of(*x).as_rows(), weight: &weight, deployed, merge: None, y: &y.as_rows() };
                conv::forward(rec, tuning, conv, widths, io);
            }
            Op::Depthwise { depthwise, x, weight, .. } => {
                let (weight, bias, activation, _, y) = folded(*weight)?;
                let deployed = Some(conv::Deployed { bias: &bias, activation });
                let io = depthwise::Forward { x: of(*x), weight: &weight, deployed, y };
                depthwise::forward(rec, tuning, depthwise, widths, io);
            }
            Op::Pool { x, kept, y, .. } => {
                rec.scope(&graph.tensors[*y].name);
                pool::forward(rec, tuning, widths, *kept, of(*x), of(*y));
            }
            Op::Excite { x, gate, kept, y } => {
                rec.scope(&graph.tensors[*y].name);
                excite::forward(rec, tuning, widths, *kept, excite::Forward { x: of(*x), gate: of(*gate), y: of(*y) });
            }
            Op::Norm { .. } => unreachable!("a normalisation follows a convolution, which takes it along"),
        }
        Ok(())
    }
}
