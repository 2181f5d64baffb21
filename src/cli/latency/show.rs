//! `netadapt latency show`.

use crate::disk::{SystemDisk, write_whole};
use crate::latency::{Curve, Spread, Staircase, Table};
use crate::report::table_page;
use crate::run::read_table;
use anyhow::Context;
use std::path::PathBuf;

/// Operations that fit on a screen.
const SHOWN: usize = 12;

/// Options of `netadapt latency show`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A table.
    table: PathBuf,
    /// Print one JSON object, with every operation and width.
    #[arg(long)]
    json: bool,
    /// Plot milliseconds against channels into this HTML page.
    #[arg(long, short)]
    out: Option<PathBuf>,
}

pub(super) fn run(args: Args) -> anyhow::Result<()> {
    let table = read_table(&args.table)?;
    if let Some(path) = &args.out {
        write_whole(&SystemDisk, path, table_page(&table).as_bytes())
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    let (curves, sweeps) = (table.curves(), table.sweeps());
    if args.json {
        let json = serde_json::json!({
            "origin": table.origin, "timestamps": table.timestamps(), "clock": table.clock(), "width_step": table.width_step(), "sweeps": sweeps, "operations": curves,
        });
        say!("{json}");
        return Ok(());
    }
    say!("{}, batch {}", table.origin.adapter, table.origin.batch);
    say!("{} operations at {} widths, {}", curves.len(), table.all().count(), noise(&table));
    say!("{}", table.clock());
    say!("{:<46} {:>12}  {:>16}", "at the largest width in, the slowest first", "channels out", "ms");
    for Curve { operation, points } in curves.iter().take(SHOWN) {
        let found = sweeps.iter().find(|sweep| sweep.operation == *operation);
        let points = found.map_or(points, |sweep| &sweep.points);
        let about = found.map_or(String::new(), |sweep| words(sweep.staircase));
        let ([low, first], [high, last]) = (ends(points.first()), ends(points.last()));
        let (name, channels) = (operation.to_string(), format!("{low} to {high}"));
        say!("{name:<46} {channels:>12}  {first:>6.4} to {last:>6.4}  {}{about}", bars(points));
    }
    if curves.len() > SHOWN {
        say!("and {} more: --json has all, -o PAGE.html plots them", curves.len() - SHOWN);
    }
    match (table.width_step(), sweeps.is_empty()) {
        (_, true) => say!("width step: not known, no operation was timed at neighbouring widths"),
        (4, _) => say!("width step: 4 channels, the least there is: the time rises with every quad"),
        (step, _) => {
            say!("width step: {step} channels; a search of a latency keeps to its multiples (search.width_step)")
        }
    }
    if let Some(path) = args.out {
        say!("page: {}", path.display());
    }
    Ok(())
}

/// How well the entries are known.
fn noise(table: &Table) -> String {
    let errors: Vec<f64> = table.all().map(|entry| entry.ms.median_error()).collect();
    if errors.is_empty() {
        return "none of them timed".into();
    }
    let Spread { median, p90, .. } = Spread::of(&errors);
    format!("each known to {:.1} % (nine of ten to {:.1} %)", median * 100.0, p90 * 100.0)
}

fn ends(point: Option<&(u32, Spread)>) -> [f64; 2] {
    point.map_or([0.0; 2], |(width, ms)| [f64::from(*width), ms.median])
}

fn words(staircase: Staircase) -> String {
    match staircase.share > 0.0 {
        true => format!("  steps of {}, {:.0} % of the rise", staircase.step, staircase.share.min(1.0) * 100.0),
        false => "  no steps".into(),
    }
}

/// Heights of the times between the least and the largest.
fn bars(points: &[(u32, Spread)]) -> String {
    let heights = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let medians = || points.iter().map(|(_, ms)| ms.median);
    let (low, high) = (medians().fold(f64::INFINITY, f64::min), medians().fold(0.0, f64::max));
    let height = |ms: f64| ((ms - low) / (high - low).max(f64::MIN_POSITIVE) * 7.99) as usize;
    medians().map(|ms| heights[height(ms).min(7)]).collect()
}
