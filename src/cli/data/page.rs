//! The page of a folder: its numbers, pictures as they are and as a training sees them.

use crate::data::{self, Augment, Dataset, Survey, preview};
use crate::disk::{SystemDisk, write_whole};
use crate::report::{Gallery, dataset_page};
use crate::run::{RunError, threads};
use anyhow::Context as _;
use image::{ImageFormat, RgbImage};
use std::path::Path;

/// What pictures are shown.
pub(super) struct Pictures<'a> {
    /// Of each class at most.
    pub(super) columns: u32,
    /// What they go through in the second gallery, and what that is called.
    pub(super) augment: (Augment, &'a str),
    /// Seed of the augmentation.
    pub(super) seed: u64,
}

/// Writes the page.
///
/// # Errors
/// What the images or the disk say.
pub(super) fn write(path: &Path, dataset: &Dataset, survey: &Survey, pictures: &Pictures<'_>) -> anyhow::Result<()> {
    let chosen = preview::choose(dataset, pictures.columns as usize);
    let format = data::Format { size: survey.size, channels: survey.channels };
    let (images, _) = dataset.images(&chosen, format, threads(), usize::MAX, &|_, _| ()).map_err(RunError::from)?;
    let gallery = |title: &str, caption: String, augment: Option<(&Augment, u64)>| -> anyhow::Result<Gallery> {
        let classes = dataset.classes.len();
        let sheet = preview::sheet(&images, classes, augment).map_err(RunError::from)?;
        let strips = preview::strips(&sheet, classes).iter().map(png).collect::<anyhow::Result<_>>()?;
        Ok(Gallery { title: title.to_owned(), caption, strips })
    };
    let (augment, name) = &pictures.augment;
    let galleries = [
        gallery("As they are", format!("Cut and resized to {} px, as a network sees them.", survey.size), None)?,
        gallery("As a training sees them", format!("In its first epoch: {name}."), Some((augment, pictures.seed)))?,
    ];
    let root = dataset.root.canonicalize().unwrap_or_else(|_| dataset.root.clone());
    let title = root.file_name().map_or_else(|| root.display().to_string(), |name| name.to_string_lossy().into_owned());
    write_whole(&SystemDisk, path, dataset_page(&title, survey, &galleries).as_bytes())
        .with_context(|| format!("cannot write '{}'", path.display()))
}

/// A picture as PNG.
pub(super) fn png(picture: &RgbImage) -> anyhow::Result<Vec<u8>> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut bytes, ImageFormat::Png)?;
    Ok(bytes.into_inner())
}
