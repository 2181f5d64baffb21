//! What GPU tests share: one device a process, operands full of traps, comparison with a reference.
//!
//! A missing adapter is a panic and thus failing tests, never a skip.

use netadapt::gpu::{Buf, Gpu, Options, Program, Recording};
use netadapt::kernels::{Map, RowId, Tuning, Widths};
use netadapt::reference::Array;
use netadapt::rng::{Purpose, stream};
use rand::Rng;
use std::sync::OnceLock;

/// The device that all tests of this process share.
pub(crate) fn gpu() -> &'static Gpu {
    static GPU: OnceLock<Gpu> = OnceLock::new();
    GPU.get_or_init(|| Gpu::open(Options::default()).expect("these tests need an adapter; a software one will do"))
}

/// The same adapter with what WebGPU promises everywhere, and no more.
pub(crate) fn portable() -> &'static Gpu {
    static GPU: OnceLock<Gpu> = OnceLock::new();
    let options = Options { portable: true, ..Options::default() };
    GPU.get_or_init(|| Gpu::open(options).expect("these tests need an adapter; a software one will do"))
}

/// A device and tile sizes to run a table of cases with.
#[derive(Clone, Copy)]
pub(crate) struct Setting {
    pub(crate) name: &'static str,
    pub(crate) gpu: &'static Gpu,
    pub(crate) tuning: Tuning,
}

/// Every kernel is run with all of these: tile sizes may not change the meaning.
pub(crate) fn settings() -> [Setting; 3] {
    let narrow = Tuning {
        lanes: 64,
        conv_pixels: 2,
        conv_quads: 1,
        weight_rows: 8,
        pixels: 3,
        reduction: 1000,
        weight_groups: 50,
    };
    let wide = Tuning {
        lanes: 32,
        conv_pixels: 8,
        conv_quads: 4,
        weight_rows: 32,
        pixels: 16,
        reduction: 7,
        weight_groups: 3,
    };
    [
        Setting { name: "own tuning", gpu: gpu(), tuning: Tuning::for_adapter(gpu().adapter()) },
        Setting { name: "narrow tiles", gpu: gpu(), tuning: narrow },
        Setting { name: "wide tiles, WebGPU's default limits", gpu: portable(), tuning: wide },
    ]
}

/// How far a result may lie from its reference: `abs + rel * |reference|`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tolerance {
    pub(crate) abs: f64,
    pub(crate) rel: f64,
}

impl Tolerance {
    pub(crate) const EXACT: Self = Self { abs: 0.0, rel: 0.0 };

    /// For a sum of `length` products of numbers below 1 in f32.
    ///
    /// Each of the `length` additions rounds by at most `eps / 2` of the partial sum. Terms of one sign
    /// make partial sums up to the result: errors that add up like a random walk are then
    /// `sqrt(length) * eps / 2 * |result|`. Terms of mixed sign can cancel: their partial sums are like
    /// `sqrt(length)`, the errors `length * eps / 2` together, however small the result. Both are
    /// taken four times, which covers rounded products, another order and the largest of many results.
    pub(crate) fn sum(length: usize) -> Self {
        let (length, eps) = (length.max(1) as f64, f64::from(f32::EPSILON));
        Self { abs: 2.0 * length * eps, rel: 2.0 * length.sqrt() * eps }
    }

    /// The same where terms are up to `magnitude`, or an operation after the sum magnifies its error so much.
    pub(crate) fn scaled(self, magnitude: f64) -> Self {
        Self { abs: self.abs * magnitude, ..self }
    }
}

/// Compares two arrays value by value; NaN equals nothing.
pub(crate) fn compare(got: &Array, want: &Array, tolerance: Tolerance) -> Result<(), String> {
    if got.shape() != want.shape() || got.values.len() != want.values.len() {
        return Err(format!("shape {:?}, expected {:?}", got.shape(), want.shape()));
    }
    let excess = |i: usize| {
        let (got, want) = (got.values[i], want.values[i]);
        let excess = (got - want).abs() - tolerance.abs - tolerance.rel * want.abs();
        if excess.is_nan() { f64::INFINITY } else { excess }
    };
    let wrong: Vec<usize> = (0..got.values.len()).filter(|i| excess(*i) > 0.0).collect();
    let Some(worst) = wrong.iter().copied().max_by(|a, b| excess(*a).total_cmp(&excess(*b))) else { return Ok(()) };
    let pair = |i: usize| format!("\n  {:?}: {:e}, expected {:e}", got.index(i), got.values[i], want.values[i]);
    let pairs: String = wrong.iter().take(16).map(|i| pair(*i)).collect();
    Err(format!(
        "{} of {} values differ by more than {:.1e} + {:.1e} of themselves; the worst is{}\nthe first are{pairs}",
        wrong.len(),
        got.values.len(),
        tolerance.abs,
        tolerance.rel,
        pair(worst),
    ))
}

/// Panics with the differences.
pub(crate) fn assert_close(got: &Array, want: &Array, tolerance: Tolerance, name: &str) {
    if let Err(difference) = compare(got, want, tolerance) {
        panic!("{name}: {difference}");
    }
}

/// The faults of a table of cases: all cases run, then all faults are told at once.
#[derive(Default)]
pub(crate) struct Faults {
    cases: usize,
    faults: Vec<String>,
}

impl Faults {
    pub(crate) fn add(&mut self, name: &str, outcome: Result<(), String>) {
        self.cases += 1;
        self.faults.extend(outcome.err().map(|fault| format!("{name}: {fault}")));
    }

    pub(crate) fn finish(self) {
        assert!(self.cases > 0, "a table without cases shows nothing");
        let first: Vec<&str> = self.faults.iter().take(8).map(String::as_str).collect();
        assert!(first.is_empty(), "{} of {} cases failed\n{}", self.faults.len(), self.cases, first.join("\n\n"));
    }
}

/// Values below 1 that f32 holds exactly, a function of `seed` and of nothing else.
pub(crate) fn random(seed: u64, shape: [usize; 4]) -> Array {
    let mut rng = stream(seed, Purpose::Data, 0, 0);
    Array::from_fn(shape, |_| f64::from((rng.next_u32() >> 8) as f32 / (1 << 23) as f32 - 1.0))
}

/// Which numbers of kept channels the images of a case have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pattern {
    /// All of them in every image.
    Full,
    /// Another number in every image, most of them ending within a quad.
    Different,
    /// None in every second image.
    SomeNone,
    /// The same small number everywhere, so that whole quads are kept by nobody.
    Narrow,
}

impl Pattern {
    pub(crate) const ALL: [Self; 4] = [Self::Full, Self::Different, Self::SomeNone, Self::Narrow];

    /// A width for each of `images`; `salt` makes two tensors of one case differ.
    pub(crate) fn widths(self, images: usize, full: usize, salt: usize) -> Vec<usize> {
        let width = |n: usize| match self {
            Self::Full => full,
            Self::Different => 1 + (n * 5 + salt * 3 + full * 2 / 3) % full,
            Self::SomeNone if (n + salt).is_multiple_of(2) => 0,
            Self::SomeNone => full - (n + salt) % full.min(4),
            Self::Narrow => full.div_ceil(3),
        };
        (0..images).map(width).collect()
    }

    /// Sides of kernels, centres of a super-kernel of side `kernel`.
    pub(crate) fn sides(self, images: usize, kernel: usize) -> Vec<usize> {
        let side = |n: usize| match self {
            Self::Full => kernel,
            Self::Different | Self::SomeNone => kernel - 2 * (n % kernel.div_ceil(2)),
            Self::Narrow => kernel.saturating_sub(2).max(1),
        };
        (0..images).map(side).collect()
    }
}

/// The rows of a `Widths` being put together.
pub(crate) struct Rows {
    images: usize,
    values: Vec<u32>,
}

impl Rows {
    pub(crate) fn new(images: usize) -> Self {
        Self { images, values: vec![u32::MAX; images] }
    }

    pub(crate) fn add(&mut self, row: &[usize]) -> RowId {
        assert_eq!(row.len(), self.images, "a row has one number an image");
        self.values.extend(row.iter().map(|value| *value as u32));
        RowId((self.values.len() / self.images - 1) as u32)
    }

    pub(crate) fn upload(&self, gpu: &Gpu) -> Widths {
        let buf = gpu.upload("widths", &self.values).expect("widths fit");
        Widths { buf, images: self.images as u32 }
    }
}

fn as_u32(shape: [usize; 4]) -> [u32; 4] {
    shape.map(|size| size as u32)
}

/// Memory of `quads` quads of NaN: what is read before it is written shows, and so does what is never written.
pub(crate) fn trap(gpu: &Gpu, name: &str, quads: usize) -> Buf {
    gpu.upload(name, &vec![f32::NAN; quads * 4]).expect("operands fit")
}

/// A feature map of NaN.
pub(crate) fn trap_map(gpu: &Gpu, name: &str, shape: [usize; 4]) -> Map {
    let map = Map::new(gpu, name, as_u32(shape)).expect("operands fit");
    gpu.write(&map.buf, &vec![f32::NAN; map.buf.bytes() as usize / 4]);
    map
}

/// A feature map by the quad rule: an image's channels from its width to the next quad are zeros, those
/// after them NaN.
pub(crate) fn map(gpu: &Gpu, name: &str, array: &Array, widths: &[usize]) -> Map {
    let padded = array.resized(array.width, array.channels.next_multiple_of(4));
    let trapped = Array::from_fn(padded.shape(), |at| {
        let [n, _, _, c] = at;
        match c {
            _ if c < widths[n] => padded[at],
            _ if c < widths[n].next_multiple_of(4) => 0.0,
            _ => f64::NAN,
        }
    });
    let map = Map::new(gpu, name, as_u32(array.shape())).expect("operands fit");
    gpu.write(&map.buf, &trapped.to_quads());
    map
}

/// Parameters: every value is there.
pub(crate) fn buf(gpu: &Gpu, name: &str, quads: &[f32]) -> Buf {
    gpu.upload(name, quads).expect("operands fit")
}

/// Runs launches once.
pub(crate) fn run(gpu: &Gpu, recording: Recording) -> Result<(), String> {
    Program::new(gpu, recording).map(|program| program.run()).map_err(|error| error.to_string())
}

/// Compares a map with `want` in the quads that hold a channel below the image's width, padding included:
/// what lies after them may be anything.
pub(crate) fn check_map(
    gpu: &Gpu,
    got: &Map,
    widths: &[usize],
    want: &Array,
    tolerance: Tolerance,
) -> Result<(), String> {
    let channels = got.channels.next_multiple_of(4) as usize;
    let shape = [got.images as usize, got.height as usize, got.width as usize, channels];
    let read = read(gpu, &got.buf, shape)?;
    let written = Array::from_fn(shape, |at| if at[3] < widths[at[0]].next_multiple_of(4) { read[at] } else { 0.0 });
    compare(&written, &want.resized(want.width, channels), tolerance)
}

/// Memory as an array whose channels are whole quads.
pub(crate) fn read(gpu: &Gpu, buf: &Buf, shape: [usize; 4]) -> Result<Array, String> {
    let values = gpu.read::<f32>(buf).map_err(|error| error.to_string())?;
    Ok(Array::from_quads(shape, &values[..shape.iter().product()]))
}

#[test]
fn an_equal_array_passes() {
    let array = random(1, [2, 3, 5, 4]);
    assert_eq!(compare(&array, &array, Tolerance::EXACT), Ok(()));
    assert_close(&array, &array, Tolerance::sum(1), "itself");
}

#[test]
fn what_is_wrong_fails_with_count_index_and_values() {
    let want = random(1, [2, 3, 5, 4]);
    let change = |change: &dyn Fn(&mut Array)| {
        let mut got = want.clone();
        change(&mut got);
        compare(&got, &want, Tolerance::sum(9)).expect_err("a changed array must not pass")
    };
    let perturbed = change(&|got| got[[1, 2, 3, 0]] += 1e-4);
    assert!(perturbed.starts_with("1 of 120 values"), "{perturbed}");
    assert!(perturbed.contains("[1, 2, 3, 0]: "), "{perturbed}");
    assert!(change(&|got| got.values.swap(5, 6)).starts_with("2 of 120"));
    assert!(change(&|got| got.values[7] = f64::NAN).contains("NaN"));
    assert!(change(&|got| got.values[7] = f64::INFINITY).contains("inf"));
    assert!(change(&|got| got.values.truncate(119)).starts_with("shape"));
    assert!(change(&|got| got.channels = 3).starts_with("shape"));
    assert!(change(&|got| *got = Array::zeros([2, 3, 4, 5])).starts_with("shape"));
    let worst = change(&|got| {
        got.values.iter_mut().for_each(|value| *value += 1.0);
        got[[0, 1, 0, 2]] += 1.0;
    });
    assert!(worst.starts_with("120 of 120"), "{worst}");
    assert!(worst.contains("the worst is\n  [0, 1, 0, 2]"), "{worst}");
    assert_eq!(worst.lines().count(), 3 + 16, "{worst}");
}

#[test]
fn nan_in_the_reference_fails_too() {
    let mut want = random(1, [1, 1, 1, 4]);
    want.values[0] = f64::NAN;
    assert!(compare(&want, &want, Tolerance { abs: 1.0, rel: 1.0 }).is_err());
}

#[test]
#[should_panic(expected = "1 of 2 cases failed\nsecond: wrong")]
fn one_fault_fails_a_table() {
    let mut faults = Faults::default();
    faults.add("first", Ok(()));
    faults.add("second", Err("wrong".into()));
    faults.finish();
}

#[test]
#[should_panic(expected = "without cases")]
fn an_empty_table_fails() {
    Faults::default().finish();
}
