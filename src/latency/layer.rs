//! Every kernel over shapes of real networks: what is measured when kernels are.

use crate::gpu::{Buf, Gpu, GpuError, Precision, Recording};
use crate::kernels::bias::{self, Bias};
use crate::kernels::conv::{self, Conv};
use crate::kernels::depthwise::{self, Depthwise};
use crate::kernels::loss::{self, CrossEntropy};
use crate::kernels::norm::{self, Norm, Source};
use crate::kernels::optimizer::{self, BLOCK, Control, Rule};
use crate::kernels::{Map, Merge, RowId, Tuning, Widths, convert, excite, pool, probe, reduce};
use crate::rng::{Purpose, stream};
use crate::space::{Activation, Shortcut};
use rand::{Rng, RngExt};

/// A layer of a network, or a part of a step, all of whose kernels are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "sides of kernels and maps in pixels, numbers of channels, as everywhere")]
pub enum Layer {
    /// Dense convolution, forward and backward.
    Conv { kernel: u32, stride: u32, size: u32, channels: u32, filters: u32 },
    /// Fully connected layer, its bias and activation, forward and backward.
    Linear { channels: u32, filters: u32 },
    /// Depthwise convolution, forward and backward.
    Depthwise { kernel: u32, stride: u32, size: u32, channels: u32 },
    /// Batch normalisation, activation and perhaps a residual sum, forward and backward.
    Norm { size: u32, channels: u32, residual: bool },
    /// Mean over the pixels, forward and backward.
    Pool { size: u32, channels: u32 },
    /// Channels times gates, forward and backward.
    Excite { size: u32, channels: u32 },
    /// Images of f32 in the precision of maps.
    Images { size: u32 },
    /// Cross-entropy and the totals of an epoch.
    Loss { classes: u32 },
    /// The sum of the parts of a gradient, and its norm.
    Reduce { parts: u32, quads: u32 },
    /// Both update rules, and weights turned for the next step's gradients.
    Optimizer { parameters: u32 },
    /// The kernels that only measure.
    Probe,
}

const fn conv(kernel: u32, stride: u32, size: u32, channels: u32, filters: u32) -> Layer {
    Layer::Conv { kernel, stride, size, channels, filters }
}

const fn depthwise(kernel: u32, stride: u32, size: u32, channels: u32) -> Layer {
    Layer::Depthwise { kernel, stride, size, channels }
}

/// What is measured: stems, ResNet's 3x3 layers, and what MobileNetV3's blocks are made of.
pub static LAYERS: &[Layer] = &[
    conv(3, 2, 64, 3, 16),
    conv(3, 1, 32, 32, 32),
    conv(3, 1, 16, 64, 64),
    conv(3, 1, 8, 128, 128),
    conv(1, 1, 32, 16, 64),
    conv(1, 1, 32, 32, 32),
    conv(1, 1, 16, 96, 24),
    conv(1, 1, 16, 128, 128),
    conv(1, 1, 8, 64, 256),
    Layer::Linear { channels: 256, filters: 64 },
    depthwise(3, 1, 32, 32),
    depthwise(3, 2, 32, 64),
    depthwise(5, 1, 16, 96),
    depthwise(7, 1, 8, 256),
    depthwise(7, 1, 16, 128),
    Layer::Norm { size: 32, channels: 64, residual: false },
    Layer::Norm { size: 16, channels: 32, residual: true },
    Layer::Norm { size: 16, channels: 128, residual: false },
    Layer::Norm { size: 8, channels: 256, residual: false },
    Layer::Pool { size: 16, channels: 96 },
    Layer::Pool { size: 8, channels: 256 },
    Layer::Excite { size: 16, channels: 96 },
    Layer::Excite { size: 8, channels: 256 },
    Layer::Images { size: 64 },
    Layer::Loss { classes: 10 },
    Layer::Loss { classes: 1000 },
    Layer::Reduce { parts: 24, quads: 36_864 },
    Layer::Optimizer { parameters: 1 << 20 },
    Layer::Probe,
];

impl std::fmt::Display for Layer {
    /// `3x3 32px 32>64`, `3x3/2` where the stride is 2.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let over = |stride: u32| if stride == 1 { String::new() } else { format!("/{stride}") };
        match *self {
            Self::Conv { kernel, stride, size, channels, filters } => {
                write!(f, "{kernel}x{kernel}{} {size}px {channels}>{filters}", over(stride))
            }
            Self::Linear { channels, filters } => write!(f, "linear {channels}>{filters}"),
            Self::Depthwise { kernel, stride, size, channels } => {
                write!(f, "{kernel}x{kernel}{} {size}px {channels}", over(stride))
            }
            Self::Norm { size, channels, residual } => {
                write!(f, "{size}px {channels}{}", if residual { " residual" } else { "" })
            }
            Self::Pool { size, channels } | Self::Excite { size, channels } => write!(f, "{size}px {channels}"),
            Self::Images { size } => write!(f, "{size}px images"),
            Self::Loss { classes } => write!(f, "{classes} classes"),
            Self::Reduce { parts, quads } => write!(f, "{parts} x {quads} quads"),
            Self::Optimizer { parameters } => write!(f, "{parameters} parameters"),
            Self::Probe => f.write_str("probes"),
        }
    }
}

/// The rows of a layer's widths: input, kept filters, side of the kernel.
const INPUT: RowId = RowId(1);
const KEPT: RowId = RowId(2);
const SIDE: RowId = RowId(3);

/// Kept inputs and kept filters of an image.
pub type Kept = [u32; 2];

/// A layer recorded for a batch, on memory of its own.
pub struct Recorded {
    /// Its launches.
    pub recording: Recording,
    widths: Widths,
    side: u32,
}

impl Recorded {
    /// Gives every image its widths.
    pub fn set_widths(&self, gpu: &Gpu, kept: &[Kept]) {
        let row = |value: &dyn Fn(&Kept) -> u32| kept.iter().map(value).collect::<Vec<_>>();
        let rows = [row(&|_| u32::MAX), row(&|k| k[0]), row(&|k| k[1]), row(&|_| self.side)].concat();
        gpu.write(&self.widths.buf, &rows);
    }
}

impl Layer {
    /// The channels of its input, and its filters.
    pub fn full(&self) -> Kept {
        match *self {
            Self::Conv { channels, filters, .. } | Self::Linear { channels, filters } => [channels, filters],
            Self::Depthwise { channels, .. }
            | Self::Norm { channels, .. }
            | Self::Pool { channels, .. }
            | Self::Excite { channels, .. } => [channels, channels],
            Self::Images { .. } | Self::Loss { .. } | Self::Reduce { .. } | Self::Optimizer { .. } | Self::Probe => {
                [1, 1]
            }
        }
    }

    /// Widths of `images` images, uniform in multiples of four, inputs and filters independent; none where the
    /// layer knows no dropped channels.
    pub fn drawn(&self, images: u32) -> Option<Vec<Kept>> {
        let masked = match self {
            Self::Conv { .. }
            | Self::Depthwise { .. }
            | Self::Norm { .. }
            | Self::Pool { .. }
            | Self::Excite { .. } => true,
            Self::Linear { .. }
            | Self::Images { .. }
            | Self::Loss { .. }
            | Self::Reduce { .. }
            | Self::Optimizer { .. }
            | Self::Probe => false,
        };
        masked.then(|| {
            let draw = |image: u32| {
                let mut rng = stream(0, Purpose::Widths, 0, image.into());
                self.full().map(|full| (rng.random_range(1..=full.div_ceil(4)) * 4).min(full))
            };
            (0..images).map(draw).collect()
        })
    }

    /// Shares of the arithmetic and of the bytes of a pass at full width that these widths need at least.
    pub fn shares(&self, kept: &[Kept]) -> [f64; 2] {
        let [channels, filters] = self.full().map(f64::from);
        let mean = |value: &dyn Fn([f64; 2]) -> f64| {
            kept.iter().map(|k| value(k.map(f64::from))).sum::<f64>() / kept.len() as f64
        };
        match *self {
            Self::Conv { stride, .. } => {
                let flops = mean(&|[i, o]| i * o) / (channels * filters);
                // The maps' shares by their sizes; weights are few beside them.
                let input = channels * f64::from(stride * stride);
                let bytes = mean(&|[i, o]| i / channels * input + o) / (input + filters);
                [flops, bytes]
            }
            _ => [mean(&|[_, o]| o) / filters; 2],
        }
    }

    /// Its launches for `images` images at full width, on maps of `precision`.
    ///
    /// # Errors
    /// Where memory runs out.
    pub fn record(&self, gpu: &Gpu, tuning: &Tuning, images: u32, precision: Precision) -> Result<Recorded, GpuError> {
        let side = match *self {
            Self::Conv { kernel, .. } | Self::Depthwise { kernel, .. } => kernel,
            _ => 1,
        };
        let widths = Widths { buf: gpu.allocate("widths", u64::from(images) * 16)?, images };
        let mut recorder = LayerRecorder { gpu, tuning, images, precision, rec: Recording::new(), widths };
        recorder.layer(self)?;
        let recorded = Recorded { recording: recorder.rec, widths: recorder.widths, side };
        recorded.set_widths(gpu, &vec![self.full(); images as usize]);
        Ok(recorded)
    }
}

/// Values of -1 to 1: nothing that a processor is slow at, like subnormal numbers.
fn values(quads: u32) -> Vec<f32> {
    let mut rng = stream(1, Purpose::Data, 0, 0);
    (0..quads * 4).map(|_| (rng.next_u32() >> 8) as f32 / (1 << 23) as f32 - 1.0).collect()
}

struct LayerRecorder<'a> {
    gpu: &'a Gpu,
    tuning: &'a Tuning,
    images: u32,
    precision: Precision,
    rec: Recording,
    widths: Widths,
}

impl LayerRecorder<'_> {
    fn filled(&self, name: &str, quads: u32) -> Result<Buf, GpuError> {
        self.gpu.upload(name, &values(quads))
    }

    fn map(&self, name: &str, size: u32, channels: u32) -> Result<Map, GpuError> {
        // Those of one pixel are of f32, as in a network.
        let precision = if size == 1 { Precision::F32 } else { self.precision };
        let map = Map::of_precision(self.gpu, name, [self.images, size, size, channels], precision)?;
        let quads = self.images * size * size * channels.div_ceil(4);
        self.gpu.write(&map.buf, &precision.pack(&values(quads)));
        Ok(map)
    }

    fn room(&self, quads: u32) -> Result<Buf, GpuError> {
        self.gpu.allocate("room", u64::from(quads) * 16)
    }

    fn layer(&mut self, layer: &Layer) -> Result<(), GpuError> {
        match *layer {
            Layer::Conv { kernel, stride, size, channels, filters } => {
                let conv = Conv { kernel, stride, channels, filters, input: INPUT, kept: KEPT, kernel_row: SIDE };
                let [x, dx] = [self.map("x", size, channels)?, self.map("dx", size, channels)?];
                let [y, dz] =
                    [self.map("y", size.div_ceil(stride), filters)?, self.map("dz", size.div_ceil(stride), filters)?];
                self.dense(&conv, [&x, &dx], [&y, &dz])
            }
            Layer::Linear { channels, filters } => {
                let all = RowId::UNLIMITED;
                let conv = Conv { kernel: 1, stride: 1, channels, filters, input: all, kept: all, kernel_row: all };
                let [x, dx] = [self.map("x", 1, channels)?.as_rows(), self.map("dx", 1, channels)?.as_rows()];
                let [y, dz] = [self.map("y", 1, filters)?.as_rows(), self.map("dz", 1, filters)?.as_rows()];
                self.dense(&conv, [&x, &dx], [&y, &dz])?;
                let [z, y, dz] = [self.map("z", 1, filters)?, self.map("y", 1, filters)?, self.map("dz", 1, filters)?];
                let bias = &self.filled("bias", filters.div_ceil(4))?;
                let gradient = &self.room(filters.div_ceil(4))?;
                let kernel = Bias { kept: RowId::UNLIMITED, activation: Activation::HardSigmoid };
                let (rec, tuning, widths) = (&mut self.rec, self.tuning, &self.widths);
                bias::forward(rec, tuning, &kernel, widths, bias::Forward { z: &z, bias, y: &y });
                let io = bias::Backward { dy: &y, z: &z, bias, dz: &dz, gradient };
                bias::backward(rec, tuning, &kernel, widths, io);
                Ok(())
            }
            Layer::Depthwise { kernel, stride, size, channels } => {
                let depthwise = Depthwise { kernel, stride, channels, kept: KEPT, kernel_row: SIDE };
                self.depthwise(&depthwise, size)
            }
            Layer::Norm { size, channels, residual } => self.norm(size, channels, residual),
            Layer::Pool { size, channels } => {
                let (x, y) = (self.map("x", size, channels)?, self.map("y", 1, channels)?);
                pool::forward(&mut self.rec, self.tuning, &self.widths, KEPT, &x, &y);
                pool::backward(&mut self.rec, self.tuning, &self.widths, KEPT, &y, &x);
                Ok(())
            }
            Layer::Excite { size, channels } => {
                let [x, y, gate] =
                    [self.map("x", size, channels)?, self.map("y", size, channels)?, self.map("g", 1, channels)?];
                let dpool = self.map("dpool", 1, channels)?;
                let (rec, tuning, widths) = (&mut self.rec, self.tuning, &self.widths);
                excite::forward(rec, tuning, widths, KEPT, excite::Forward { x: &x, gate: &gate, y: &y });
                excite::backward_gate(rec, tuning, widths, KEPT, excite::BackwardGate { dy: &y, x: &x, dgate: &dpool });
                let io = excite::Backward { dy: &y, gate: &gate, dpool: &dpool, dx: &x };
                excite::backward(rec, tuning, widths, KEPT, io);
                Ok(())
            }
            Layer::Images { size } => {
                let x = Map::new(self.gpu, "images", [self.images, size, size, 3])?;
                let y = self.map("y", size, 3)?;
                convert::narrow(&mut self.rec, self.tuning, &x, &y);
                Ok(())
            }
            Layer::Loss { classes } => {
                let (logits, dlogits) = (self.map("logits", 1, classes)?, self.map("dlogits", 1, classes)?);
                let targets =
                    self.gpu.allocate("targets", u64::from(self.images) * size_of::<loss::Target>() as u64)?;
                let (result, total) = (self.room(self.images.div_ceil(2))?, self.room(1)?);
                let io = CrossEntropy {
                    logits: &logits,
                    targets: &targets,
                    smoothing: 0.1,
                    teacher: None,
                    dlogits: &dlogits,
                    result: &result,
                };
                loss::cross_entropy(&mut self.rec, self.tuning, io);
                loss::accumulate(&mut self.rec, self.images, &result, &total);
                Ok(())
            }
            Layer::Reduce { parts, quads } => {
                let (partial, total) = (self.filled("parts", parts * quads)?, self.room(quads)?);
                let (scratch, norm) = (self.room(reduce::NORM_PARTS)?, self.room(1)?);
                reduce::sum(&mut self.rec, self.tuning, [parts, quads], &partial, &total);
                reduce::norm(&mut self.rec, self.tuning, parts * quads, &partial, &scratch, &norm);
                Ok(())
            }
            Layer::Optimizer { parameters } => self.optimizer(parameters / 4 / BLOCK),
            Layer::Probe => {
                let lanes = self.tuning.lanes;
                let [x, y] = [self.filled("x", 1 << 16)?, self.room(1 << 16)?];
                let [large_x, large_y] = [self.filled("x", 3 << 20)?, self.room(3 << 20)?];
                probe::multiply_add(&mut self.rec, lanes, 64, &x, &y);
                if self.gpu.runs(&probe::MULTIPLY_ADD_F16) {
                    probe::multiply_add_f16(&mut self.rec, lanes, 64, &x, &y);
                }
                probe::copy(&mut self.rec, self.tuning, self.tuning.pixels, &large_x, &large_y);
                probe::exchange(&mut self.rec, lanes, 8, &x, &y);
                probe::sentinel(&mut self.rec, 1, &y);
                Ok(())
            }
        }
    }

    fn dense(&mut self, conv: &Conv, [x, dx]: [&Map; 2], [y, dz]: [&Map; 2]) -> Result<(), GpuError> {
        let weight = &self.filled("weight", conv.weight_quads())?;
        let transposed = &self.filled("transposed", conv.weight_quads())?;
        let partial = &self
            .room(conv::weight_parts(self.tuning, conv, [dz.images, dz.height, dz.width]) * conv.weight_quads())?;
        let (rec, tuning, widths) = (&mut self.rec, self.tuning, &self.widths);
        conv::forward(rec, tuning, conv, widths, conv::Forward { x, weight, deployed: None, merge: None, y });
        // Images have no gradient.
        if conv.channels > 4 {
            let io = conv::BackwardData { dz, transposed, merge: None, dx };
            conv::backward_data(rec, tuning, conv, widths, io);
        }
        conv::backward_weight(rec, tuning, conv, widths, conv::BackwardWeight { x, dz, partial });
        Ok(())
    }

    fn depthwise(&mut self, depthwise: &Depthwise, size: u32) -> Result<(), GpuError> {
        let out = size.div_ceil(depthwise.stride);
        let [x, dx] = [&self.map("x", size, depthwise.channels)?, &self.map("dx", size, depthwise.channels)?];
        let [y, dz] = [&self.map("y", out, depthwise.channels)?, &self.map("dz", out, depthwise.channels)?];
        let weight = &self.filled("weight", depthwise.weight_quads())?;
        let partial = &self.room(
            depthwise::weight_parts(self.tuning, depthwise, [self.images, out, out]) * depthwise.weight_quads(),
        )?;
        let (rec, tuning, widths) = (&mut self.rec, self.tuning, &self.widths);
        depthwise::forward(rec, tuning, depthwise, widths, depthwise::Forward { x, weight, deployed: None, y });
        depthwise::backward_data(rec, tuning, depthwise, widths, depthwise::BackwardData { dz, weight, dx });
        depthwise::backward_weight(rec, tuning, depthwise, widths, depthwise::BackwardWeight { x, dz, partial });
        Ok(())
    }

    fn norm(&mut self, size: u32, channels: u32, residual: bool) -> Result<(), GpuError> {
        let [z, y, dz] = ["z", "y", "dz"].map(|name| self.map(name, size, channels));
        let [z, y, dz] = [&z?, &y?, &dz?];
        let source = self.map("source", size, channels)?;
        let quads = channels.div_ceil(4);
        let (moments, running) = (&self.room(3 * quads)?, &self.room(2 * quads)?);
        let (affine, gradient) = (&self.filled("affine", 2 * quads)?, &self.room(2 * quads)?);
        let partial = norm::statistics_quads(self.tuning, z.shape(), self.images)
            .max(norm::backward_quads(self.tuning, z.shape()));
        let partial = &self.room(partial)?;
        let control = Control { learning_rate: 0.0, statistics_rate: 0.1, clip_norm: 0.0, step: 1.0 };
        let control = &self.gpu.upload("control", &[control])?;
        let norm = Norm {
            filters: channels,
            kept: KEPT,
            activation: if residual { Activation::Identity } else { Activation::HardSwish },
            group_images: self.images,
        };
        let (rec, tuning, widths) = (&mut self.rec, self.tuning, &self.widths);
        norm::statistics(rec, tuning, &norm, widths, norm::Statistics { z, control, partial, moments, running });
        let merge = residual.then_some(Merge { kind: Shortcut::Residual, source: &source, bypass: KEPT });
        norm::apply(
            rec,
            tuning,
            &norm,
            widths,
            norm::Apply { z, statistics: Source::Batch(moments), affine, merge, y },
        );
        let io = norm::Backward { dy: y, z, moments, affine, partial, gradient, dz };
        norm::backward(rec, tuning, &norm, widths, io);
        Ok(())
    }

    fn optimizer(&mut self, blocks: u32) -> Result<(), GpuError> {
        let quads = blocks * BLOCK;
        let tensor = optimizer::Tensor {
            first_block: 0,
            row_quads: BLOCK,
            rows: blocks,
            kernel: 1,
            active_rows: blocks,
            active_channels: BLOCK * 4,
            active_kernel: 1,
            decays: 1,
        };
        let control = Control { learning_rate: 0.0, statistics_rate: 0.1, clip_norm: 1.0, step: 1.0 };
        let step = optimizer::Step {
            control: &self.gpu.upload("control", &[control])?,
            tensors: &self.gpu.upload("tensors", &[tensor])?,
            block_tensor: &self.gpu.upload("blocks", &vec![0u32; blocks as usize])?,
            norm: &self.room(1)?,
            gradient: &self.filled("gradient", quads)?,
            value: &self.filled("value", quads)?,
            moment: &self.room(2 * quads)?,
        };
        let rules = [
            Rule::Sgd { momentum: 0.9, decay: 1e-4 },
            Rule::AdamW { first: 0.9, second: 0.999, epsilon: 1e-8, decay: 1e-2 },
        ];
        for rule in rules {
            optimizer::step(&mut self.rec, &rule, blocks, step);
        }
        let optimizer::Step { tensors, block_tensor, value: weight, .. } = step;
        let transposed = &self.room(quads)?;
        conv::transpose(&mut self.rec, blocks, conv::Transpose { tensors, block_tensor, weight, transposed });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_full_and_half_widths() {
        let layer = conv(1, 1, 8, 32, 64);
        assert_eq!(layer.shares(&[[32, 64]; 3]), [1.0, 1.0]);
        let [flops, bytes] = layer.shares(&[[32, 64], [0, 0], [16, 64], [32, 32]]);
        assert!((flops - 0.5).abs() < 1e-12, "{flops}");
        // (32 + 64 + 0 + 16 + 64 + 32 + 32) / 4 of 96 channels.
        assert!((bytes - 0.625).abs() < 1e-12, "{bytes}");
        assert_eq!(Layer::Pool { size: 8, channels: 8 }.shares(&[[8, 4], [8, 8]]), [0.75; 2]);
    }

    #[test]
    fn draws_are_on_the_grid_and_cover_it() {
        let drawn = conv(3, 1, 8, 16, 12).drawn(200).unwrap();
        for (side, full) in [(0, 16), (1, 12)] {
            let mut seen: Vec<u32> = drawn.iter().map(|kept| kept[side]).collect();
            seen.sort_unstable();
            seen.dedup();
            assert_eq!(seen, (1..=full / 4).map(|quads| quads * 4).collect::<Vec<_>>());
        }
        assert_eq!(conv(3, 1, 8, 3, 12).drawn(9).unwrap()[0][0], 3, "never more than there are");
        assert!(Layer::Loss { classes: 10 }.drawn(4).is_none());
    }
}
