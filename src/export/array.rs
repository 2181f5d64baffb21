//! Arrays (N, C, H, W) in f64 and the operations that a network's ONNX graph has, in plain loops.
//!
//! Every operation checks the shapes it is given and says what does not fit; none allocates more values
//! than it is allowed.

/// Values in the order of the dimensions, the last innermost.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Array {
    pub(super) shape: Vec<usize>,
    pub(super) values: Vec<f64>,
}

/// The window of a square convolution.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    pub(super) kernel: usize,
    pub(super) stride: usize,
    pub(super) pad: usize,
    pub(super) group: usize,
}

/// The largest kernel, stride or padding that is read.
const MAX_WINDOW: usize = 64;
/// The most multiply-accumulates of one operation: a minute of plain loops.
const MAX_MACS: u64 = 1 << 35;

impl Array {
    /// `values` of this shape.
    pub(super) fn new(shape: Vec<usize>, values: Vec<f64>) -> Result<Self, String> {
        let count = shape.iter().try_fold(1usize, |count, size| count.checked_mul(*size));
        match count {
            Some(count) if count == values.len() => Ok(Self { shape, values }),
            _ => Err(format!("{} values do not fill the shape {shape:?}", values.len())),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    /// N, C, H, W.
    fn image(&self) -> Result<[usize; 4], String> {
        self.shape.as_slice().try_into().map_err(|_| format!("the shape {:?} has not four dimensions", self.shape))
    }

    pub(super) fn map(&self, f: impl Fn(f64) -> f64) -> Self {
        Self { shape: self.shape.clone(), values: self.values.iter().map(|value| f(*value)).collect() }
    }

    /// Value by value; `other` may have one value for all pixels.
    pub(super) fn zip(&self, other: &Self, f: impl Fn(f64, f64) -> f64) -> Result<Self, String> {
        let ([n, c, h, w], [_, _, oh, ow]) = (self.image()?, other.image()?);
        let pixels = if (oh, ow) == (1, 1) { 1 } else { h * w };
        if other.shape[..2] != [n, c] || (pixels != 1 && [oh, ow] != [h, w]) {
            return Err(format!("the shapes {:?} and {:?} do not fit", self.shape, other.shape));
        }
        let values = self.values.iter().enumerate().map(|(i, a)| {
            let at = if pixels == 1 { i / (h * w) } else { i };
            f(*a, other.values[at])
        });
        Ok(Self { shape: self.shape.clone(), values: values.collect() })
    }

    /// Convolution with weights (O, I / group, K, K) and a bias (O).
    pub(super) fn convolve(&self, weight: &Self, bias: &Self, window: Window, limit: usize) -> Result<Self, String> {
        let ([n, c, h, w], [o, i, kh, kw]) = (self.image()?, weight.image()?);
        let Window { kernel, stride, pad, group } = window;
        let sane = [kernel, stride].iter().all(|size| (1..=MAX_WINDOW).contains(size)) && pad <= MAX_WINDOW;
        let fits = sane && group >= 1 && kh == kernel && kw == kernel && i.checked_mul(group) == Some(c);
        if !fits || o % group != 0 || bias.shape != [o] || h + 2 * pad < kernel || w + 2 * pad < kernel {
            return Err(format!("weights {:?} do not fit {:?} with {window:?}", weight.shape, self.shape));
        }
        let [ph, pw] = [h, w].map(|size| (size + 2 * pad - kernel) / stride + 1);
        let mut y = filled([n, o, ph, pw], limit)?;
        if (y.len() as u64).saturating_mul((i * kernel * kernel) as u64) > MAX_MACS {
            return Err(format!("weights {:?} on {:?} are more work than is checked", weight.shape, self.shape));
        }
        for (at, plane) in y.values.chunks_exact_mut(ph * pw).enumerate() {
            let (image, filter) = (at / o, at % o);
            plane.fill(bias.values[filter]);
            for input in 0..i {
                let channel = filter / (o / group) * i + input;
                let x = &self.values[(image * c + channel) * h * w..][..h * w];
                for tap in 0..kernel * kernel {
                    let factor = weight.values[(filter * i + input) * kernel * kernel + tap];
                    let (ky, kx) = (tap / kernel, tap % kernel);
                    // The first output column whose input column is in the image, and that column.
                    let first = pad.saturating_sub(kx).div_ceil(stride);
                    let column = first * stride + kx - pad;
                    for (p, row) in plane.chunks_exact_mut(pw).enumerate() {
                        let from = (p * stride + ky).checked_sub(pad).filter(|row| *row < h);
                        let (Some(from), Some(row)) = (from, row.get_mut(first..)) else { continue };
                        let columns = x[from * w..][..w].get(column..).unwrap_or_default();
                        let add = |(value, x): (&mut f64, &f64)| *value += factor * x;
                        match stride {
                            // A step that the compiler knows lets it add many columns at once.
                            1 => row.iter_mut().zip(columns).for_each(add),
                            _ => row.iter_mut().zip(columns.iter().step_by(stride)).for_each(add),
                        }
                    }
                }
            }
        }
        Ok(y)
    }

    /// Mean over the pixels.
    pub(super) fn pool(&self) -> Result<Self, String> {
        let [n, c, h, w] = self.image()?;
        if h * w == 0 {
            return Err("an image without pixels has no mean".into());
        }
        let values = self.values.chunks_exact(h * w).map(|plane| plane.iter().sum::<f64>() / (h * w) as f64);
        Self::new(vec![n, c, 1, 1], values.collect())
    }

    /// (N, C, 1, 1) as (N, C).
    pub(super) fn flatten(&self, axis: usize) -> Result<Self, String> {
        let [n, c, h, w] = self.image()?;
        if axis != 1 {
            return Err(format!("axis {axis} is not 1"));
        }
        Self::new(vec![n, c * h * w], self.values.clone())
    }

    /// Fully connected layer with weights (O, I) and a bias (O).
    pub(super) fn linear(&self, weight: &Self, bias: &Self) -> Result<Self, String> {
        let ([n, c], [o, i]) = (self.shape.as_slice(), weight.shape.as_slice()) else {
            return Err("a linear layer takes two dimensions".into());
        };
        if c != i || bias.shape != [*o] || *c == 0 {
            return Err(format!("weights {:?} do not fit {:?}", weight.shape, self.shape));
        }
        let dot = |x: &[f64], row: &[f64]| x.iter().zip(row).map(|(a, b)| a * b).sum::<f64>();
        let row = |x| weight.values.chunks_exact(*i).zip(&bias.values).map(move |(row, bias)| bias + dot(x, row));
        Self::new(vec![*n, *o], self.values.chunks_exact(*c).flat_map(row).collect())
    }

    /// The channels from `start` to before `end`.
    pub(super) fn slice(&self, start: usize, end: usize) -> Result<Self, String> {
        let [n, c, h, w] = self.image()?;
        if start >= end || end > c || self.len() == 0 {
            return Err(format!("channels {start}..{end} are not in {:?}", self.shape));
        }
        let images = self.values.chunks_exact(c * h * w);
        let values = images.flat_map(|image| &image[start * h * w..end * h * w]).copied().collect();
        Self::new(vec![n, end - start, h, w], values)
    }

    /// The channels of both.
    pub(super) fn concat(&self, other: &Self) -> Result<Self, String> {
        let ([n, c, h, w], [on, oc, oh, ow]) = (self.image()?, other.image()?);
        if [n, h, w] != [on, oh, ow] || self.len() == 0 || other.len() == 0 {
            return Err(format!("the shapes {:?} and {:?} do not fit", self.shape, other.shape));
        }
        let mut values = Vec::with_capacity(self.len() + other.len());
        for (a, b) in self.values.chunks_exact(c * h * w).zip(other.values.chunks_exact(oc * h * w)) {
            values.extend_from_slice(a);
            values.extend_from_slice(b);
        }
        Self::new(vec![n, c + oc, h, w], values)
    }

    /// `channels` more of zeros.
    pub(super) fn widen(&self, channels: usize, limit: usize) -> Result<Self, String> {
        let [n, c, h, w] = self.image()?;
        let wide = c.checked_add(channels).filter(|_| self.len() > 0);
        let wide = wide.ok_or_else(|| format!("{channels} channels more do not fit {:?}", self.shape))?;
        let mut y = filled([n, wide, h, w], limit)?;
        for (to, from) in y.values.chunks_exact_mut(wide * h * w).zip(self.values.chunks_exact(c * h * w)) {
            to[..from.len()].copy_from_slice(from);
        }
        Ok(y)
    }
}

/// Zeros.
fn filled(shape: [usize; 4], limit: usize) -> Result<Array, String> {
    let count = shape.iter().try_fold(1usize, |count, size| count.checked_mul(*size));
    match count.filter(|count| *count <= limit) {
        Some(count) => Ok(Array { shape: shape.to_vec(), values: vec![0.0; count] }),
        None => Err(format!("the shape {shape:?} is larger than what is checked")),
    }
}
