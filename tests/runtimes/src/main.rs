//! Runs exported networks in runtimes written in Rust, rten and tract:
//!
//! ```text
//! cargo run --release -- FOLDER...
//! ```
//!
//! Every `model.onnx` below the folders must give the engine's logits on the golden samples: the same class, and within
//! 1e-4 of the logits' range; with weights in f16, which may decide a close call, within 1e-2. rten has no f16, so
//! those run in tract alone. The last line says how many passed; the exit code is 1 where one failed or none was found.

use anyhow::{Context, Result, ensure};
use safetensors::{Dtype, SafeTensors};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tract_onnx::pb::tensor_shape_proto::dimension;
use tract_onnx::pb::{GraphProto, type_proto};
use tract_onnx::prelude::*;

const TOLERANCE: f64 = 1e-4;
const HALF_TOLERANCE: f64 = 1e-2;

/// A tensor of a file: its shape and its values.
struct Values {
    shape: Vec<usize>,
    values: Vec<f32>,
}

/// An exported network with what the engine says of its golden samples.
struct Exported {
    onnx: Vec<u8>,
    /// (samples, channels, size, size), from 0 to 1.
    pixels: Values,
    /// (samples, classes).
    logits: Values,
    opset: i64,
    /// Images that the network takes at once.
    batch: usize,
    /// Whether its weights are in f16.
    half: bool,
}

impl Exported {
    fn open(folder: &Path) -> Result<Self> {
        let onnx = std::fs::read(folder.join("model.onnx"))?;
        let golden = std::fs::read(folder.join("golden.safetensors"))?;
        let golden = SafeTensors::deserialize(&golden)?;
        let (pixels, logits) = (tensor(&golden, "pixels")?, tensor(&golden, "logits")?);
        let model = tract_onnx::onnx().proto_model_for_read(&mut onnx.as_slice())?;
        let graph = model.graph.as_ref().context("the file has no graph")?;
        let half = graph.initializer.iter().any(|constant| constant.data_type == FLOAT16);
        let opset = model.opset_import.first().context("no opset is named")?.version;
        let batch = batch(graph).unwrap_or(pixels.shape[0]);
        Ok(Self { onnx, pixels, logits, opset, batch, half })
    }

    /// The golden samples in batches, each with its shape.
    fn batches(&self) -> impl Iterator<Item = ([usize; 4], &[f32])> {
        let &[_, channels, height, width] = self.pixels.shape.as_slice() else {
            unreachable!("images have four sizes")
        };
        let shape = [self.batch, channels, height, width];
        self.pixels.values.chunks(shape.iter().product()).map(move |images| (shape, images))
    }

    /// The logits of the golden samples in rten.
    fn in_rten(&self) -> Result<Vec<f32>> {
        let model = rten::Model::load(self.onnx.clone())?;
        let mut logits = Vec::new();
        for (shape, images) in self.batches() {
            let images = rten_tensor::NdTensorView::from_data(shape, images);
            let output = model.run_one(images.into(), None)?;
            let output: rten_tensor::NdTensor<f32, 2> = output.try_into()?;
            logits.extend(output.into_data());
        }
        Ok(logits)
    }

    /// The logits of the golden samples in tract.
    fn in_tract(&self) -> Result<Vec<f32>> {
        let (shape, _) = self.batches().next().context("there are no samples")?;
        let model = tract_onnx::onnx()
            .model_for_read(&mut self.onnx.as_slice())?
            .with_input_fact(0, f32::fact(shape).into())?
            .into_optimized()?
            .into_runnable()?;
        let mut logits = Vec::new();
        for (shape, images) in self.batches() {
            let output = model.run(tvec!(Tensor::from_shape(&shape, images)?.into()))?;
            logits.extend(output[0].to_plain_array_view::<f32>()?.iter());
        }
        Ok(logits)
    }

    /// How far `got` is from the engine's logits, as a share of their range.
    fn difference(&self, got: &[f32]) -> Result<f64> {
        let want = &self.logits.values;
        ensure!(got.len() == want.len(), "{} logits came out and not {}", got.len(), want.len());
        let (low, high) = want.iter().fold((f32::MAX, f32::MIN), |(low, high), v| (low.min(*v), high.max(*v)));
        let differences = got.iter().zip(want).map(|(a, b)| f64::from((a - b).abs()));
        let share = differences.fold(0.0, f64::max) / f64::from(high - low);
        let tolerance = if self.half { HALF_TOLERANCE } else { TOLERANCE };
        ensure!(
            got.iter().all(|logit| logit.is_finite()) && share <= tolerance,
            "logits differ by {share:.1e} of their range"
        );
        let classes = self.logits.shape[1];
        let same = got.chunks(classes).zip(want.chunks(classes)).all(|(a, b)| best(a) == best(b));
        ensure!(self.half || same, "another class wins");
        Ok(share)
    }
}

/// `data_type` of f16 in ONNX.
const FLOAT16: i32 = 10;

/// Images that the network takes at once; `None` for any number, which is written as a name.
fn batch(graph: &GraphProto) -> Option<usize> {
    let type_proto::Value::TensorType(images) = graph.input.first()?.r#type.as_ref()?.value.as_ref()?;
    match images.shape.as_ref()?.dim.first()?.value.as_ref()? {
        dimension::Value::DimValue(count) => usize::try_from(*count).ok(),
        dimension::Value::DimParam(_) => None,
    }
}

fn tensor(file: &SafeTensors<'_>, name: &str) -> Result<Values> {
    let view = file.tensor(name)?;
    ensure!(view.dtype() == Dtype::F32, "`{name}` is not f32");
    let value = |bytes: &[u8]| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    Ok(Values { shape: view.shape().to_vec(), values: view.data().chunks_exact(4).map(value).collect() })
}

/// Index of the largest.
fn best(logits: &[f32]) -> Option<usize> {
    (0..logits.len()).max_by(|a, b| logits[*a].total_cmp(&logits[*b]))
}

/// Folders below `root`, itself among them, that have a `model.onnx`.
fn exports(root: &Path, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    if root.join("model.onnx").exists() {
        found.push(root.to_owned());
    }
    for entry in std::fs::read_dir(root)? {
        let path = entry?.path();
        if path.is_dir() {
            exports(&path, found)?;
        }
    }
    Ok(())
}

fn main() -> Result<ExitCode> {
    let mut folders = Vec::new();
    for root in std::env::args_os().skip(1) {
        exports(Path::new(&root), &mut folders).with_context(|| format!("{}", Path::new(&root).display()))?;
    }
    let (mut largest, mut failed) = (BTreeMap::<String, Vec<f64>>::new(), 0);
    for folder in folders {
        let mut check = |runtime: &str| -> Result<()> {
            let exported = Exported::open(&folder)?;
            let logits = match runtime {
                "rten" if exported.half => return Ok(()),
                "rten" => exported.in_rten()?,
                _ => exported.in_tract()?,
            };
            let share = exported.difference(&logits)?;
            let weights = if exported.half { ", weights in f16" } else { "" };
            let kind = format!("{runtime}, opset {}{weights}", exported.opset);
            largest.entry(kind).or_default().push(share);
            Ok(())
        };
        for runtime in ["rten", "tract"] {
            if let Err(error) = check(runtime) {
                failed += 1;
                println!("{}: {runtime}: {error:#}", folder.display());
            }
        }
    }
    for (kind, differences) in &largest {
        let most = differences.iter().copied().fold(0.0, f64::max);
        println!("{kind}: {} networks, largest difference {most:.1e} of the range", differences.len());
    }
    let passed: usize = largest.values().map(Vec::len).sum();
    println!("{passed} passed, {failed} failed");
    Ok(if failed > 0 || passed == 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
