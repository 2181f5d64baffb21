//! `architecture.json`: all that is needed to build a network again.

use crate::data::Normalisation;
use crate::space::{Arch, Space, Supernet};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

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
            version: 1,
            space: space.clone(),
            size: net.input().size,
            channels: net.input().channels,
            classes: classes.to_vec(),
            normalisation,
            coordinates: names.zip(arch.values().iter().copied()).collect(),
        }
    }

    /// The super-network and the architecture; `None` where a coordinate is missing or has no such value.
    pub fn build(&self) -> Option<(Supernet, Arch)> {
        let net = self.space.supernet(self.size, self.channels, self.classes.len() as u32);
        let values = (0..net.coordinates().len())
            .map(|index| self.coordinates.get(&net.coordinate_name(index)).copied())
            .collect::<Option<Vec<u32>>>()?;
        let arch = net.arch(values)?;
        Some((net, arch))
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
        assert_eq!(read.build(), Some((net, arch)));

        let mut wrong = read;
        wrong.coordinates.insert("stem.filters".into(), 1);
        assert_eq!(wrong.build(), None);
    }
}
