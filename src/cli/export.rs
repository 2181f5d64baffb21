//! `netadapt export`.

use super::attended::NoTune;
use super::runtime::{Runtime, cross_check};
use super::stored::{coded, facts, network_folder};
use crate::export::{self, HalfCost, OnnxOptions, Options, Report};
use crate::gpu::{self, Gpu};
use crate::graph::Weights;
use crate::kernels::Tuning;
use crate::model::{Network, WeightType, rounded};
use crate::run::{self, RunError};
use crate::search::Goal;
use crate::train::evaluate;
use clap::ValueEnum;
use std::path::{Path, PathBuf};

/// Options of `netadapt export`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Folder of a run, or of one network; with --verify an exported folder.
    folder: PathBuf,
    /// Check an exported folder: sums, contents and golden samples. Nothing is written, no device is needed.
    #[arg(long, conflicts_with_all = ["budget", "format", "opset", "batch", "weights", "data", "cross_check", "out"])]
    verify: bool,
    /// Which of a run's networks, by its budget [default: the first].
    #[arg(long)]
    budget: Option<Goal>,
    /// What to write, separated by commas.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "onnx,safetensors,pytorch")]
    format: Vec<FormatArg>,
    /// Version of ONNX's operators: 13, 17 or 21.
    #[arg(long, default_value = "17", value_parser = opset)]
    opset: u32,
    /// Images of a batch of the ONNX model, or `any`.
    #[arg(long, default_value = "1", value_parser = batch)]
    batch: Batch,
    /// Type of the weights in model.onnx and model.safetensors; f16 is measured on the test images first.
    #[arg(long, value_enum, default_value = "f32")]
    weights: WeightsArg,
    /// Folder of the images to measure f16 on, where the run's are not where they were.
    #[arg(long, value_name = "DATA")]
    data: Option<PathBuf>,
    /// Measure the network in another runtime too, and put both latencies into the card.
    #[arg(long, value_enum, value_name = "RUNTIME")]
    cross_check: Option<Runtime>,
    /// Folder to write [default: export in the network's].
    #[arg(long)]
    out: Option<PathBuf>,
    /// Device of the golden samples, by its number in `netadapt devices`.
    #[arg(long, env = "NETADAPT_DEVICE")]
    device: Option<usize>,
    #[command(flatten)]
    tune: NoTune,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum FormatArg {
    /// model.onnx.
    Onnx,
    /// model.safetensors, batch normalisation folded.
    Safetensors,
    /// model.py.
    Pytorch,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum WeightsArg {
    /// 32 bits.
    F32,
    /// 16 bits.
    F16,
}

/// Images of a batch; `None` for any number.
#[derive(Clone, Copy, Debug)]
struct Batch(Option<u32>);

fn batch(text: &str) -> Result<Batch, String> {
    match text.parse() {
        Ok(number @ 1..=65_536) => Ok(Batch(Some(number))),
        _ if text == "any" => Ok(Batch(None)),
        _ => Err("write a number from 1 to 65536, or `any`".into()),
    }
}

fn opset(text: &str) -> Result<u32, String> {
    let number = text.parse().map_err(|_| "write a number".to_owned())?;
    OnnxOptions::new(number, None).map(|_| number).map_err(|error| error.to_string())
}

pub(super) fn run(args: Args) -> anyhow::Result<()> {
    if args.verify {
        let report = export::verify(&args.folder).map_err(coded)?;
        say!("{} is whole", args.folder.display());
        print(&report);
        return Ok(());
    }
    let mut formats = Vec::new();
    for format in args.format {
        let format = match format {
            FormatArg::Onnx => export::Format::Onnx,
            FormatArg::Safetensors => export::Format::Safetensors,
            FormatArg::Pytorch => export::Format::Pytorch,
        };
        if !formats.contains(&format) {
            formats.push(format);
        }
    }
    let weights = match args.weights {
        WeightsArg::F32 => WeightType::F32,
        WeightsArg::F16 => WeightType::F16,
    };
    let options = Options { formats, onnx: OnnxOptions::new(args.opset, args.batch.0).map_err(coded)?, weights };
    let folder = network_folder(&args.folder, args.budget.as_ref())?;
    let network = Network::open(&folder).map_err(coded)?;
    let gpu = Gpu::open(gpu::Options { device: args.device, portable: false }).map_err(RunError::from)?;
    let out = args.out.unwrap_or_else(|| folder.join("export"));
    let mut facts = facts(&folder);
    if weights == WeightType::F16 || args.cross_check.is_some() {
        let tuning = args.tune.tuning(&gpu);
        if weights == WeightType::F16 {
            facts.half = Some(half_cost(&gpu, &tuning, &network, &folder, args.data.as_deref())?);
        }
        if let Some(runtime) = args.cross_check {
            let batch = args.batch.0.unwrap_or(1);
            let onnx = export::onnx_file(&network, options.onnx, weights);
            facts.cross_check = Some(cross_check(runtime, &gpu, &tuning, &network, (onnx.as_slice(), batch))?);
        }
    }
    let report = export::write(&gpu, network, &facts, &options, &out).map_err(coded)?;
    say!("{} is written", out.display());
    facts.half.iter().for_each(|cost| say!("weights in f16: {cost}"));
    facts.cross_check.iter().for_each(|check| say!("cross-check: {check}"));
    print(&report);
    Ok(())
}

/// What rounding the weights to f16 costs on the test images of the network's run, or on those in `data`.
fn half_cost(
    gpu: &Gpu,
    tuning: &Tuning,
    network: &Network,
    folder: &Path,
    data: Option<&Path>,
) -> Result<HalfCost, RunError> {
    let images = run::test_images(&folder.join("../.."), data, &network.architecture)?;
    let normalisation = &network.architecture.normalisation;
    let on = |weights: &Weights| evaluate(gpu, &network.graph, weights, &images, normalisation, tuning);
    let full = on(&network.weights)?;
    let half = on(&rounded(&network.graph, &network.weights))?;
    let changed = full.predicted.iter().zip(&half.predicted).filter(|(a, b)| a != b).count();
    Ok(HalfCost { half: half.accuracy, full: full.accuracy, changed, images: images.len() })
}

fn print(report: &Report) {
    say!("{} files have the sums of the manifest", report.files);
    for (form, agreement) in &report.agreements {
        say!("{form}: {agreement}");
    }
}
