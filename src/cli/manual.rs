//! `netadapt completions` and `netadapt man`: made from what the arguments are parsed with.

use super::{Netadapt, bench, data};
use anyhow::Context;
use clap::{Command, CommandFactory, ValueEnum};
use clap_complete::Shell;
use std::path::PathBuf;

/// Options of `netadapt completions`.
#[derive(Debug, clap::Args)]
pub(super) struct Completions {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
    /// The program.
    #[arg(value_enum, default_value = "netadapt")]
    program: Program,
}

/// Options of `netadapt man`.
#[derive(Debug, clap::Args)]
pub(super) struct Man {
    /// Folder of the pages; made where it is not there.
    folder: PathBuf,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Program {
    /// This one.
    Netadapt,
    /// Measurements.
    NetadaptBench,
    /// Folders of images.
    NetadaptData,
}

impl Program {
    fn command(self) -> Command {
        match self {
            Self::Netadapt => Netadapt::command(),
            Self::NetadaptBench => bench::Args::command(),
            Self::NetadaptData => data::Args::command(),
        }
    }
}

pub(super) fn completions(args: Completions) -> anyhow::Result<()> {
    let mut command = args.program.command();
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, name, &mut script);
    say!("{}", String::from_utf8_lossy(&script).trim_end());
    Ok(())
}

pub(super) fn man(args: Man) -> anyhow::Result<()> {
    let write = || {
        std::fs::create_dir_all(&args.folder)?;
        Program::value_variants()
            .iter()
            .try_for_each(|program| clap_mangen::generate_to(program.command(), &args.folder))
    };
    write().with_context(|| format!("cannot write manual pages into {}", args.folder.display()))?;
    say!("{} has the manual pages: man {0}/netadapt.1", args.folder.display());
    Ok(())
}
