//! `netadapt latency`: tables of how long each operation takes on a device.

mod build; // latency build

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
}

pub(super) fn run(args: Args) -> anyhow::Result<()> {
    match args.command {
        Command::Build(args) => build::run(args),
    }
}
