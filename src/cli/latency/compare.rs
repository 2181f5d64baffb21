//! `netadapt latency compare`.

use super::Images;
use crate::latency::{Table, kendall_tau};
use crate::run::{RunError, read_table};
use crate::space::{Space, WidthSampler};
use std::path::PathBuf;

/// From this rank correlation on a search on one device serves the other (OneProxy, Lu et al. 2021).
const ALIKE: f64 = 0.98;

/// Options of `netadapt latency compare`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A table.
    a: PathBuf,
    /// The table of another device or build, of the same space and size.
    b: PathBuf,
    /// Their search space: tiny, mobile, plain, or a TOML file.
    #[arg(long)]
    space: String,
    #[command(flatten)]
    images: Images,
    /// Random networks to rank.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(2..=10_000))]
    networks: u32,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: Args) -> anyhow::Result<()> {
    let Images { size, channels, classes } = args.images;
    let (space, size) = Space::open_at(&args.space, size).map_err(RunError::from)?;
    let net = space.supernet(size, channels, classes);
    let tables = [read_table(&args.a)?, read_table(&args.b)?];
    let sampler = WidthSampler::uniform(0);
    let archs = sampler.draw(&net, 0, args.networks);
    let predict = |table: &Table, path: &PathBuf| -> Result<Vec<f64>, RunError> {
        let correction = table.correction(&net);
        let sums: Option<Vec<f64>> = archs.iter().map(|arch| table.corrected_ms(&correction, &net, arch)).collect();
        sums.ok_or_else(|| RunError::Table {
            path: path.clone(),
            problem: format!("does not hold every operation of {} at {size} px", args.space),
        })
    };
    let [a, b] = [predict(&tables[0], &args.a)?, predict(&tables[1], &args.b)?];
    let tau = kendall_tau(&a.iter().copied().zip(b.iter().copied()).collect::<Vec<_>>());
    if args.json {
        say!("{}", serde_json::json!({ "networks": archs.len(), "kendall_tau": tau, "alike": tau >= ALIKE }));
        return Ok(());
    }
    say!("A  {}", tables[0].origin.adapter);
    say!("B  {}", tables[1].origin.adapter);
    say!("Kendall's tau of {} random networks, as predicted by the two: {tau:.3}", archs.len());
    match tau >= ALIKE {
        true => say!("they rank networks alike: a search on one serves the other"),
        false => say!(
            "they rank networks differently (below {ALIKE}): search on each, or map a table to the other device by a few \
             networks measured there: netadapt latency fit TABLE {}",
            args.space
        ),
    }
    Ok(())
}
