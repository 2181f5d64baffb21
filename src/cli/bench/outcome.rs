//! What a measurement came to: for people, for programs, for comparison with a later one.

use super::peer::{self, Peer};
use crate::cli::attended::NoTune;
use crate::disk::{Disk, SystemDisk, write_whole};
use crate::gpu::{Adapter, Gpu, Options};
use crate::kernels::Tuning;
use crate::latency::{Measurement, Spread};
use crate::model::read;
use crate::run::{RunError, date};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Options that every measurement has.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Common {
    /// Device, by its number in `netadapt devices`.
    #[arg(long, global = true, env = "NETADAPT_DEVICE")]
    device: Option<usize>,
    /// Print one JSON object.
    #[arg(long, global = true)]
    json: bool,
    #[command(flatten)]
    tune: NoTune,
    /// Keep the result below this folder, in one of the date and the device.
    #[arg(long, global = true, value_name = "DIR", num_args = 0..=1, default_missing_value = "benches/runs")]
    save: Option<PathBuf>,
    /// Run the same in another framework, in turn, and print ratios: `data`, `kernels`, `step` and `all`.
    #[arg(long, global = true, value_name = "NAME")]
    peer: Option<peer::Name>,
    /// Say in words what changed since a result that was saved.
    #[arg(long, global = true, value_name = "FILE")]
    baseline: Option<PathBuf>,
}

/// Results of a measurement.
#[derive(Default)]
pub(super) struct Outcome {
    /// All of it.
    pub(super) json: serde_json::Map<String, serde_json::Value>,
    /// One screen.
    pub(super) lines: Vec<String>,
    /// What can be compared with another measurement, by name.
    pub(super) quantities: BTreeMap<String, Quantity>,
}

/// A number that was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Quantity {
    value: f64,
    unit: String,
    /// Standard error, as a share of the value.
    error: f64,
    /// Whether less is better.
    less: bool,
}

/// A result as an object.
///
/// # Panics
/// For a value that is none.
pub(super) fn object(value: serde_json::Value) -> serde_json::Map<String, serde_json::Value> {
    match value {
        serde_json::Value::Object(object) => object,
        other => panic!("a result is an object, not {other}"),
    }
}

impl Quantity {
    /// A time in milliseconds.
    pub(super) fn ms(spread: &Spread) -> Self {
        Self { value: spread.median, unit: "ms".into(), error: spread.median_error(), less: true }
    }

    /// A time of processors in milliseconds, to be compared with none on the wall.
    pub(super) fn processor_ms(spread: &Spread) -> Self {
        Self { unit: "ms of processor time".into(), ..Self::ms(spread) }
    }

    /// A network's latency.
    pub(super) fn measured(m: &Measurement) -> Self {
        Self::ms(&m.spread())
    }

    /// A time without a spread.
    pub(super) fn us(value: f64) -> Self {
        Self { value, unit: "us".into(), error: 0.02, less: true }
    }

    /// A rate without a spread.
    pub(super) fn rate(value: f64, unit: &str) -> Self {
        Self { value, unit: unit.into(), error: 0.02, less: false }
    }
}

/// A result in its file.
#[derive(Serialize, Deserialize)]
struct Saved {
    version: u32,
    command: String,
    date: String,
    adapter: Adapter,
    quantities: BTreeMap<String, Quantity>,
    result: serde_json::Map<String, serde_json::Value>,
}

/// The largest result that is read.
const MAX_RESULT_BYTES: u64 = 16 << 20;
/// What is not worth a word, as a share.
const SAME: f64 = 0.05;

impl Common {
    /// The device that was asked for.
    pub(super) fn open(&self) -> anyhow::Result<Gpu> {
        Ok(Gpu::open(Options { device: self.device, portable: false }).map_err(RunError::from)?)
    }

    /// The device's tile sizes.
    pub(super) fn tuning(&self, gpu: &Gpu) -> Tuning {
        self.tune.tuning(gpu)
    }

    /// The framework that was asked for.
    pub(super) fn peer(&self, gpu: &Gpu) -> anyhow::Result<Option<Peer>> {
        self.peer.map(|name| Peer::start(name, !gpu.adapter().is_software())).transpose()
    }

    /// Prints, keeps and compares.
    ///
    /// # Errors
    /// Where a file cannot be read or written.
    pub(super) fn finish(&self, name: &str, gpu: &Gpu, tuning: &Tuning, mut outcome: Outcome) -> anyhow::Result<()> {
        outcome.json.insert("tuning".into(), serde_json::json!(tuning));
        let baseline: Option<Saved> = self.baseline.as_deref().map(saved).transpose()?;
        let words = baseline.map(|old| compare(&old, gpu.adapter(), &outcome.quantities));
        if let Some(words) = &words {
            outcome.json.insert("compared".into(), words.clone().into());
        }
        let path = self.save.as_deref().map(|folder| save(folder, name, gpu.adapter(), &outcome)).transpose()?;
        if self.json {
            say!("{}", serde_json::Value::Object(outcome.json));
            return Ok(());
        }
        outcome.lines.iter().for_each(|line| say!("{line}"));
        words.iter().flatten().for_each(|line| say!("{line}"));
        if let Some(path) = path {
            say!("kept in {}", path.display());
        }
        Ok(())
    }
}

fn saved(path: &Path) -> anyhow::Result<Saved> {
    let bytes = read(path, MAX_RESULT_BYTES)?;
    serde_json::from_slice(&bytes)
        .map_err(|error| anyhow::anyhow!("{} is no result of netadapt-bench --save: {error}", path.display()))
}

/// `<folder>/<date>-<device>/<name>.json`.
fn save(folder: &Path, name: &str, adapter: &Adapter, outcome: &Outcome) -> anyhow::Result<PathBuf> {
    let device = slug(&adapter.name);
    let folder = folder.join(format!("{}-{device}", date()));
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let saved = Saved {
        version: 1,
        command: format!("netadapt-bench {}", arguments.join(" ")),
        date: date(),
        adapter: adapter.clone(),
        quantities: outcome.quantities.clone(),
        result: outcome.json.clone(),
    };
    let path = folder.join(format!("{name}.json"));
    let text = serde_json::to_string_pretty(&saved).expect("a result is JSON") + "\n";
    let written = SystemDisk.create_folder(&folder).and_then(|()| write_whole(&SystemDisk, &path, text.as_bytes()));
    written.map_err(|error| anyhow::anyhow!("cannot write {}: {error}", path.display()))?;
    Ok(path)
}

/// A device's name as part of a path: `NVIDIA H100 (80 GB)` becomes `nvidia-h100-80-gb`.
fn slug(name: &str) -> String {
    let lower = name.to_lowercase();
    lower.split(|c: char| !c.is_ascii_alphanumeric()).filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-")
}

/// What changed since an earlier result, largest change first.
fn compare(old: &Saved, adapter: &Adapter, new: &BTreeMap<String, Quantity>) -> Vec<String> {
    let mut words = vec![format!("beside `{}` of {}", old.command, old.date)];
    if old.adapter != *adapter {
        words.push(format!("  which was on {}", old.adapter));
    }
    let mut changed = Vec::new();
    let mut same = 0;
    for (name, quantity) in new {
        let Some(before) = old.quantities.get(name).filter(|before| before.unit == quantity.unit) else { continue };
        let faster = if quantity.less { before.value / quantity.value } else { quantity.value / before.value };
        // Three standard errors of the ratio, and never less than what a run may differ by anyway.
        let noise = SAME.max(3.0 * before.error.hypot(quantity.error));
        if faster.ln().abs() <= noise {
            same += 1;
            continue;
        }
        let (times, word) = if faster > 1.0 { (faster, "faster") } else { (1.0 / faster, "slower") };
        let unit = &quantity.unit;
        changed.push((
            times,
            format!("  {name}: {times:.2} times {word}, {:.4} {unit} after {:.4}", quantity.value, before.value),
        ));
    }
    changed.sort_by(|a, b| b.0.total_cmp(&a.0));
    let missing = new.keys().filter(|name| !old.quantities.contains_key(*name)).count();
    words.push(format!("  {} changed, {same} as before, {missing} were not measured then", changed.len()));
    words.extend(changed.into_iter().map(|(_, line)| line));
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adapter(name: &str) -> Adapter {
        Adapter { name: name.into(), driver: "1".into(), backend: "vulkan".into(), kind: "other".into(), pci: (0, 0) }
    }

    fn ms(value: f64, error: f64) -> Quantity {
        Quantity { value, unit: "ms".into(), error, less: true }
    }

    #[test]
    fn changes_are_told_by_size_and_noise_is_not() {
        let quantities = [
            ("slower", ms(1.0, 0.0)),
            ("noisy", ms(1.0, 0.1)),
            ("rate", Quantity::rate(10.0, "GB/s")),
            ("same", ms(1.0, 0.0)),
        ];
        let old = Saved {
            version: 1,
            command: "netadapt-bench x".into(),
            date: "2026-01-01".into(),
            adapter: adapter("a"),
            quantities: quantities.map(|(name, q)| (name.to_owned(), q)).into(),
            result: serde_json::Map::new(),
        };
        let new = [
            ("slower", ms(1.2, 0.0)),
            ("noisy", ms(1.2, 0.1)),
            ("rate", Quantity::rate(30.0, "GB/s")),
            ("same", ms(1.01, 0.0)),
            ("new", ms(1.0, 0.0)),
        ];
        let new = new.map(|(name, q)| (name.to_owned(), q)).into();
        let words = compare(&old, &adapter("b"), &new);
        assert_eq!(words.len(), 5, "{words:#?}");
        assert!(words[1].contains("a (other"), "another device is named: {}", words[1]);
        assert_eq!(words[2], "  2 changed, 2 as before, 1 were not measured then");
        assert_eq!(words[3], "  rate: 3.00 times faster, 30.0000 GB/s after 10.0000");
        assert_eq!(words[4], "  slower: 1.20 times slower, 1.2000 ms after 1.0000");
    }

    #[test]
    fn a_result_is_read_back_and_other_files_are_refused() {
        let dir = std::env::temp_dir().join(format!("netadapt-outcome-{}", std::process::id()));
        let mut outcome = Outcome::default();
        outcome.quantities.insert("x".into(), ms(1.5, 0.25));
        outcome.json.insert("y".into(), 3.into());
        let path = save(&dir, "device", &adapter("NVIDIA H100 (80 GB)"), &outcome).unwrap();
        assert!(path.parent().unwrap().ends_with(format!("{}-nvidia-h100-80-gb", date())), "{}", path.display());
        let read = saved(&path).unwrap();
        assert_eq!((read.quantities, read.result), (outcome.quantities, outcome.json));
        std::fs::write(&path, "{}").unwrap();
        let error = saved(&path).err().unwrap().to_string();
        assert!(error.contains("device.json") && error.contains("--save"), "{error}");
        std::fs::remove_dir_all(dir).unwrap();
    }
}
