//! `netadapt-data stats`: a folder in numbers.

use super::super::terminal::printable;
use super::page::{self, Pictures};
use super::{Source, free};
use crate::data::{self, Bin, Dataset, Format, Survey, detect_channels};
use crate::run::{RunError, threads};
use crate::space::Space;
use std::path::PathBuf;

/// Characters of the longest bar.
const BAR: usize = 40;

/// Options of `netadapt-data stats`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    source: Source,
    /// Pixels a side that mean and deviation are taken at.
    #[arg(long, default_value_t = 64)]
    size: u32,
    /// Images to hold out of the training images where there is no `val` folder.
    #[arg(long, default_value_t = 0)]
    holdout: usize,
    /// Seed of the split.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    /// Write an HTML page of it, with pictures of each class.
    #[arg(short, long, value_name = "PAGE")]
    out: Option<PathBuf>,
}

pub(super) fn run(args: Args) -> anyhow::Result<()> {
    args.out.as_deref().map(free).transpose()?;
    let options = args.source.options(args.seed, args.holdout);
    let mut dataset = data::open(&args.source.data, &options).map_err(RunError::from)?;
    let survey = survey(&mut dataset, args.size)?;
    if let Some(path) = &args.out {
        let space = Space::open(survey.suggested.preset).map_err(RunError::from)?;
        let name = format!("the augmentation of the preset {}", survey.suggested.preset);
        let pictures = Pictures { columns: 10, augment: (space.augment, &name), seed: args.seed };
        page::write(path, &dataset, &survey, &pictures)?;
    }
    if args.json {
        say!("{}", serde_json::to_string(&survey)?);
        return Ok(());
    }
    print(&dataset, &survey);
    if let Some(path) = &args.out {
        say!("page: {}", printable(&path.to_string_lossy()));
    }
    Ok(())
}

/// The numbers of a folder, mean and deviation at `size` pixels a side; what cannot be decoded is left out of it.
///
/// # Errors
/// What the images say.
pub(super) fn survey(dataset: &mut Dataset, size: u32) -> anyhow::Result<Survey> {
    let format = Format { size, channels: detect_channels(dataset) };
    let (images, bad) = dataset.images(&dataset.train, format, threads(), 0, &|_, _| ()).map_err(RunError::from)?;
    dataset.leave_out(bad).map_err(RunError::from)?;
    Ok(data::survey(dataset, &images))
}

fn print(dataset: &Dataset, survey: &Survey) {
    say!("{:<24} {:>8} {:>8} {:>8}", "class", "train", "held out", "test");
    for class in &survey.classes {
        let images = class.images;
        say!("{:<24} {:>8} {:>8} {:>8}", printable(&class.name), images.train, images.holdout, images.test);
    }
    let all = survey.all;
    say!("{:<24} {:>8} {:>8} {:>8}", "all", all.train, all.holdout, all.test);
    let kind = if survey.channels == 1 { "grey" } else { "colour" };
    say!("{kind}, median short side {} px, {} files skipped", survey.median_short_side, survey.skipped);
    if let Some(text) = dataset.left_out() {
        say!("{}", printable(&text));
    }
    let most = survey.short_sides.iter().map(|bin| bin.images).max().unwrap_or_default();
    for Bin { from, below, images } in &survey.short_sides {
        let range = below.map_or(format!("{from} px and more"), |below| format!("{from} to {} px", below - 1));
        let bar = "#".repeat((images * BAR).div_ceil(most.max(1)));
        say!("{}", format!("{range:<24} {images:>8} {bar}").trim_end());
    }
    say!("mean {:?}, deviation {:?} at {} px", survey.mean, survey.std, survey.size);
    let suggested = survey.suggested;
    say!("suggested: --preset {} --size {}, which three quarters of the images fill", suggested.preset, suggested.size);
    say!("for a network alone, from new weights: --final scratch --augment {}", suggested.augment);
}
