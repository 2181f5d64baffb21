//! What GPU tests share: one device a process, the settings that every kernel is run with, tables of cases.
//!
//! A missing adapter is a panic and thus failing tests, never a skip.

use netadapt::check::agreement::{Tolerance, compare};
use netadapt::check::operands::random;
use netadapt::check::{Fault, Outcome, Setting};
use netadapt::gpu::{Gpu, Options, Precision, Words};
use netadapt::kernels::Tuning;
use netadapt::reference::Array;
use netadapt::tune::Knob;
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

/// Whether what takes long is wanted, too.
pub(crate) fn is_long() -> bool {
    std::env::var_os("NETADAPT_LONG").is_some()
}

/// Every kernel is run with all of these: tile sizes may not change the meaning. With `NETADAPT_LONG=1` with all that
/// may be tried when a device is tuned.
pub(crate) fn settings() -> Vec<(String, Setting<'static>)> {
    let narrow = Tuning {
        lanes: 64,
        conv_pixels: 2,
        conv_quads: 1,
        conv_groups: 12,
        quad_lanes: 2,
        weight_rows: 8,
        pixels: 3,
        quads: 1,
        held_kernel: 3,
        reduction: 1000,
        weight_groups: 50,
        slices: 4,
        ahead: true,
    };
    let wide = Tuning {
        lanes: 16,
        conv_pixels: 8,
        conv_quads: 4,
        conv_groups: 1,
        quad_lanes: 8,
        weight_rows: 32,
        pixels: 16,
        quads: 3,
        held_kernel: 1,
        reduction: 7,
        weight_groups: 3,
        slices: 256,
        ahead: true,
    };
    // Software adapters read maps by words of 64 bits where they have them, which WebGPU has not.
    assert_eq!(portable().words(), Words::Short);
    let own = Tuning::for_adapter(gpu().adapter());
    let (f32, bf16) = (Precision::F32, Precision::Bf16);
    let mut settings = vec![
        ("own tuning".to_owned(), Setting { gpu: gpu(), tuning: own, precision: f32 }),
        ("narrow tiles".to_owned(), Setting { gpu: gpu(), tuning: narrow, precision: f32 }),
        ("wide tiles, WebGPU's default limits".to_owned(), Setting { gpu: portable(), tuning: wide, precision: f32 }),
        ("own tuning, bf16".to_owned(), Setting { gpu: gpu(), tuning: own, precision: bf16 }),
        (
            "wide tiles, WebGPU's default limits, bf16".into(),
            Setting { gpu: portable(), tuning: wide, precision: bf16 },
        ),
    ];
    if is_long() {
        for (knob, start) in Knob::ALL.into_iter().flat_map(|knob| [(knob, own), (knob, Tuning::GPU)]) {
            let candidates = knob.candidates(&start).into_iter();
            let named =
                |tuning| (format!("{knob} {}", knob.value(&tuning)), Setting { gpu: gpu(), tuning, precision: f32 });
            settings.extend(candidates.map(named));
        }
    }
    settings
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
    pub(crate) fn add(&mut self, name: &str, outcome: Outcome) {
        self.cases += 1;
        self.faults.extend(outcome.err().map(|fault| format!("{name}: {fault}")));
    }

    pub(crate) fn finish(self) {
        assert!(self.cases > 0, "a table without cases shows nothing");
        let first: Vec<&str> = self.faults.iter().take(8).map(String::as_str).collect();
        assert!(first.is_empty(), "{} of {} cases failed\n{}", self.faults.len(), self.cases, first.join("\n\n"));
    }
}

#[test]
fn an_equal_array_passes() {
    let array = random(1, [2, 3, 5, 4]);
    compare(&array, &array, Tolerance::EXACT).expect("it is equal");
    assert_close(&array, &array, Tolerance::sum(1), "itself");
}

#[test]
fn what_is_wrong_fails_with_count_index_and_values() {
    let want = random(1, [2, 3, 5, 4]);
    let change = |change: &dyn Fn(&mut Array)| {
        let mut got = want.clone();
        change(&mut got);
        compare(&got, &want, Tolerance::sum(9)).expect_err("a changed array must not pass").to_string()
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
    faults.add("second", Err(Fault::Differs("wrong".into())));
    faults.finish();
}

#[test]
#[should_panic(expected = "without cases")]
fn an_empty_table_fails() {
    Faults::default().finish();
}
