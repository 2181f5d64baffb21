//! What a run was started with, so that one that goes on is the same run.

use super::config::Config;
use super::error::{RunError, StartedWith};
use super::folder::{self, CONFIG, Folder, FolderError, read_json};
use super::prepare::Prepared;
use crate::data::{Dataset, Normalisation};
use crate::gpu::Adapter;
use crate::graph::Weights;
use crate::kernels::Tuning;
use crate::model::from_safetensors;
use crate::space::Space;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::Path;

const STARTED: &str = "state/started.json";
const ENV: &str = "env.json";
const DATA: &str = "data.json";
/// Weights of the super-network.
const SHARED: &str = "initial/model.safetensors";

impl DataRecord {
    /// Refuses images that are not those of this record, and says what differs.
    fn check(&self, prepared: &Prepared) -> Result<(), RunError> {
        let now = Self::new(prepared);
        if *self == now {
            return Ok(());
        }
        let value = |record: &Self| serde_json::to_value(record).expect("a record is plain data");
        let mut changes = changes(&value(self), &value(&now));
        // In words first; the fingerprint alone says that names or sizes of files differ.
        changes.retain(|change| !change.starts_with("fingerprint"));
        if changes.is_empty() {
            changes.push("names or sizes of files are others than they were".into());
        }
        Err(RunError::Changed { what: StartedWith::Data, changes: changes.join(", ") })
    }
}

/// The configuration that a run was started with. `config.toml` is the same for people to read.
#[derive(Serialize, Deserialize)]
struct Started {
    config: Config,
    space: Space,
    /// The command, as a shell takes it.
    #[serde(default)]
    command: String,
}

impl Started {
    /// What was read, if a network can be made of it.
    fn valid(self) -> Result<Self, RunError> {
        self.space.validate(STARTED)?;
        Ok(self)
    }
}

/// Whether this is the beginning of a run, for `formats`.
pub(crate) fn reads_started(bytes: &[u8]) -> bool {
    serde_json::from_slice::<Started>(bytes).is_ok_and(|started| started.valid().is_ok())
}

/// Whether this is `env.json` or `data.json` of a run, for `formats`.
pub(crate) fn reads_surroundings(bytes: &[u8]) -> bool {
    serde_json::from_slice::<Env>(bytes).is_ok_and(|env| env.usable().is_ok())
        || serde_json::from_slice::<DataRecord>(bytes).is_ok()
}

/// `env.json`.
#[derive(Serialize, Deserialize)]
pub(super) struct Env {
    pub(super) adapter: Adapter,
    version: String,
    pub(super) tuning: Tuning,
}

impl Env {
    /// What was read, if kernels can be run so.
    fn usable(self) -> Result<Self, String> {
        if self.tuning.is_usable() { Ok(self) } else { Err("the tuning is none that a kernel can have".into()) }
    }
}

/// `data.json`.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct DataRecord {
    fingerprint: String,
    classes: Vec<String>,
    train: usize,
    holdout: usize,
    test: usize,
    size: u32,
    channels: u32,
    normalisation: Normalisation,
}

impl DataRecord {
    fn new(prepared: &Prepared) -> Self {
        let Dataset { fingerprint, classes, train, holdout, test, .. } = &prepared.dataset;
        let input = prepared.net.input();
        Self {
            fingerprint: fingerprint.clone(),
            classes: classes.clone(),
            train: train.len(),
            holdout: holdout.len(),
            test: test.len(),
            size: input.size,
            channels: input.channels,
            normalisation: prepared.normalisation,
        }
    }
}

/// Another run, as far as one that searches its super-network again needs it.
pub struct Source {
    /// What it was asked to do.
    pub config: Config,
    /// Its space.
    pub(super) space: Space,
    data: DataRecord,
}

/// The run in this folder, which may go on meanwhile.
///
/// # Errors
/// `FolderError` where there is no run, or a file of it cannot be read.
pub fn source(run: &Path) -> Result<Source, RunError> {
    let missing = |error: FolderError| {
        if error.is_missing() { FolderError::NoRun { path: run.to_owned() } } else { error }
    };
    let Started { config, space, .. } = read_json::<Started>(&run.join(STARTED)).map_err(missing)?.valid()?;
    let data = read_json(&run.join(DATA)).map_err(missing)?;
    Ok(Source { config: Config { out: run.to_owned(), ..config }, space, data })
}

impl Source {
    /// Pixels a side of its images.
    pub(super) fn size(&self) -> u32 {
        self.data.size
    }

    /// Refuses other images than those that its super-network was trained on, or another split of them.
    pub(super) fn check_data(&self, prepared: &Prepared) -> Result<(), RunError> {
        self.data.check(prepared)
    }

    /// The weights of its super-network.
    pub(super) fn shared(&self, prepared: &Prepared) -> Result<Weights, RunError> {
        let run = &self.config.out;
        let missing = |error: FolderError| match error.is_missing() {
            true => RunError::NoSupernet { folder: run.clone() },
            false => error.into(),
        };
        let bytes = folder::read(&run.join(SHARED)).map_err(missing)?;
        let path = run.join(SHARED);
        Ok(from_safetensors(&prepared.graph, &bytes)
            .map_err(|error| FolderError::Damaged { path, reason: error.to_string() })?)
    }
}

/// Writes down what the run is about, before anything takes long.
pub(super) fn write(folder: &Folder, config: &Config, prepared: &Prepared) -> Result<(), RunError> {
    let text = toml::to_string_pretty(config).map_err(|error| RunError::Other(error.into()))?;
    let space = toml::to_string_pretty(&prepared.space).map_err(|error| RunError::Other(error.into()))?;
    let space = space.lines().map(|line| format!("# {line}\n")).collect::<String>();
    folder.write(CONFIG, format!("{text}\n# The space, as resolved:\n{space}").as_bytes())?;
    write_env(folder, prepared)?;
    folder.write_json(DATA, &DataRecord::new(prepared))?;
    // The last of them: where it is there, so are the others.
    let command = shlex::try_join(std::env::args().collect::<Vec<_>>().iter().map(String::as_str)).unwrap_or_default();
    folder.write_json(STARTED, &Started { config: config.clone(), space: prepared.space.clone(), command })?;
    Ok(())
}

/// `env.json` of the run in this folder, if it has one.
///
/// # Errors
/// `FolderError` where it is damaged.
pub(super) fn env_beside(folder: &Path) -> Result<Option<Env>, RunError> {
    let env: Env = match read_json(&folder.join(ENV)) {
        Ok(env) => env,
        Err(error) if error.is_missing() => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    env.usable().map_err(|reason| FolderError::Damaged { path: folder.join(ENV), reason }.into()).map(Some)
}

pub(super) fn write_env(folder: &Folder, prepared: &Prepared) -> Result<(), RunError> {
    let env = Env {
        adapter: prepared.gpu.adapter().clone(),
        version: env!("CARGO_PKG_VERSION").into(),
        tuning: prepared.tuning,
    };
    Ok(folder.write_json(ENV, &env)?)
}

/// The configuration in a run's folder, and what else it was started with; `None` where the run was killed
/// before it had written that down.
pub(super) fn read(folder: &Folder) -> Result<(Config, Option<(Space, Env)>), RunError> {
    let path = folder.path().join(CONFIG);
    let text = String::from_utf8_lossy(&folder.read(CONFIG)?).into_owned();
    let config: Config = toml::from_str(&text).map_err(|source| RunError::Config { path, source: Box::new(source) })?;
    let config = Config { out: folder.path().to_owned(), ..config };
    let started: Started = match folder.read_json(STARTED) {
        Ok(started) => started,
        Err(error) if error.is_missing() => return Ok((config, None)),
        Err(error) => return Err(error.into()),
    };
    let started = started.valid()?;
    let value = |config: &Config| serde_json::to_value(config).expect("a configuration is plain data");
    let changes = changes(&value(&started.config), &value(&config));
    if !changes.is_empty() {
        return Err(RunError::Changed { what: StartedWith::Config, changes: changes.join(", ") });
    }
    let env = folder.read_json::<Env>(ENV)?.usable().map_err(|reason| folder.damaged(ENV, &reason))?;
    Ok((config, Some((started.space, env))))
}

/// The command that the run was started with, as a shell takes it.
pub(super) fn command(folder: &Folder) -> Result<String, RunError> {
    Ok(folder.read_json::<Started>(STARTED)?.command)
}

/// Refuses images that are not those that the run was started with.
pub(super) fn check_data(folder: &Folder, prepared: &Prepared) -> Result<(), RunError> {
    folder.read_json::<DataRecord>(DATA)?.check(prepared)
}

/// Keys of two objects whose values differ, each in words.
fn changes(then: &Value, now: &Value) -> Vec<String> {
    let empty = serde_json::Map::new();
    let (then, now) = (then.as_object().unwrap_or(&empty), now.as_object().unwrap_or(&empty));
    let keys: std::collections::BTreeSet<&String> = then.keys().chain(now.keys()).collect();
    let text = |value: Option<&Value>| value.map_or("nothing".to_owned(), Value::to_string);
    keys.into_iter()
        .filter(|key| then.get(*key) != now.get(*key))
        .map(|key| format!("{key} is {} and was {}", text(now.get(key)), text(then.get(key))))
        .collect()
}
