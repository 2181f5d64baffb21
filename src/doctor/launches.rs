//! The longest launch of a training step: drivers end launches that take too long, and lose the device with them.

use super::Question;
use super::memory::{CHANNELS, training};
use crate::gpu::{Adapter, Gpu};
use crate::graph::{NetworkError, Training, initial_weights};
use crate::kernels::Tuning;
use crate::kernels::optimizer::Control;
use serde::Serialize;

/// A launch should not take longer than this: the screen of a GPU that draws one stands still meanwhile, and it is
/// far from what any driver ends.
const LONG_MS: f64 = 100.0;

/// What the launches of a training step take, each alone.
#[derive(Clone, Debug, Serialize)]
pub struct Launches {
    /// The space.
    pub space: String,
    /// Pixels a side.
    pub size: u32,
    /// Images of a step.
    pub batch: u32,
    /// Launches of a step.
    pub launches: usize,
    /// A step at full width.
    pub step_ms: f64,
    /// The longest launch, its submit included.
    pub longest_ms: f64,
    /// Its layer and kernel.
    pub longest: String,
}

/// Runs a training step of the largest network and then each of its launches alone.
pub(super) fn examine(gpu: &Gpu, question: &Question<'_>, tuning: Tuning) -> Result<Option<Launches>, NetworkError> {
    let (graph, options) = training(question.space, question.size, tuning);
    let weights = initial_weights(&graph, 0);
    let batch = options.batch;
    let training = match Training::new(gpu, graph, options) {
        Err(NetworkError::NoRoom { .. }) => return Ok(None),
        made => made?,
    };
    training.load(&weights)?;
    let net = question.space.supernet(question.size, CHANNELS, training.classes());
    let full = net.shapes(&net.full());
    let images = vec![0.5; batch as usize * (question.size * question.size * 4) as usize];
    let labels: Vec<u32> = (0..batch).map(|n| n % training.classes()).collect();
    let control = Control { learning_rate: 0.0, statistics_rate: 0.1, clip_norm: 0.0, step: 1.0 };
    training.step(&images, &labels, &vec![full.as_slice(); batch as usize], control);
    let program = training.program();
    let step_ms = program.seconds(1)? * 1e3;
    let labels: Vec<String> = program.launches().map(|(label, ..)| label.to_owned()).collect();
    let mut longest = (0.0, String::new());
    for (index, label) in labels.iter().enumerate() {
        let ms = program.launch_seconds(index, 1)? * 1e3;
        if ms > longest.0 {
            longest = (ms, label.clone());
        }
    }
    Ok(Some(Launches {
        space: question.name.to_owned(),
        size: question.size,
        batch,
        launches: labels.len(),
        step_ms,
        longest_ms: longest.0,
        longest: longest.1,
    }))
}

/// Who ends a launch on this system, and after how long.
pub(super) fn watchdog(adapter: &Adapter) -> &'static str {
    const NVIDIA: u32 = 0x10de;
    match () {
        _ if adapter.is_software() => "a software adapter ends none",
        _ if cfg!(windows) => "Windows ends a launch after 2 s (TdrDelay)",
        _ if cfg!(target_os = "macos") => "macOS ends one after some seconds",
        _ if adapter.pci.0 == NVIDIA => {
            "NVIDIA's driver ends one after some seconds on a GPU that draws a screen, else none"
        }
        _ => "Linux's drivers end one after about 10 s",
    }
}

impl Launches {
    /// Who would end a launch that takes too long.
    pub fn watchdog(&self, adapter: &Adapter) -> &'static str {
        watchdog(adapter)
    }

    pub(super) fn warning(&self, adapter: &Adapter) -> Option<String> {
        (self.longest_ms > LONG_MS && !adapter.is_software()).then(|| {
            format!(
                "{} takes {:.0} ms, more than the {LONG_MS:.0} that a launch should: {}; take a smaller `train.batch` or \
                 image size",
                self.longest,
                self.longest_ms,
                watchdog(adapter)
            )
        })
    }
}
