//! Memory of a graph that is made ready: planned before any of it is made, made, written to and read.

use super::error::NetworkError;
use super::record::{Recorder, Sums, scratch_bytes};
use super::slots::{Slots, Uses, Value};
use super::{Graph, TensorId, Weights, statistics_bytes};
use crate::gpu::{Buf, Gpu, GpuError, Precision};
use crate::kernels::optimizer::{BLOCK, Control};
use crate::kernels::{Map, Tuning, Widths};
use crate::space::{LayerShape, Row};
use std::collections::HashMap;

/// Bytes that a graph made ready holds on the device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Footprint {
    /// Feature maps and their gradients.
    pub maps: u64,
    /// Parameters, gradients, moments, statistics.
    pub state: u64,
    /// Room for parts of sums.
    pub scratch: u64,
    /// The largest buffer among them.
    pub largest: u64,
}

impl Footprint {
    /// All of it.
    pub fn bytes(&self) -> u64 {
        self.maps + self.state + self.scratch
    }
}

/// Bytes of a buffer of all parameters.
pub(super) fn parameter_bytes(graph: &Graph) -> u64 {
    u64::from(graph.blocks()) * u64::from(BLOCK) * 16
}

/// The buffers of a graph that is made ready.
pub(super) struct MemoryPlan {
    images: u32,
    group_images: u32,
    precision: Precision,
    slots: Slots,
    scratch: u64,
    params: u64,
    moments: u64,
    running: u64,
}

impl MemoryPlan {
    /// What these actions on so many images, in groups that share statistics, need, their maps being of `precision` and
    /// these sums taken in parts.
    pub(super) fn new(
        graph: &Graph,
        tuning: &Tuning,
        [images, group_images]: [u32; 2],
        precision: Precision,
        actions: &[Uses],
        sums: Sums,
    ) -> Self {
        let kept = [Value::Of(Graph::IMAGES), Value::Of(graph.logits)];
        let groups = images / group_images;
        let statistics =
            |rows: u32| graph.statistics.iter().map(|s| statistics_bytes(s.channels, rows * groups)).sum::<u64>();
        Self {
            images,
            group_images,
            precision,
            slots: Slots::assign(actions, &kept, |value| {
                Map::bytes_of(
                    graph.map_shape(tensor_of(value), images),
                    graph.precision_of(tensor_of(value), precision),
                )
            }),
            scratch: scratch_bytes(graph, tuning, [images, group_images], sums),
            params: parameter_bytes(graph),
            moments: statistics(3),
            running: statistics(2),
        }
    }

    pub(super) fn footprint(&self) -> Footprint {
        let state = [self.params, self.moments, self.running];
        let all = self.slots.bytes.iter().chain(&state).chain(std::iter::once(&self.scratch));
        Footprint {
            maps: self.slots.bytes.iter().sum(),
            state: state.iter().sum(),
            scratch: self.scratch,
            largest: all.copied().max().unwrap_or(0),
        }
    }
}

/// What would fit where batches of `batch` do not: what a device has room for is known by asking it for that.
pub(super) fn what_fits(graph: &Graph, batch: u32, fits: impl Fn(&Graph, u32) -> bool) -> Fits {
    let halves = |full: u32| std::iter::successors(Some(full / 2), |half| Some(half / 2)).take_while(|half| *half > 0);
    let size = graph.tensors[Graph::IMAGES].size;
    let smaller = |to: u32| {
        let mut graph = graph.clone();
        graph.tensors.iter_mut().for_each(|tensor| tensor.size = (tensor.size * to).div_ceil(size));
        graph
    };
    Fits {
        batch: halves(batch).find(|batch| fits(graph, *batch)),
        size: halves(size).find(|to| fits(&smaller(*to), batch)),
    }
}

/// What would fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fits {
    /// Images of a step, by halving them.
    pub batch: Option<u32>,
    /// Pixels a side, about, by halving them.
    pub size: Option<u32>,
}

impl std::fmt::Display for Fits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.batch, self.size) {
            (Some(batch), Some(size)) => {
                write!(f, "batches of {batch} images (`train.batch`) would fit, or images of about {size} px (--size)")
            }
            (Some(batch), None) => write!(f, "batches of {batch} images (`train.batch`) would fit"),
            (None, Some(size)) => write!(f, "images of about {size} px (--size) would fit"),
            (None, None) => write!(f, "neither smaller batches nor smaller images alone are sure to fit"),
        }
    }
}

fn tensor_of(value: Value) -> TensorId {
    let (Value::Of(tensor) | Value::Gradient(tensor)) = value;
    tensor
}

/// Memory that every kind of graph made ready has.
pub(super) struct Memory {
    pub(super) maps: HashMap<Value, Map>,
    widths: Widths,
    pub(super) control: Buf,
    pub(super) params: Buf,
    moments: Buf,
    running: Buf,
    pub(super) scratch: Buf,
    pub(super) images: u32,
    pub(super) group_images: u32,
    pub(super) footprint: Footprint,
}

impl Memory {
    pub(super) fn new(gpu: &Gpu, graph: &Graph, plan: MemoryPlan) -> Result<Self, GpuError> {
        let footprint = plan.footprint();
        let MemoryPlan { images, group_images, precision, slots, .. } = plan;
        let name_of = |slot: usize| {
            let value = slots.slot.iter().filter(|(_, s)| **s == slot).map(|(value, _)| *value).min();
            graph.tensors[tensor_of(value.expect("a slot is used"))].name.clone()
        };
        let widths = Widths { buf: gpu.allocate("widths", u64::from(graph.rows() * images) * 4)?, images };
        let control = gpu.allocate("control", size_of::<Control>() as u64)?;
        let params = gpu.allocate("parameters", plan.params)?;
        let moments = gpu.allocate("batch statistics", plan.moments)?;
        let running = gpu.allocate("running statistics", plan.running)?;
        let scratch = gpu.allocate("scratch", plan.scratch)?;
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
                let [images, height, width, channels] = graph.map_shape(tensor_of(*value), images);
                let buf = bufs[*slot].of_precision(graph.precision_of(tensor_of(*value), precision));
                (*value, Map { buf, images, height, width, channels })
            })
            .collect();
        Ok(Self { maps, widths, control, params, moments, running, scratch, images, group_images, footprint })
    }

    pub(super) fn recorder<'a>(&'a self, graph: &'a Graph, tuning: &'a Tuning) -> Recorder<'a> {
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

    pub(super) fn write_widths(&self, gpu: &Gpu, graph: &Graph, shapes: &[&[LayerShape]]) -> Vec<u32> {
        let (table, largest) = width_rows(graph, shapes);
        gpu.write(&self.widths.buf, &table);
        largest
    }

    pub(super) fn write_weights(&self, gpu: &Gpu, graph: &Graph, weights: &Weights) -> Result<(), NetworkError> {
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
    pub(super) fn read_running(&self, gpu: &Gpu, graph: &Graph) -> Result<Vec<Vec<f32>>, GpuError> {
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

/// The values (N, C) of a map of one pixel an image, without the padding of its channels.
pub(super) fn read_rows(gpu: &Gpu, map: &Map) -> Result<Vec<f32>, GpuError> {
    let padded: Vec<f32> = gpu.read(&map.buf)?;
    let images = padded.chunks(map.quads() as usize * 4).take(map.images as usize);
    Ok(images.flat_map(|channels| &channels[..map.channels as usize]).copied().collect())
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
