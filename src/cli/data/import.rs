//! `netadapt-data import`: sets in other programs' forms as folders of images.

use super::super::terminal::{phase, printable};
use super::check::print_findings;
use super::free;
use super::split::beside;
use crate::data::DataError;
use crate::data::import::archive::{self, Caps, Unpacked};
use crate::data::import::table::{self, Columns};
use crate::data::import::{self, ImportError, Imported};
use crate::disk::{SystemDisk, write_whole};
use crate::run::{Phase, RunError};
use anyhow::Context as _;
use std::path::{Path, PathBuf};

/// What to import.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// IDX files, as MNIST and Fashion-MNIST have them, gzipped or not.
    Idx {
        /// File of images.
        images: PathBuf,
        /// File of their labels.
        labels: PathBuf,
        #[command(flatten)]
        target: Target,
        /// File with a class's name a line, instead of numbers.
        #[arg(long, value_name = "FILE")]
        classes: Option<PathBuf>,
    },
    /// The binary files of CIFAR-10, or of CIFAR-100 by its fine labels.
    Cifar {
        /// Files of images.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        #[command(flatten)]
        target: Target,
        /// File with a class's name a line, instead of numbers.
        #[arg(long, value_name = "FILE")]
        classes: Option<PathBuf>,
    },
    /// A tar archive (.tar, .tar.gz): its files, without links and what is hidden.
    Tar(Archive),
    /// A zip archive, likewise.
    Zip(Archive),
    /// A table of files and classes beside a folder of images, as Kaggle has them.
    Csv(Csv),
}

/// A table and its images.
#[derive(Debug, clap::Args)]
pub(super) struct Csv {
    /// The table: titles, then a file (with or without its extension) and a class a line.
    table: PathBuf,
    /// Folder that the names begin in.
    #[arg(long, value_name = "FOLDER")]
    images: PathBuf,
    /// A manifest (.json) in that folder or above it, which copies nothing, or a folder to copy to [default:
    /// FOLDER.json].
    #[arg(short, long, value_name = "OUT")]
    out: Option<PathBuf>,
    /// Title of the column of files, where it is not image, file, filename, path, id or the like.
    #[arg(long, value_name = "TITLE")]
    file_column: Option<String>,
    /// Title of the column of classes, where it is not class, label, category or the like.
    #[arg(long, value_name = "TITLE")]
    class_column: Option<String>,
    /// Print one JSON object with every finding.
    #[arg(long)]
    json: bool,
}

/// An archive and where to unpack it.
#[derive(Debug, clap::Args)]
pub(super) struct Archive {
    /// The archive.
    archive: PathBuf,
    /// Folder to make.
    #[arg(short, long, value_name = "FOLDER")]
    out: PathBuf,
}

/// Where to.
#[derive(Debug, clap::Args)]
pub(super) struct Target {
    /// Folder to make, for example mnist/train.
    #[arg(short, long, value_name = "FOLDER")]
    out: PathBuf,
}

pub(super) fn run(command: Command) -> anyhow::Result<()> {
    let (imported, out) = match command {
        Command::Idx { images, labels, target: Target { out }, classes } => {
            (import::idx(&images, &labels, classes.as_deref(), &out), out)
        }
        Command::Cifar { files, target: Target { out }, classes } => {
            (import::cifar(&files, classes.as_deref(), &out), out)
        }
        Command::Csv(args) => return csv(args),
        Command::Tar(args) => return unpack(&args, archive::tar),
        Command::Zip(args) => return unpack(&args, archive::zip),
    };
    let Imported { classes } = imported.map_err(DataError::from).map_err(RunError::from)?;
    let images: usize = classes.values().sum();
    say!("{images} images in {} classes: {}", classes.len(), printable(&out.to_string_lossy()));
    Ok(())
}

fn csv(args: Csv) -> anyhow::Result<()> {
    let Csv { table, images, out, file_column, class_column, json } = args;
    let out = match out {
        Some(out) => out,
        None => beside(&images)?,
    };
    free(&out)?;
    let columns = Columns { file: file_column, class: class_column };
    let labelled = table::labelled(&table, &images, &columns).map_err(RunError::from)?;
    let is_manifest = out.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
    if is_manifest {
        let manifest = table::to_manifest(&labelled, &images, &out).map_err(RunError::from)?;
        let text = serde_json::to_string_pretty(&manifest)?;
        write_whole(&SystemDisk, &out, format!("{text}\n").as_bytes())
            .with_context(|| format!("cannot write '{}'", out.display()))?;
    } else {
        table::to_folder(&labelled, &images, &out).map_err(DataError::from).map_err(RunError::from)?;
    }
    let count: usize = labelled.files.values().map(Vec::len).sum();
    let path = out.to_string_lossy();
    if json {
        let classes: std::collections::BTreeMap<&String, usize> =
            labelled.files.iter().map(|(class, files)| (class, files.len())).collect();
        let findings = &labelled.findings;
        say!("{}", serde_json::json!({ "out": path, "classes": classes, "images": count, "findings": findings }));
        return Ok(());
    }
    print_findings(&labelled.findings);
    let what =
        if is_manifest { "netadapt search takes it in the place of a folder" } else { "copies, a folder a class" };
    say!("{count} images in {} classes: {}: {what}", labelled.files.len(), printable(&path));
    Ok(())
}

/// What unpacks an archive.
type Unpack = fn(&Path, &Path, Caps, &mut dyn FnMut(f64)) -> Result<Unpacked, ImportError>;

fn unpack(args: &Archive, unpack: Unpack) -> anyhow::Result<()> {
    let unpacked = phase(false, Phase::Images, |progress| {
        unpack(&args.archive, &args.out, Caps::default(), &mut |done| progress(done, 1.0))
    });
    let Unpacked { files, bytes, top, findings } = unpacked.map_err(DataError::from).map_err(RunError::from)?;
    if !findings.is_empty() {
        print_findings(&findings);
    }
    // Most archives have one folder, in which the images are.
    let images = match top.first() {
        Some(only) if top.len() == 1 && args.out.join(only).is_dir() => args.out.join(only),
        _ => args.out.clone(),
    };
    say!("{files} files, {:.1} MB: {}", bytes as f64 / 1e6, printable(&images.to_string_lossy()));
    Ok(())
}
