//! `netadapt-data check`: what is in a folder, and what is wrong with it.

use super::super::terminal::printable;
use super::{Source, counted};
use crate::data::examine;
use crate::data::examine::{Counts, Finding, Kind, Report};
use crate::run::{RunError, threads};
use std::collections::BTreeMap;

/// Classes that the table shows; the others are counted.
const CLASSES: usize = 12;
/// Findings of one kind that are shown, where there are few kinds and where there are many.
const EXAMPLES: [usize; 2] = [3, 1];
/// Kinds of findings from which on there are many.
const MANY_KINDS: usize = 5;

/// Options of `netadapt-data check`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    source: Source,
    /// Images to hold out of the training images where there is no `val` folder.
    #[arg(long, default_value_t = 1024)]
    holdout: usize,
    /// Seed of the split.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Print one JSON object with every finding.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: Args) -> anyhow::Result<()> {
    let options = args.source.options(args.seed, args.holdout);
    let report = counted(args.json, |progress| examine(&args.source.data, &options, threads(), progress));
    if args.json {
        say!("{}", serde_json::to_string(&report)?)
    } else {
        print(&report)
    }
    Ok(report.verdict().map_err(RunError::from)?)
}

fn print(report: &Report) {
    if !report.classes.is_empty() {
        print_classes(&report.classes);
    }
    if let Some(sizes) = &report.sizes {
        let [width, height, short] = [sizes.width, sizes.height, sizes.short_side];
        say!(
            "{} to {} px wide, {} to {} px high, median short side {} px",
            width[0],
            width[2],
            height[0],
            height[2],
            short[1]
        );
        let channels: Vec<String> = report.channels.iter().map(|(name, count)| format!("{count} {name}")).collect();
        let turned = match report.turned {
            0 => String::new(),
            n => format!("; {n} are turned upright by EXIF"),
        };
        say!("{}{turned}", channels.join(", "));
    }
    if let Some(ratio) = report.imbalance {
        say!("the largest class has {ratio:.1} times the training images of the smallest");
    }
    print_findings(&report.findings);
}

/// How many findings there are of each kind, and the first of them.
pub(super) fn print_findings(findings: &[Finding]) {
    match findings.len() {
        0 => say!("nothing found to be wrong"),
        1 => say!("1 finding"),
        n => say!("{n} findings; --json lists all of them"),
    }
    let kinds: Vec<&[Finding]> = findings.chunk_by(|a, b| a.kind == b.kind).collect();
    let examples = EXAMPLES[usize::from(kinds.len() >= MANY_KINDS)];
    for findings in kinds {
        say!("{:<28} {:>8}", findings[0].kind.name(), findings.len());
        for finding in findings.iter().take(examples) {
            // A refusal says the same once more at the end.
            if finding.kind != Kind::Layout {
                say!("  {}: {}", printable(&finding.file), printable(&finding.advice));
            }
        }
    }
}

/// A table of the images of each class by split.
pub(super) fn print_classes(classes: &BTreeMap<String, Counts>) {
    let row = |name: &str, counts: Counts| {
        say!("{name:<28} {:>8} {:>8} {:>8}", counts.train, counts.holdout, counts.test);
    };
    say!("{:<28} {:>8} {:>8} {:>8}", "class", "train", "held out", "test");
    let shown = if classes.len() > CLASSES + 1 { CLASSES } else { classes.len() };
    for (name, &counts) in classes.iter().take(shown) {
        row(&printable(name), counts);
    }
    if classes.len() > shown {
        say!("and {} more classes", classes.len() - shown);
    }
    let mut all = Counts::default();
    for counts in classes.values() {
        all.train += counts.train;
        all.holdout += counts.holdout;
        all.test += counts.test;
    }
    row(&format!("all {}", classes.len()), all);
}
