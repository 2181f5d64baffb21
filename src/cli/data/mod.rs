//! `netadapt-data`: what is in a folder of images.

mod check; // netadapt-data check
mod split; // netadapt-data split
mod import; // netadapt-data import
mod pack; // netadapt-data pack
mod preview; // netadapt-data preview
mod stats; // netadapt-data stats
mod page; // its page, with pictures

use super::share::share;
use super::terminal::{phase, printable};
use crate::data::{BadFile, Options};
use crate::run::Phase;
use clap::{Parser, Subcommand};
use std::path::{Path, PathBuf};

/// Files left out that are named; the others are counted.
const NAMED: usize = 5;

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
    /// Classes, splits, sizes, channels, mean and deviation of a folder of images, and the input that suits it.
    Stats(stats::Args),
}

pub(super) fn run(args: Args) -> anyhow::Result<()> {
    match args.command {
        Command::Check(args) => check::run(args),
        Command::Preview(args) => preview::run(args),
        Command::Pack(args) => pack::run(args),
        Command::Import(command) => import::run(command),
        Command::Split(args) => split::run(args),
        Command::Stats(args) => stats::run(args),
    }
}

/// The images that a command looks at.
#[derive(Debug, clap::Args)]
struct Source {
    /// Folder of images or manifest, as `netadapt search` takes it.
    data: PathBuf,
    /// Share of the files that may be no usable images: they are left out, and more are refused.
    #[arg(long, default_value = "1%", value_parser = share)]
    max_bad: f64,
}

impl Source {
    /// How it is opened, where `holdout` images are held out of those to train on.
    fn options(&self, seed: u64, holdout: usize) -> Options {
        Options { seed, holdout, max_bad: self.max_bad }
    }
}

/// Shows the progress of work on files, done and all of them.
fn counted<T>(quiet: bool, work: impl FnOnce(&mut dyn FnMut(usize, usize)) -> T) -> T {
    phase(quiet, Phase::Images, |progress| work(&mut |done, all| progress(done as f64, all as f64)))
}

/// Names the first of the files that were left out, and why they were.
fn print_left_out(bad: &[BadFile]) {
    match bad.len() {
        0 => {}
        1 => say!("1 file is left out:"),
        n => say!("{n} files are left out:"),
    }
    for BadFile { path, reason, .. } in bad.iter().take(NAMED) {
        say!("  {}: {}", printable(&path.to_string_lossy()), printable(reason));
    }
    if bad.len() > NAMED {
        say!("  and {} more; netadapt-data check names all", bad.len() - NAMED);
    }
}

/// Refuses to write over what is there.
fn free(path: &Path) -> anyhow::Result<()> {
    anyhow::ensure!(!path.exists(), "'{}' exists already: remove it, or name another with -o", path.display());
    Ok(())
}
