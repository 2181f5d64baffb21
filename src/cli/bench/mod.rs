//! `netadapt-bench`: how fast a device is, and how close we come to it.

mod device; // what the device can do at most
mod step; // a training step, kernel by kernel

use clap::{Parser, Subcommand};

/// Measures what this device does.
#[derive(Debug, Parser)]
#[command(name = "netadapt-bench", version, about)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// What the device can do at most: multiply-adds, bandwidths, the cost of a launch and of a submit.
    Device(device::Args),
    /// A training step of a space's largest network: time, time with widths drawn, the share of each kernel.
    Step(step::Args),
}

pub(super) fn run(args: Args) -> anyhow::Result<()> {
    match args.command {
        Command::Device(args) => device::run(args),
        Command::Step(args) => step::run(args),
    }
}
