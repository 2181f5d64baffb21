//! A table that names files and their classes (as Kaggle has them) beside a folder of images.
//!
//! The table is read whole before anything is written. What lines and files do not fit each other is found and named;
//! the rest is taken.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use csv::{ReaderBuilder, StringRecord};

use super::super::divide::path_from;
use super::super::examine::{Finding, Kind};
use super::super::manifest::{Files, Manifest, VERSION};
use super::super::scan::image_files;
use super::{ImportError, Imported, MAX_IMAGES, Target, cannot_read, is_class_name};
use crate::data::DataError;
use crate::disk::{folder_of, read_at_most};

/// Largest table that is read, in bytes.
pub const MAX_BYTES: u64 = 256 << 20;

/// Titles that a column of files may have, the likeliest first; case does not count.
const FILES: [&str; 10] =
    ["file", "filename", "file_name", "image", "image_name", "image_path", "path", "filepath", "image_id", "id"];

/// Titles that a column of classes may have.
const CLASSES: [&str; 7] = ["class", "label", "labels", "class_name", "category", "target", "breed"];

/// Titles of the columns, where they are not among those that are known.
#[derive(Clone, Debug, Default)]
pub struct Columns {
    /// Of the files.
    pub file: Option<String>,
    /// Of their classes.
    pub class: Option<String>,
}

/// Files by class, and what does not fit.
#[derive(Debug)]
pub struct Labelled {
    /// Files of each class as paths from the folder, with `/` between the parts.
    pub files: Files,
    /// Lines that were not taken and images that no line names, by kind.
    pub findings: Vec<Finding>,
}

/// The images in `folder` by the lines of `table`: a line of titles, then a file (with or without its extension) and a
/// class in each; commas, semicolons or tabs between the columns.
///
/// # Errors
/// [`DataError`] for a folder without images, and an [`ImportError`] for a table that cannot be read, lacks a column,
/// or names no image of the folder.
pub fn labelled(table: &Path, folder: &Path, columns: &Columns) -> Result<Labelled, DataError> {
    let refused = |problem: String| ImportError::Source { path: table.to_owned(), problem };
    let bytes = read_at_most(table, MAX_BYTES).map_err(|source| cannot_read(table, source))?;
    let lines = Lines::parse(&bytes, columns).map_err(refused)?;
    let images = image_files(folder)?;
    let names = images.iter().map(|path| {
        let inside = path.strip_prefix(folder).expect("it was found in the folder");
        inside.to_string_lossy().replace(std::path::MAIN_SEPARATOR, "/")
    });
    let found = fit(lines, &names.collect::<Vec<_>>());
    if found.files.is_empty() {
        let problem = format!(
            "names no image of '{}': give the folder that its names begin in, or other columns with --file-column \
             and --class-column",
            folder.display()
        );
        return Err(refused(problem).into());
    }
    if let (1, Some(class)) = (found.files.len(), found.files.keys().next()) {
        return Err(refused(format!("has images of one class only, '{class}': there is nothing to tell apart")).into());
    }
    Ok(found)
}

/// The same as a manifest that is to lie at `file`; the splits are left to a search, or to `netadapt-data split`.
///
/// # Errors
/// [`DataError`] when `file` would lie neither in the folder nor above it, and for fewer than two classes.
pub fn to_manifest(labelled: &Labelled, folder: &Path, file: &Path) -> Result<Manifest, DataError> {
    let root = path_from(folder_of(file), folder, file)?;
    let train = labelled.files.clone();
    let manifest = Manifest { version: VERSION, root, seed: 0, train, val: None, test: None };
    manifest.check().map_err(|problem| DataError::Manifest { path: file.to_owned(), problem })?;
    Ok(manifest)
}

/// The same as copies, in a folder per class that `into` gets.
///
/// # Errors
/// [`ImportError`] names what could not be read or written, or is there already.
pub fn to_folder(labelled: &Labelled, folder: &Path, into: &Path) -> Result<Imported, ImportError> {
    let mut target = Target::new(into)?;
    for (class, names) in &labelled.files {
        for name in names {
            let (from, to) = (folder.join(name), target.place(class, name)?);
            fs::copy(&from, &to).map_err(|source| ImportError::Io { action: "copy", path: from, source })?;
        }
    }
    target.finish()
}

/// Whether this is a table with known columns, for `formats`.
pub(crate) fn reads_table(bytes: &[u8]) -> bool {
    Lines::parse(bytes, &Columns::default()).is_ok_and(|lines| {
        let found = fit(lines, &["a.png".to_owned(), "b/a.png".to_owned()]);
        found.files.len() + found.findings.len() > 0
    })
}

/// What is of use in a table.
struct Lines {
    /// Line number from 1, file and class.
    lines: Vec<(u64, String, String)>,
}

impl Lines {
    fn parse(bytes: &[u8], columns: &Columns) -> Result<Self, String> {
        let first = bytes.split(|&byte| byte == b'\n').next().unwrap_or_default();
        let count = |delimiter: &u8| first.iter().filter(|byte| *byte == delimiter).count();
        let delimiter = b"\t;,".iter().copied().max_by_key(count).expect("there are three");
        let mut reader = ReaderBuilder::new().delimiter(delimiter).flexible(true).from_reader(bytes);
        let unread = |error: csv::Error| format!("cannot be read ({error}): save it as CSV in UTF-8");
        let titles = reader.headers().map_err(unread)?.clone();
        let file = column(&titles, columns.file.as_deref(), &FILES, "files", "--file-column")?;
        let class = column(&titles, columns.class.as_deref(), &CLASSES, "classes", "--class-column")?;
        let mut lines = Vec::new();
        for record in reader.records() {
            let record = record.map_err(unread)?;
            if lines.len() == MAX_IMAGES {
                return Err(format!("has more than {MAX_IMAGES} lines"));
            }
            let field = |column: usize| record.get(column).unwrap_or_default().trim().to_owned();
            let line = record.position().map_or(0, csv::Position::line);
            lines.push((line, field(file), field(class)));
        }
        Ok(Self { lines })
    }
}

/// The place of a column by the title that was given for it, or by one that it may have.
fn column(titles: &StringRecord, given: Option<&str>, known: &[&str], what: &str, flag: &str) -> Result<usize, String> {
    let place = |title: &str| titles.iter().position(|other| other.trim().eq_ignore_ascii_case(title));
    let found = match given {
        Some(title) => place(title),
        None => known.iter().find_map(|title| place(title)),
    };
    let wanted = given.map_or(format!("a column of {what} that is known"), |title| format!("the column '{title}'"));
    let all = || titles.iter().map(|title| format!("'{}'", title.trim())).collect::<Vec<_>>().join(", ");
    found.ok_or_else(|| format!("lacks {wanted}: name one of {} with {flag}", all()))
}

/// Brings lines and images together.
fn fit(table: Lines, images: &[String]) -> Labelled {
    let mut by_name: HashMap<&str, Vec<usize>> = HashMap::new();
    for (index, name) in images.iter().enumerate() {
        by_name.entry(name).or_default().push(index);
        if let Some((short, _)) = name.rsplit_once('.') {
            by_name.entry(short).or_default().push(index);
        }
    }
    let mut findings = Vec::new();
    let mut classes: Vec<Option<String>> = vec![None; images.len()];
    let mut disputed = vec![false; images.len()];
    for (line, file, class) in table.lines {
        let mut finding = |kind, advice: String| {
            findings.push(Finding { file: file.clone(), kind, advice: format!("line {line}: {advice}") });
        };
        let found = match by_name.get(file.as_str()).map_or(&[][..], Vec::as_slice) {
            _ if file.is_empty() || class.is_empty() => {
                finding(Kind::Line, "it has no file or no class: complete or remove it".to_owned());
                continue;
            }
            _ if !is_class_name(&class) => {
                finding(Kind::Line, format!("'{class}' can be no folder's name: rename the class"));
                continue;
            }
            [] => {
                finding(
                    Kind::LabelWithoutFile,
                    "no such image is in the folder: add it, or remove the line".to_owned(),
                );
                continue;
            }
            &[found] => found,
            several => {
                let advice = format!("{} images have this name: write its extension", several.len());
                finding(Kind::Line, advice);
                continue;
            }
        };
        match &classes[found] {
            None => classes[found] = Some(class),
            Some(earlier) if *earlier == class => {
                finding(Kind::Line, "an earlier line says the same: remove one".to_owned());
            }
            Some(earlier) => {
                let advice = format!("'{class}', and '{earlier}' in an earlier line, so it is left out: keep one");
                finding(Kind::DuplicateAcrossLabels, advice);
                disputed[found] = true;
            }
        }
    }
    let mut files = Files::new();
    for ((name, class), disputed) in images.iter().zip(classes).zip(disputed) {
        match class {
            Some(class) if !disputed => files.entry(class).or_default().push(name.clone()),
            Some(_) => {}
            None => {
                let advice = "no line of the table names it, so it is left out: add one".to_owned();
                findings.push(Finding { file: name.clone(), kind: Kind::FileWithoutLabel, advice });
            }
        }
    }
    findings.sort_by_key(|finding| finding.kind);
    Labelled { files, findings }
}
