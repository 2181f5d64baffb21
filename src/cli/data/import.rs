//! `netadapt-data import`: sets in other programs' forms as folders of images.

use super::super::terminal::printable;
use crate::data::DataError;
use crate::data::import::{self, Imported};
use crate::run::RunError;
use std::path::PathBuf;

/// What to import.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// IDX files, as MNIST and Fashion-MNIST have them, gzipped or not.
    Idx {
        /// File of images.
        images: PathBuf,
        /// File of their labels.
        labels: PathBuf,
        #[command(flatten)]
        target: Target,
        /// File with a class's name a line, instead of numbers.
        #[arg(long, value_name = "FILE")]
        classes: Option<PathBuf>,
    },
    /// The binary files of CIFAR-10, or of CIFAR-100 by its fine labels.
    Cifar {
        /// Files of images.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        #[command(flatten)]
        target: Target,
        /// File with a class's name a line, instead of numbers.
        #[arg(long, value_name = "FILE")]
        classes: Option<PathBuf>,
    },
}

/// Where to.
#[derive(Debug, clap::Args)]
pub(super) struct Target {
    /// Folder to make, for example mnist/train.
    #[arg(short, long, value_name = "FOLDER")]
    out: PathBuf,
}

pub(super) fn run(command: Command) -> anyhow::Result<()> {
    let (imported, out) = match command {
        Command::Idx { images, labels, target: Target { out }, classes } => {
            (import::idx(&images, &labels, classes.as_deref(), &out), out)
        }
        Command::Cifar { files, target: Target { out }, classes } => {
            (import::cifar(&files, classes.as_deref(), &out), out)
        }
    };
    let Imported { classes } = imported.map_err(DataError::from).map_err(RunError::from)?;
    let images: usize = classes.values().sum();
    say!("{images} images in {} classes: {}", classes.len(), printable(&out.to_string_lossy()));
    Ok(())
}
