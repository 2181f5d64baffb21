//! `netadapt-bench`: how fast a device is, and how close we come to it.

mod all; // everything at once
mod data; // whether images come as fast as the device eats them
mod device; // what the device can do at most
mod kernels; // every kernel beside the device's bounds
mod model; // networks that exist
mod outcome; // a result: printed, kept, compared
mod peer; // another framework, in turn
mod step; // a training step, kernel by kernel
mod tune; // tile sizes, measured and kept

use clap::{Parser, Subcommand};

/// Measures what this device does.
#[derive(Debug, Parser)]
#[command(name = "netadapt-bench", version, about)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    common: outcome::Common,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// What the device can do at most: multiply-adds, bandwidths, the cost of a launch and of a submit.
    Device,
    /// Every kernel over shapes of real networks, beside what the device's bounds leave it.
    Kernels(kernels::Args),
    /// All of it, for a file: bounds, kernels with and without widths drawn, training steps. A few minutes.
    All,
    /// How fast images are decoded, and an epoch on them beside as many steps on one batch that is in memory.
    Data(data::Args),
    /// The latency of a network by layers, or of two networks in turn.
    Model(model::Args),
    /// A training step of a space's largest network: time, time with widths drawn, the share of each kernel.
    Step(step::Args),
    /// Find this device's tile sizes by measuring, and keep them: searches and measurements take them from then on.
    Tune(tune::Args),
}

pub(super) fn run(Args { command, common }: Args) -> anyhow::Result<()> {
    let gpu = common.open()?;
    let mut peer = common.peer(&gpu)?;
    let peer = peer.as_mut();
    if let Command::Tune(args) = &command {
        let (tuning, outcome) = tune::measure(&gpu, args)?;
        return common.finish("tune", &gpu, &tuning, outcome);
    }
    let tuning = common.tuning(&gpu);
    let bounds = || device::measure(&gpu, &tuning);
    let (name, outcome) = match command {
        Command::Device => ("device", device::outcome(&bounds()?)),
        Command::Data(args) => ("data", data::measure(&gpu, &tuning, &args, peer)?),
        Command::Kernels(args) => ("kernels", kernels::measure(&gpu, &tuning, &bounds()?, &args, peer)?),
        Command::Model(args) => ("model", model::measure(&gpu, &tuning, &args)?),
        Command::Step(args) => ("step", step::measure(&gpu, &tuning, &args, peer)?),
        Command::All => ("all", all::measure(&gpu, &tuning, peer)?),
        Command::Tune(_) => unreachable!("it is done above"),
    };
    common.finish(name, &gpu, &tuning, outcome)
}
