//! The command line: the only place that prints. Data goes to stdout, progress and messages to stderr.

/// Prints a line of data. A reader that has seen enough and closed the pipe ends the program quietly.
macro_rules! say {
    ($($argument:tt)*) => {
        if let Err(error) = std::io::Write::write_fmt(&mut std::io::stdout(), format_args!("{}\n", format_args!($($argument)*))) {
            $crate::cli::cannot_print(&error)
        }
    };
}

mod bench; // netadapt-bench
mod data; // netadapt-data
mod devices; // netadapt devices
mod doctor; // netadapt doctor
mod export; // netadapt export
mod import; // netadapt import
mod latency; // netadapt latency
mod manual; // netadapt completions, netadapt man
mod predict; // netadapt predict
mod search; // netadapt search
mod resume; // netadapt resume
mod report; // netadapt report
mod attended; // a run with somebody at the terminal
mod runtime; // another runtime, measured beside ours
mod precision; // the precision of feature maps, as an option
mod share; // shares in percent
mod stored; // which network a user means
mod terminal; // progress, tables

use crate::run::RunError;
use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Finds and trains the most accurate convolutional network that runs within a latency on this machine's GPU.
#[derive(Debug, Parser)]
#[command(name = "netadapt", version, about)]
struct Netadapt {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Search for the best network within a budget, and train it.
    Search(search::Args),
    /// Go on with a run that was stopped, however it was.
    Resume(resume::Args),
    /// Write a found network as one folder of files for other programs, or check such a folder.
    Export(export::Args),
    /// Bring an exported network back, with the weights that it has or with those that it was trained to elsewhere.
    Import(import::Args),
    /// Say what is on images.
    Predict(predict::Args),
    /// Make the page of a run again, or one page of several with one curve of accuracy against latency.
    Report(report::Args),
    /// Build tables of how long each operation takes on a device.
    Latency(latency::Args),
    /// List what there is to run on.
    Devices(devices::Args),
    /// Say what may go wrong on this machine: driver, memory, watchdog, disk, throttling, each kernel.
    Doctor(doctor::Args),
    /// Print what lets a shell complete the options of a program.
    Completions(manual::Completions),
    /// Write the manual pages of all programs into a folder.
    Man(manual::Man),
}

/// The program `netadapt`.
pub fn netadapt() -> ExitCode {
    exit(match Netadapt::parse().command {
        Command::Search(args) => search::run(args),
        Command::Resume(args) => resume::run(args),
        Command::Export(args) => export::run(args),
        Command::Import(args) => import::run(args),
        Command::Predict(args) => predict::run(args),
        Command::Report(args) => report::run(args),
        Command::Latency(args) => latency::run(args),
        Command::Devices(args) => devices::run(args),
        Command::Doctor(args) => doctor::run(args),
        Command::Completions(args) => manual::completions(args),
        Command::Man(args) => manual::man(args),
    })
}

/// The program `netadapt-bench`.
pub fn netadapt_bench() -> ExitCode {
    exit(bench::run(bench::Args::parse()))
}

/// The program `netadapt-data`.
pub fn netadapt_data() -> ExitCode {
    exit(data::run(data::Args::parse()))
}

/// What happens when stdout cannot be written to.
fn cannot_print(error: &std::io::Error) {
    let closed = error.kind() == std::io::ErrorKind::BrokenPipe;
    if !closed {
        eprintln!("error: cannot print: {error}");
    }
    std::process::exit(i32::from(!closed))
}

/// Prints an error once with the whole chain of its causes; the exit code is the error's.
fn exit(result: anyhow::Result<()>) -> ExitCode {
    let Err(error) = result else { return ExitCode::SUCCESS };
    let mut message = String::new();
    for cause in error.chain() {
        let text = cause.to_string();
        // A transparent error repeats its source.
        if !message.ends_with(&text) {
            message = if message.is_empty() { text } else { format!("{message}: {text}") };
        }
    }
    let run_error = error.downcast_ref::<RunError>();
    // Names of files from strangers cannot write to the terminal; errors in a configuration show it in several lines.
    let lines = match run_error {
        Some(RunError::Data(_)) => vec![message.as_str()],
        _ => message.split('\n').collect(),
    };
    let lines: Vec<String> = lines.into_iter().map(terminal::printable).collect();
    eprintln!("error: {}", lines.join("\n"));
    let code = run_error.map_or(1, RunError::exit_code);
    ExitCode::from(code)
}
