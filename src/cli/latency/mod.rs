//! `netadapt latency`: tables of how long each operation takes on a device.

mod build; // latency build
mod check; // latency check
mod compare; // latency compare

use clap::{Parser, Subcommand};

/// Options of `netadapt latency`.
#[derive(Debug, Parser)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measure every operation that a search space can ask for; go on with a build that was stopped.
    Build(build::Args),
    /// Measure random networks of a space and compare them with what its table predicts.
    Check(check::Args),
    /// Say whether two devices rank the networks of a space alike.
    Compare(compare::Args),
}

pub(super) fn run(args: Args) -> anyhow::Result<()> {
    match args.command {
        Command::Build(args) => build::run(args),
        Command::Check(args) => check::run(args),
        Command::Compare(args) => compare::run(args),
    }
}
