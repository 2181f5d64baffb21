//! A network as it is deployed: normalisation folded, one launch an operation.

use super::error::NetworkError;
use super::fold::{Fused, fuse};
use super::memory::{Footprint, Memory, MemoryPlan, read_rows};
use super::record::{Recorder, Sums};
use super::slots::{Uses, Value};
use super::{Graph, Op, Weights};
use crate::gpu::{Buf, Gpu, GpuError, Precision, Program, Recording};
use crate::kernels::{Map, Merge, Tuning, conv, depthwise, excite, pool};

/// A network as it is deployed: normalisation folded, one launch an operation.
pub struct Deployed {
    gpu: Gpu,
    program: Program,
    images: Map,
    pub(super) logits: Map,
}

impl Deployed {
    /// What a network for batches of `batch` will hold.
    pub fn needs(graph: &Graph, tuning: &Tuning, batch: u32) -> Footprint {
        Self::plan(graph, tuning, batch, &fuse(graph)).footprint()
    }

    fn plan(graph: &Graph, tuning: &Tuning, batch: u32, fused: &[Fused]) -> MemoryPlan {
        let actions: Vec<Uses> = fused.iter().map(Fused::access).collect();
        MemoryPlan::new(graph, tuning, [batch; 2], Precision::F32, &actions, Sums::Nothing)
    }

    /// `graph` with `weights`, for batches of `batch`.
    ///
    /// The graph is a compact one, or a super-network's that runs at its full widths.
    pub fn new(gpu: &Gpu, graph: &Graph, weights: &Weights, tuning: &Tuning, batch: u32) -> Result<Self, NetworkError> {
        Self::make(gpu, graph, weights, tuning, batch, None)
    }

    /// The same for one image, which it reads from `image` (S, S, 4), f32: memory that somebody else writes.
    ///
    /// # Errors
    /// `NetworkError::Images` where that is too small.
    pub fn reading(
        gpu: &Gpu,
        graph: &Graph,
        weights: &Weights,
        tuning: &Tuning,
        image: Buf,
    ) -> Result<Self, NetworkError> {
        Self::make(gpu, graph, weights, tuning, 1, Some(image))
    }

    fn make(
        gpu: &Gpu,
        graph: &Graph,
        weights: &Weights,
        tuning: &Tuning,
        batch: u32,
        images: Option<Buf>,
    ) -> Result<Self, NetworkError> {
        let fused = fuse(graph);
        let mut memory = Memory::new(gpu, graph, Self::plan(graph, tuning, batch, &fused))?;
        if let Some(images) = images {
            let map = memory.maps.get_mut(&Value::Of(Graph::IMAGES)).expect("every graph has images");
            let expected = u64::from(batch * map.height * map.width * map.quads()) * 16;
            if images.bytes() < expected {
                return Err(NetworkError::Images { expected, got: images.bytes() });
            }
            map.buf = images;
        }
        memory.write_weights(gpu, graph, weights)?;
        memory.write_widths(gpu, graph, &vec![graph.shapes.as_slice(); batch as usize]);
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
    pub(super) fn run(&self, images: &[f32]) {
        self.gpu.write(&self.images.buf, images);
        self.program.run();
    }

    /// Logits (N, classes) of `images` (N, S, S, 4), normalised.
    pub fn logits(&self, images: &[f32]) -> Result<Vec<f32>, NetworkError> {
        self.run(images);
        Ok(read_rows(&self.gpu, &self.logits)?)
    }

    /// Its launches, for measuring.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// Its launches alone.
    pub fn into_program(self) -> Program {
        self.program
    }
}

impl Fused<'_> {
    fn access(&self) -> Uses {
        let mut access = self.op.forward_access();
        if let Some(Op::Norm { shortcut, y, .. }) = self.norm {
            access.reads.extend(shortcut.map(|edge| Value::Of(edge.end)));
            access.writes = vec![Value::Of(*y)];
        }
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
                let merge = shortcut.map(|edge| Merge { kind: edge.kind, source: of(edge.end), bypass: edge.bypass });
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
