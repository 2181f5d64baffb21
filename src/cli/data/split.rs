//! `netadapt-data split`: a split of one's own, written down and not carried out.

use super::super::share::share;
use super::super::terminal::printable;
use super::check::print_classes;
use super::{counted, free, print_left_out};
use crate::data::{Division, Shares, divide};
use crate::disk::{SystemDisk, write_whole};
use crate::run::{RunError, threads};
use anyhow::{Context as _, bail};
use std::path::{Path, PathBuf};

/// Options of `netadapt-data split`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Folder of images, as `netadapt search` takes it; its own splits are drawn anew.
    data: PathBuf,
    /// Share of each class to score candidates with during a search; 0% leaves that to the search.
    #[arg(long, default_value = "10%", value_parser = share)]
    val: f64,
    /// Share of each class to test with; 0% leaves that to the search.
    #[arg(long, default_value = "10%", value_parser = share)]
    test: f64,
    /// Seed of the split.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// The manifest to write, in the folder of images or above it [default: DATA.json].
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: Args) -> anyhow::Result<()> {
    if args.val + args.test >= 1.0 {
        let text = "--val and --test leave nothing to train on: let them be less than 100 % together\n";
        clap::Error::raw(clap::error::ErrorKind::ValueValidation, text).exit();
    }
    let out = match args.out {
        Some(out) => out,
        None => beside(&args.data)?,
    };
    free(&out)?;
    let shares = Shares { val: args.val, test: args.test };
    let division = counted(args.json, |progress| divide(&args.data, &out, shares, args.seed, threads(), progress))
        .map_err(RunError::from)?;
    let text = serde_json::to_string_pretty(&division.manifest)?;
    write_whole(&SystemDisk, &out, format!("{text}\n").as_bytes())
        .with_context(|| format!("cannot write '{}'", out.display()))?;
    if args.json {
        print_json(&division, &out)
    } else {
        print(&division, &out)
    }
    Ok(())
}

/// The file beside a folder that is named after it.
pub(super) fn beside(folder: &Path) -> anyhow::Result<PathBuf> {
    let whole = std::fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
    let Some(mut name) = whole.file_name().map(ToOwned::to_owned) else {
        bail!("'{}' has no name to call the manifest after: name it with -o", folder.display());
    };
    name.push(".json");
    Ok(whole.with_file_name(name))
}

fn print(division: &Division, out: &Path) {
    print_classes(&division.classes);
    match division.together {
        0 => say!("no two images look alike"),
        1 => say!("1 image looks like another one, and is on its side"),
        n => say!("{n} images look like others, and are on their side"),
    }
    print_left_out(&division.left_out);
    let path = printable(&out.to_string_lossy());
    say!("{path}: netadapt search takes it in the place of the folder");
}

fn print_json(division: &Division, out: &Path) {
    let left_out: Vec<_> = division
        .left_out
        .iter()
        .map(|bad| serde_json::json!({ "file": bad.path.to_string_lossy(), "reason": bad.reason }))
        .collect();
    let Division { classes, together, .. } = division;
    let (path, together) = (out.to_string_lossy(), *together);
    say!("{}", serde_json::json!({ "manifest": path, "classes": classes, "together": together, "left_out": left_out }));
}
