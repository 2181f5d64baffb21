//! `netadapt-data preview`: a sheet of pictures to look at.

use super::super::search::AugmentArg;
use super::super::terminal::printable;
use super::page::{self, Pictures, png};
use super::stats::survey;
use super::{Source, free};
use crate::data::{self, Format, Preset, detect_channels, preview};
use crate::disk::{SystemDisk, write_whole};
use crate::run::{RunError, threads};
use crate::space::Space;
use anyhow::Context as _;
use std::path::PathBuf;

/// Options of `netadapt-data preview`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    source: Source,
    /// The sheet to write, a PNG file; or with `.html` at its end a page, with the numbers of `stats` too.
    #[arg(short, long, value_name = "FILE")]
    out: PathBuf,
    /// Show the images as a training augments them: with a preset, or without a name as the space says.
    #[arg(long, value_enum, value_name = "PRESET", num_args = 0..=1, require_equals = true)]
    augment: Option<Option<AugmentArg>>,
    /// Search space whose augmentation and size are shown: tiny, mobile, plain, or a TOML file.
    #[arg(long, default_value = "tiny")]
    preset: String,
    /// Pixels a side, instead of the space's.
    #[arg(long)]
    size: Option<u32>,
    /// Images of each class.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100))]
    columns: u32,
    /// Seed of the split and of the augmentation.
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

pub(super) fn run(args: Args) -> anyhow::Result<()> {
    free(&args.out)?;
    let space = Space::open(&args.preset).map_err(RunError::from)?;
    let options = args.source.options(args.seed, 0);
    let mut dataset = data::open(&args.source.data, &options).map_err(RunError::from)?;
    let preset = args.augment.flatten().map(AugmentArg::preset);
    let augment = preset.map_or(space.augment, Preset::augment);
    if args.out.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("html")) {
        let survey = survey(&mut dataset, args.size.unwrap_or(space.size))?;
        let name = match preset {
            Some(preset) => format!("the augmentation {preset}"),
            None => format!("the augmentation of {}", args.preset),
        };
        let pictures = Pictures { columns: args.columns, augment: (augment, &name), seed: args.seed };
        page::write(&args.out, &dataset, &survey, &pictures)?;
        say!("page: {}", printable(&args.out.to_string_lossy()));
        return Ok(());
    }
    let format = Format { size: args.size.unwrap_or(space.size), channels: detect_channels(&dataset) };
    let chosen = preview::choose(&dataset, args.columns as usize);
    let (images, bad) = dataset.images(&chosen, format, threads(), usize::MAX, &|_, _| ()).map_err(RunError::from)?;
    dataset.leave_out(bad).map_err(RunError::from)?;
    let augment = args.augment.map(|_| (&augment, args.seed));
    let sheet = preview::sheet(&images, dataset.classes.len(), augment).map_err(RunError::from)?;
    write_whole(&SystemDisk, &args.out, &png(&sheet)?)
        .with_context(|| format!("cannot write '{}'", args.out.display()))?;
    for (row, class) in dataset.classes.iter().enumerate() {
        say!("row {:<4} {}", row + 1, printable(class));
    }
    say!("{}: {} x {} pixels", printable(&args.out.to_string_lossy()), sheet.width(), sheet.height());
    Ok(())
}
