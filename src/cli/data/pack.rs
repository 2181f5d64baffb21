//! `netadapt-data pack`: images decoded and resized once.

use super::super::share::share;
use super::super::terminal::{Progress, printable};
use crate::data::pack::{Written, pack};
use crate::data::{BadFile, Options};
use crate::run::{Event, Listener, Phase, RunError, threads};
use crate::space::Space;
use std::path::PathBuf;
use std::time::Instant;

/// Files left out that are named; the others are counted.
const NAMED: usize = 5;

/// Options of `netadapt-data pack`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Folder of images or manifest, as `netadapt search` takes it.
    data: PathBuf,
    /// The pack to write, in the folder of images or above it.
    #[arg(short, long, value_name = "FILE")]
    out: PathBuf,
    /// Search space whose image size it is for: tiny, mobile, plain, or a TOML file.
    #[arg(long, default_value = "tiny")]
    preset: String,
    /// Pixels a side, instead of the space's.
    #[arg(long)]
    size: Option<u32>,
    /// Share of the files that may be no usable images and are left out.
    #[arg(long, default_value = "1%", value_parser = share)]
    max_bad: f64,
}

pub(super) fn run(args: Args) -> anyhow::Result<()> {
    let size = match args.size {
        Some(size) => size,
        None => Space::open(&args.preset).map_err(RunError::from)?.size,
    };
    let options = Options { seed: 0, holdout: 0, max_bad: args.max_bad };
    let mut terminal = Progress::new(false);
    let begun = Instant::now();
    terminal.event(&Event::Begin { phase: Phase::Images });
    let packed = pack(&args.data, &args.out, size, &options, threads(), &mut |done, all| {
        terminal.event(&Event::Progress { done: done as f64, all: all as f64 });
    });
    let Written { images, format, bytes, bad } = packed.map_err(RunError::from)?;
    terminal.event(&Event::End { phase: Phase::Images, seconds: begun.elapsed().as_secs_f64() });
    drop(terminal);
    for BadFile { path, reason, .. } in bad.iter().take(NAMED) {
        say!("left out: {}: {}", printable(&path.to_string_lossy()), printable(reason));
    }
    if bad.len() > NAMED {
        say!("and {} more; netadapt-data check names all", bad.len() - NAMED);
    }
    let (kind, size) = (if format.channels == 1 { "grey" } else { "colour" }, format.size);
    let path = printable(&args.out.to_string_lossy());
    say!("{images} {kind} images for {size} px, {:.1} MB: {path}", bytes as f64 / 1e6);
    say!("netadapt search {path} --size {size} takes it in the place of the folder");
    Ok(())
}
