//! `netadapt predict`.

use super::attended::NoTune;
use super::stored::{coded, network_folder};
use crate::data::{BadFile, BadFiles, DataError, image_files};
use crate::gpu::{Gpu, Options};
use crate::model::{Model, ModelError, Network, Prediction};
use crate::run::RunError;
use std::path::{Path, PathBuf};

/// Options of `netadapt predict`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Exported folder, run (its first network), or folder of one network.
    model: PathBuf,
    /// Images, and folders of images.
    #[arg(required = true)]
    images: Vec<PathBuf>,
    /// How many classes to name.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    top: u32,
    /// Print one JSON object an image.
    #[arg(long)]
    json: bool,
    /// Device, by its number in `netadapt devices`.
    #[arg(long, env = "NETADAPT_DEVICE")]
    device: Option<usize>,
    #[command(flatten)]
    tune: NoTune,
}

pub(super) fn run(args: Args) -> anyhow::Result<()> {
    let folder = network_folder(&args.model, None)?;
    let mut paths = Vec::new();
    for path in args.images {
        match path.is_dir() {
            true => paths.extend(image_files(&path).map_err(RunError::from)?),
            false => paths.push(path),
        }
    }
    let gpu = Gpu::open(Options { device: args.device, portable: false }).map_err(RunError::from)?;
    let network = Network::open(&folder).map_err(coded)?;
    let model = Model::tuned(&gpu, network, &args.tune.tuning(&gpu)).map_err(coded)?;
    let mut bad: Vec<BadFile> = Vec::new();
    for path in &paths {
        match model.predict(path) {
            Ok(mut predictions) => {
                predictions.truncate(args.top as usize);
                print(&model, path, &predictions, args.json);
            }
            // The others are still of use; the exit code tells.
            Err(ModelError::Data(DataError::BadFiles(files))) => bad.extend(files.first),
            Err(error) => return Err(coded(error)),
        }
    }
    Ok(BadFiles::check(&bad, 0).map_err(RunError::from)?)
}

fn print(model: &Model, path: &Path, predictions: &[Prediction], json: bool) {
    let classes = &model.network().architecture.classes;
    if json {
        let predictions: Vec<_> = predictions
            .iter()
            .map(|p| serde_json::json!({ "class": classes[p.class], "index": p.class, "probability": p.probability }))
            .collect();
        say!("{}", serde_json::json!({ "image": path.to_string_lossy(), "predictions": predictions }));
        return;
    }
    let predictions: Vec<String> =
        predictions.iter().map(|p| format!("{} {:.1} %", classes[p.class], p.probability * 100.0)).collect();
    say!("{}: {}", path.display(), predictions.join(", "));
}
