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

use super::settings::{SearchSettings, TrainSettings, WidthStep};
use super::shape::strided;
use super::supernet::{Activation, Input, Layer, LayerKind, Supernet};
use super::{GRID, round_up};
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

    /// Whether images of this size leave at least one pixel at every stride and fit the caps.
    pub fn validate_size(&self, name: &str, size: u32) -> Result<(), SpaceError> {
        let least = self.stages.iter().fold(self.stem.stride, |least, stage| least.saturating_mul(stage.stride));
        if size < least || size > MAX_SIZE {
            let problem = format!("is {size}; images of {least} to {MAX_SIZE} pixels a side can be used");
            return Err(SpaceError::Value { name: name.to_owned(), key: "size".into(), problem });
        }
        debug_assert!(strided(size, least) >= 1);
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
        let check = |holds: bool, key: String, problem: &str| {
            if holds {
                return Ok(());
            }
            Err(SpaceError::Value { name: name.to_owned(), key, problem: problem.to_owned() })
        };
        let width = |key: String, filters: u32, min: Option<u32>| {
            check((1..=MAX_WIDTH).contains(&filters), key.clone(), "must be 1 to 4096")?;
            check(
                min.is_none_or(|m| (1..=filters).contains(&m)),
                key,
                "must be at least its minimum, and that at least 1",
            )
        };
        let kernel = |key: String, side: u32| check([1, 3, 5, 7].contains(&side), key, "must be 1, 3, 5 or 7");
        let stride = |key: String, s: u32| check((1..=2).contains(&s), key, "must be 1 or 2");
        width("stem.filters".into(), self.stem.filters, self.stem.min_filters)?;
        kernel("stem.kernel".into(), self.stem.kernel)?;
        stride("stem.stride".into(), self.stem.stride)?;
        width("head.filters".into(), self.head.filters, self.head.min_filters)?;
        check(!self.stages.is_empty(), "stages".into(), "must have at least one entry")?;
        let layers: u32 = self.stages.iter().map(|s| s.repeat.min(MAX_LAYERS)).sum();
        check(layers <= MAX_LAYERS, "stages".into(), "must make at most 256 layers")?;
        for (index, stage) in self.stages.iter().enumerate() {
            let key = |field: &str| format!("stages[{index}].{field}");
            check(stage.repeat >= 1, key("repeat"), "must be at least 1")?;
            width(key("filters"), stage.filters, stage.min_filters)?;
            stride(key("stride"), stage.stride)?;
            check(!stage.kernels.is_empty(), key("kernels"), "must name at least one size")?;
            check(stage.kernels.is_sorted_by(|a, b| a < b), key("kernels"), "must be in ascending order, each once")?;
            for side in &stage.kernels {
                kernel(key("kernels"), *side)?;
            }
            match stage.block {
                Block::Conv => {
                    check(
                        stage.kernels.len() == 1,
                        key("kernels"),
                        "must name one size: the kernel of a dense convolution is not searched",
                    )?;
                    check(
                        stage.expansion.is_none() && stage.min_expansion.is_none(),
                        key("expansion"),
                        "belongs to inverted-residual blocks only",
                    )?;
                    check(!stage.squeeze, key("squeeze"), "belongs to inverted-residual blocks only")?;
                }
                Block::InvertedResidual => {
                    check(stage.expansion.is_some(), key("expansion"), "is missing: the channels of the expansion")?;
                    width(key("expansion"), stage.expansion.unwrap_or(0), stage.min_expansion)?;
                }
            }
        }
        let s = &self.search;
        check(s.samples >= 1, "search.samples".into(), "must be at least 1")?;
        check(s.coordinates >= 1, "search.coordinates".into(), "must be at least 1")?;
        check(s.first_cut > 0.0 && s.first_cut < 1.0, "search.first_cut".into(), "must lie between 0 and 1")?;
        check(s.decay > 0.0 && s.decay <= 1.0, "search.decay".into(), "must lie above 0 and be at most 1")?;
        check(
            s.score_images >= 1 && s.holdout_images >= s.score_images,
            "search.score_images".into(),
            "must be at least 1 and at most search.holdout_images",
        )?;
        check(s.recalibration_images >= 1, "search.recalibration_images".into(), "must be at least 1")?;
        check((1..=1024).contains(&s.latency_batch), "search.latency_batch".into(), "must be 1 to 1024")?;
        check((0.0..=3600.0).contains(&s.latency_seconds), "search.latency_seconds".into(), "must be 0 to 3600")?;
        check((0.0..=1.0).contains(&s.latency_tolerance), "search.latency_tolerance".into(), "must be 0 to 1")?;
        check((0.0..=3600.0).contains(&s.confirm_seconds), "search.confirm_seconds".into(), "must be 0 to 3600")?;
        if let WidthStep::Channels(step) = s.width_step {
            let fits = (GRID..=256).contains(&step) && step.is_multiple_of(GRID);
            check(fits, "search.width_step".into(), "must be \"auto\" or a multiple of 4 up to 256")?;
        }
        let t = &self.train;
        check((2..=4096).contains(&t.batch), "train.batch".into(), "must be 2 to 4096")?;
        check(
            t.epochs >= 1 && t.final_epochs >= 1 && t.scratch_epochs != Some(0),
            "train.epochs".into(),
            "must be at least 1, final_epochs and scratch_epochs too",
        )?;
        check(t.full_images <= t.batch, "train.full_images".into(), "must be at most train.batch")?;
        check(t.images_per_draw >= 1, "train.images_per_draw".into(), "must be at least 1")?;
        for (key, value) in [("learning_rate", t.learning_rate), ("final_learning_rate", t.final_learning_rate)] {
            check(value > 0.0 && value.is_finite(), format!("train.{key}"), "must be positive")?;
        }
        for (key, value) in [
            ("momentum", t.momentum),
            ("warmup", t.warmup),
            ("label_smoothing", t.label_smoothing),
            ("distillation", t.distillation),
        ] {
            check((0.0..1.0).contains(&value), format!("train.{key}"), "must be at least 0 and below 1")?;
        }
        check(
            t.weight_decay >= 0.0 && t.clip_norm >= 0.0,
            "train.weight_decay".into(),
            "must not be negative, clip_norm neither",
        )?;
        for (key, augment) in [("augment", Some(self.augment)), ("scratch_augment", self.scratch_augment)] {
            if let Some(Err(DataError::Augment { name: setting, range, .. })) = augment.map(|augment| augment.check()) {
                check(false, format!("{key}.{setting}"), &format!("must be {range}"))?;
            }
        }
        self.validate_size(name, self.size)?;
        self.validate_classes(name, 1)
    }
}

impl Stage {
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
