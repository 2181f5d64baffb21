//! Gradients of the reference against central differences of its forward passes, in f64.
//!
//! The loss is a fixed random sum over the output: its coefficients are the output's gradient.

use crate::harness::assert_close;
use netadapt::check::agreement::Tolerance;
use netadapt::check::operands::{ACTIVATIONS, Pattern, random};
use netadapt::reference::{self, Array, Merge};
use netadapt::reference::{bias, conv, depthwise, excite, loss, norm, pool};
use netadapt::space::{Activation, Shortcut};

/// Compares `gradient` with differences of `loss` about `at`, value by value.
fn check(name: &str, at: &Array, gradient: &Array, loss: impl Fn(&Array) -> f64) {
    const STEP: f64 = 1e-5;
    let mut moved = at.clone();
    let differences = Array::from_fn(at.shape(), |index| {
        moved[index] = at[index] + STEP;
        let above = loss(&moved);
        moved[index] = at[index] - STEP;
        let below = loss(&moved);
        moved[index] = at[index];
        (above - below) / (2.0 * STEP)
    });
    // The differences miss terms of the order of STEP^2, and lose 1e-16 / STEP to rounding.
    assert_close(gradient, &differences, Tolerance { abs: 1e-7, rel: 1e-6 }, name);
    assert!(gradient.values.iter().any(|value| *value != 0.0), "{name}: a gradient of zeros shows nothing");
}

/// The loss whose gradient is `dy`.
fn weighted(y: &Array, dy: &Array) -> f64 {
    assert_eq!(y.shape(), dy.shape(), "the output and its gradient");
    y.values.iter().zip(&dy.values).map(|(y, dy)| y * dy).sum()
}

const IMAGES: usize = 4;

#[test]
fn activations() {
    for activation in ACTIVATIONS {
        let mut x = random(1, [1, 5, 5, 8]);
        x.values.iter_mut().for_each(|value| *value *= 5.0);
        let gradient = Array::from_fn(x.shape(), |at| reference::activate_gradient(activation, x[at]));
        check(&format!("{activation:?}"), &x, &gradient, |x| {
            x.values.iter().map(|value| reference::activate(activation, *value)).sum()
        });
    }
}

/// Channels, filters, side of the kernel, stride.
#[test]
fn convolutions_with_masks() {
    for (channels, filters, kernel, stride) in [(3, 5, 3, 1), (5, 3, 3, 2), (4, 6, 1, 1), (6, 2, 1, 2), (2, 3, 5, 2)] {
        for pattern in Pattern::ALL {
            let name = format!("{channels} to {filters} kernel {kernel} stride {stride} {pattern:?}");
            let (input, kept) = (pattern.widths(IMAGES, channels, 0), pattern.widths(IMAGES, filters, 2));
            let sides = pattern.sides(IMAGES, kernel);
            let conv = conv::Conv { stride, input: &input, kept: &kept, kernel: &sides };
            let x = random(1, [IMAGES, 5, 4, channels]);
            let weight = random(2, [kernel, kernel, channels, filters]);
            let dy = random(3, [IMAGES, 5usize.div_ceil(stride), 4usize.div_ceil(stride), filters]);
            let loss = |x: &Array, weight: &Array| weighted(&conv::forward(conv, x, weight, None, None), &dy);
            let dx = conv::backward_data(conv, x.shape(), &dy, &weight, None);
            check(&format!("input, {name}"), &x, &dx, |x| loss(x, &weight));
            let dw = conv::backward_weight(conv, kernel, &x, &dy);
            check(&format!("weight, {name}"), &weight, &dw, |weight| loss(&x, weight));
        }
    }
}

#[test]
fn convolutions_with_shortcuts() {
    for kind in [Shortcut::Bypass, Shortcut::Residual] {
        for (channels, filters) in [(5, 5), (6, 3), (3, 6)] {
            for pattern in Pattern::ALL {
                let (input, kept) = (pattern.widths(IMAGES, channels, 0), pattern.widths(IMAGES, filters, 2));
                let bypass: Vec<usize> = input.iter().map(|width| *width.min(&filters)).collect();
                let conv = conv::Conv { stride: 1, input: &input, kept: &kept, kernel: &[3; IMAGES] };
                let (x, weight) = (random(1, [IMAGES, 3, 4, channels]), random(2, [3, 3, channels, filters]));
                let dy = random(3, [IMAGES, 3, 4, filters]);
                let merge = Merge { kind, source: &dy, bypass: &bypass };
                let shortcut = conv::BackwardMerge { merge, kept: &kept };
                let dx = conv::backward_data(conv, x.shape(), &dy, &weight, Some(shortcut));
                check(&format!("{kind:?} {channels} to {filters} {pattern:?}"), &x, &dx, |x| {
                    let merge = Merge { kind, source: x, bypass: &bypass };
                    weighted(&conv::forward(conv, x, &weight, None, Some(merge)), &dy)
                });
            }
        }
    }
}

#[test]
fn depthwise_convolutions() {
    for (kernel, stride) in [(3, 1), (3, 2), (5, 2), (7, 1), (1, 2)] {
        for pattern in Pattern::ALL {
            let name = format!("kernel {kernel} stride {stride} {pattern:?}");
            let (kept, sides) = (pattern.widths(IMAGES, 5, 0), pattern.sides(IMAGES, kernel));
            let depthwise = depthwise::Depthwise { stride, kept: &kept, kernel: &sides };
            let (x, weight) = (random(1, [IMAGES, 5, 4, 5]), random(2, [kernel, kernel, 1, 5]));
            let dy = random(3, [IMAGES, 5usize.div_ceil(stride), 4usize.div_ceil(stride), 5]);
            let loss = |x: &Array, weight: &Array| weighted(&depthwise::forward(depthwise, x, weight, None), &dy);
            let dx = depthwise::backward_data(depthwise, x.shape(), &dy, &weight);
            check(&format!("input, {name}"), &x, &dx, |x| loss(x, &weight));
            let dw = depthwise::backward_weight(depthwise, kernel, &x, &dy);
            check(&format!("weight, {name}"), &weight, &dw, |weight| loss(&x, weight));
        }
    }
}

#[test]
fn normalisation_under_its_own_statistics() {
    for activation in ACTIVATIONS {
        for pattern in Pattern::ALL {
            let name = format!("{activation:?} {pattern:?}");
            let kept = pattern.widths(IMAGES, 6, 0);
            let norm = norm::Norm { kept: &kept, activation, group_images: IMAGES, epsilon: 1e-5 };
            let z = random(1, [IMAGES, 3, 2, 6]);
            let mut affine = random(2, [1, 1, 2, 6]);
            affine.values.iter_mut().for_each(|value| *value *= 3.0);
            // A bypass widens the output: its channels' gradient is not the filters'.
            let (source, bypass) = (random(3, [IMAGES, 3, 2, 7]), [7, 2, 0, 5]);
            let merge = Merge { kind: Shortcut::Bypass, source: &source, bypass: &bypass };
            let dy = random(4, [IMAGES, 3, 2, 7]);
            let loss = |z: &Array, affine: &Array| {
                weighted(&norm::apply(norm, z, &norm::statistics(norm, z), affine, Some(merge)), &dy)
            };
            let got = norm::backward(norm, &dy, &z, &norm::statistics(norm, &z), &affine);
            check(&format!("z, {name}"), &z, &got.z, |z| loss(z, &affine));
            check(&format!("affine, {name}"), &affine, &got.affine, |affine| loss(&z, affine));
        }
    }
}

#[test]
fn bias_and_activation() {
    for activation in ACTIVATIONS {
        for pattern in Pattern::ALL {
            let name = format!("{activation:?} {pattern:?}");
            let kept = pattern.widths(IMAGES, 6, 0);
            let (z, dy, mut bias) =
                (random(1, [IMAGES, 1, 1, 6]), random(2, [IMAGES, 1, 1, 6]), random(3, [1, 1, 1, 6]));
            bias.values.iter_mut().for_each(|value| *value *= 3.0);
            let loss = |z: &Array, bias: &Array| weighted(&bias::forward(&kept, activation, z, bias), &dy);
            let got = bias::backward(&kept, activation, &dy, &z, &bias);
            check(&format!("z, {name}"), &z, &got.z, |z| loss(z, &bias));
            check(&format!("bias, {name}"), &bias, &got.bias, |bias| loss(&z, bias));
        }
    }
}

#[test]
fn statistics_of_groups_are_their_own() {
    let kept = [3, 1, 0, 2, 3, 3];
    let group = |group_images, kept| {
        let activation = Activation::Identity;
        norm::Norm { kept, activation, group_images, epsilon: 1e-5 }
    };
    let z = random(1, [6, 2, 2, 3]);
    let together = norm::statistics(group(2, &kept), &z);
    for g in 0..3 {
        let values = z.values[g * z.values.len() / 3..(g + 1) * z.values.len() / 3].to_vec();
        let alone = norm::statistics(group(2, &kept[g * 2..g * 2 + 2]), &Array { images: 2, values, ..z.clone() });
        assert_eq!(together.values[g * 9..(g + 1) * 9], alone.values, "group {g}");
    }
    // Image 2 keeps nothing, and of image 3 the last channel is dropped.
    assert_eq!([0, 1, 2].map(|j| together[[1, 0, 2, j]]), [4.0, 4.0, 0.0]);
}

#[test]
fn squeeze_and_excite() {
    for pattern in Pattern::ALL {
        let kept = pattern.widths(IMAGES, 5, 0);
        let (x, dy) = (random(1, [IMAGES, 3, 2, 5]), random(2, [IMAGES, 3, 2, 5]));
        let gate = random(3, [IMAGES, 1, 1, 5]);
        let dgate = excite::backward_gate(&kept, &dy, &x);
        check(&format!("gate {pattern:?}"), &gate, &dgate, |gate| weighted(&excite::forward(&kept, &x, gate), &dy));

        // The gate as a function of the pooled input, by both ways into the loss.
        let gate_of = |x: &Array| {
            let mut gate = pool::forward(&kept, x);
            gate.values.iter_mut().for_each(|value| *value = reference::activate(Activation::HardSigmoid, *value));
            gate
        };
        let mut dpool = excite::backward_gate(&kept, &dy, &x);
        dpool.values.iter_mut().for_each(|value| *value /= 6.0);
        let dx = excite::backward(&kept, &dy, &gate_of(&x), &dpool);
        check(&format!("input {pattern:?}"), &x, &dx, |x| weighted(&excite::forward(&kept, x, &gate_of(x)), &dy));

        let dpool = random(4, [IMAGES, 1, 1, 5]);
        let dx = pool::backward(&kept, x.shape(), &dpool);
        check(&format!("pool {pattern:?}"), &x, &dx, |x| weighted(&pool::forward(&kept, x), &dpool));
    }
}

#[test]
fn cross_entropy_with_two_labels_label_smoothing_and_a_teacher() {
    for classes in [2, 5] {
        for smoothing in [0.0, 0.1, 0.9] {
            let mut logits = random(1, [3, 1, 1, classes]);
            logits.values.iter_mut().for_each(|value| *value *= 4.0);
            let target = |label, other, share| loss::Target { label, other, share };
            let targets = [target(0, 0, 0.0), target(1, 0, 0.3), target(classes - 1, 1, 0.8)];
            let teacher = random(2, [3, 1, 1, classes]);
            for teacher in [None, Some((&teacher, 0.7))] {
                let loss = |logits: &Array| loss::cross_entropy(logits, &targets, smoothing, teacher);
                let name = format!("{classes} classes, smoothing {smoothing}, a teacher: {}", teacher.is_some());
                check(&name, &logits, &loss(&logits).gradient, |logits| {
                    loss(logits).losses.iter().sum::<f64>() / targets.len() as f64
                });
            }
        }
    }
}
