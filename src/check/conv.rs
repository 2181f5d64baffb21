//! Dense convolutions.

use super::agreement::{Tolerance, check_map, compare, read};
use super::operands::{Pattern, Rows, random, trap};
use super::{Check, Fault, Outcome, Setting, bypass, output, run};
use crate::gpu::Recording;
use crate::kernels::optimizer::{BLOCK, Tensor};
use crate::kernels::{Map, Merge, RowId, conv, reduce};
use crate::reference::{self, Array};
use crate::space::{Activation, Shortcut};

/// A layer within which nothing is a multiple of anything.
const SHAPE: Shape = Shape(9, 7, 6, 13, 3, 2);

pub(super) static CHECKS: &[Check] = &[
    Check {
        kernels: &[&conv::FORWARD],
        run: |setting| {
            forward(setting, Case::new(SHAPE, Pattern::Different), None)?;
            let case = Case::new(Shape(6, 6, 33, 12, 1, 1), Pattern::SomeNone);
            let epilogue =
                Epilogue { activation: Activation::HardSwish, shortcut: Shortcut::Residual, source: 33, out: 12 };
            forward(setting, case, Some(epilogue))
        },
    },
    Check { kernels: &[&conv::TRANSPOSE], run: |setting| transpose(setting, SHAPE) },
    Check {
        kernels: &[&conv::BACKWARD_DATA],
        run: |setting| {
            backward_data(setting, Case::new(SHAPE, Pattern::Different), Shortcut::None)?;
            backward_data(setting, Case::new(Shape(3, 3, 12, 5, 3, 1), Pattern::SomeNone), Shortcut::Bypass)
        },
    },
    Check {
        kernels: &[&conv::BACKWARD_WEIGHT, &reduce::SUM],
        run: |setting| backward_weight(setting, Case::new(SHAPE, Pattern::Different)).map(drop),
    },
];

/// Images of every case.
const IMAGES: usize = 5;

/// Rows, columns, channels, filters, side of the super-kernel, stride.
#[derive(Clone, Copy, Debug)]
pub struct Shape(pub usize, pub usize, pub usize, pub usize, pub usize, pub usize);

/// A shape with the widths of a batch.
pub struct Case {
    /// The shape.
    pub shape: Shape,
    input: Vec<usize>,
    kept: Vec<usize>,
    sides: Vec<usize>,
    rows: Rows,
    conv: conv::Conv,
}

impl Case {
    /// The shape with the widths of this pattern.
    pub fn new(shape: Shape, pattern: Pattern) -> Self {
        let Shape(_, _, channels, filters, kernel, stride) = shape;
        let input = pattern.widths(IMAGES, channels, 0);
        let kept = pattern.widths(IMAGES, filters, 1);
        let sides = pattern.sides(IMAGES, kernel);
        let mut rows = Rows::new(IMAGES);
        let conv = conv::Conv {
            kernel: kernel as u32,
            stride: stride as u32,
            channels: channels as u32,
            filters: filters as u32,
            input: rows.add(&input),
            kept: rows.add(&kept),
            // Row 0 limits nothing and would be no side of a kernel: a 1x1 convolution may not read it.
            kernel_row: if kernel > 1 { rows.add(&sides) } else { RowId::UNLIMITED },
        };
        Self { shape, input, kept, sides, rows, conv }
    }

    fn reference(&self) -> reference::conv::Conv<'_> {
        let stride = self.shape.5;
        reference::conv::Conv { stride, input: &self.input, kept: &self.kept, kernel: &self.sides }
    }

    fn x(&self) -> [usize; 4] {
        let Shape(height, width, channels, ..) = self.shape;
        [IMAGES, height, width, channels]
    }

    fn y(&self) -> [usize; 4] {
        let Shape(height, width, _, filters, _, stride) = self.shape;
        [IMAGES, height.div_ceil(stride), width.div_ceil(stride), filters]
    }

    fn weight(&self) -> Array {
        let Shape(_, _, channels, filters, kernel, _) = self.shape;
        random(2, [kernel, kernel, channels, filters])
    }

    fn taps(&self) -> usize {
        self.shape.4 * self.shape.4
    }
}

/// The epilogue of a deployed convolution, and the channels of the shortcut's source and of the output.
#[derive(Clone, Copy, Debug)]
pub struct Epilogue {
    /// Activation.
    pub activation: Activation,
    /// Shortcut.
    pub shortcut: Shortcut,
    /// Channels of its source.
    pub source: usize,
    /// Channels of the output.
    pub out: usize,
}

/// The convolution, alone or deployed.
///
/// # Errors
/// As for all cases, what the device says, or where its numbers differ.
pub fn forward(setting: Setting, mut case: Case, epilogue: Option<Epilogue>) -> Outcome {
    let Setting { gpu, tuning, .. } = setting;
    let (x, weight) = (setting.random(1, case.x()), case.weight());
    let [_, height, width, filters] = case.y();
    let bias = random(3, [1, 1, 1, filters]);
    let shortcut = epilogue.filter(|e| e.shortcut != Shortcut::None);
    let source = setting.random(4, [IMAGES, height, width, epilogue.map_or(1, |e| e.source)]);
    let source_widths = Pattern::Different.widths(IMAGES, source.channels, 4);
    let bypass = match shortcut {
        Some(epilogue) => bypass(&source_widths, epilogue.out),
        None => vec![0; IMAGES],
    };

    let want = reference::conv::forward(
        case.reference(),
        &x,
        &weight,
        epilogue.map(|e| reference::conv::Deployed { bias: &bias.values, activation: e.activation }),
        shortcut.map(|e| reference::Merge { kind: e.shortcut, source: &source, bypass: &bypass }),
    );

    let bypass_row = case.rows.add(&bypass);
    let widths = case.rows.upload(gpu)?;
    let y = setting.trap_map("y", [IMAGES, height, width, epilogue.map_or(filters, |e| e.out)])?;
    let source = setting.map("source", &source, &source_widths)?;
    let bias = gpu.upload("bias", &bias.to_quads())?;
    let mut rec = Recording::new();
    let io = conv::Forward {
        x: &setting.map("x", &x, &case.input)?,
        weight: &gpu.upload("weight", &weight.to_weight_quads())?,
        deployed: epilogue.map(|e| conv::Deployed { bias: &bias, activation: e.activation }),
        merge: shortcut.map(|e| Merge { kind: e.shortcut, source: &source, bypass: bypass_row }),
        y: &y,
    };
    conv::forward(&mut rec, &tuning, &case.conv, &widths, io);
    run(gpu, rec)?;
    let tolerance = Tolerance::sum(case.taps() * x.channels + 2).scaled(2.0);
    check_map(gpu, &y, &output(&case.kept, &bypass), &want, tolerance)
}

/// Weights of two dense layers, this and another, with inputs and filters in each other's place; biases between them have
/// no part in it.
pub fn transpose(setting: Setting, Shape(_, _, channels, filters, kernel, _): Shape) -> Outcome {
    let Setting { gpu, .. } = setting;
    let weights = [random(2, [kernel, kernel, channels, filters]), random(3, [1, 1, filters, channels])];
    let tensor = |first_block: u32, kernel: usize, rows: usize, channels: usize| Tensor {
        first_block,
        row_quads: channels.div_ceil(4) as u32,
        rows: rows as u32,
        kernel: kernel as u32,
        active_rows: 0,
        active_channels: 0,
        active_kernel: 0,
        decays: 0,
    };
    let (mut values, mut tensors, mut block_tensor, mut firsts) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut add = |quads: Vec<f32>, kernel: usize, rows: usize, channels: usize| {
        let block = BLOCK as usize * 4;
        let first = values.len() / block;
        firsts.push(first);
        block_tensor.extend(vec![tensors.len() as u32; quads.len().div_ceil(block)]);
        tensors.push(tensor(first as u32, kernel, rows, channels));
        values.extend(quads);
        values.resize(values.len().next_multiple_of(block), f32::NAN);
    };
    for weight in &weights {
        add(weight.to_weight_quads(), weight.images, weight.width.next_multiple_of(4), weight.channels);
        add(vec![f32::NAN; weight.channels.next_multiple_of(4)], 1, 1, weight.channels);
        add(vec![f32::NAN; 2 * weight.channels.next_multiple_of(4)], 1, 2, weight.channels);
    }
    let transposed = trap(gpu, "transposed", values.len() / 4)?;
    let mut rec = Recording::new();
    let io = conv::Transpose {
        tensors: &gpu.upload("tensors", &tensors)?,
        block_tensor: &gpu.upload("blocks", &block_tensor)?,
        weight: &gpu.upload("weights", &values)?,
        transposed: &transposed,
    };
    conv::transpose(&mut rec, block_tensor.len() as u32, io);
    run(gpu, rec)?;
    let got = gpu.read::<f32>(&transposed)?;
    for (weight, first) in weights.iter().zip(firsts.iter().step_by(3)) {
        // Written whole: filters that pad the last quad are read.
        let want = reference::conv::transpose(weight);
        let want = want.resized(weight.channels.next_multiple_of(4), weight.width.next_multiple_of(4));
        let from = first * BLOCK as usize * 4;
        let got = Array::from_quads(want.shape(), &got[from..from + want.values.len()]);
        compare(&got, &want, Tolerance::EXACT)?;
    }
    Ok(())
}

/// The gradient of the input, with what reaches it through a shortcut.
pub fn backward_data(setting: Setting, mut case: Case, shortcut: Shortcut) -> Outcome {
    let Setting { gpu, tuning, .. } = setting;
    let (dz, weight) = (setting.random(1, case.y()), case.weight());
    let [_, height, width, channels] = case.x();
    // The layer may end with another convolution: a residual block is as wide as its input.
    let layer_filters = if shortcut == Shortcut::Residual { channels } else { case.shape.3 };
    let layer_kept = Pattern::Different.widths(IMAGES, layer_filters, 2);
    let bypass = bypass(&case.input, layer_filters);
    let dy = setting.random(3, [IMAGES, height, width, layer_filters]);

    let merge = reference::Merge { kind: shortcut, source: &dy, bypass: &bypass };
    let merge = reference::conv::BackwardMerge { merge, kept: &layer_kept };
    let has_shortcut = shortcut != Shortcut::None;
    let want = reference::conv::backward_data(case.reference(), case.x(), &dz, &weight, has_shortcut.then_some(merge));

    let (bypass_row, split_row) = (case.rows.add(&bypass), case.rows.add(&layer_kept));
    let widths = case.rows.upload(gpu)?;
    let dx = setting.trap_map("dx", case.x())?;
    let dy = setting.map("dy", &dy, &output(&layer_kept, &bypass))?;
    let merge = Merge { kind: shortcut, source: &dy, bypass: bypass_row };
    let mut rec = Recording::new();
    let io = conv::BackwardData {
        dz: &setting.map("dz", &dz, &case.kept)?,
        transposed: &gpu.upload("transposed", &reference::conv::transpose(&weight).to_weight_quads())?,
        merge: has_shortcut.then_some(conv::BackwardMerge { merge, kept: split_row }),
        dx: &dx,
    };
    conv::backward_data(&mut rec, &tuning, &case.conv, &widths, io);
    run(gpu, rec)?;
    check_map(gpu, &dx, &case.input, &want, Tolerance::sum(case.taps() * dz.channels + 1))
}

/// The gradient of the weights; returns the number of parts that it was computed in.
pub fn backward_weight(setting: Setting, case: Case) -> Result<u32, Fault> {
    let Setting { gpu, tuning, .. } = setting;
    let (x, dz) = (setting.random(1, case.x()), setting.random(2, case.y()));
    let kernel = case.shape.4;
    let want = reference::conv::backward_weight(case.reference(), kernel, &x, &dz);

    let parts = conv::weight_parts(&tuning, &case.conv, [IMAGES, dz.height, dz.width].map(|n| n as u32));
    let quads = case.conv.weight_quads() as usize;
    let partial = trap(gpu, "partial", parts as usize * quads)?;
    let total = trap(gpu, "total", quads)?;
    let mut rec = Recording::new();
    let io = conv::BackwardWeight {
        x: &setting.map("x", &x, &case.input)?,
        dz: &setting.map("dz", &dz, &case.kept)?,
        partial: &partial,
    };
    conv::backward_weight(&mut rec, &tuning, &case.conv, &case.rows.upload(gpu)?, io);
    reduce::sum(&mut rec, &tuning, [parts, quads as u32], &partial, &total);
    run(gpu, rec)?;
    // Written whole: weights that no image uses, and the padding, have the gradient zero.
    let want = want.resized(x.channels.next_multiple_of(4), dz.channels.next_multiple_of(4));
    let length = IMAGES * dz.height * dz.width;
    compare(&read(gpu, &total, want.shape())?, &want, Tolerance::sum(length))?;
    Ok(parts)
}

/// The three passes of a linear layer: a 1x1 convolution of one image whose pixels are the images.
pub fn linear(setting: Setting, [images, channels, filters]: [usize; 3]) -> Outcome {
    let Setting { gpu, tuning, .. } = setting;
    let (x, weight) = (random(1, [images, 1, 1, channels]), random(2, [1, 1, channels, filters]));
    let (dz, bias) = (random(3, [images, 1, 1, filters]), random(4, [1, 1, 1, filters]));
    let [one_image, height, width] = Map::rows_of(images as u32).map(|n| n as usize);
    let rows = |array: &Array| Array { images: one_image, height, width, ..array.clone() };
    let one = reference::conv::Conv { stride: 1, input: &[channels], kept: &[filters], kernel: &[1] };
    let activation = Activation::HardSigmoid;
    let deployed = reference::conv::Deployed { bias: &bias.values, activation };
    let want_y = reference::conv::forward(one, &rows(&x), &weight, Some(deployed), None);
    let want_dx = reference::conv::backward_data(one, [one_image, height, width, channels], &rows(&dz), &weight, None);
    let want_dw = reference::conv::backward_weight(one, 1, &rows(&x), &rows(&dz));

    let conv = conv::Conv {
        kernel: 1,
        stride: 1,
        channels: channels as u32,
        filters: filters as u32,
        input: RowId::UNLIMITED,
        kept: RowId::UNLIMITED,
        kernel_row: RowId::UNLIMITED,
    };
    let widths = Rows::new(images).upload(gpu)?;
    let (y, dx) = (setting.trap_vector("y", dz.shape())?, setting.trap_vector("dx", x.shape())?);
    let x = setting.vector("x", &x, &vec![channels; images])?.as_rows();
    let dz = setting.vector("dz", &dz, &vec![filters; images])?.as_rows();
    let transposed = gpu.upload("transposed", &reference::conv::transpose(&weight).to_weight_quads())?;
    let weight = gpu.upload("weight", &weight.to_weight_quads())?;
    let bias = gpu.upload("bias", &bias.to_quads())?;
    let parts = conv::weight_parts(&tuning, &conv, [dz.images, dz.height, dz.width]);
    let quads = conv.weight_quads();
    let partial = trap(gpu, "partial", (parts * quads) as usize)?;
    let dw = trap(gpu, "dw", quads as usize)?;
    let mut rec = Recording::new();
    let deployed = Some(conv::Deployed { bias: &bias, activation });
    let io = conv::Forward { x: &x, weight: &weight, deployed, merge: None, y: &y.as_rows() };
    conv::forward(&mut rec, &tuning, &conv, &widths, io);
    let io = conv::BackwardData { dz: &dz, transposed: &transposed, merge: None, dx: &dx.as_rows() };
    conv::backward_data(&mut rec, &tuning, &conv, &widths, io);
    let io = conv::BackwardWeight { x: &x, dz: &dz, partial: &partial };
    conv::backward_weight(&mut rec, &tuning, &conv, &widths, io);
    reduce::sum(&mut rec, &tuning, [parts, quads], &partial, &dw);
    run(gpu, rec)?;

    check_map(gpu, &y.as_rows(), &[filters], &want_y, Tolerance::sum(channels + 1))?;
    check_map(gpu, &dx.as_rows(), &[channels], &want_dx, Tolerance::sum(filters))?;
    let want_dw = want_dw.resized(channels.next_multiple_of(4), filters.next_multiple_of(4));
    compare(&read(gpu, &dw, want_dw.shape())?, &want_dw, Tolerance::sum(images))
}
