//! `netadapt resume`.

use super::attended::{Attended, Output};
use crate::run;
use std::path::PathBuf;

/// Options of `netadapt resume`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Folder of the run.
    run: PathBuf,
    #[command(flatten)]
    output: Output,
}

pub(super) fn run(args: Args) -> anyhow::Result<()> {
    let Args { run, output } = args;
    Attended::new(&output)?.carry_on(&run, |environment, listener| run::resume(&run, environment, listener))
}
