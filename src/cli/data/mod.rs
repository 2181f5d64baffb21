//! `netadapt-data`: what is in a folder of images.

mod check;
mod import;
mod pack;
mod page;
mod preview;
mod split;
mod stats;

use clap::{Parser, Subcommand};
use std::path::Path;

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

/// Refuses to write over what is there.
fn free(path: &Path) -> anyhow::Result<()> {
    anyhow::ensure!(!path.exists(), "'{}' exists already: remove it, or name another with -o", path.display());
    Ok(())
}
