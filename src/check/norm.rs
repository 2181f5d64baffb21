//! Normalisation, activation, shortcut.

use super::agreement::{Tolerance, check_map, compare, read};
use super::operands::{Pattern, Rows, random, trap};
use super::{Check, Fault, Outcome, Setting, bypass, output, run};
use crate::gpu::Recording;
use crate::kernels::{Merge, RowId, norm, optimizer::Control};
use crate::reference::{self, Array};
use crate::space::{Activation, Shortcut};

/// A layer within which nothing is a multiple of anything.
const SHAPE: Shape = Shape(6, 5, 7, 77, 1);

pub(super) static CHECKS: &[Check] = &[
    Check {
        kernels: &[&norm::STATISTICS, &norm::MOMENTS],
        run: |setting| {
            let case = Case::new(Shape(6, 7, 5, 77, 3), Pattern::Different);
            let z = random(1, case.z());
            statistics(setting, case, &z, 0.25)
        },
    },
    Check {
        kernels: &[&norm::APPLY],
        run: |setting| {
            let mode = Mode { running: false, activation: Activation::HardSwish, shortcut: Shortcut::Bypass };
            apply(setting, Case::new(SHAPE, Pattern::Different), mode)?;
            let mode = Mode { running: true, activation: Activation::Relu, shortcut: Shortcut::Residual };
            apply(setting, Case::new(SHAPE, Pattern::SomeNone), mode)
        },
    },
    Check {
        kernels: &[&norm::BACKWARD_REDUCE, &norm::BACKWARD_AFFINE, &norm::BACKWARD_APPLY],
        run: |setting| {
            backward(setting, Case::new(SHAPE, Pattern::Different), Activation::HardSwish)?;
            backward(setting, Case::new(SHAPE, Pattern::SomeNone), Activation::Relu)
        },
    },
];

/// Images, rows, columns, filters, groups of statistics.
#[derive(Clone, Copy, Debug)]
pub struct Shape(pub usize, pub usize, pub usize, pub usize, pub usize);

/// A shape with the widths of a batch.
pub struct Case {
    /// The shape.
    pub shape: Shape,
    kept: Vec<usize>,
    rows: Rows,
    kept_row: RowId,
}

impl Case {
    /// The shape with the widths of this pattern.
    pub fn new(shape: Shape, pattern: Pattern) -> Self {
        let kept = pattern.widths(shape.0, shape.3, 1);
        let mut rows = Rows::new(shape.0);
        let kept_row = rows.add(&kept);
        Self { shape, kept, rows, kept_row }
    }

    /// The same, all images in one group, as a batch that is trained on.
    pub fn in_one_group(self) -> Self {
        let Shape(images, height, width, filters, _) = self.shape;
        Self { shape: Shape(images, height, width, filters, 1), ..self }
    }

    /// Shape of what is normalised.
    pub fn z(&self) -> [usize; 4] {
        let Shape(images, height, width, filters, _) = self.shape;
        [images, height, width, filters]
    }

    fn norm(&self, activation: Activation) -> norm::Norm {
        norm::Norm {
            filters: self.shape.3 as u32,
            kept: self.kept_row,
            activation,
            group_images: self.group_images() as u32,
        }
    }

    fn reference(&self, activation: Activation) -> reference::norm::Norm<'_> {
        let epsilon = f64::from(norm::EPSILON);
        reference::norm::Norm { kept: &self.kept, activation, group_images: self.group_images(), epsilon }
    }

    fn group_images(&self) -> usize {
        self.shape.0 / self.shape.4
    }

    /// Means below 1 in either direction, variances from 0.5 to 1.5, and the true counts.
    fn moments(&self, rows: usize) -> Array {
        let counts = reference::norm::statistics(self.reference(Activation::Identity), &Array::zeros(self.z()));
        let mut moments = random(7, [self.shape.4, 1, rows, self.shape.3]);
        for i in 0..moments.values.len() {
            let at = moments.index(i);
            match at[2] {
                1 => moments[at] = 1.0 + 0.5 * moments[at],
                2 => moments[at] = counts[at],
                _ => {}
            }
        }
        moments
    }

    /// Gamma and beta. Channels between -4 and 4 reach all pieces of all activations.
    fn affine(&self) -> Array {
        let mut affine = random(8, [1, 1, 2, self.shape.3]);
        affine.values.iter_mut().for_each(|value| *value *= 4.0);
        affine
    }
}

/// Inner values reach `4 * (2 / sqrt(0.5)) + 4`, and activations steepen them by up to 1.5.
const MAGNITUDE: f64 = 25.0;

/// Statistics of `z`, whose spread about its mean is below 1, and their way into the running ones.
///
/// # Errors
/// As for all cases, what the device says, or where its numbers differ.
pub fn statistics(setting: Setting, case: Case, z: &Array, rate: f64) -> Outcome {
    let Setting { gpu, tuning, .. } = setting;
    let z = &setting.held(z.clone());
    let Shape(_, height, width, filters, groups) = case.shape;
    let norm = case.norm(Activation::Identity);
    let running = random(2, [groups, 1, 2, filters]);
    let want = reference::norm::statistics(case.reference(Activation::Identity), z);
    let want_running = reference::norm::update(&running, &want, rate);

    let quads = filters.div_ceil(4);
    let moments = trap(gpu, "moments", groups * 3 * quads)?;
    let running = gpu.upload("running", &running.to_quads())?;
    let control =
        Control { learning_rate: f32::NAN, statistics_rate: rate as f32, clip_norm: f32::NAN, step: f32::NAN };
    let z_map = setting.map("z", z, &case.kept)?;
    let mut rec = Recording::new();
    let io = norm::Statistics {
        z: &z_map,
        control: &gpu.upload("control", &[control])?,
        partial: &trap(gpu, "partial", norm::statistics_quads(&tuning, z_map.shape(), norm.group_images) as usize)?,
        moments: &moments,
        running: &running,
    };
    norm::statistics(&mut rec, &tuning, &norm, &case.rows.upload(gpu)?, io);
    run(gpu, rec)?;

    // A mean is as exact as the values are: half a unit in the last place of the largest.
    let size = z.values.iter().fold(1.0, |largest: f64, value| largest.max(value.abs()));
    let tolerance = Tolerance::sum(case.group_images() * height * width).scaled(1.0 / (height * width) as f64);
    let tolerance = Tolerance { abs: tolerance.abs + 4.0 * size * f64::from(f32::EPSILON), ..tolerance };
    let got = read(gpu, &moments, [groups, 1, 3, quads * 4])?;
    compare(&got, &want.resized(3, quads * 4), tolerance)?;
    let got = read(gpu, &running, [groups, 1, 2, quads * 4])?;
    compare(&got, &want_running.resized(2, quads * 4), tolerance).map_err(|fault| fault.of("running"))
}

/// How `apply` is called.
#[derive(Clone, Copy, Debug)]
pub struct Mode {
    /// Running statistics, or those of the batch.
    pub running: bool,
    /// Activation.
    pub activation: Activation,
    /// Shortcut.
    pub shortcut: Shortcut,
}

/// Normalisation, activation and shortcut.
pub fn apply(setting: Setting, mut case: Case, mode: Mode) -> Outcome {
    let Setting { gpu, tuning, .. } = setting;
    let [images, height, width, filters] = case.z();
    let z = setting.random(1, case.z());
    let moments = case.moments(if mode.running { 2 } else { 3 });
    let affine = case.affine();
    let source = setting.random(3, [images, height, width, filters / 2 + 3]);
    let source_widths = Pattern::Different.widths(images, source.channels, 4);
    let has_shortcut = mode.shortcut != Shortcut::None;
    let bypass = if has_shortcut { bypass(&source_widths, filters) } else { vec![0; images] };
    let merge = reference::Merge { kind: mode.shortcut, source: &source, bypass: &bypass };
    let want =
        reference::norm::apply(case.reference(mode.activation), &z, &moments, &affine, has_shortcut.then_some(merge));

    let bypass_row = case.rows.add(&bypass);
    let y = setting.trap_map("y", case.z())?;
    let statistics = gpu.upload("moments", &moments.to_quads())?;
    let source = setting.map("source", &source, &source_widths)?;
    let mut rec = Recording::new();
    let io = norm::Apply {
        z: &setting.map("z", &z, &case.kept)?,
        statistics: match mode.running {
            true => norm::Source::Running(&statistics),
            false => norm::Source::Batch(&statistics),
        },
        affine: &gpu.upload("affine", &affine.to_quads())?,
        merge: has_shortcut.then_some(Merge { kind: mode.shortcut, source: &source, bypass: bypass_row }),
        y: &y,
    };
    norm::apply(&mut rec, &tuning, &case.norm(mode.activation), &case.rows.upload(gpu)?, io);
    run(gpu, rec)?;
    check_map(gpu, &y, &output(&case.kept, &bypass), &want, Tolerance::sum(4).scaled(MAGNITUDE))
}

/// The bypass formula of NetAdaptV2 (section 2), bit for bit: one batch in which image t keeps t of `filters`, whose
/// normalisation changes nothing.
pub fn every_kept(setting: Setting, channels: usize, filters: usize) -> Outcome {
    let Setting { gpu, tuning, .. } = setting;
    let images = filters + 1;
    let kept: Vec<usize> = (0..images).collect();
    let bypass = bypass(&vec![channels; images], filters);
    let (z, source) = (setting.random(1, [images, 3, 1, filters]), setting.random(2, [images, 3, 1, channels]));
    let want = Array::from_fn([images, 3, 1, filters], |at| match at[3] {
        j if j < at[0] => z[at].max(0.0),
        j if j < channels.min(filters) => source[at],
        _ => 0.0,
    });

    let mut rows = Rows::new(images);
    let norm = norm::Norm {
        filters: filters as u32,
        kept: rows.add(&kept),
        activation: Activation::Relu,
        group_images: images as u32,
    };
    let bypass_row = rows.add(&bypass);
    let y = setting.trap_map("y", want.shape())?;
    let source = setting.map("source", &source, &vec![channels; images])?;
    // Mean 0 and variance 1; gamma 1 and beta 0.
    let two_rows = |first: f32, second: f32| [first, second].map(|v| vec![v; filters.next_multiple_of(4)]).concat();
    let running = gpu.upload("running", &two_rows(0.0, 1.0 - norm::EPSILON))?;
    let affine = gpu.upload("affine", &two_rows(1.0, 0.0))?;
    let mut rec = Recording::new();
    let io = norm::Apply {
        z: &setting.map("z", &z, &kept)?,
        statistics: norm::Source::Running(&running),
        affine: &affine,
        merge: Some(Merge { kind: Shortcut::Bypass, source: &source, bypass: bypass_row }),
        y: &y,
    };
    norm::apply(&mut rec, &tuning, &norm, &rows.upload(gpu)?, io);
    run(gpu, rec)?;
    let widths = output(&kept, &bypass);
    if widths.iter().enumerate().any(|(t, width)| *width != t.max(channels.min(filters))) {
        return Err(Fault::Differs(format!("the outputs have {widths:?} channels")));
    }
    check_map(gpu, &y, &widths, &want, Tolerance::EXACT)
}

/// Gradients under the statistics of a batch.
pub fn backward(setting: Setting, case: Case, activation: Activation) -> Outcome {
    let Setting { gpu, tuning, .. } = setting;
    let [images, height, width, filters] = case.z();
    let (z, affine) = (setting.random(1, case.z()), case.affine());
    let moments = case.moments(3);
    // The gradient of a layer's output has bypassed channels beside the filters'.
    let dy_widths = output(&case.kept, &Pattern::Different.widths(images, filters + 2, 4));
    let dy = setting.random(3, [images, height, width, filters + 2]);
    let want = reference::norm::backward(case.reference(activation), &dy, &z, &moments, &affine);

    let norm = case.norm(activation);
    let dz = setting.trap_map("dz", case.z())?;
    let gradient = trap(gpu, "gradient", norm.affine_quads() as usize)?;
    let z_map = setting.map("z", &z, &case.kept)?;
    let mut rec = Recording::new();
    let io = norm::Backward {
        dy: &setting.map("dy", &dy, &dy_widths)?,
        z: &z_map,
        moments: &gpu.upload("moments", &moments.to_quads())?,
        affine: &gpu.upload("affine", &affine.to_quads())?,
        partial: &trap(gpu, "partial", norm::backward_quads(&tuning, z_map.shape()) as usize)?,
        gradient: &gradient,
        dz: &dz,
    };
    norm::backward(&mut rec, &tuning, &norm, &case.rows.upload(gpu)?, io);
    run(gpu, rec)?;

    // Terms of the sums reach dy * slope * normal, 1 * 1.5 * 3.
    let tolerance = Tolerance::sum(images * height * width).scaled(5.0);
    let rows = want.affine.width;
    let got = read(gpu, &gradient, [1, 1, rows, filters.next_multiple_of(4)])?;
    compare(&got, &want.affine.resized(rows, got.channels), tolerance).map_err(|fault| fault.of("affine"))?;
    check_map(gpu, &dz, &case.kept, &want.z, Tolerance::sum(4).scaled(MAGNITUDE)).map_err(|fault| fault.of("dz"))
}
