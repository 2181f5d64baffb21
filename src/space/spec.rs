//! The TOML file of a search space, and the presets that the crate ships.
//!
//! ```toml
//! name = "tiny"
//! size = 28                       # pixels a side of the images, unless --size says otherwise
//! [stem]                          # a convolution; its width is searched down to a floor
//! filters = 16
//! stride = 2
//! [[stages]]                      # `repeat` layers, the first of them with the stride
//! block = "inverted-residual"     # or "conv"
//! filters = 24
//! expansion = 72
//! [head]                          # a 1x1 convolution before the pooling
//! filters = 96
//! [search]                        # J, L, cuts, image counts: see `SearchSettings`
//! [train]                         # see `TrainSettings`
//! [augment]                       # see `crate::data::Augment`; or `augment = "strong"` above the first table
//! ```

use super::round_up;
use super::settings::{SearchSettings, TrainSettings};
use super::supernet::{Activation, Input, Layer, LayerKind, Supernet};
use crate::data::{Augment, DataError};
use crate::disk::read_text_at_most;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Why a space cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpaceError {
    /// Neither a preset nor a file.
    #[error("there is no preset and no file called `{name}`; the presets are {presets}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// The names of the presets.
        presets: String,
    },
    /// The file could not be read.
    #[error("cannot read the space {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Not TOML, an unknown key or a value of the wrong type; the message shows the line.
    #[error("{name}: {source}")]
    Parse {
        /// The preset or file.
        name: String,
        /// The parser's message with the line.
        source: Box<toml::de::Error>,
    },
    /// A value that makes no network.
    #[error("{name}: {key} {problem}")]
    Value {
        /// The preset or file.
        name: String,
        /// The key at fault.
        key: String,
        /// What is wrong, and what would be right.
        problem: String,
    },
}

/// A search space as its file says it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Space {
    /// Name, for people.
    pub name: String,
    /// Pixels a side of the images.
    pub size: u32,
    /// First convolution.
    pub stem: Stem,
    /// Groups of layers.
    pub stages: Vec<Stage>,
    /// Last convolution, before the pooling.
    pub head: Head,
    /// Settings of the search.
    pub search: SearchSettings,
    /// Settings of every training.
    pub train: TrainSettings,
    /// Augmentation of the training images: a table, or the name of a preset.
    #[serde(deserialize_with = "crate::data::preset::read")]
    pub augment: Augment,
    /// The same for trainings of one network from new weights, which last longer and bear more of it; `augment` where
    /// nothing is said.
    #[serde(default, deserialize_with = "crate::data::preset::read_some", skip_serializing_if = "Option::is_none")]
    pub scratch_augment: Option<Augment>,
}

/// The first convolution.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stem {
    /// Filters at most.
    pub filters: u32,
    /// Filters at least; a quarter where nothing is said.
    pub min_filters: Option<u32>,
    /// Side of the kernel.
    #[serde(default = "three")]
    pub kernel: u32,
    /// 1 or 2.
    #[serde(default = "one")]
    pub stride: u32,
    /// Activation.
    #[serde(default = "relu")]
    pub activation: Activation,
}

/// What a stage repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Block {
    /// Convolution, normalisation, activation; the bypass is explicit.
    Conv,
    /// MobileNetV3's block.
    InvertedResidual,
}

/// Layers of one width and resolution.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// What is repeated.
    pub block: Block,
    /// How often.
    #[serde(default = "one")]
    pub repeat: u32,
    /// Filters at most.
    pub filters: u32,
    /// Filters at least where the bypass is forbidden (stride 2); a quarter where nothing is said.
    pub min_filters: Option<u32>,
    /// Channels of the expansion at most (inverted residual blocks only).
    pub expansion: Option<u32>,
    /// Channels of the expansion at least; 8 where nothing is said.
    pub min_expansion: Option<u32>,
    /// Kernel sizes: those to choose from in an inverted residual block, one in a convolution.
    #[serde(default = "just_three")]
    pub kernels: Vec<u32>,
    /// Stride of the first layer.
    #[serde(default = "one")]
    pub stride: u32,
    /// Squeeze-and-excite.
    #[serde(default)]
    pub squeeze: bool,
    /// Activation.
    #[serde(default = "relu")]
    pub activation: Activation,
}

/// The last convolution, 1x1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// Filters at most.
    pub filters: u32,
    /// Filters at least; a quarter where nothing is said.
    pub min_filters: Option<u32>,
    /// Activation.
    #[serde(default = "relu")]
    pub activation: Activation,
}

fn one() -> u32 {
    1
}

fn three() -> u32 {
    3
}

fn just_three() -> Vec<u32> {
    vec![3]
}

fn relu() -> Activation {
    Activation::Relu
}

/// Names and texts of the presets.
pub const PRESETS: [(&str, &str); 3] = [
    ("tiny", include_str!("../../assets/spaces/tiny.toml")),
    ("mobile", include_str!("../../assets/spaces/mobile.toml")),
    ("plain", include_str!("../../assets/spaces/plain.toml")),
];

/// The most channels that a layer may have, the most pixels a side and the most layers: caps on
/// files from strangers, far above what a search can train.
const MAX_WIDTH: u32 = 4096;
const MAX_SIZE: u32 = 1024;
const MAX_LAYERS: u32 = 256;
/// Parameters of the largest network: all its numbers are indexed with 32 bits, padding included.
const MAX_PARAMS: u64 = 1 << 26;
const MAX_FILE_BYTES: u64 = 1 << 20;

impl Space {
    /// A preset by its name, or a file by its path.
    pub fn open(name: &str) -> Result<Self, SpaceError> {
        if let Some((_, text)) = PRESETS.iter().find(|(preset, _)| *preset == name) {
            return Self::parse(name, text);
        }
        let path = Path::new(name);
        match read_text_at_most(path, MAX_FILE_BYTES) {
            Ok(text) => Self::parse(name, &text),
            Err(source) if source.kind() == std::io::ErrorKind::NotFound => Err(SpaceError::Unknown {
                name: name.to_owned(),
                presets: PRESETS.map(|(preset, _)| preset).join(", "),
            }),
            Err(source) => Err(SpaceError::Read { path: path.to_owned(), source }),
        }
    }

    /// A space from its text; `name` is for the messages.
    pub fn parse(name: &str, text: &str) -> Result<Self, SpaceError> {
        let space: Self = toml::from_str(text)
            .map_err(|source| SpaceError::Parse { name: name.to_owned(), source: Box::new(source) })?;
        space.validate(name)?;
        Ok(space)
    }

    /// The super-network for images of `channels` channels and `size` pixels a side.
    ///
    /// `size` must be one that `validate_size` accepts.
    pub fn supernet(&self, size: u32, channels: u32, classes: u32) -> Supernet {
        let mut layers = vec![Layer {
            name: "stem".into(),
            kind: LayerKind::Conv { kernel: self.stem.kernel },
            filters: self.stem.filters,
            min_filters: floor(self.stem.filters, self.stem.min_filters),
            stride: self.stem.stride,
            bypass: false,
            activation: self.stem.activation,
        }];
        for stage in &self.stages {
            for repeat in 0..stage.repeat {
                let stride = if repeat == 0 { stage.stride } else { 1 };
                // A layer that narrows its input at full size could not hand all of it on.
                let input = layers.last().map_or(channels, |layer: &Layer| layer.filters);
                let bypass = stride == 1 && input <= stage.filters;
                layers.push(Layer {
                    name: format!("blocks.{}", layers.len() - 1),
                    kind: stage.kind(),
                    filters: stage.filters,
                    min_filters: if bypass { 0 } else { floor(stage.filters, stage.min_filters) },
                    stride,
                    bypass,
                    activation: stage.activation,
                });
            }
        }
        layers.push(Layer {
            name: "head".into(),
            kind: LayerKind::Conv { kernel: 1 },
            filters: self.head.filters,
            min_filters: floor(self.head.filters, self.head.min_filters),
            stride: 1,
            bypass: false,
            activation: self.head.activation,
        });
        Supernet::new(Input { size, channels }, classes, layers)
    }

    /// The space of this preset or file, and pixels a side of its images: its own, or others.
    ///
    /// # Errors
    /// As for [`Space::open`], and where no network can be made for that size.
    pub fn open_at(name: &str, size: Option<u32>) -> Result<(Self, u32), SpaceError> {
        let space = Self::open(name)?;
        let size = size.unwrap_or(space.size);
        space.validate_size(name, size)?;
        Ok((space, size))
    }

    /// Whether images of this size leave at least one pixel at every stride and fit the caps.
    pub fn validate_size(&self, name: &str, size: u32) -> Result<(), SpaceError> {
        let least = self.stages.iter().fold(self.stem.stride, |least, stage| least.saturating_mul(stage.stride));
        if size < least || size > MAX_SIZE {
            let problem = format!("is {size}; images of {least} to {MAX_SIZE} pixels a side can be used");
            return Err(SpaceError::Value { name: name.to_owned(), key: "size".into(), problem });
        }
        Ok(())
    }

    /// Whether the largest network for so many classes has few enough parameters.
    pub fn validate_classes(&self, name: &str, classes: u32) -> Result<(), SpaceError> {
        // The images' size and channels make no difference worth counting.
        let net = self.supernet(self.size, 3, classes);
        let params = net.params(&net.full());
        if params > MAX_PARAMS {
            let problem = format!("make {params} parameters with {classes} classes; at most {MAX_PARAMS} can be used");
            return Err(SpaceError::Value { name: name.to_owned(), key: "stages".into(), problem });
        }
        Ok(())
    }

    /// Whether every value makes a network, which `parse` has checked already.
    pub fn validate(&self, name: &str) -> Result<(), SpaceError> {
        let values = Values { space: name };
        values.width("stem.filters", self.stem.filters, self.stem.min_filters)?;
        values.kernel("stem.kernel", self.stem.kernel)?;
        values.stride("stem.stride", self.stem.stride)?;
        values.width("head.filters", self.head.filters, self.head.min_filters)?;
        values.check(!self.stages.is_empty(), "stages", "must have at least one entry")?;
        let layers: u32 = self.stages.iter().map(|s| s.repeat.min(MAX_LAYERS)).sum();
        values.check(layers <= MAX_LAYERS, "stages", format!("must make at most {MAX_LAYERS} layers"))?;
        for (index, stage) in self.stages.iter().enumerate() {
            stage.validate(&values, index)?;
        }
        self.search.validate(&values)?;
        self.train.validate(&values)?;
        for (key, augment) in [("augment", Some(self.augment)), ("scratch_augment", self.scratch_augment)] {
            if let Some(Err(DataError::Augment { name: setting, range, .. })) = augment.map(|augment| augment.check()) {
                values.check(false, format!("{key}.{setting}"), format!("must be {range}"))?;
            }
        }
        self.validate_size(name, self.size)?;
        self.validate_classes(name, 1)
    }
}

/// Checks the values of a space.
pub(super) struct Values<'a> {
    /// The preset or file.
    space: &'a str,
}

impl Values<'_> {
    /// Refuses the value of `key`, with its problem as the end of a sentence, where the rule does not hold.
    pub(super) fn check(
        &self,
        holds: bool,
        key: impl Into<String>,
        problem: impl Into<String>,
    ) -> Result<(), SpaceError> {
        if holds {
            return Ok(());
        }
        Err(SpaceError::Value { name: self.space.to_owned(), key: key.into(), problem: problem.into() })
    }

    fn width(&self, key: &str, filters: u32, min: Option<u32>) -> Result<(), SpaceError> {
        self.check((1..=MAX_WIDTH).contains(&filters), key, format!("must be 1 to {MAX_WIDTH}"))?;
        let above_least = min.is_none_or(|min| (1..=filters).contains(&min));
        self.check(above_least, key, "must be at least its minimum, and that at least 1")
    }

    fn kernel(&self, key: &str, side: u32) -> Result<(), SpaceError> {
        self.check([1, 3, 5, 7].contains(&side), key, "must be 1, 3, 5 or 7")
    }

    fn stride(&self, key: &str, stride: u32) -> Result<(), SpaceError> {
        self.check((1..=2).contains(&stride), key, "must be 1 or 2")
    }
}

impl Stage {
    fn validate(&self, values: &Values<'_>, index: usize) -> Result<(), SpaceError> {
        let key = |field: &str| format!("stages[{index}].{field}");
        let kernels = key("kernels");
        values.check(self.repeat >= 1, key("repeat"), "must be at least 1")?;
        values.width(&key("filters"), self.filters, self.min_filters)?;
        values.stride(&key("stride"), self.stride)?;
        values.check(!self.kernels.is_empty(), &kernels, "must name at least one size")?;
        values.check(self.kernels.is_sorted_by(|a, b| a < b), &kernels, "must be in ascending order, each once")?;
        self.kernels.iter().try_for_each(|side| values.kernel(&kernels, *side))?;
        match self.block {
            Block::Conv => {
                let one = "must name one size: the kernel of a dense convolution is not searched";
                values.check(self.kernels.len() == 1, &kernels, one)?;
                let theirs = "belongs to inverted-residual blocks only";
                let no_expansion = self.expansion.is_none() && self.min_expansion.is_none();
                values.check(no_expansion, key("expansion"), theirs)?;
                values.check(!self.squeeze, key("squeeze"), theirs)
            }
            Block::InvertedResidual => {
                let missing = "is missing: the channels of the expansion";
                values.check(self.expansion.is_some(), key("expansion"), missing)?;
                values.width(&key("expansion"), self.expansion.unwrap_or(0), self.min_expansion)
            }
        }
    }

    fn kind(&self) -> LayerKind {
        match self.block {
            Block::Conv => LayerKind::Conv { kernel: self.kernels[0] },
            Block::InvertedResidual => {
                let expansion = self.expansion.expect("validated: a block has an expansion");
                LayerKind::InvertedResidual {
                    expansion,
                    min_expansion: self.min_expansion.unwrap_or(8).min(expansion),
                    kernels: self.kernels.clone(),
                    squeeze: self.squeeze,
                }
            }
        }
    }
}

/// The fewest filters of a layer without a bypass: what the space says, or a quarter on the grid.
fn floor(filters: u32, min: Option<u32>) -> u32 {
    min.unwrap_or_else(|| round_up(filters.div_ceil(4)).min(filters))
}
