//! `netadapt import`.

use super::stored::coded;
use crate::export;
use std::path::PathBuf;

/// Options of `netadapt import`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Exported folder. It is verified, unless other weights are given.
    model: PathBuf,
    /// Weights that were trained elsewhere: the state dictionary of model.py, saved with safetensors.
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    /// Folder to write.
    #[arg(long)]
    out: PathBuf,
}

pub(super) fn run(args: Args) -> anyhow::Result<()> {
    let network = export::import(&args.model, args.weights.as_deref(), &args.out).map_err(coded)?;
    let (out, architecture) = (args.out.display(), &network.architecture);
    let (params, classes) = (network.net.params(&network.arch) as f64 / 1e3, architecture.classes.len());
    say!("{out} is written: {params:.1} thousand parameters, {classes} classes, images of {} px", architecture.size);
    say!("go on with: netadapt predict {out} IMAGE, netadapt export {out},");
    say!("            netadapt search DATA --init-from {out}/model.safetensors --budget ...");
    Ok(())
}
