//! Cross-entropy of a batch, and the totals of an epoch.

use super::{Map, Tuning, kernel};
use crate::gpu::{Buf, Kernel, Launch, Recording, Work};
use bytemuck::{Pod, Zeroable, bytes_of};

/// `shaders/loss/cross_entropy.wgsl`.
pub static CROSS_ENTROPY: Kernel = kernel!("loss/cross_entropy", "quad");
/// `shaders/loss/accumulate.wgsl`.
pub static ACCUMULATE: Kernel = kernel!("loss/accumulate");

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct CrossEntropyParams {
    images: u32,
    classes: u32,
    smoothing: f32,
    taught: f32,
}

/// What an image is: its label, and where it is mixed with another that one's, with a share of 0 to 1.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
pub struct Target {
    /// Class of the image.
    pub label: u32,
    /// Class of the other.
    pub other: u32,
    /// Share of the other.
    pub share: f32,
}

impl Target {
    /// An image that is not mixed.
    pub fn sure(label: u32) -> Self {
        Self { label, other: label, share: 0.0 }
    }
}

/// Operands of `cross_entropy`.
#[derive(Clone, Copy, Debug)]
pub struct CrossEntropy<'a> {
    /// Logits (N, 1, 1, K).
    pub logits: &'a Map,
    /// Targets (N) of [`Target`].
    pub targets: &'a Buf,
    /// Label smoothing, 0 to 1.
    pub smoothing: f32,
    /// Another network's logits (N, 1, 1, K), and the share of the target that they are, 0 to 1.
    pub teacher: Option<(&'a Map, f32)>,
    /// Gradient of the mean loss, written.
    pub dlogits: &'a Map,
    /// Loss and hit of every image (N, 2), written.
    pub result: &'a Buf,
}

/// Appends the loss and its gradient.
pub fn cross_entropy(rec: &mut Recording, tuning: &Tuning, io: CrossEntropy) {
    let (images, classes) = (io.logits.images, io.logits.channels);
    let (teacher, taught) = io.teacher.unwrap_or((io.logits, 0.0));
    rec.push(Launch {
        kernel: &CROSS_ENTROPY,
        overrides: vec![("LANES", tuning.lanes)],
        params: bytes_of(&CrossEntropyParams { images, classes, smoothing: io.smoothing, taught }).to_vec(),
        bindings: vec![
            ("logits", io.logits.buf.clone()),
            ("targets", io.targets.clone()),
            ("dlogits", io.dlogits.buf.clone()),
            ("result", io.result.clone()),
            ("teacher", teacher.buf.clone()),
        ],
        groups: [images.div_ceil(tuning.lanes), 1, 1],
        work: Work { flops: 8 * io.logits.len(), bytes: 2 * io.logits.buf.bytes() },
    });
}

/// Appends the sum of a batch's losses and hits (N, 2) and its number of images to `total` (4).
pub fn accumulate(rec: &mut Recording, images: u32, result: &Buf, total: &Buf) {
    rec.push(Launch {
        kernel: &ACCUMULATE,
        overrides: Vec::new(),
        params: bytes_of(&images).to_vec(),
        bindings: vec![("result", result.clone()), ("total", total.clone())],
        groups: [1, 1, 1],
        work: Work { flops: u64::from(images) * 2, bytes: u64::from(images) * 8 },
    });
}
