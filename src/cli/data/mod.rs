//! `netadapt-data`: what is in a folder of images.

mod check;
mod import;
mod pack;
mod preview;
mod split;

use super::share::share;
use super::terminal::printable;
use crate::data::{self, Format, Options, detect_channels};
use crate::run::{RunError, threads};
use clap::{Parser, Subcommand};
use std::path::{Path, PathBuf};

/// Looks at folders of images.
#[derive(Debug, Parser)]
#[command(name = "netadapt-data", version, about)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Everything that may be wrong with a folder of images: bad files, duplicates, small classes.
    Check(check::Args),
    /// Divide the images into splits, what looks alike on one side, and write that down for `netadapt search`.
    Split(split::Args),
    /// Decode and resize the images once, into one file that `netadapt search` takes and begins with at once.
    Pack(pack::Args),
    /// Write a sheet of pictures, a row a class.
    Preview(preview::Args),
    /// Make a folder of images of a set in another form.
    #[command(subcommand)]
    Import(import::Command),
    /// Classes, splits, channels, mean and deviation of a folder of images.
    Stats {
        /// Folder of images or manifest, as `netadapt search` takes it.
        data: PathBuf,
        /// Pixels a side that the statistics are taken at.
        #[arg(long, default_value_t = 64)]
        size: u32,
        /// Images to hold out of the training images where there is no `val` folder.
        #[arg(long, default_value_t = 0)]
        holdout: usize,
        /// Seed of the split.
        #[arg(long, default_value_t = 0)]
        seed: u64,
        /// Share of the files that may be no usable images and are left out.
        #[arg(long, default_value = "1%", value_parser = share)]
        max_bad: f64,
    },
}

pub(super) fn run(args: Args) -> anyhow::Result<()> {
    match args.command {
        Command::Check(args) => check::run(args),
        Command::Preview(args) => preview::run(args),
        Command::Pack(args) => pack::run(args),
        Command::Import(command) => import::run(command),
        Command::Split(args) => split::run(args),
        Command::Stats { data, size, holdout, seed, max_bad } => {
            stats(&data, size, &Options { seed, holdout, max_bad })
        }
    }
}

fn stats(root: &Path, size: u32, options: &Options) -> anyhow::Result<()> {
    let mut dataset = data::open(root, options).map_err(RunError::from)?;
    let channels = detect_channels(&dataset);
    let format = Format { size, channels };
    let (images, bad) = dataset.images(&dataset.train, format, threads(), 0, &|_, _| ()).map_err(RunError::from)?;
    dataset.leave_out(bad).map_err(RunError::from)?;
    let normalisation = images.statistics();
    say!("{:<24} {:>8} {:>8} {:>8}", "class", "train", "held out", "test");
    let count = |samples: &[data::Sample], label: usize| samples.iter().filter(|s| s.label as usize == label).count();
    for (label, class) in dataset.classes.iter().enumerate() {
        let counts = [&dataset.train, &dataset.holdout, &dataset.test].map(|samples| count(samples, label));
        say!("{:<24} {:>8} {:>8} {:>8}", printable(class), counts[0], counts[1], counts[2]);
    }
    let all = [dataset.train.len(), dataset.holdout.len(), dataset.test.len()];
    say!("{:<24} {:>8} {:>8} {:>8}", "all", all[0], all[1], all[2]);
    let kind = if channels == 1 { "grey" } else { "colour" };
    say!("{kind}, median short side {} px, {} files skipped", dataset.short_side, dataset.skipped);
    if let Some(text) = dataset.left_out() {
        say!("{}", printable(&text));
    }
    let channels = channels as usize;
    say!("mean {:?}, deviation {:?}", &normalisation.mean[..channels], &normalisation.std[..channels]);
    Ok(())
}
