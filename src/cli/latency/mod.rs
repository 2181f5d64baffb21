//! `netadapt latency`: tables of how long each operation takes on a device.

mod build; // latency build
mod check; // latency check
mod compare; // latency compare
mod fit; // latency fit
mod show; // latency show

use crate::latency::Agreement;
use clap::{Parser, Subcommand};

/// Options of `netadapt latency`.
#[derive(Debug, Parser)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

/// Images that the networks of a space are made for.
#[derive(Debug, clap::Args)]
struct Images {
    /// Pixels a side of the images, instead of the space's.
    #[arg(long)]
    size: Option<u32>,
    /// Channels of the images: 1 for grey, 3 for colour.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=4))]
    channels: u32,
    /// Classes to tell apart.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(2..=4096))]
    classes: u32,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measure every operation that a search space can ask for; go on with a build that was stopped.
    Build(build::Args),
    /// Print and plot a table: milliseconds against channels, and the steps that the device likes.
    Show(show::Args),
    /// Measure random networks of a space and compare them with what its table predicts.
    Check(check::Args),
    /// Say whether two devices rank the networks of a space alike.
    Compare(compare::Args),
    /// Map the table of another device to this one by a few networks that are measured here.
    Fit(fit::Args),
}

pub(super) fn run(args: Args) -> anyhow::Result<()> {
    match args.command {
        Command::Build(args) => build::run(args),
        Command::Show(args) => show::run(args),
        Command::Check(args) => check::run(args),
        Command::Compare(args) => compare::run(args),
        Command::Fit(args) => fit::run(args),
    }
}

/// How well predictions agree with measurements, a line each.
fn print_agreements<const ROWS: usize>(rows: [(&str, Agreement); ROWS]) {
    say!("{:<28} {:>12} {:>13} {:>12}", "", "within 10 %", "median error", "Kendall tau");
    for (name, Agreement { within_10_percent, median_error, kendall_tau, .. }) in rows {
        let [within, error] = [within_10_percent, median_error].map(|share| share * 100.0);
        say!("{name:<28} {within:>10.1} % {error:>11.2} % {kendall_tau:>12.3}");
    }
}
