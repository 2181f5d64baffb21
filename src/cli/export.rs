//! `netadapt export`.

use super::stored::{coded, facts, network_folder};
use crate::export::{self, Format, OnnxOptions, Options, Report};
use crate::gpu::{self, Gpu};
use crate::model::Network;
use crate::run::RunError;
use crate::search::Budget;
use clap::ValueEnum;
use std::path::PathBuf;

/// Options of `netadapt export`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Folder of a run, or of one network; with --verify an exported folder.
    folder: PathBuf,
    /// Check an exported folder: sums, contents and golden samples. Nothing is written, no device is needed.
    #[arg(long, conflicts_with_all = ["budget", "format", "opset", "batch", "out"])]
    verify: bool,
    /// Which of a run's networks, by its budget [default: the first].
    #[arg(long)]
    budget: Option<Budget>,
    /// What to write, separated by commas.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "onnx,safetensors,pytorch")]
    format: Vec<FormatArg>,
    /// Version of ONNX's operators: 13, 17 or 21.
    #[arg(long, default_value = "17", value_parser = opset)]
    opset: u32,
    /// Images of a batch of the ONNX model, or `any`.
    #[arg(long, default_value = "1", value_parser = batch)]
    batch: Batch,
    /// Folder to write [default: export in the network's].
    #[arg(long)]
    out: Option<PathBuf>,
    /// Device of the golden samples, by its number in `netadapt devices`.
    #[arg(long, env = "NETADAPT_DEVICE")]
    device: Option<usize>,
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
            FormatArg::Onnx => Format::Onnx,
            FormatArg::Safetensors => Format::Safetensors,
            FormatArg::Pytorch => Format::Pytorch,
        };
        if !formats.contains(&format) {
            formats.push(format);
        }
    }
    let options = Options { formats, onnx: OnnxOptions::new(args.opset, args.batch.0).map_err(coded)? };
    let folder = network_folder(&args.folder, args.budget.as_ref())?;
    let network = Network::open(&folder).map_err(coded)?;
    let gpu = Gpu::open(gpu::Options { device: args.device, portable: false }).map_err(RunError::from)?;
    let out = args.out.unwrap_or_else(|| folder.join("export"));
    let report = export::write(&gpu, network, &facts(&folder), &options, &out).map_err(coded)?;
    say!("{} is written", out.display());
    print(&report);
    Ok(())
}

fn print(report: &Report) {
    say!("{} files have the sums of the manifest", report.files);
    for (form, agreement) in &report.agreements {
        say!("{form}: {agreement}");
    }
}
