//! The exported folder: written beside its place, read back and checked, then renamed into it.

use super::card::card;
use super::describe::{config, labels};
use super::evaluate::Evaluator;
use super::golden::{Agreement, Golden};
use super::manifest::{MANIFEST, Manifest};
use super::onnx::{OnnxOptions, onnx_file};
use super::{ExportError, Facts, Format, Options, pytorch};
use crate::disk::{Disk, SystemDisk, folder_of};
use crate::gpu::Gpu;
use crate::model::{
    Architecture, FoldedLayer, Model, Network, WeightType, read, to_folded_safetensors, to_safetensors,
};
use safetensors::tensor::{Dtype, SafeTensors};
use std::fs;
use std::path::{Path, PathBuf};

/// The largest file of an export that is read: networks here are a thousand times smaller.
pub(super) const MAX_FILE_BYTES: u64 = 1 << 30;

/// What a check found.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// Files whose sum is that of the manifest.
    pub files: usize,
    /// Forms of the network that were run on the golden samples, and how far they are from the engine's logits.
    pub agreements: Vec<(String, Agreement)>,
}

/// Writes `network` into the new folder `out` and checks what was written.
///
/// The golden samples run on `gpu`; `out` appears only when all is there and the file of each format agrees.
///
/// # Errors
/// `ExportError` names the file or the form of the network that is not as it should be.
pub fn write(gpu: &Gpu, network: Network, facts: &Facts, options: &Options, out: &Path) -> Result<Report, ExportError> {
    made(out, |folder| fill(gpu, network, facts, options, folder).and_then(|()| verify(folder)))
}

/// The new folder `out`, which appears only when `fill` has made all that is in it.
pub(super) fn made<T>(out: &Path, fill: impl FnOnce(&Path) -> Result<T, ExportError>) -> Result<T, ExportError> {
    if out.exists() {
        return Err(ExportError::Occupied { path: out.to_owned() });
    }
    let name = out.file_name().ok_or_else(|| ExportError::Occupied { path: out.to_owned() })?;
    let mut partial = name.to_owned();
    partial.push(".partial");
    let beside = out.with_file_name(partial);
    let failed = |action| {
        let path = beside.clone();
        move |source| ExportError::Io { action, path, source }
    };
    if beside.exists() {
        fs::remove_dir_all(&beside).map_err(failed("remove"))?;
    }
    fs::create_dir_all(&beside).map_err(failed("create"))?;
    match fill(&beside) {
        Ok(made) => {
            SystemDisk.rename(&beside, out).map_err(failed("rename"))?;
            SystemDisk.sync_folder(folder_of(out)).map_err(failed("sync"))?;
            Ok(made)
        }
        Err(error) => {
            // What is wrong is told; that the rest could not be removed would not help.
            let _ = fs::remove_dir_all(&beside);
            Err(error)
        }
    }
}

/// `architecture.json`.
pub(super) fn description(architecture: &Architecture) -> Vec<u8> {
    let text = serde_json::to_string_pretty(architecture).expect("an architecture is plain data");
    format!("{text}\n").into_bytes()
}

/// Writes every file, the manifest last.
fn fill(gpu: &Gpu, network: Network, facts: &Facts, options: &Options, folder: &Path) -> Result<(), ExportError> {
    let model = Model::new(gpu, network)?;
    let network = model.network();
    let weights = |source| ExportError::Weights { source };
    let mut files: Vec<(&str, Vec<u8>)> = vec![
        ("architecture.json", description(&network.architecture)),
        ("config.json", format!("{:#}\n", config(network)).into_bytes()),
        ("labels.txt", labels(&network.architecture).into_bytes()),
        ("README.md", card(network, facts, options).into_bytes()),
        ("golden.safetensors", Golden::new(&model)?.to_safetensors().map_err(|source| weights(source.into()))?),
        ("train.safetensors", to_safetensors(&network.graph, &network.weights).map_err(weights)?),
    ];
    for format in &options.formats {
        files.push(match format {
            Format::Onnx => ("model.onnx", onnx_file(network, options.onnx, options.weights)),
            Format::Safetensors => {
                let bytes = to_folded_safetensors(&network.graph, &network.weights, options.weights);
                ("model.safetensors", bytes.map_err(weights)?)
            }
            Format::Pytorch => ("model.py", pytorch::module(network).into_bytes()),
        });
    }
    files.push((MANIFEST, Manifest::of(&files).to_json()));
    put(folder, files)
}

/// Writes these files.
pub(super) fn put(folder: &Path, files: Vec<(&str, Vec<u8>)>) -> Result<(), ExportError> {
    for (name, bytes) in files {
        let path = folder.join(name);
        let write = || SystemDisk.write(&path, &bytes).and_then(|()| SystemDisk.sync(&path));
        write().map_err(|source| ExportError::Io { action: "write", path: path.clone(), source })?;
    }
    SystemDisk.sync_folder(folder).map_err(|source| ExportError::Io { action: "sync", path: folder.to_owned(), source })
}

/// Checks an exported folder without a device: sums, contents, and the golden samples.
///
/// The samples run through `model.onnx` where there is one, and through the graph that `architecture.json`
/// and `train.safetensors` make.
///
/// # Errors
/// `ExportError` names the first file that is not as it should be, or the form that disagrees.
pub fn verify(folder: &Path) -> Result<Report, ExportError> {
    let manifest = Manifest::open(folder)?;
    for name in manifest.names() {
        manifest.check(folder, name)?;
    }
    let network = Network::open(folder)?;
    let content = |name: &str| read(&folder.join(name), MAX_FILE_BYTES).map(|bytes| (folder.join(name), bytes));
    let damaged = |path: PathBuf, reason: String| ExportError::Damaged { path, reason };

    let (path, bytes) = content("config.json")?;
    let value: serde_json::Value =
        serde_json::from_slice(&bytes).map_err(|error| damaged(path.clone(), error.to_string()))?;
    if value["pretrained_cfg"]["input_size"] != config(&network)["pretrained_cfg"]["input_size"]
        || value["num_classes"] != network.net.classes()
    {
        return Err(damaged(path, "it is of another architecture than architecture.json".into()));
    }
    let (path, bytes) = content("labels.txt")?;
    if bytes != labels(&network.architecture).as_bytes() {
        return Err(damaged(path, "its classes are not those of architecture.json".into()));
    }
    if manifest.has("model.safetensors") {
        let (path, bytes) = content("model.safetensors")?;
        check_folded(&network, &bytes).map_err(|reason| damaged(path, reason))?;
    }
    let (path, bytes) = content("golden.safetensors")?;
    let golden = Golden::parse(&network, &bytes).map_err(|reason| damaged(path, reason))?;
    let rebuilt = onnx_file(&network, OnnxOptions::default(), WeightType::F32);
    let mut forms = vec![("train.safetensors", rebuilt)];
    if manifest.has("model.onnx") {
        forms.push(("model.onnx", content("model.onnx")?.1));
    }
    let mut agreements = Vec::new();
    for (form, bytes) in forms {
        let agreement = golden.compare(&Evaluator::new(&bytes)?)?;
        if !agreement.holds() {
            return Err(ExportError::Differs { form, agreement });
        }
        agreements.push((form.to_owned(), agreement));
    }
    Ok(Report { files: manifest.names().count(), agreements })
}

/// `model.safetensors` must be the folded weights of `train.safetensors`, bit for bit, or those rounded to f16.
fn check_folded(network: &Network, bytes: &[u8]) -> Result<(), String> {
    let file = SafeTensors::deserialize(bytes).map_err(|error| error.to_string())?;
    for layer in FoldedLayer::all(&network.graph, &network.weights) {
        let bias_shape = vec![layer.bias.len()];
        for (suffix, shape, values) in [("weight", &layer.shape, &layer.weight), ("bias", &bias_shape, &layer.bias)] {
            let name = format!("{}.{suffix}", layer.path);
            let view = file.tensor(&name).map_err(|error| error.to_string())?;
            let weight_type = match view.dtype() {
                Dtype::F16 if suffix == "weight" => WeightType::F16,
                _ => WeightType::F32,
            };
            if view.shape() != shape.as_slice() || view.data() != weight_type.bytes(values) {
                return Err(format!("`{name}` is not what train.safetensors folds to"));
            }
        }
    }
    Ok(())
}
