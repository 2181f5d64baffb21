//! A sheet of pictures to look at: a row a class, as a network sees them, plain or as augmented for training.

use image::{Rgb, RgbImage, imageops};

use super::augment::Augment;
use super::batch::Images;
use super::error::DataError;
use super::folder::{Dataset, Sample};

/// Pixels between two pictures.
const GAP: u32 = 2;
/// Most pixels a side of a sheet.
const MAX_SIDE: u32 = 16_384;

/// Up to `columns` training images of each class, spread evenly over it, as samples in the order of the sheet.
pub fn choose(dataset: &Dataset, columns: usize) -> Vec<Sample> {
    let mut chosen = Vec::new();
    for label in 0..dataset.classes.len() as u32 {
        let of_class: Vec<&Sample> = dataset.train.iter().filter(|sample| sample.label == label).collect();
        let count = of_class.len().min(columns);
        chosen.extend((0..count).map(|i| of_class[i * of_class.len() / count].clone()));
    }
    chosen
}

/// The images in a row for each of `classes` classes, white where a class has fewer than others; with (augmentation,
/// seed) each as in the first epoch of a training.
///
/// # Errors
/// [`DataError::Augment`] for a setting out of its range, [`DataError::Sheet`] for more pictures than a sheet can hold.
pub fn sheet(images: &Images, classes: usize, augment: Option<(&Augment, u64)>) -> Result<RgbImage, DataError> {
    if let Some((augment, _)) = augment {
        augment.check()?;
    }
    let mut rows: Vec<Vec<u32>> = vec![Vec::new(); classes];
    for (index, &label) in images.labels().iter().enumerate() {
        rows[label as usize].push(index as u32);
    }
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default() as u32;
    let tile = images.format().size + GAP;
    let (width, height) = (u64::from(tile) * u64::from(columns), u64::from(tile) * classes as u64);
    if width.max(height) + u64::from(GAP) > u64::from(MAX_SIDE) {
        return Err(DataError::Sheet { width, height, most: MAX_SIDE });
    }
    let mut sheet = RgbImage::from_pixel(width as u32 + GAP, height as u32 + GAP, Rgb([255; 3]));
    // Normalised as for training, so that what is cut out or lies beyond the margin is the mean colour.
    let normalisation = images.statistics();
    let channels = images.format().channels;
    for (row, indices) in rows.iter().enumerate() {
        for (column, &index) in indices.iter().enumerate() {
            let batch = images.batch(&[index], &normalisation, augment.map(|(augment, seed)| (augment, seed, 0)))?;
            let (left, top) = (column as u32 * tile + GAP, row as u32 * tile + GAP);
            for (i, pixel) in batch.images.chunks_exact(4).enumerate() {
                let (x, y) = (i as u32 % images.format().size, i as u32 / images.format().size);
                sheet.put_pixel(left + x, top + y, Rgb(normalisation.colour(pixel, channels)));
            }
        }
    }
    Ok(sheet)
}

/// The rows of a sheet of `classes` classes, each with the gaps around it.
pub fn strips(sheet: &RgbImage, classes: usize) -> Vec<RgbImage> {
    let tile = (sheet.height() - GAP) / classes.max(1) as u32;
    let strip = |row: u32| imageops::crop_imm(sheet, 0, row * tile, sheet.width(), tile + GAP).to_image();
    (0..classes as u32).map(strip).collect()
}
