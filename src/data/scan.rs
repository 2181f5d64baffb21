//! The walk over a dataset's folders: class folders, the images in them, and what is left out.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use super::error::DataError;

const HOLDOUT_NAMES: [&str; 3] = ["val", "valid", "validation"];
const EXTENSIONS: [&str; 8] = ["png", "jpg", "jpeg", "webp", "bmp", "gif", "tif", "tiff"];

/// Images in a folder and in those below it, whatever their classes, by the rules of a dataset's class folders.
///
/// # Errors
/// [`DataError`] for a folder that cannot be read, and one without images.
pub fn image_files(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let mut scan = Scan::new(folder)?;
    let mut entries = Vec::new();
    scan.images(folder, 0, &mut entries)?;
    if entries.is_empty() {
        return Err(DataError::NoFiles { folder: folder.to_owned() });
    }
    Ok(entries.into_iter().map(|entry| entry.path).collect())
}

/// A file found, before it is assigned to a split.
pub(super) struct Entry {
    pub(super) path: PathBuf,
    /// The path inside the root with `/` between its parts, as bytes.
    pub(super) name: Vec<u8>,
    pub(super) bytes: u64,
    /// Nanoseconds since 1970; 0 where the system does not say.
    pub(super) modified: u64,
    pub(super) label: u32,
}

/// What a directory entry turned out to be, links followed only inside the root.
enum Kind {
    Folder,
    File { bytes: u64, modified: u64 },
    LinkToFolder,
    LinkOut,
}

/// A walk over one dataset's folders, with its counts of what was left out.
pub(super) struct Scan {
    root: PathBuf,
    canonical: PathBuf,
    /// Files that are not images by name.
    pub(super) skipped: Vec<PathBuf>,
    /// Links that were not followed.
    pub(super) links: Vec<PathBuf>,
    /// Folders with the names of images; what is in them counts.
    pub(super) folders: Vec<PathBuf>,
}

impl Scan {
    pub(super) fn new(root: &Path) -> Result<Self, DataError> {
        if !root.exists() {
            return Err(DataError::Missing { path: root.to_owned() });
        }
        if !root.is_dir() {
            return Err(DataError::NotAFolder { path: root.to_owned() });
        }
        let canonical = fs::canonicalize(root).map_err(|e| read_error(root, e))?;
        Ok(Self { root: root.to_owned(), canonical, skipped: Vec::new(), links: Vec::new(), folders: Vec::new() })
    }

    /// The folder `name` of the root, if there is one.
    pub(super) fn subfolder(&self, name: &str) -> Result<Option<PathBuf>, DataError> {
        let path = self.root.join(name);
        if path.symlink_metadata().is_err() {
            return Ok(None);
        }
        match self.kind(&path)? {
            Kind::Folder | Kind::LinkToFolder => Ok(Some(path)),
            Kind::LinkOut => Err(DataError::LinkLeaves { path }),
            Kind::File { .. } => Ok(None),
        }
    }

    pub(super) fn holdout_folder(&self) -> Result<Option<PathBuf>, DataError> {
        let mut found: Option<(&str, PathBuf)> = None;
        for name in HOLDOUT_NAMES {
            let Some(path) = self.subfolder(name)? else {
                continue;
            };
            if let Some((first, _)) = found {
                return Err(DataError::TwoHoldouts {
                    root: self.root.clone(),
                    first: first.to_owned(),
                    second: name.to_owned(),
                });
            }
            found = Some((name, path));
        }
        Ok(found.map(|(_, path)| path))
    }

    /// Classes and images of the folder to train on; every class must have images.
    pub(super) fn training(&mut self, folder: &Path) -> Result<(Vec<String>, Vec<Entry>), DataError> {
        let found = self.class_folders(folder)?;
        match found.as_slice() {
            [] => {
                return Err(DataError::NoClasses { folder: folder.to_owned() });
            }
            [(class, _)] => {
                let (folder, class) = (folder.to_owned(), class.clone());
                return Err(DataError::OneClass { folder, class });
            }
            _ => {}
        }
        let mut entries = Vec::new();
        for (label, (_, path)) in found.iter().enumerate() {
            let (count, skipped, links) = (entries.len(), self.skipped.len(), self.links.len());
            self.images(path, label as u32, &mut entries)?;
            if entries.len() == count {
                return Err(DataError::EmptyClass {
                    folder: path.clone(),
                    skipped: self.skipped.len() - skipped,
                    links: self.links.len() - links,
                });
            }
        }
        Ok((found.into_iter().map(|(class, _)| class).collect(), entries))
    }

    /// Images of a `val` or `test` folder, whose classes must be those of training.
    pub(super) fn other(&mut self, folder: &Path, classes: &[String]) -> Result<Vec<Entry>, DataError> {
        let labels: HashMap<&str, usize> =
            classes.iter().enumerate().map(|(label, class)| (class.as_str(), label)).collect();
        let mut entries = Vec::new();
        for (class, path) in self.class_folders(folder)? {
            let Some(&label) = labels.get(class.as_str()) else {
                return Err(DataError::UnknownClass { folder: path });
            };
            self.images(&path, label as u32, &mut entries)?;
        }
        if entries.is_empty() {
            return Err(DataError::EmptySplit { folder: folder.to_owned() });
        }
        Ok(entries)
    }

    /// Names and paths of the class folders in `folder`, sorted by bytes.
    fn class_folders(&mut self, folder: &Path) -> Result<Vec<(String, PathBuf)>, DataError> {
        let mut classes = Vec::new();
        for path in list(folder)? {
            match self.kind(&path)? {
                Kind::Folder | Kind::LinkToFolder => {
                    let name = path.file_name().and_then(|name| name.to_str());
                    let Some(name) = name else {
                        return Err(DataError::NotUnicode { folder: path });
                    };
                    classes.push((name.to_owned(), path));
                }
                Kind::File { .. } => self.skipped.push(path),
                // A class that silently went missing would be worse than a stop.
                Kind::LinkOut if path.is_dir() => return Err(DataError::LinkLeaves { path }),
                Kind::LinkOut => self.links.push(path),
            }
        }
        Ok(classes)
    }

    /// Adds the images in `folder` and the folders below it.
    fn images(&mut self, folder: &Path, label: u32, entries: &mut Vec<Entry>) -> Result<(), DataError> {
        for path in list(folder)? {
            match self.kind(&path)? {
                Kind::Folder => {
                    self.images(&path, label, entries)?;
                    if is_image(&path) {
                        self.folders.push(path);
                    }
                }
                Kind::File { bytes, modified } if is_image(&path) => {
                    let name = self.name(&path);
                    entries.push(Entry { path, name, bytes, modified, label });
                }
                Kind::File { .. } => self.skipped.push(path),
                // A link to a folder may lead back to where it lies.
                Kind::LinkToFolder | Kind::LinkOut => self.links.push(path),
            }
        }
        Ok(())
    }

    /// The file of this name inside the root, unless a link leads it out. One that is not there, or is no file, has no
    /// bytes and is found to be bad when it is opened.
    pub(super) fn named(&mut self, name: &str, label: u32) -> Option<Entry> {
        let path = self.root.join(name);
        let folder = path.parent().expect("a path in the root lies in a folder");
        let leaves = fs::canonicalize(folder).is_ok_and(|folder| !folder.starts_with(&self.canonical));
        let (bytes, modified) = match self.kind(&path) {
            Ok(Kind::File { bytes, modified }) if !leaves => (bytes, modified),
            Ok(Kind::Folder) | Err(_) if !leaves => (0, 0),
            _ => {
                self.links.push(path);
                return None;
            }
        };
        Some(Entry { path, name: name.as_bytes().to_vec(), bytes, modified, label })
    }

    /// The dataset's folder.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Whether the root itself, links followed, lies in `folder`.
    pub(super) fn lies_in(&self, folder: &Path) -> bool {
        fs::canonicalize(folder).is_ok_and(|folder| self.canonical.starts_with(folder))
    }

    fn kind(&self, path: &Path) -> Result<Kind, DataError> {
        let metadata = fs::symlink_metadata(path).map_err(|e| read_error(path, e))?;
        if !metadata.is_symlink() {
            return Ok(if metadata.is_dir() { Kind::Folder } else { file(&metadata) });
        }
        // A link to nothing leads nowhere that may be read.
        let Ok(target) = fs::canonicalize(path) else {
            return Ok(Kind::LinkOut);
        };
        if !target.starts_with(&self.canonical) {
            return Ok(Kind::LinkOut);
        }
        let metadata = fs::metadata(&target).map_err(|e| read_error(path, e))?;
        Ok(if metadata.is_dir() { Kind::LinkToFolder } else { file(&metadata) })
    }

    /// A path inside the root with `/` between its parts, as bytes.
    pub(super) fn name(&self, path: &Path) -> Vec<u8> {
        let inside = path.strip_prefix(&self.root).unwrap_or(path);
        let parts: Vec<&[u8]> = inside.components().map(|part| part.as_os_str().as_encoded_bytes()).collect();
        parts.join(&b'/')
    }
}

fn file(metadata: &fs::Metadata) -> Kind {
    let modified = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    Kind::File { bytes: metadata.len(), modified: modified.map_or(0, |since| since.as_nanos() as u64) }
}

/// What is in a folder, hidden entries left out, sorted by the bytes of the names.
fn list(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(|e| read_error(folder, e))? {
        let entry = entry.map_err(|e| read_error(folder, e))?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            paths.push(entry.path());
        }
    }
    paths.sort_by(|a, b| {
        let bytes = |path: &Path| path.file_name().map(|n| n.as_encoded_bytes().to_vec());
        bytes(a).cmp(&bytes(b))
    });
    Ok(paths)
}

fn is_image(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|e| EXTENSIONS.iter().any(|known| e.eq_ignore_ascii_case(known)))
}

fn read_error(path: &Path, source: std::io::Error) -> DataError {
    DataError::Read { path: path.to_owned(), source }
}
