//! `architecture.json`: all that is needed to build a network again.

use crate::data::Normalisation;
use crate::space::{Arch, Space, SpaceError, Supernet};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The version of the format that this program writes and reads.
const VERSION: u32 = 1;
/// Most classes of a network: above ImageNet-21k's, below what a file from a stranger could ask for.
const MAX_CLASSES: usize = 65_536;

/// Why a description makes no network.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchitectureError {
    /// Not JSON, an unknown or missing key, or a value of the wrong type.
    #[error("not an architecture: {0}")]
    Format(#[from] serde_json::Error),
    /// Written by another version of the program.
    #[error("version {got} of the format, and this program reads version {VERSION}")]
    Version {
        /// What the file says.
        got: u32,
    },
    /// Its space.
    #[error(transparent)]
    Space(#[from] SpaceError),
    /// A value out of its range.
    #[error("{key} {problem}")]
    Value {
        /// The key at fault.
        key: String,
        /// What is wrong, and what would be right.
        problem: &'static str,
    },
}

/// A network's description.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Architecture {
    /// Version of the format.
    pub version: u32,
    /// The space that it is from, whole.
    pub space: Space,
    /// Pixels a side of its images.
    pub size: u32,
    /// Channels of its images.
    pub channels: u32,
    /// Names of its classes, in the order of its logits.
    pub classes: Vec<String>,
    /// Applied to its images.
    pub normalisation: Normalisation,
    /// The value of every coordinate by its name.
    pub coordinates: BTreeMap<String, u32>,
}

impl Architecture {
    /// The description of `arch`.
    pub fn new(space: &Space, net: &Supernet, arch: &Arch, classes: &[String], normalisation: Normalisation) -> Self {
        let names = (0..net.coordinates().len()).map(|index| net.coordinate_name(index));
        Self {
            version: VERSION,
            space: space.clone(),
            size: net.input().size,
            channels: net.input().channels,
            classes: classes.to_vec(),
            normalisation,
            coordinates: names.zip(arch.values().iter().copied()).collect(),
        }
    }

    /// The description in a file of at most a few MiB, which the caller sees to.
    ///
    /// # Errors
    /// `ArchitectureError` names the key at fault; what is returned can be built.
    pub fn parse(bytes: &[u8]) -> Result<Self, ArchitectureError> {
        let architecture: Self = serde_json::from_slice(bytes)?;
        architecture.build()?;
        Ok(architecture)
    }

    /// The super-network and the architecture.
    ///
    /// # Errors
    /// `ArchitectureError` where a value is out of its range, a coordinate is missing or has no such value.
    pub fn build(&self) -> Result<(Supernet, Arch), ArchitectureError> {
        let check = |holds: bool, key: &str, problem: &'static str| {
            if holds { Ok(()) } else { Err(ArchitectureError::Value { key: key.to_owned(), problem }) }
        };
        if self.version != VERSION {
            return Err(ArchitectureError::Version { got: self.version });
        }
        self.space.validate("space")?;
        self.space.validate_size("space", self.size)?;
        check(matches!(self.channels, 1 | 3), "channels", "must be 1 or 3")?;
        check((1..=MAX_CLASSES).contains(&self.classes.len()), "classes", "must be 1 to 65,536 names")?;
        self.space.validate_classes("space", self.classes.len() as u32)?;
        let Normalisation { mean, std } = self.normalisation;
        check(mean.iter().all(|m| m.is_finite()), "normalisation.mean", "must be finite")?;
        check(std.iter().all(|s| s.is_finite() && *s > 0.0), "normalisation.std", "must be positive")?;
        let net = self.space.supernet(self.size, self.channels, self.classes.len() as u32);
        let mut values = Vec::with_capacity(net.coordinates().len());
        for (index, coordinate) in net.coordinates().iter().enumerate() {
            let name = net.coordinate_name(index);
            let value = self.coordinates.get(&name).copied();
            match value.filter(|value| coordinate.choices.contains(value)) {
                Some(value) => values.push(value),
                None => check(false, &format!("coordinates.{name}"), "is missing or none of its choices")?,
            }
        }
        check(self.coordinates.len() == values.len(), "coordinates", "has names that the space does not have")?;
        let arch = net.arch(values).expect("every value is a choice of its coordinate");
        Ok((net, arch))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_built_again_from_its_description() {
        let space = Space::open("tiny").unwrap();
        let net = space.supernet(28, 1, 3);
        let arch = net.with(&net.full(), 2, 3).or_else(|| net.with(&net.full(), 1, 0)).unwrap();
        let classes = ["a", "b", "c"].map(String::from);
        let normalisation = Normalisation { mean: [0.5; 3], std: [0.25; 3] };
        let architecture = Architecture::new(&space, &net, &arch, &classes, normalisation);
        let text = serde_json::to_string(&architecture).unwrap();
        let read: Architecture = serde_json::from_str(&text).unwrap();
        assert_eq!(read.build().unwrap(), (net, arch));

        let refused = |change: &dyn Fn(&mut Architecture), key: &str| {
            let mut wrong = read.clone();
            change(&mut wrong);
            let error = wrong.build().unwrap_err().to_string();
            assert!(error.contains(key), "{error}");
        };
        refused(&|a| a.coordinates.insert("stem.filters".into(), 1).map_or((), drop), "stem.filters");
        refused(&|a| a.coordinates.remove("stem.filters").map_or((), drop), "stem.filters");
        refused(&|a| a.coordinates.insert("tail.filters".into(), 1).map_or((), drop), "coordinates");
        refused(&|a| a.version = 2, "version 2");
        refused(&|a| a.channels = 2, "channels");
        refused(&|a| a.classes.clear(), "classes");
        refused(&|a| a.size = 4096, "size");
        refused(&|a| a.space.stages[0].repeat = u32::MAX, "layers");
        refused(&|a| a.space.stem.filters = 0, "stem.filters");
        refused(&|a| a.normalisation.std[1] = 0.0, "normalisation.std");
    }
}
