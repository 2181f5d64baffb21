//! Tile sizes that were found, in a file for each device, driver and set of shaders.

use super::knob::Knob;
use super::pass::Trial;
use crate::digest::sha256;
use crate::disk::{Disk, read_at_most, write_whole};
use crate::gpu::{Adapter, Gpu};
use crate::kernels::Tuning;
use crate::latency::shaders;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::{Path, PathBuf};

const VERSION: u32 = 1;
/// Larger files are none of ours.
const MOST_BYTES: u64 = 1 << 20;

/// Tile sizes of a device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tuned {
    version: u32,
    /// The device with its driver.
    pub adapter: Adapter,
    /// SHA-256 of all shaders, in hexadecimal.
    pub shaders: String,
    /// The day, as 2026-11-25.
    pub date: String,
    /// What is best of what was tried.
    pub tuning: Tuning,
    /// What was tried.
    pub trials: Vec<Trial>,
}

/// What is kept for a device.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    /// Its tile sizes, from this file.
    Tuned(Box<Tuned>, PathBuf),
    /// Nothing.
    Nothing,
    /// A file that cannot be used, with why.
    Unusable(PathBuf, String),
}

impl Tuned {
    /// What was found on this device with this build.
    pub fn new(gpu: &Gpu, date: String, tuning: Tuning, trials: Vec<Trial>) -> Self {
        Self { version: VERSION, adapter: gpu.adapter().clone(), shaders: shaders(), date, tuning, trials }
    }

    /// What a file says.
    ///
    /// # Errors
    /// In words, where it is none of ours or names tile sizes that no kernel can have.
    pub fn from_json(bytes: &[u8]) -> Result<Self, String> {
        let tuned: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if tuned.version != VERSION {
            return Err(format!("it is of version {}, this program reads {VERSION}", tuned.version));
        }
        if !tuned.tuning.is_usable() {
            return Err("its tile sizes are none that a kernel can have".into());
        }
        Ok(tuned)
    }

    /// The trials of a knob.
    pub fn of(&self, knob: Knob) -> impl Iterator<Item = &Trial> {
        self.trials.iter().filter(move |trial| trial.knob == knob)
    }
}

/// The user's folder for what can be made again: `$NETADAPT_CACHE`, else netadapt's in the system's place for such.
pub fn cache_folder() -> Option<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let system = || match std::env::consts::OS {
        "windows" => variable("LOCALAPPDATA"),
        "macos" => variable("HOME").map(|home| home.join("Library/Caches")),
        _ => variable("XDG_CACHE_HOME").or_else(|| variable("HOME").map(|home| home.join(".cache"))),
    };
    variable("NETADAPT_CACHE").or_else(|| system().map(|folder| folder.join("netadapt")))
}

fn path(folder: &Path, adapter: &Adapter, shaders: &str) -> PathBuf {
    let Adapter { name, driver, backend, pci: (vendor, device), .. } = adapter;
    let key = sha256(format!("{name}\0{driver}\0{backend}\0{vendor}\0{device}\0{shaders}").as_bytes());
    folder.join("tuning").join(format!("{}.json", &key[..16]))
}

/// What is kept below `folder` for this device and this build.
pub fn find(folder: &Path, gpu: &Gpu) -> Found {
    let shaders = shaders();
    let path = path(folder, gpu.adapter(), &shaders);
    let bytes = match read_at_most(&path, MOST_BYTES) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Found::Nothing,
        Err(error) => return Found::Unusable(path, error.to_string()),
    };
    match Tuned::from_json(&bytes) {
        Err(reason) => Found::Unusable(path, reason),
        Ok(tuned) if tuned.adapter != *gpu.adapter() => {
            let reason = format!("it is of {}", tuned.adapter);
            Found::Unusable(path, reason)
        }
        Ok(tuned) if tuned.shaders != shaders => Found::Unusable(path, "it is of other shaders".into()),
        Ok(tuned) if tuned.tuning.most_lanes() > gpu.limits().lanes => Found::Unusable(
            path,
            format!("workgroups of {} lanes are more than this device has", tuned.tuning.most_lanes()),
        ),
        Ok(tuned) => Found::Tuned(Box::new(tuned), path),
    }
}

/// The tile sizes to run this device's kernels with: those kept below `folder`, else the usual ones; and what there is to
/// say of that.
pub fn chosen(folder: Option<&Path>, gpu: &Gpu) -> (Tuning, Option<String>) {
    let usual = Tuning::for_adapter(gpu.adapter());
    match folder.map_or(Found::Nothing, |folder| find(folder, gpu)) {
        Found::Nothing => (usual, None),
        Found::Tuned(tuned, path) => {
            (tuned.tuning, Some(format!("tile sizes as tuned on {}, kept in {}", tuned.date, path.display())))
        }
        Found::Unusable(path, reason) => {
            let text = format!(
                "{} is no tuning of this device: {reason}; taking the usual tile sizes, `netadapt-bench tune` measures \
                 them again",
                path.display()
            );
            (usual, Some(text))
        }
    }
}

/// Keeps it below `folder`, in the place of what was there for the same device; the file's path.
///
/// # Errors
/// What the system says.
pub fn keep(disk: &dyn Disk, folder: &Path, tuned: &Tuned) -> io::Result<PathBuf> {
    let path = path(folder, &tuned.adapter, &tuned.shaders);
    let text = serde_json::to_string_pretty(tuned).map_err(io::Error::other)? + "\n";
    disk.create_folder(&folder.join("tuning"))?;
    write_whole(disk, &path, text.as_bytes())?;
    Ok(path)
}
