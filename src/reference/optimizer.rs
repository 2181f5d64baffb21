//! Update rules, as PyTorch has them.

use super::Array;

/// An update rule with its constants.
#[derive(Clone, Copy, Debug)]
pub enum Rule {
    /// SGD with Nesterov momentum.
    Sgd {
        /// Momentum.
        momentum: f64,
        /// Weight decay, added to the gradient.
        decay: f64,
    },
    /// Adam with decoupled weight decay.
    AdamW {
        /// Decay of the first moment.
        first: f64,
        /// Decay of the second moment.
        second: f64,
        /// Added to the root of the second moment.
        epsilon: f64,
        /// Decoupled weight decay.
        decay: f64,
    },
}

/// Numbers that change from step to step.
#[derive(Clone, Copy, Debug)]
pub struct Control {
    /// Learning rate.
    pub learning_rate: f64,
    /// Largest norm of the gradient; 0 for any.
    pub clip_norm: f64,
    /// Number of this step, from 1.
    pub step: f64,
}

/// A parameter tensor (K, K, I, O) with what belongs to it.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// Its values, updated.
    pub value: Array,
    /// Their gradient.
    pub gradient: Array,
    /// One moment with SGD, two with AdamW, updated.
    pub moments: Vec<Array>,
    /// Input channels that some image of the batch keeps.
    pub active_rows: usize,
    /// Output channels that some image keeps.
    pub active_channels: usize,
    /// Side of the largest kernel that some image uses.
    pub active_kernel: usize,
    /// Whether weight decay applies.
    pub decays: bool,
}

impl Parameter {
    /// Whether some image of the batch used this value: the others are left alone.
    pub fn is_active(&self, [ky, kx, i, o]: [usize; 4]) -> bool {
        let kernel = self.value.images;
        let border = kernel.saturating_sub(self.active_kernel) / 2;
        let centre = border..kernel - border;
        centre.contains(&ky) && centre.contains(&kx) && i < self.active_rows && o < self.active_channels
    }
}

/// One update; `norm` is that of all gradients together.
pub fn step(rule: Rule, control: Control, norm: f64, parameter: &mut Parameter) {
    let clips = control.clip_norm > 0.0 && norm > control.clip_norm;
    let clip = if clips { control.clip_norm / norm } else { 1.0 };
    for i in 0..parameter.value.values.len() {
        if !parameter.is_active(parameter.value.index(i)) {
            continue;
        }
        let g = clip * parameter.gradient.values[i];
        let value = &mut parameter.value.values[i];
        match rule {
            Rule::Sgd { momentum, decay } => {
                let g = g + if parameter.decays { decay * *value } else { 0.0 };
                let m = &mut parameter.moments[0].values[i];
                *m = momentum * *m + g;
                *value -= control.learning_rate * (g + momentum * *m);
            }
            Rule::AdamW { first, second, epsilon, decay } => {
                let decay = if parameter.decays { decay * *value } else { 0.0 };
                let [m1, m2] = &mut parameter.moments[..] else { panic!("AdamW keeps two moments") };
                let (m1, m2) = (&mut m1.values[i], &mut m2.values[i]);
                *m1 = first * *m1 + (1.0 - first) * g;
                *m2 = second * *m2 + (1.0 - second) * g * g;
                let (mean, square) = (*m1 / (1.0 - first.powf(control.step)), *m2 / (1.0 - second.powf(control.step)));
                *value -= control.learning_rate * (decay + mean / (square.sqrt() + epsilon));
            }
        }
    }
}
