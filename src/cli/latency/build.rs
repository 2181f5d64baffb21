//! `netadapt latency build`.

use super::Images;
use crate::cli::attended::{Attended, NoTune, Output};
use crate::run::{TableRequest, build_table};
use std::path::{Path, PathBuf};

/// Which table.
#[derive(Debug, clap::Args)]
pub(super) struct Which {
    /// Search space: tiny, mobile, plain, or a TOML file.
    space: String,
    #[command(flatten)]
    images: Images,
    /// Images of a batch, instead of the space's.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1024))]
    batch: Option<u32>,
    /// File of the table [default: latency-SPACE.json].
    #[arg(long)]
    out: Option<PathBuf>,
    /// Device, by its number in `netadapt devices` [default: the first].
    #[arg(long, env = "NETADAPT_DEVICE")]
    device: Option<usize>,
}

impl Which {
    /// As the library wants it.
    pub(super) fn request(self) -> TableRequest {
        let name = Path::new(&self.space).file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let Self { space, images: Images { size, channels, classes }, batch, out, device } = self;
        let out = out.unwrap_or_else(|| format!("latency-{name}.json").into());
        TableRequest { space, size, channels, classes, batch, device, out }
    }
}

/// Options of `netadapt latency build`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    tune: NoTune,
    #[command(flatten)]
    output: Output,
}

pub(super) fn run(args: Args) -> anyhow::Result<()> {
    let request = args.which.request();
    let attended = Attended::new(&args.output)?.tuned(!args.tune.no_tune);
    let built = attended.attend(|environment, listener| build_table(&request, &environment, listener))?;
    let (entries, path) = (built.table.all().count(), request.out.display());
    if args.output.is_json() {
        say!(
            "{}",
            serde_json::json!({ "event": "table", "path": request.out, "entries": entries, "measured": built.measured })
        );
        return Ok(());
    }
    say!("{}", built.table.origin.adapter);
    let networks = built.table.networks.len();
    say!("table: {path}, {entries} operations and {networks} whole networks, {} of all measured now", built.measured);
    say!("use it: netadapt search DATA --latency {path} ...");
    Ok(())
}
