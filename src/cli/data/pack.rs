//! `netadapt-data pack`: images decoded and resized once.

use super::super::terminal::printable;
use super::{Source, counted, print_left_out};
use crate::data::pack::{Written, pack};
use crate::run::{RunError, threads};
use crate::space::Space;
use std::path::PathBuf;

/// Options of `netadapt-data pack`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    source: Source,
    /// The pack to write, in the folder of images or above it.
    #[arg(short, long, value_name = "FILE")]
    out: PathBuf,
    /// Search space whose image size it is for: tiny, mobile, plain, or a TOML file.
    #[arg(long, default_value = "tiny")]
    preset: String,
    /// Pixels a side, instead of the space's.
    #[arg(long)]
    size: Option<u32>,
}

pub(super) fn run(args: Args) -> anyhow::Result<()> {
    let size = match args.size {
        Some(size) => size,
        None => Space::open(&args.preset).map_err(RunError::from)?.size,
    };
    let options = args.source.options(0, 0);
    let packed = counted(false, |progress| pack(&args.source.data, &args.out, size, &options, threads(), progress));
    let Written { images, format, bytes, bad } = packed.map_err(RunError::from)?;
    print_left_out(&bad);
    let (kind, size) = (if format.channels == 1 { "grey" } else { "colour" }, format.size);
    let path = printable(&args.out.to_string_lossy());
    say!("{images} {kind} images for {size} px, {:.1} MB: {path}", bytes as f64 / 1e6);
    say!("netadapt search {path} --size {size} takes it in the place of the folder");
    Ok(())
}
