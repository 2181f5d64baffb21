//! Networks that exist: which folder a user means, and what the run around it knows.

use crate::export::{ExportError, Facts};
use crate::model::{ModelError, read};
use crate::run::RunError;
use crate::search::Goal;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// The largest file of a run that is looked into.
const MAX_FILE_BYTES: u64 = 16 << 20;

/// The network that a user means: a folder with one in it, or a run's for `budget`, the first where nothing is said.
pub(super) fn network_folder(path: &Path, budget: Option<&Goal>) -> anyhow::Result<PathBuf> {
    if path.join("architecture.json").exists() {
        return Ok(path.to_owned());
    }
    let found: Vec<PathBuf> = (0..)
        .map(|index| path.join(format!("networks/{index}")))
        .take_while(|folder| folder.join("architecture.json").exists())
        .collect();
    let [first, ..] = found.as_slice() else {
        anyhow::bail!("{} is neither an exported network nor a run that has found one", path.display());
    };
    let Some(wanted) = budget else { return Ok(first.clone()) };
    let text_of = |folder: &PathBuf| text(&json(&folder.join("metrics.json"))["network"]["budget"]["text"]);
    let texts: Vec<Option<String>> = found.iter().map(text_of).collect();
    let is_wanted = |text: &Option<String>| text.as_ref().and_then(|t| t.parse().ok()).as_ref() == Some(wanted);
    match texts.iter().position(is_wanted) {
        Some(index) => Ok(found[index].clone()),
        None => {
            let texts: Vec<String> = texts.into_iter().flatten().collect();
            anyhow::bail!("{} has no network for {wanted}; it has {}", path.display(), texts.join(", "))
        }
    }
}

/// What the run around a network's folder knows of it; nothing where there is no run.
pub(super) fn facts(folder: &Path) -> Facts {
    let network = json(&folder.join("metrics.json"))["network"].take();
    let run = folder.join("../..");
    let (data, environment) = (json(&run.join("data.json")), json(&run.join("env.json")));
    let config = read(&run.join("config.toml"), MAX_FILE_BYTES).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let config: Option<toml::Table> = config.and_then(|text| text.parse().ok());
    let images = config.as_ref().and_then(|config| config.get("data")).and_then(toml::Value::as_str).map(Path::new);
    let adapter = &environment["adapter"];
    Facts {
        data: images.and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned()),
        images: data["train"].as_u64().zip(data["test"].as_u64()),
        budget: text(&network["budget"]["text"]),
        accuracy: network["accuracy"]["test"].as_f64().zip(network["interval"].as_f64()),
        latency_ms: network["latency_ms"].as_f64(),
        device: text(&adapter["name"]).zip(text(&adapter["driver"])).map(|(name, driver)| format!("{name} ({driver})")),
        half: None,
        cross_check: None,
    }
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

/// A file of JSON; null where it cannot be read: a card says less then.
fn json(path: &Path) -> Value {
    read(path, MAX_FILE_BYTES).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
}

/// An error with its exit code: no device and unusable images have codes of their own.
pub(super) fn coded(error: impl Into<ExportError>) -> anyhow::Error {
    match error.into() {
        ExportError::Model(ModelError::Network(error)) => RunError::from(error).into(),
        ExportError::Model(ModelError::Data(error)) => RunError::from(error).into(),
        other => other.into(),
    }
}
