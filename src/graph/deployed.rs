//! A network as it is deployed: normalisation folded, one launch an operation.

use super::error::NetworkError;
use super::fold::{Filters, Fused, FusedLayer, fuse};
use super::memory::{Footprint, Memory, MemoryPlan, read_rows};
use super::record::{Mode, Recorder, Sums};
use super::slots::{Uses, Value};
use super::{Graph, Weights};
use crate::gpu::{Buf, Gpu, GpuError, Precision, Program, Recording};
use crate::kernels::{Map, Tuning, conv, depthwise};

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
        match self {
            Self::Layer(layer) => {
                let source = layer.shortcut.map(|edge| edge.end);
                let reads = std::iter::once(layer.x).chain(source).map(Value::Of).collect();
                Uses { reads, writes: vec![Value::Of(layer.y)] }
            }
            Self::Alone(op) => op.forward_access(),
        }
    }

    fn record(&self, gpu: &Gpu, rec: &mut Recording, recorder: &Recorder, weights: &Weights) -> Result<(), GpuError> {
        match self {
            Self::Layer(layer) => layer.record(gpu, rec, recorder, weights),
            Self::Alone(op) => {
                recorder.forward(rec, op, Mode::Running);
                Ok(())
            }
        }
    }
}

impl FusedLayer {
    fn record(&self, gpu: &Gpu, rec: &mut Recording, recorder: &Recorder, weights: &Weights) -> Result<(), GpuError> {
        let graph = recorder.graph;
        let of = |tensor| recorder.map(Value::Of(tensor));
        let (tuning, widths) = (recorder.tuning, recorder.widths);
        rec.scope(&graph.tensors[self.y].name);
        let folded = self.fold(graph, weights);
        let weight = &gpu.upload("folded weights", &folded.weight)?;
        let bias = &gpu.upload("folded bias", &folded.bias)?;
        let deployed = Some(conv::Deployed { bias, activation: self.activation });
        let (x, y) = (of(self.x), of(self.y));
        match &self.filters {
            Filters::Conv(conv) => {
                let merge = self.shortcut.as_ref().map(|edge| recorder.merge(edge));
                conv::forward(rec, tuning, conv, widths, conv::Forward { x, weight, deployed, merge, y });
            }
            Filters::Linear(conv) => {
                let io = conv::Forward { x: &x.as_rows(), weight, deployed, merge: None, y: &y.as_rows() };
                conv::forward(rec, tuning, conv, widths, io);
            }
            Filters::Depthwise(depthwise) => {
                depthwise::forward(rec, tuning, depthwise, widths, depthwise::Forward { x, weight, deployed, y });
            }
        }
        Ok(())
    }
}
