//! Launches of each operation, forward and backward, and what each of them reads and writes.

use super::parts::{InParts, Waiting};
use super::slots::{Uses, Value};
use super::{Graph, Op, ParamId, ShortcutEdge, TensorId, statistics_bytes};
use crate::gpu::{Buf, Recording};
use crate::kernels::bias::{self, Bias};
use crate::kernels::conv::{self, BackwardMerge, Conv};
use crate::kernels::norm::{self, Norm, Source};
use crate::kernels::optimizer::BLOCK;
use crate::kernels::{Map, Merge, RowId, Tuning, Widths, depthwise, excite, pool, reduce};
use crate::space::Activation;
use std::collections::HashMap;

/// Which statistics a batch normalisation uses on the way forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Those of the batch, which also update the running ones.
    Batch,
    /// The running ones.
    Running,
    /// What was loaded into the place of the batch's.
    Frozen,
}

/// All that launches are recorded with.
pub(super) struct Recorder<'a> {
    pub(super) graph: &'a Graph,
    pub(super) tuning: &'a Tuning,
    pub(super) images: u32,
    pub(super) group_images: u32,
    pub(super) maps: HashMap<Value, Map>,
    pub(super) widths: &'a Widths,
    pub(super) control: &'a Buf,
    pub(super) params: &'a Buf,
    pub(super) moments: &'a Buf,
    pub(super) running: &'a Buf,
    pub(super) scratch: &'a Buf,
}

/// What the way back has beside the way forward.
pub(super) struct Update<'a> {
    /// The gradients, laid out like the parameters, written.
    pub(super) gradients: &'a Buf,
    /// The weights of dense layers, inputs and filters in each other's place, laid out likewise.
    pub(super) transposed: &'a Buf,
    /// Room for gradients in parts, of `Waiting::room` bytes.
    pub(super) parts: &'a Buf,
    /// The gradients that are there.
    pub(super) waiting: Waiting,
}

impl Op {
    /// What it reads and writes on the way forward.
    pub(super) fn forward_access(&self) -> Uses {
        let of = |tensors: &[TensorId]| tensors.iter().map(|t| Value::Of(*t)).collect();
        match self {
            Self::Conv { x, z, .. } | Self::Depthwise { x, z, .. } | Self::Linear { x, z, .. } => {
                Uses { reads: of(&[*x]), writes: of(&[*z]) }
            }
            Self::Norm { z, shortcut: Some(edge), y, .. } => Uses { reads: of(&[*z, edge.end]), writes: of(&[*y]) },
            Self::Norm { z, y, .. } | Self::Bias { z, y, .. } => Uses { reads: of(&[*z]), writes: of(&[*y]) },
            Self::Pool { x, y, .. } => Uses { reads: of(&[*x]), writes: of(&[*y]) },
            Self::Excite { x, gate, y, .. } => Uses { reads: of(&[*x, *gate]), writes: of(&[*y]) },
        }
    }

    /// What it reads and writes on the way back. Every gradient is written once.
    pub(super) fn backward_access(&self, graph: &Graph) -> Uses {
        use Value::{Gradient, Of};
        match self {
            Self::Conv { x, z, source_of, .. } => {
                let mut reads = vec![Of(*x), Gradient(*z)];
                reads.extend(source_of.map(|edge| Gradient(edge.end)));
                let writes = if *x == Graph::IMAGES { Vec::new() } else { vec![Gradient(*x)] };
                Uses { reads, writes }
            }
            Self::Depthwise { x, z, .. } | Self::Linear { x, z, .. } => {
                Uses { reads: vec![Of(*x), Gradient(*z)], writes: vec![Gradient(*x)] }
            }
            Self::Norm { z, y, .. } | Self::Bias { z, y, .. } => {
                Uses { reads: vec![Of(*z), Gradient(*y)], writes: vec![Gradient(*z)] }
            }
            Self::Pool { x, y, excite, .. } => {
                let mut reads = vec![Gradient(*y)];
                if let Some(Self::Excite { gate, y: excited, .. }) = excite.map(|op| &graph.ops[op]) {
                    reads.extend([Of(*gate), Gradient(*excited)]);
                }
                Uses { reads, writes: vec![Gradient(*x)] }
            }
            Self::Excite { x, gate, y, .. } => {
                Uses { reads: vec![Of(*x), Gradient(*y)], writes: vec![Gradient(*gate)] }
            }
        }
    }
}

impl Recorder<'_> {
    pub(super) fn map(&self, value: Value) -> &Map {
        &self.maps[&value]
    }

    /// The part of a buffer laid out like the parameters that belongs to one of them.
    pub(super) fn param(&self, buf: &Buf, param: ParamId) -> Buf {
        let param = &self.graph.params[param];
        let offset = u64::from(param.first_block * BLOCK) * 16;
        buf.range(offset, u64::from(param.quads()) * 16, &param.name)
    }

    /// The part of a buffer of statistics with `rows` rows a group that belongs to `index`.
    fn statistics(&self, buf: &Buf, index: usize, rows: u32) -> Buf {
        let groups = self.images / self.group_images;
        let statistics = &self.graph.statistics[index];
        let offset = self.graph.statistics_offset(index, rows * groups);
        buf.range(offset, statistics_bytes(statistics.channels, rows * groups), &statistics.name)
    }

    fn norm(&self, z: TensorId, kept: RowId, activation: Activation) -> Norm {
        let filters = self.graph.tensors[z].channels;
        Norm { filters, kept, activation, group_images: self.group_images }
    }

    pub(super) fn merge(&self, edge: &ShortcutEdge) -> Merge<'_> {
        Merge { kind: edge.kind, source: self.map(Value::Of(edge.end)), bypass: edge.bypass }
    }

    /// Appends an operation's forward launches.
    pub(super) fn forward(&self, rec: &mut Recording, op: &Op, mode: Mode) {
        let of = |tensor: &TensorId| self.map(Value::Of(*tensor));
        rec.scope(&self.name(op));
        match op {
            Op::Conv { conv, x, weight, z, .. } => {
                let weight = &self.param(self.params, *weight);
                let io = conv::Forward { x: of(x), weight, deployed: None, merge: None, y: of(z) };
                conv::forward(rec, self.tuning, conv, self.widths, io);
            }
            Op::Linear { conv, x, weight, z } => {
                let weight = &self.param(self.params, *weight);
                let io =
                    conv::Forward { x: &of(x).as_rows(), weight, deployed: None, merge: None, y: &of(z).as_rows() };
                conv::forward(rec, self.tuning, conv, self.widths, io);
            }
            Op::Depthwise { depthwise, x, weight, z } => {
                let weight = &self.param(self.params, *weight);
                let io = depthwise::Forward { x: of(x), weight, deployed: None, y: of(z) };
                depthwise::forward(rec, self.tuning, depthwise, self.widths, io);
            }
            Op::Norm { z, affine, statistics, activation, kept, shortcut, y } => {
                let norm = self.norm(*z, *kept, *activation);
                let moments = &self.statistics(self.moments, *statistics, 3);
                let running = &self.statistics(self.running, *statistics, 2);
                if mode == Mode::Batch {
                    let io =
                        norm::Statistics { z: of(z), control: self.control, partial: self.scratch, moments, running };
                    norm::statistics(rec, self.tuning, &norm, self.widths, io);
                }
                let io = norm::Apply {
                    z: of(z),
                    statistics: match mode {
                        Mode::Batch | Mode::Frozen => Source::Batch(moments),
                        Mode::Running => Source::Running(running),
                    },
                    affine: &self.param(self.params, *affine),
                    merge: shortcut.as_ref().map(|edge| self.merge(edge)),
                    y: of(y),
                };
                norm::apply(rec, self.tuning, &norm, self.widths, io);
            }
            Op::Bias { z, bias, activation, kept, y } => {
                let kernel = Bias { kept: *kept, activation: *activation };
                let io = bias::Forward { z: of(z), bias: &self.param(self.params, *bias), y: of(y) };
                bias::forward(rec, self.tuning, &kernel, self.widths, io);
            }
            Op::Pool { x, kept, y, .. } => pool::forward(rec, self.tuning, self.widths, *kept, of(x), of(y)),
            Op::Excite { x, gate, kept, y } => {
                let io = excite::Forward { x: of(x), gate: of(gate), y: of(y) };
                excite::forward(rec, self.tuning, self.widths, *kept, io);
            }
        }
    }

    /// Appends an operation's backward launches; `add_up` has to follow the last one's.
    pub(super) fn backward(&self, rec: &mut Recording, op: &Op, update: &mut Update) {
        let of = |tensor: &TensorId| self.map(Value::Of(*tensor));
        let gradient = |tensor: &TensorId| self.map(Value::Gradient(*tensor));
        rec.scope(&self.name(op));
        match op {
            Op::Conv { conv, x, weight, z, source_of } => {
                let dw = &self.gradient_of_weights(rec, op, *weight, update);
                let transposed = &self.param(update.transposed, *weight);
                let operands = DenseOperands { conv, x: of(x), dz: gradient(z), transposed, dw };
                let dx = (*x != Graph::IMAGES).then(|| gradient(x));
                self.dense_backward(rec, operands, source_of.as_ref(), dx);
            }
            Op::Linear { conv, x, weight, z } => {
                let (x_rows, dz, dx) = (of(x).as_rows(), gradient(z).as_rows(), gradient(x).as_rows());
                let dw = &self.gradient_of_weights(rec, op, *weight, update);
                let transposed = &self.param(update.transposed, *weight);
                let operands = DenseOperands { conv, x: &x_rows, dz: &dz, transposed, dw };
                self.dense_backward(rec, operands, None, Some(&dx));
            }
            Op::Depthwise { depthwise, x, weight, z } => {
                let partial = &self.gradient_of_weights(rec, op, *weight, update);
                let io = depthwise::BackwardWeight { x: of(x), dz: gradient(z), partial };
                depthwise::backward_weight(rec, self.tuning, depthwise, self.widths, io);
                let weight = &self.param(self.params, *weight);
                let io = depthwise::BackwardData { dz: gradient(z), weight, dx: gradient(x) };
                depthwise::backward_data(rec, self.tuning, depthwise, self.widths, io);
            }
            Op::Norm { z, affine, statistics, activation, kept, y, .. } => {
                let io = norm::Backward {
                    dy: gradient(y),
                    z: of(z),
                    moments: &self.statistics(self.moments, *statistics, 3),
                    affine: &self.param(self.params, *affine),
                    partial: self.scratch,
                    gradient: &self.param(update.gradients, *affine),
                    dz: gradient(z),
                };
                norm::backward(rec, self.tuning, &self.norm(*z, *kept, *activation), self.widths, io);
            }
            Op::Bias { z, bias, activation, kept, y } => {
                let kernel = Bias { kept: *kept, activation: *activation };
                let io = bias::Backward {
                    dy: gradient(y),
                    z: of(z),
                    bias: &self.param(self.params, *bias),
                    dz: gradient(z),
                    gradient: &self.param(update.gradients, *bias),
                };
                bias::backward(rec, self.tuning, &kernel, self.widths, io);
            }
            Op::Pool { x, kept, y, excite } => match excite.map(|op| &self.graph.ops[op]) {
                Some(Op::Excite { gate, y: excited, .. }) => {
                    let io =
                        excite::Backward { dy: gradient(excited), gate: of(gate), dpool: gradient(y), dx: gradient(x) };
                    excite::backward(rec, self.tuning, self.widths, *kept, io);
                }
                _ => pool::backward(rec, self.tuning, self.widths, *kept, gradient(y), gradient(x)),
            },
            Op::Excite { x, gate, kept, y } => {
                let io = excite::BackwardGate { dy: gradient(y), x: of(x), dgate: gradient(gate) };
                excite::backward_gate(rec, self.tuning, self.widths, *kept, io);
            }
        }
    }

    fn dense_backward(
        &self,
        rec: &mut Recording,
        DenseOperands { conv, x, dz, transposed, dw }: DenseOperands,
        source_of: Option<&ShortcutEdge>,
        dx: Option<&Map>,
    ) {
        let io = conv::BackwardWeight { x, dz, partial: dw };
        conv::backward_weight(rec, self.tuning, conv, self.widths, io);
        if let Some(dx) = dx {
            let merge = source_of.map(|edge| BackwardMerge {
                merge: Merge { kind: edge.kind, source: self.map(Value::Gradient(edge.end)), bypass: edge.bypass },
                kept: edge.kept,
            });
            let io = conv::BackwardData { dz, transposed, merge, dx };
            conv::backward_data(rec, self.tuning, conv, self.widths, io);
        }
    }

    /// Where the gradient of an operation's weights is written: its parts in their room, from which others are added up
    /// first where it is full, or the gradient itself.
    fn gradient_of_weights(&self, rec: &mut Recording, op: &Op, weight: ParamId, update: &mut Update) -> Buf {
        let Some(gradient) = InParts::of(self.graph, op, self.tuning, self.images) else {
            return self.param(update.gradients, weight);
        };
        if !update.waiting.takes(&gradient, self.tuning) {
            self.add_up(rec, update);
            rec.scope(&self.name(op));
        }
        let place = update.waiting.add(&gradient);
        update.parts.range(place.start, place.end - place.start, &self.graph.params[weight].name)
    }

    /// Appends the sums of all gradients that wait for it.
    pub(super) fn add_up(&self, rec: &mut Recording, update: &mut Update) {
        let sums = update.waiting.take();
        if !sums.is_empty() {
            rec.scope("gradients");
            reduce::sums(rec, self.tuning, &sums, update.parts, update.gradients);
        }
    }

    fn name(&self, op: &Op) -> String {
        let tensor = match op {
            Op::Conv { z, .. } | Op::Depthwise { z, .. } | Op::Linear { z, .. } => z,
            Op::Norm { y, .. } | Op::Bias { y, .. } | Op::Pool { y, .. } | Op::Excite { y, .. } => y,
        };
        self.graph.tensors[*tensor].name.clone()
    }
}

/// What the gradients of a dense convolution are computed from.
struct DenseOperands<'a> {
    conv: &'a Conv,
    x: &'a Map,
    dz: &'a Map,
    /// Weights, inputs and filters in each other's place.
    transposed: &'a Buf,
    /// The gradient of the weights, in parts where there are some.
    dw: &'a Buf,
}

/// What each operation of a graph that is made ready sums up in parts, one operation at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sums {
    /// Nothing: its statistics are in its weights.
    Nothing,
    /// Statistics of batches.
    Statistics,
    /// These and their gradients, and the norm of all gradients.
    Gradients,
}

/// Bytes of the room that any of these sums needs, `images` at a time; a buffer has one quad at least.
pub(super) fn scratch_bytes(graph: &Graph, tuning: &Tuning, [images, group_images]: [u32; 2], sums: Sums) -> u64 {
    let statistics = |shape| norm::statistics_quads(tuning, shape, group_images);
    let gradients = |shape| norm::backward_quads(tuning, shape).max(statistics(shape));
    let most = |quads: &dyn Fn([u32; 4]) -> u32| {
        let norms = graph.ops.iter().filter_map(|op| match op {
            Op::Norm { z, .. } => Some(graph.map_shape(*z, images)),
            _ => None,
        });
        norms.map(quads).max().unwrap_or(1)
    };
    let quads = match sums {
        Sums::Nothing => 1,
        Sums::Statistics => most(&statistics),
        Sums::Gradients => most(&gradients).max(reduce::NORM_PARTS),
    };
    u64::from(quads) * 16
}
