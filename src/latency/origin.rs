//! What a table was measured on and with: only there do its numbers hold.

use crate::digest::hex;
use crate::gpu::{Adapter, Gpu};
use crate::kernels::{self, Tuning};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// A device and a build of this program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The device with its driver.
    pub adapter: Adapter,
    /// Version of this crate.
    pub version: String,
    /// SHA-256 of all shaders, in hexadecimal.
    pub shaders: String,
    /// Tile sizes of the kernels.
    pub tuning: Tuning,
    /// Images of a batch.
    pub batch: u32,
}

impl Origin {
    /// This build on this device.
    pub fn new(gpu: &Gpu, tuning: &Tuning, batch: u32) -> Self {
        Self {
            adapter: gpu.adapter().clone(),
            version: env!("CARGO_PKG_VERSION").into(),
            shaders: shaders(),
            tuning: *tuning,
            batch,
        }
    }

    /// What is another there than `here`, in words; empty where the numbers hold here.
    pub fn differences(&self, here: &Self) -> Vec<String> {
        let mut differences = Vec::new();
        let mut compare = |what: &str, there: String, here: String| {
            if there != here {
                differences.push(format!("{what} is {there}, here it is {here}"));
            }
        };
        compare("its device", self.adapter.to_string(), here.adapter.to_string());
        compare("its version", self.version.clone(), here.version.clone());
        compare("the hash of its shaders", short(&self.shaders), short(&here.shaders));
        compare("its batch", self.batch.to_string(), here.batch.to_string());
        compare("its tuning", format!("{:?}", self.tuning), format!("{:?}", here.tuning));
        differences
    }
}

fn short(hash: &str) -> String {
    hash.chars().take(12).collect()
}

/// SHA-256 over the names and texts of all kernels.
pub(crate) fn shaders() -> String {
    let mut sum = Sha256::new();
    for kernel in kernels::ALL {
        sum.update(kernel.name);
        sum.update([0]);
        for (precision, words) in kernel.texts() {
            sum.update(kernel.source(precision, words).expect("it is one of its own"));
            sum.update([0]);
        }
    }
    hex(&sum.finalize())
}
