//! `netadapt search`.

use super::attended::{Attended, NoTune, Output};
use super::precision::precision;
use super::share::share;
use crate::data::{Preset, Sampling};
use crate::gpu::Precision;
use crate::run::{
    self, Comparison, Config, FinalStart, InitialWeights, RunError, StrategyKind, TargetTable, TeacherKind, threads,
};
use crate::search::{Budget, BudgetError, Goal};
use clap::ValueEnum;
use std::path::PathBuf;

/// Options of `netadapt search`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Folder of images: train/CLASS/*.jpg with optional val and test, or CLASS/*.jpg; or a manifest of `netadapt-data
    /// split`.
    #[arg(required_unless_present = "from")]
    data: Option<PathBuf>,
    /// Search the super-network of this run again, with its images, seed, space and size: no training of one.
    #[arg(long, value_name = "RUN", conflicts_with_all = ["data", "preset", "size", "seed", "epochs", "max_bad"])]
    from: Option<PathBuf>,
    /// What the network may cost: 8ms, 120fps, 90MMAC, 1Mparam, 2MB of weights, 300kBpeak of activations, 50% or 50%MAC
    /// of the initial network; several networks with commas. Given more than once, all must hold.
    #[arg(long, required = true, value_parser = list)]
    budget: Vec<String>,
    /// Search space: tiny, mobile, plain, or a TOML file.
    #[arg(long, default_value = "tiny")]
    preset: String,
    /// Pixels a side of the images, instead of the space's.
    #[arg(long)]
    size: Option<u32>,
    /// Folder of the run [default: the first free runs/PRESET-N].
    #[arg(long)]
    out: Option<PathBuf>,
    /// Seed of everything random.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Share of the files that may be no usable images and are left out; with more of them nothing is begun.
    #[arg(long, default_value = "1%", value_parser = share)]
    max_bad: f64,
    /// Device, by its number in `netadapt devices` [default: the first].
    #[arg(long, env = "NETADAPT_DEVICE")]
    device: Option<usize>,
    /// Epochs of the super-network, instead of the space's.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    epochs: Option<u32>,
    /// Epochs of each final training, instead of the space's.
    #[arg(long, env = "NETADAPT_FINAL_EPOCHS", value_parser = clap::value_parser!(u32).range(1..))]
    final_epochs: Option<u32>,
    /// Networks that each iteration of the search scores, instead of the space's.
    #[arg(long, env = "NETADAPT_SAMPLES", value_parser = clap::value_parser!(u32).range(1..))]
    samples: Option<u32>,
    /// How to search.
    #[arg(long, env = "NETADAPT_STRATEGY", value_enum, default_value = "mcd")]
    strategy: StrategyArg,
    /// What the final training starts from.
    #[arg(long = "final", value_enum, default_value = "shared")]
    final_start: FinalArg,
    /// What teaches the final trainings beside the labels, instead of the space's `train.distillation`.
    #[arg(long, env = "NETADAPT_TEACHER", value_enum)]
    teacher: Option<TeacherArg>,
    /// How often trainings show each class, instead of the space's `train.sampling`.
    #[arg(long, env = "NETADAPT_SAMPLING", value_enum)]
    sampling: Option<SamplingArg>,
    /// Augmentation of the training images, instead of the space's `augment`.
    #[arg(long, env = "NETADAPT_AUGMENT", value_enum)]
    augment: Option<AugmentArg>,
    /// Precision of the feature maps of trainings, instead of the space's `train.precision`: with bf16 they take half
    /// the memory. Sums, weights and the networks found are f32.
    #[arg(long, env = "NETADAPT_PRECISION", value_parser = precision())]
    precision: Option<Precision>,
    /// What to compare the result with, separated by commas.
    #[arg(long, value_enum, value_delimiter = ',')]
    compare: Vec<CompareArg>,
    /// Start trainings from the weights in this safetensors file in the place of new ones, where names and shapes match.
    #[arg(long, value_name = "WEIGHTS", conflicts_with = "from")]
    init_from: Option<PathBuf>,
    /// Take the measurements of another run (its measurements.jsonl) in the place of measuring.
    #[arg(long)]
    replay: Option<PathBuf>,
    /// Take the times of operations from this table, which `netadapt latency build` has made on this device.
    #[arg(long, value_name = "TABLE")]
    latency: Option<PathBuf>,
    /// Search for the device of this table, made there by `netadapt latency build`: its latencies are predicted, not
    /// measured.
    #[arg(long, value_name = "TABLE")]
    target: Option<PathBuf>,
    #[command(flatten)]
    tune: NoTune,
    #[command(flatten)]
    output: Output,
}

/// The budgets of one flag, once they can be read.
fn list(text: &str) -> Result<String, BudgetError> {
    Budget::parse_list(text).map(|_| text.to_owned())
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum StrategyArg {
    /// Multi-layer coordinate descent (NetAdaptV2).
    Mcd,
    /// One layer a sample (NetAdapt V1).
    Single,
    /// Random networks at the budget.
    Random,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum FinalArg {
    /// The super-network's weights.
    Shared,
    /// New weights, for as many epochs as the super-network and a final training together.
    Scratch,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum TeacherArg {
    /// The super-network at its full widths: the space's share of the target, half of it where that has none.
    Supernet,
    /// The initial network, trained first as the found ones are: the share is the same.
    Initial,
    /// The labels alone.
    None,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum SamplingArg {
    /// As often as it has images.
    Natural,
    /// All alike, for classes of very different sizes.
    Balanced,
}

/// A preset of augmentation.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum AugmentArg {
    /// As the images are.
    None,
    /// Crops, flips, colour jitter, cutout.
    Light,
    /// As light, RandAugment, mixup and cutmix: for small sets and long trainings.
    Strong,
}

impl AugmentArg {
    pub(super) fn preset(self) -> Preset {
        match self {
            Self::None => Preset::None,
            Self::Light => Preset::Light,
            Self::Strong => Preset::Strong,
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum CompareArg {
    /// The initial network.
    Initial,
    /// All widths scaled by one factor.
    Uniform,
    /// The best of as many random networks.
    Random,
}

impl Args {
    /// The configuration; its paths hold in any folder that the run is gone on with from.
    fn config(self) -> anyhow::Result<Config> {
        let source = self.from.as_deref().map(run::source).transpose()?.map(|source| source.config);
        let (preset, size, seed, max_bad) = match &source {
            Some(source) => (source.space.clone(), source.size, source.seed, source.max_bad),
            None => (self.preset, self.size, self.seed, self.max_bad),
        };
        let data = self.data.or(source.map(|source| source.data)).expect("clap requires one of the two");
        let out = self.out.unwrap_or_else(|| free_folder(&preset));
        let target = self.target.map(std::path::absolute).transpose()?;
        let init_from = self.init_from.map(std::path::absolute).transpose()?;
        Ok(Config {
            data: std::path::absolute(data)?,
            budgets: Goal::parse_all(&self.budget).map_err(RunError::from)?,
            space: preset,
            size,
            out,
            seed,
            device: self.device,
            epochs: self.epochs,
            final_epochs: self.final_epochs,
            samples: self.samples,
            strategy: match self.strategy {
                StrategyArg::Mcd => StrategyKind::Mcd,
                StrategyArg::Single => StrategyKind::Single,
                StrategyArg::Random => StrategyKind::Random,
            },
            final_start: match self.final_start {
                FinalArg::Shared => FinalStart::Shared,
                FinalArg::Scratch => FinalStart::Scratch,
            },
            teacher: self.teacher.map(|teacher| match teacher {
                TeacherArg::Supernet => TeacherKind::Supernet,
                TeacherArg::Initial => TeacherKind::Initial,
                TeacherArg::None => TeacherKind::None,
            }),
            sampling: self.sampling.map(|sampling| match sampling {
                SamplingArg::Natural => Sampling::Natural,
                SamplingArg::Balanced => Sampling::Balanced,
            }),
            augment: self.augment.map(AugmentArg::preset),
            precision: self.precision,
            compare: self
                .compare
                .iter()
                .map(|compare| match compare {
                    CompareArg::Initial => Comparison::Initial,
                    CompareArg::Uniform => Comparison::Uniform,
                    CompareArg::Random => Comparison::Random,
                })
                .collect(),
            from: self.from.map(std::path::absolute).transpose()?,
            replay: self.replay.map(std::path::absolute).transpose()?,
            latency: self.latency.map(std::path::absolute).transpose()?,
            target: target.as_deref().map(TargetTable::open).transpose()?,
            init_from: init_from.as_deref().map(InitialWeights::open).transpose()?,
            max_bad,
            threads: threads(),
        })
    }
}

/// The first of `runs/NAME-1`, `runs/NAME-2`, ... that does not exist.
fn free_folder(space: &str) -> PathBuf {
    let name = PathBuf::from(space).file_stem().map_or("run".into(), |stem| stem.to_string_lossy().into_owned());
    (1u32..)
        .map(|number| PathBuf::from(format!("runs/{name}-{number}")))
        .find(|path| !path.exists())
        .expect("one of four thousand million folders is free")
}

pub(super) fn run(args: Args) -> anyhow::Result<()> {
    let attended = Attended::new(&args.output)?.tuned(!args.tune.no_tune);
    let config = args.config()?;
    attended.carry_on(&config.out, |environment, listener| run::search(&config, environment, listener))
}
