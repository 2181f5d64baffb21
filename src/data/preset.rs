//! Augmentation by name, in the place of settings one by one.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};

use super::augment::Augment;

/// Settings that go together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// Nothing.
    None,
    /// Crops, flips, colour jitter, cutout.
    Light,
    /// As light, two operations of RandAugment, half of the images mixed with others: for small sets and long trainings.
    Strong,
}

impl Preset {
    /// All of them, with their names.
    pub const ALL: [(&'static str, Self); 3] = [("none", Self::None), ("light", Self::Light), ("strong", Self::Strong)];

    /// Its settings.
    pub fn augment(self) -> Augment {
        let light = Augment { flip: true, cutout: 0.25, scale_min: 0.5, jitter: 0.3, ..Augment::default() };
        match self {
            Self::None => Augment::default(),
            Self::Light => light,
            Self::Strong => Augment { operations: 2, strength: 0.3, mixup: 0.25, cutmix: 0.25, ..light },
        }
    }
}

impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, _) = Self::ALL.iter().find(|(_, preset)| preset == self).expect("all are in the list");
        f.write_str(name)
    }
}

/// As [`read`], of a key that may be missing.
///
/// # Errors
/// As there.
pub fn read_some<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Augment>, D::Error> {
    read(deserializer).map(Some)
}

/// Reads `augment` of a space: the name of a preset, or a table of settings.
///
/// # Errors
/// Another name, or what is wrong with the table.
pub fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Augment, D::Error> {
    struct NameOrTable;

    impl<'de> Visitor<'de> for NameOrTable {
        type Value = Augment;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a table of settings or the name of a preset: none, light, strong")
        }

        fn visit_str<E: de::Error>(self, name: &str) -> Result<Augment, E> {
            let known = Preset::ALL.iter().find(|(known, _)| *known == name);
            known.map(|(_, preset)| preset.augment()).ok_or_else(|| E::invalid_value(de::Unexpected::Str(name), &self))
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Augment, A::Error> {
            Augment::deserialize(de::value::MapAccessDeserializer::new(map))
        }
    }

    deserializer.deserialize_any(NameOrTable)
}
