//! `netadapt report`.

use crate::disk::{SystemDisk, write_whole};
use crate::model::read;
use crate::report::{Input, merged, page};
use crate::run::quoted;
use anyhow::Context;
use std::path::{Path, PathBuf};

/// Options of `netadapt report`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Folders of runs that have ended.
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// The page to write.
    #[arg(long, default_value = "report.html")]
    out: PathBuf,
}

/// The largest `report.json` that is read: candidates by the hundred thousand.
const MAX_BYTES: u64 = 256 << 20;

pub(super) fn run(args: Args) -> anyhow::Result<()> {
    let out = &args.out;
    anyhow::ensure!(!out.exists(), "{} exists already; name another file with --out", out.display());
    let runs = args.runs.iter().map(|run| Ok((name(run), input(run)?))).collect::<anyhow::Result<Vec<_>>>()?;
    let html = match runs.as_slice() {
        [(_, input)] => page(input),
        runs => merged(runs),
    };
    write_whole(&SystemDisk, out, html.as_bytes()).with_context(|| format!("cannot write {}", out.display()))?;
    let networks: usize = runs.iter().map(|(_, input)| input.networks.len()).sum();
    let plural = |count: usize| if count == 1 { "" } else { "s" };
    say!("{}: {networks} network{} of {} run{}", out.display(), plural(networks), runs.len(), plural(runs.len()));
    Ok(())
}

/// The run's folder's own name.
fn name(run: &Path) -> String {
    let whole = std::path::absolute(run).unwrap_or_else(|_| run.to_owned());
    whole.file_name().unwrap_or(whole.as_os_str()).to_string_lossy().into_owned()
}

fn input(run: &Path) -> anyhow::Result<Input> {
    let path = run.join("report.json");
    if !path.exists() && run.join("config.toml").exists() {
        let (shown, resumed) = (run.display(), quoted(run));
        anyhow::bail!("{shown} has not ended, so there is no report of it; go on with: netadapt resume {resumed}");
    }
    let bytes = read(&path, MAX_BYTES)?;
    serde_json::from_slice(&bytes).with_context(|| format!("{} is no report of netadapt search", path.display()))
}
