//! Programs of a graph: training steps, scoring of many sub-networks in one pass, deployment.

use super::fold::{Fused, fuse};
use super::memory::{Fits, Footprint, Memory, Plan, parameter_bytes, what_fits};
use super::plan::{Access, Value};
use super::record::{Mode, Recorder};
use super::{Graph, Op, Weights};
use crate::gpu::{Buf, Gpu, GpuError, Program, Recording};
use crate::kernels::conv;
use crate::kernels::loss::{self, CrossEntropy, Target};
use crate::kernels::optimizer::{self, BLOCK, Control, Rule};
use crate::kernels::{Map, Tuning, depthwise, excite, pool, reduce};
use crate::space::{LayerShape, Optimizer, TrainSettings};

/// Why a network could not be made ready or run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetworkError {
    /// The device refused.
    #[error(transparent)]
    Gpu(#[from] GpuError),
    /// A training that the device has no room for.
    #[error("{source}; training in batches of {batch} does not fit: {fits}")]
    NoRoom {
        /// What the device said.
        source: GpuError,
        /// Images of a step.
        batch: u32,
        /// What would fit.
        fits: Fits,
    },
    /// Memory that the images of a batch do not fit into.
    #[error("the images have {got} bytes, and the network reads {expected}")]
    Images {
        /// Bytes of a batch.
        expected: u64,
        /// Bytes given.
        got: u64,
    },
    /// Weights of another network.
    #[error("the weights have {got} values, the network {expected}")]
    Weights {
        /// Values that the network has.
        expected: usize,
        /// Values given.
        got: usize,
    },
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

impl TrainingOptions {
    /// What a space's settings ask for, in batches of `batch`.
    pub fn of(settings: &TrainSettings, batch: u32, tuning: Tuning) -> Self {
        let (momentum, decay) = (settings.momentum, settings.weight_decay);
        let rule = match settings.optimizer {
            Optimizer::Sgd => Rule::Sgd { momentum, decay },
            Optimizer::AdamW => Rule::AdamW { first: momentum, second: 0.999, epsilon: 1e-8, decay },
        };
        let (smoothing, statistics) = (settings.label_smoothing, BatchStatistics::OfBatch);
        Self { batch, rule, smoothing, statistics, tuning }
    }
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

/// A network whose output on the same images is a share of a training's target (Hinton, Vinyals, Dean 2015).
pub struct Teacher {
    /// The network, for batches of the training's size.
    pub network: Deployed,
    /// Its share of the target, 0 to 1.
    pub share: f32,
}

/// A graph made ready for training steps.
pub struct Training {
    gpu: Gpu,
    graph: Graph,
    memory: Memory,
    program: Program,
    teacher: Option<Teacher>,
    targets: Buf,
    tensors: Buf,
    gradients: Buf,
    moment: Buf,
    total: Buf,
    result: Buf,
}

impl Training {
    fn plan(graph: &Graph, options: &TrainingOptions) -> Plan {
        let mut actions: Vec<Access> = graph.ops.iter().map(Op::forward_access).collect();
        actions.push(Access { reads: vec![Value::Of(graph.logits)], writes: vec![Value::Gradient(graph.logits)] });
        actions.extend(graph.ops.iter().rev().map(|op| op.backward_access(graph)));
        Plan::new(graph, &options.tuning, [options.batch; 2], &actions)
    }

    /// Bytes that a training will hold.
    pub fn needs(graph: &Graph, options: &TrainingOptions) -> Footprint {
        let mut footprint = Self::plan(graph, options).footprint();
        footprint.state += parameter_bytes(graph) * u64::from(1 + options.rule.moments());
        footprint
    }

    /// Allocates and records everything once.
    ///
    /// # Errors
    /// `NetworkError::NoRoom` says what would fit; the statistics of a smaller batch are others, so none is taken
    /// unasked.
    pub fn new(gpu: &Gpu, graph: Graph, options: TrainingOptions) -> Result<Self, NetworkError> {
        Self::taught(gpu, graph, options, None)
    }

    /// The same with a teacher.
    ///
    /// # Errors
    /// As without one.
    pub fn taught(
        gpu: &Gpu,
        graph: Graph,
        options: TrainingOptions,
        teacher: Option<Teacher>,
    ) -> Result<Self, NetworkError> {
        let held = gpu.held_bytes();
        Self::make(gpu, graph.clone(), options, teacher).map_err(|error| match error {
            source @ (GpuError::OutOfMemory { .. } | GpuError::TooLarge { .. }) => {
                let fits = what_fits(&graph, &options, &source, held);
                NetworkError::NoRoom { source, batch: options.batch, fits }
            }
            error => error.into(),
        })
    }

    fn make(gpu: &Gpu, graph: Graph, options: TrainingOptions, teacher: Option<Teacher>) -> Result<Self, GpuError> {
        let TrainingOptions { batch, rule, smoothing, statistics, tuning } = options;
        let mode = match statistics {
            BatchStatistics::OfBatch => Mode::Batch,
            BatchStatistics::Frozen => Mode::Frozen,
        };
        let mut memory = Memory::new(gpu, &graph, Self::plan(&graph, &options))?;

        let blocks = graph.blocks();
        let bytes = parameter_bytes(&graph);
        let gradients = gpu.allocate("gradients", bytes)?;
        let moment = gpu.allocate("moments", bytes * u64::from(rule.moments()))?;
        memory.footprint = Self::needs(&graph, &options);
        let targets = gpu.allocate("targets", u64::from(batch) * size_of::<Target>() as u64)?;
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
                targets: &targets,
                smoothing,
                teacher: teacher.as_ref().map(|teacher| (&teacher.network.logits, teacher.share)),
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
        Ok(Self {
            gpu: gpu.clone(),
            graph,
            memory,
            program,
            teacher,
            targets,
            tensors,
            gradients,
            moment,
            total,
            result,
        })
    }

    /// The network that it trains.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Classes that it tells apart.
    pub fn classes(&self) -> u32 {
        self.graph.tensors[self.graph.logits].channels
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
        let targets: Vec<Target> = labels.iter().map(|label| Target::sure(*label)).collect();
        self.step_towards(images, &targets, shapes, control);
    }

    /// As [`Training::step`], for images that may be mixed.
    pub fn step_towards(&self, images: &[f32], targets: &[Target], shapes: &[&[LayerShape]], control: Control) {
        assert_eq!(shapes.len(), self.memory.images as usize, "every image has a network");
        let largest = self.memory.write_widths(&self.gpu, &self.graph, shapes);
        let tensors: Vec<_> = self.graph.params.iter().map(|param| param.step_tensor(&largest)).collect();
        self.gpu.write(&self.tensors, &tensors);
        self.gpu.write(&self.memory.control, &[control]);
        self.gpu.write(&self.targets, targets);
        self.gpu.write(&self.memory.maps[&Value::Of(Graph::IMAGES)].buf, images);
        if let Some(teacher) = &self.teacher {
            teacher.network.run(images);
        }
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
    fn plan(graph: &Graph, tuning: &Tuning, [groups, group_images]: [u32; 2]) -> Plan {
        let actions: Vec<Access> = graph.ops.iter().map(Op::forward_access).collect();
        Plan::new(graph, tuning, [groups * group_images, group_images], &actions)
    }

    /// Bytes that scoring `groups` networks at a time, each on `group_images` images, will hold.
    pub fn needs(graph: &Graph, tuning: &Tuning, passes: [u32; 2]) -> Footprint {
        Self::plan(graph, tuning, passes).footprint()
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
    /// What a network for batches of `batch` will hold.
    pub fn needs(graph: &Graph, tuning: &Tuning, batch: u32) -> Footprint {
        let actions: Vec<Access> = fuse(graph).iter().map(|op| op.access(graph)).collect();
        Plan::new(graph, tuning, [batch; 2], &actions).footprint()
    }

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
        Self::make(gpu, graph, weights, shapes, tuning, batch, None)
    }

    /// The same for one image, which it reads from `image` (S, S, 4), f32: memory that somebody else writes.
    ///
    /// # Errors
    /// `NetworkError::Images` where that is too small.
    pub fn reading(
        gpu: &Gpu,
        graph: &Graph,
        weights: &Weights,
        shapes: &[LayerShape],
        tuning: &Tuning,
        image: Buf,
    ) -> Result<Self, NetworkError> {
        Self::make(gpu, graph, weights, shapes, tuning, 1, Some(image))
    }

    fn make(
        gpu: &Gpu,
        graph: &Graph,
        weights: &Weights,
        shapes: &[LayerShape],
        tuning: &Tuning,
        batch: u32,
        images: Option<Buf>,
    ) -> Result<Self, NetworkError> {
        let fused = fuse(graph);
        let actions: Vec<Access> = fused.iter().map(|op| op.access(graph)).collect();
        let mut memory = Memory::new(gpu, graph, Plan::new(graph, tuning, [batch; 2], &actions))?;
        if let Some(images) = images {
            let map = memory.maps.get_mut(&Value::Of(Graph::IMAGES)).expect("every graph has images");
            let expected = u64::from(batch * map.height * map.width * map.quads()) * 16;
            if images.bytes() < expected {
                return Err(NetworkError::Images { expected, got: images.bytes() });
            }
            map.buf = images;
        }
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

    /// Submits its launches on the images that are in its memory, and returns without waiting.
    pub fn submit(&self) {
        self.program.run();
    }

    /// Where the logits are written: (N, classes), classes padded to whole quads.
    pub fn output(&self) -> &Buf {
        &self.logits.buf
    }

    /// Submits its launches on `images` (N, S, S, 4), normalised.
    fn run(&self, images: &[f32]) {
        self.gpu.write(&self.images.buf, images);
        self.program.run();
    }

    /// Logits (N, classes) of `images` (N, S, S, 4), normalised.
    pub fn logits(&self, images: &[f32]) -> Result<Vec<f32>, NetworkError> {
        self.run(images);
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
