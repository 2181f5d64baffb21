//! One file to a square: orientation, depth, margin, and files cut short.

use std::fs;
use std::path::PathBuf;

use image::{DynamicImage, GrayAlphaImage, ImageBuffer, ImageFormat, LumaA, Rgb};
use netadapt::data::{Augment, DataError, Format, decode, detect_channels};

use super::{Folder, PLAIN, SMALL, colour, encoded, grey, load, load_with};

#[test]
fn an_image_of_the_input_size_is_kept_as_it_is_with_an_empty_margin() {
    let folder = Folder::new();
    let path = folder.image("a.png", &colour(8, 8, |x, y| [x as u8 * 9, y as u8 * 9, 200]));
    let stored = decode::decode(&path, SMALL).unwrap();
    assert_eq!((SMALL.margin(), SMALL.stored(), stored.padded), (2, 12, true));
    for (i, pixel) in stored.pixels.chunks_exact(3).enumerate() {
        let (x, y) = (i % 12, i / 12);
        let inside = (2..10).contains(&x) && (2..10).contains(&y);
        let expected = if inside { [(x - 2) as u8 * 9, (y - 2) as u8 * 9, 200] } else { [0; 3] };
        assert_eq!(pixel, expected, "at {x}, {y}");
    }
    // The margin counts as the mean: it is zero once normalised, and not part of the statistics.
    let images = load(&[path], SMALL);
    let statistics = images.statistics();
    assert!((statistics.mean[2] - 200.0 / 255.0).abs() < 1e-6, "{statistics:?}");
    let crop = Augment { crop: true, ..Augment::default() };
    let zeros = (0..20).map(|epoch| {
        let batch = images.batch(&[0], &PLAIN, Some((&crop, 5, epoch))).unwrap();
        batch.images.chunks_exact(4).filter(|pixel| pixel[2] == 0.0).count()
    });
    assert!(zeros.max() > Some(0), "no crop reached the margin");
}

#[test]
fn a_larger_image_is_cut_square_and_resized() {
    let folder = Folder::new();
    let format = Format { size: 16, channels: 3 };
    // Red left and right of a centred square that is green above and blue below.
    let image = colour(300, 100, |x, y| match (x, y) {
        (100..200, 0..50) => [0, 255, 0],
        (100..200, _) => [0, 0, 255],
        _ => [255, 0, 0],
    });
    let stored = decode::decode(&folder.image("a.png", &image), format).unwrap();
    assert!(!stored.padded && stored.pixels.len() == 20 * 20 * 3);
    let at = |x: usize, y: usize| &stored.pixels[(y * 20 + x) * 3..][..3];
    for x in [1, 10, 18] {
        assert_eq!((at(x, 3), at(x, 16)), (&[0, 255, 0][..], &[0, 0, 255][..]), "column {x}");
    }
    assert!(stored.pixels.chunks_exact(3).all(|pixel| pixel[0] < 40), "the cut is not centred");
}

#[test]
fn the_eight_orientations_of_exif_give_the_same_pixels() {
    let folder = Folder::new();
    // Blocks of one colour as large as a JPEG's, so that turning one changes nothing but where it lies.
    let upright = colour(96, 64, |x, y| [(x / 16 * 40) as u8, (y / 16 * 60) as u8, ((x / 16 * y / 16) * 20) as u8]);
    for format in [Format { size: 64, channels: 3 }, Format { size: 64, channels: 1 }, Format { size: 24, channels: 3 }]
    {
        let mut pixels = Vec::new();
        for orientation in 1..=8 {
            let jpeg = encoded(&stored_as(orientation, &upright), ImageFormat::Jpeg);
            let path = folder.file("a.jpg", &with_orientation(&jpeg, orientation));
            pixels.push(decode::decode(&path, format).unwrap().pixels);
        }
        for (i, other) in pixels.iter().enumerate() {
            let most = pixels[0].iter().zip(other).map(|(a, b)| a.abs_diff(*b)).max();
            // A decoder rounds its rows and its columns differently; a block in another's place is 20 off or more.
            assert!(most <= Some(3), "orientation {}, {format:?}: {most:?}", i + 1);
        }
    }
}

/// How an upright image lies in a file of this orientation, from the text of the EXIF standard: what the first row
/// and the first column are once upright.
pub(super) fn stored_as(orientation: u8, upright: &DynamicImage) -> DynamicImage {
    let upright = upright.to_rgb8();
    let (width, height) = upright.dimensions();
    let (columns, rows) = if orientation < 5 { (width, height) } else { (height, width) };
    let pixel = |column: u32, row: u32| {
        let (x, y) = match orientation {
            1 => (column, row),
            2 => (width - 1 - column, row),
            3 => (width - 1 - column, height - 1 - row),
            4 => (column, height - 1 - row),
            5 => (row, column),
            6 => (width - 1 - row, column),
            7 => (width - 1 - row, height - 1 - column),
            _ => (row, height - 1 - column),
        };
        upright.get_pixel(x, y).0
    };
    colour(columns, rows, pixel)
}

/// A JPEG with an APP1 segment that holds one EXIF tag.
pub(super) fn with_orientation(jpeg: &[u8], orientation: u8) -> Vec<u8> {
    let mut tiff = b"Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
    tiff.extend([orientation, 0, 0, 0, 0, 0, 0]);
    with_segment(jpeg, 0xe1, &tiff)
}

fn with_segment(jpeg: &[u8], marker: u8, content: &[u8]) -> Vec<u8> {
    let length = (content.len() as u16 + 2).to_be_bytes();
    [&jpeg[..2], &[0xff, marker], &length, content, &jpeg[2..]].concat()
}

#[test]
fn deep_grey_and_transparent_images_become_8_bit() {
    let folder = Folder::new();
    let deep: ImageBuffer<Rgb<u16>, Vec<u16>> = ImageBuffer::from_pixel(8, 8, Rgb([0x8080, 0xffff, 0]));
    let alpha = GrayAlphaImage::from_pixel(8, 8, LumaA([77, 10]));
    for (image, channels, expected) in [
        (DynamicImage::from(deep), 3, &[128u8, 255, 0][..]),
        (alpha.clone().into(), 3, &[77, 77, 77]),
        (alpha.into(), 1, &[77]),
        (grey(8, 8, |_, _| 5), 3, &[5, 5, 5]),
        (colour(8, 8, |_, _| [90, 90, 90]), 1, &[90]),
    ] {
        let path = folder.image("a.png", &image);
        let picture = load(&[path], Format { size: 8, channels }).picture(0).unwrap();
        assert_eq!(picture, expected.repeat(64), "{:?} to {channels}", image.color());
    }
}

#[test]
fn a_file_cut_short_is_an_error_that_names_it() {
    let folder = Folder::new();
    let image = colour(40, 40, |x, y| [x as u8 * 6, y as u8 * 6, (x * y) as u8]);
    let jpeg = encoded(&image, ImageFormat::Jpeg);
    // A thumbnail in the header brings scans and an end marker of its own.
    let thumbnail = encoded(&grey(8, 8, |x, _| x as u8), ImageFormat::Jpeg);
    let with_thumbnail = with_segment(&jpeg, 0xe2, &thumbnail);
    let png = encoded(&image, ImageFormat::Png);
    for (name, bytes) in [("a.jpg", &jpeg), ("b.jpg", &with_thumbnail), ("c.png", &png)] {
        let path = folder.file(name, bytes);
        assert!(decode::decode(&path, SMALL).is_ok(), "{name} is whole");
        // The last 16 bytes of a PNG are a checksum and the end chunk: no pixel is missing.
        for length in (0..bytes.len() - 16).step_by(7).chain([bytes.len() - 17]) {
            fs::write(&path, &bytes[..length]).unwrap();
            let Err(bad) = decode::decode(&path, SMALL) else {
                panic!("{name} with {length} of {} bytes was accepted", bytes.len());
            };
            assert_eq!(bad.path, path);
        }
    }
    let trailing = folder.file("d.jpg", &[&jpeg[..], b"trailing"].concat());
    assert!(decode::decode(&trailing, SMALL).is_ok());
    let cut: Vec<PathBuf> = (0..8).map(|i| folder.file(&format!("cut{i}.jpg"), &jpeg[..jpeg.len() / 2])).collect();
    let Err(DataError::BadFiles(bad)) = load_with(&cut, SMALL, 3, usize::MAX) else {
        panic!("8 bad files were accepted");
    };
    let named: Vec<&PathBuf> = bad.first.iter().map(|file| &file.path).collect();
    assert_eq!((bad.count, named), (8, cut[..5].iter().collect()));
}

#[test]
fn channels_are_those_of_the_training_images() {
    let folder = Folder::new();
    for class in ["cat", "dog"] {
        folder.class(&format!("train/{class}"), 50);
        folder.image(&format!("train/{class}/rgb.png"), &colour(4, 4, |x, _| [x as u8; 3]));
    }
    folder.class("test/cat", 1);
    folder.image("test/cat/rgb.png", &colour(4, 4, |_, _| [1, 2, 3]));
    assert_eq!(detect_channels(&folder.open().unwrap()), 1);
    let dataset = folder.open().unwrap();
    for sample in &dataset.train[dataset.train.len() / 2..] {
        fs::write(&sample.path, encoded(&colour(4, 4, |_, _| [1, 2, 3]), ImageFormat::Png)).unwrap();
    }
    assert_eq!(detect_channels(&dataset), 3);
}
