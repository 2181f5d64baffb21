//! A graph made ready for training steps.

use super::deployed::Deployed;
use super::error::NetworkError;
use super::memory::{Footprint, Memory, MemoryPlan, parameter_bytes, what_fits};
use super::parts::Waiting;
use super::record::{Mode, Sums, Update};
use super::slots::{Uses, Value};
use super::{Graph, Op, Weights};
use crate::gpu::{Buf, Gpu, GpuError, Precision, Program, Recording};
use crate::kernels::loss::{self, CrossEntropy, Target};
use crate::kernels::optimizer::{self, BLOCK, Control, Rule};
use crate::kernels::{Map, Tuning, conv, convert, reduce};
use crate::space::{LayerShape, Optimizer, TrainSettings};

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
    /// Precision of the feature maps and their gradients.
    pub precision: Precision,
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
        Self { batch, rule, smoothing, statistics, precision: settings.precision, tuning }
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

impl Teacher {
    /// A network that teaches in batches of `batch`.
    ///
    /// # Errors
    /// `NetworkError::NoRoom` where the device has none for it: its maps are of f32, whatever a training's are.
    pub fn new(
        gpu: &Gpu,
        graph: &Graph,
        weights: &Weights,
        tuning: &Tuning,
        (batch, share): (u32, f32),
    ) -> Result<Self, NetworkError> {
        let make = |graph: &Graph, batch: u32| Deployed::new(gpu, graph, weights, tuning, batch);
        let network = make(graph, batch).map_err(|error| {
            let fits = |graph: &Graph, batch: u32| make(graph, batch).is_ok();
            error.with_advice("a teacher's answers", batch, || what_fits(graph, batch, fits))
        })?;
        Ok(Self { network, share })
    }
}

/// Bytes of the buffers that a training has beside its plan's.
struct OwnBytes {
    /// Gradients, weights of dense layers transposed, moments.
    parameters: [u64; 3],
    /// Gradients in parts.
    parts: u64,
    /// Images as they come, where maps are not of f32.
    images: Option<u64>,
}

impl OwnBytes {
    fn of(graph: &Graph, options: &TrainingOptions) -> Self {
        let bytes = parameter_bytes(graph);
        let images = Map::bytes_of(graph.images_shape(options.batch), Precision::F32);
        Self {
            parameters: [bytes, bytes, bytes * u64::from(options.rule.moments())],
            parts: Waiting::room(graph, &options.tuning, options.batch),
            images: (options.precision != Precision::F32).then_some(images),
        }
    }

    fn buffers(&self) -> impl Iterator<Item = u64> {
        self.parameters.into_iter().chain([self.parts]).chain(self.images)
    }
}

/// A graph made ready for training steps.
pub struct Training {
    gpu: Gpu,
    graph: Graph,
    memory: Memory,
    program: Program,
    teacher: Option<Teacher>,
    /// What a step's images are written to, of f32.
    images: Map,
    targets: Buf,
    tensors: Buf,
    gradients: Buf,
    moment: Buf,
    total: Buf,
    result: Buf,
}

impl Training {
    fn plan(graph: &Graph, options: &TrainingOptions) -> MemoryPlan {
        let mut actions: Vec<Uses> = graph.ops.iter().map(Op::forward_access).collect();
        actions.push(Uses { reads: vec![Value::Of(graph.logits)], writes: vec![Value::Gradient(graph.logits)] });
        actions.extend(graph.ops.iter().rev().map(|op| op.backward_access(graph)));
        MemoryPlan::new(graph, &options.tuning, [options.batch; 2], options.precision, &actions, Sums::Gradients)
    }

    /// Bytes that a training will hold.
    pub fn needs(graph: &Graph, options: &TrainingOptions) -> Footprint {
        let mut footprint = Self::plan(graph, options).footprint();
        let own = OwnBytes::of(graph, options);
        footprint.state += own.parameters.iter().sum::<u64>();
        footprint.scratch += own.parts;
        footprint.maps += own.images.unwrap_or(0);
        footprint.largest = own.buffers().fold(footprint.largest, u64::max);
        footprint
    }

    /// Whether the device gives all of it now.
    pub(super) fn has_room(gpu: &Gpu, graph: &Graph, options: &TrainingOptions) -> bool {
        let own = OwnBytes::of(graph, options);
        let held = |_memory| own.buffers().map(|bytes| gpu.allocate("a trial", bytes)).collect::<Result<Vec<_>, _>>();
        Memory::new(gpu, graph, Self::plan(graph, options)).and_then(held).is_ok()
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
        Self::make(gpu, graph.clone(), options, teacher).map_err(|error| {
            let fits = |graph: &Graph, batch: u32| Self::has_room(gpu, graph, &TrainingOptions { batch, ..options });
            NetworkError::from(error).with_advice("training", options.batch, || what_fits(&graph, options.batch, fits))
        })
    }

    fn make(gpu: &Gpu, graph: Graph, options: TrainingOptions, teacher: Option<Teacher>) -> Result<Self, GpuError> {
        let TrainingOptions { batch, rule, smoothing, statistics, precision, tuning } = options;
        let mode = match statistics {
            BatchStatistics::OfBatch => Mode::Batch,
            BatchStatistics::Frozen => Mode::Frozen,
        };
        let mut memory = Memory::new(gpu, &graph, Self::plan(&graph, &options))?;

        let blocks = graph.blocks();
        let own = OwnBytes::of(&graph, &options);
        let [gradients, transposed, moments] = own.parameters;
        let gradients = gpu.allocate("gradients", gradients)?;
        let transposed = gpu.allocate("weights of dense layers, transposed", transposed)?;
        let moment = gpu.allocate("moments", moments)?;
        let parts = gpu.allocate("gradients in parts", own.parts)?;
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

        let images = match precision {
            Precision::F32 => memory.maps[&Value::Of(Graph::IMAGES)].clone(),
            Precision::Bf16 => Map::new(gpu, "images", graph.images_shape(batch))?,
        };

        let mut rec = Recording::new();
        {
            let recorder = memory.recorder(&graph, &tuning);
            if precision != Precision::F32 {
                rec.scope("images");
                convert::narrow(&mut rec, &tuning, &images, recorder.map(Value::Of(Graph::IMAGES)));
            }
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
            rec.scope("weights");
            let io = conv::Transpose {
                tensors: &tensors,
                block_tensor: &block_tensor,
                weight: &memory.params,
                transposed: &transposed,
            };
            conv::transpose(&mut rec, blocks, io);
            let waiting = Waiting::default();
            let mut update = Update { gradients: &gradients, transposed: &transposed, parts: &parts, waiting };
            for op in graph.ops.iter().rev() {
                recorder.backward(&mut rec, op, &mut update);
            }
            recorder.add_up(&mut rec, &mut update);
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
            images,
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
        self.gpu.write(&self.images.buf, images);
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
