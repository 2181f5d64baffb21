//! Changes of colours, on values in 0..1 that are clamped after each change as torchvision and Pillow do.

use super::batch::Normalisation;

/// One change of a whole image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Colour {
    /// Away from black by this factor.
    Brightness(f32),
    /// Away from each pixel's grey by this factor.
    Saturation(f32),
    /// Away from the image's mean grey by this factor.
    Contrast(f32),
    /// Away from the blurred image by this factor.
    Sharpness(f32),
    /// So many of 8 bits are kept.
    Posterize(u32),
    /// What is at least this is inverted.
    Solarize(f32),
    /// Each channel is stretched to 0..1.
    AutoContrast,
}

/// A pixel's grey level (ITU-R 601); of a grey image the value itself.
pub(super) fn grey(pixel: &[f32], channels: usize) -> f32 {
    match channels {
        1 => pixel[0],
        _ => 0.299 * pixel[0] + 0.587 * pixel[1] + 0.114 * pixel[2],
    }
}

/// `value` moved away from `from` by a factor, clamped.
pub(super) fn away(from: f32, value: f32, factor: f32) -> f32 {
    (from + (value - from) * factor).clamp(0.0, 1.0)
}

/// Carries out `changes` in their order on normalised values (size, size, 4).
pub(super) fn change(
    out: &mut [f32],
    changes: impl Iterator<Item = Colour>,
    [size, channels]: [usize; 2],
    normalisation: &Normalisation,
) {
    let mut changes = changes.peekable();
    if changes.peek().is_none() {
        return;
    }
    let each = |out: &mut [f32], change: &dyn Fn(usize, f32) -> f32| {
        for pixel in out.chunks_exact_mut(4) {
            for (c, value) in pixel[..channels].iter_mut().enumerate() {
                *value = change(c, *value);
            }
        }
    };
    each(out, &|c, value| (value * normalisation.std[c] + normalisation.mean[c]).clamp(0.0, 1.0));
    for change in changes {
        match change {
            Colour::Brightness(factor) => each(out, &|_, value| away(0.0, value, factor)),
            Colour::Saturation(factor) => {
                for pixel in out.chunks_exact_mut(4) {
                    let level = grey(pixel, channels);
                    pixel[..channels].iter_mut().for_each(|value| *value = away(level, *value, factor));
                }
            }
            Colour::Contrast(factor) => {
                let sum: f64 = out.chunks_exact(4).map(|pixel| f64::from(grey(pixel, channels))).sum();
                let mean = (sum / (size * size) as f64) as f32;
                each(out, &|_, value| away(mean, value, factor));
            }
            Colour::Sharpness(factor) => sharpen(out, factor, [size, channels]),
            Colour::Posterize(bits) => {
                let kept = 0xff_u8 << (8 - bits.clamp(1, 8));
                each(out, &|_, value| f32::from((value * 255.0).round() as u8 & kept) / 255.0);
            }
            Colour::Solarize(threshold) => {
                each(out, &|_, value| if value >= threshold { 1.0 - value } else { value });
            }
            Colour::AutoContrast => {
                let mut ends = [(f32::INFINITY, f32::NEG_INFINITY); 4];
                for pixel in out.chunks_exact(4) {
                    for (end, value) in ends.iter_mut().zip(pixel) {
                        *end = (end.0.min(*value), end.1.max(*value));
                    }
                }
                each(out, &|c, value| {
                    let (least, most) = ends[c];
                    if most > least { (value - least) / (most - least) } else { value }
                });
            }
        }
    }
    each(out, &|c, value| (value - normalisation.mean[c]) / normalisation.std[c]);
}

/// Away from Pillow's smooth filter: a mean of 3 x 3 in which the middle counts five times. The border stays.
fn sharpen(out: &mut [f32], factor: f32, [size, channels]: [usize; 2]) {
    let from = out.to_vec();
    for y in 1..size.saturating_sub(1) {
        for x in 1..size - 1 {
            for c in 0..channels {
                let at = |x: usize, y: usize| from[(y * size + x) * 4 + c];
                let rows = (y - 1..=y + 1).map(|y| at(x - 1, y) + at(x, y) + at(x + 1, y));
                let smooth = (rows.sum::<f32>() + 4.0 * at(x, y)) / 13.0;
                out[(y * size + x) * 4 + c] = away(smooth, at(x, y), factor);
            }
        }
    }
}
