//! Every kernel against its reference, over tables of shapes, widths and tile sizes.

mod conv;
mod depthwise;
mod excite;
mod loss;
mod norm;
mod optimizer;
mod pool;
mod probe;
mod reduce;

use netadapt::space::{Activation, Shortcut};

const ACTIVATIONS: [Activation; 4] =
    [Activation::Identity, Activation::Relu, Activation::HardSwish, Activation::HardSigmoid];

const SHORTCUTS: [Shortcut; 3] = [Shortcut::None, Shortcut::Bypass, Shortcut::Residual];

/// Channels that may pass a layer of `filters`, of a source of these widths.
fn bypass(source: &[usize], filters: usize) -> Vec<usize> {
    source.iter().map(|c| netadapt::space::shape::bypass_width(true, *c as u32, filters as u32) as usize).collect()
}

/// Channels of a layer's output.
fn output(kept: &[usize], bypass: &[usize]) -> Vec<usize> {
    kept.iter().zip(bypass).map(|(kept, bypass)| *kept.max(bypass)).collect()
}
