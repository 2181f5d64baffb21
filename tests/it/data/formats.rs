//! Every format that is read, in files of another program: their pixels, what they lack when cut short, what is refused.
//!
//! The files in `formats/` are Pillow's (12.0). Each is 16 x 12 pixels: red 16 x, green 20 y, blue 128, or grey 10 x + 5 y;
//! `turned` ones lie on their side and EXIF says so, of animations the second frame is another picture.

use std::fs;
use std::path::{Path, PathBuf};

use image::{DynamicImage, ImageFormat, Rgb, Rgb32FImage, RgbImage};
use netadapt::data::{BadFile, Fault, Format, decode};

use super::{Folder, SMALL, encoded, load};

const WIDE: Format = Format { size: 12, channels: 3 };

pub(super) fn stored(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/data/formats").join(name)
}

/// The middle square of a file, as a network sees it.
fn picture(path: &Path) -> Vec<u8> {
    load(&[path.to_owned()], WIDE).picture(0).expect("it is in memory")
}

fn refused(path: &Path) -> BadFile {
    decode::decode(path, SMALL).expect_err("it is no usable image")
}

/// Columns 2 to 13 of a picture of 16 x 12.
fn expected(value: impl Fn(u8, u8) -> [u8; 3]) -> Vec<u8> {
    (0..12).flat_map(|y| (2..14).map(move |x| (x, y))).flat_map(|(x, y)| value(x, y)).collect()
}

#[test]
fn every_format_gives_the_pixels_that_it_holds() {
    let colour = expected(|x, y| [x * 16, y * 20, 128]);
    let grey = expected(|x, y| [x * 10 + y * 5; 3]);
    let bilevel = expected(|x, y| if x * 10 + y * 5 > 80 { [255; 3] } else { [0; 3] });
    // How far a lossy file may be off, on average and at most; GIF and palettes hold all 192 colours.
    let (exact, lossy) = ((0.0, 0), (4.0, 24));
    for (name, expected, (mean, most)) in [
        ("rgb-lossless.webp", &colour, exact),
        ("rgb-lossy.webp", &colour, lossy),
        ("rgba-lossless.webp", &colour, exact),
        ("rgba-lossy.webp", &colour, lossy),
        ("animated.webp", &colour, exact),
        ("turned.webp", &colour, exact),
        ("rgb.bmp", &colour, exact),
        ("rgba.bmp", &colour, exact),
        ("palette.bmp", &colour, exact),
        ("grey.bmp", &grey, exact),
        ("bilevel.bmp", &bilevel, exact),
        ("palette.gif", &colour, exact),
        ("interlaced.gif", &colour, exact),
        ("animated.gif", &colour, exact),
        ("grey.gif", &grey, exact),
        ("rgb-plain.tif", &colour, exact),
        ("rgb-lzw.tif", &colour, exact),
        ("rgb-deflate.tif", &colour, exact),
        ("rgb-packbits.tif", &colour, exact),
        ("rgba.tif", &colour, exact),
        ("rgb-jpeg.tif", &colour, lossy),
        ("cmyk.tif", &colour, exact),
        ("turned.tif", &colour, exact),
        ("grey.tif", &grey, exact),
        ("grey16.tif", &grey, exact),
        ("bilevel.tif", &bilevel, exact),
        ("cmyk.jpg", &colour, lossy),
        ("progressive.jpg", &colour, lossy),
        ("grey.jpg", &grey, lossy),
        ("palette.png", &colour, exact),
        ("palette4.png", &grey, (4.0, 12)),
        ("grey16.png", &grey, exact),
        ("rgba.png", &colour, exact),
        ("turned.png", &colour, exact),
    ] {
        let got = picture(&stored(name));
        let off: Vec<u8> = got.iter().zip(expected).map(|(a, b)| a.abs_diff(*b)).collect();
        let sum: u32 = off.iter().map(|&off| u32::from(off)).sum();
        let average = f64::from(sum) / off.len() as f64;
        let worst = off.iter().max().copied().unwrap_or_default();
        assert!(average <= mean && worst <= most, "{name}: {average} on average, {worst} at most");
    }
}

/// Kinds of TIFF that the decoder has no pixels for, and formats that are none of ours, each by its name.
#[test]
fn what_is_not_read_names_itself() {
    let folder = Folder::new();
    for (bytes, words) in [
        (fs::read(stored("palette.tif")).unwrap(), "a tiff of a kind that is not read"),
        (b"\0\0\x01\0\x01\0\x10\x10\0\0".to_vec(), "a ico file, which is not read"),
        (b"\0\0\0\x20ftypavif\0\0\0\0".to_vec(), "a avif file, which is not read"),
        (b"P6 1 1 255 abc".to_vec(), "which is not read"),
        (b"<svg></svg>".to_vec(), "not png, jpeg, webp, bmp, gif or tiff, whatever its name says"),
    ] {
        let bad = refused(&folder.file("a.png", &bytes));
        assert_eq!(bad.fault, Fault::Unreadable);
        assert!(bad.reason.contains(words), "{words}: {}", bad.reason);
    }
    // Floating point is read, from 0 to 1.
    let float = Rgb32FImage::from_pixel(12, 12, Rgb([0.5, 2.0, -1.0]));
    let path = folder.file("float.tif", &encoded(&DynamicImage::from(float), ImageFormat::Tiff));
    assert_eq!(picture(&path)[..3], [128, 255, 0]);
}

/// At each tenth of every file, and a byte before the last one that counts.
#[test]
fn a_file_cut_at_any_tenth_is_refused() {
    let folder = Folder::new();
    for (name, spare) in [
        ("rgb-lossless.webp", 0),
        ("rgb-lossy.webp", 0),
        ("rgba-lossy.webp", 0),
        ("animated.webp", 0),
        ("rgb.bmp", 0),
        ("palette.bmp", 0),
        // The ends of the code, of the picture and of the file.
        ("palette.gif", 3),
        ("interlaced.gif", 3),
        ("rgb-plain.tif", 0),
        ("rgb-lzw.tif", 0),
        ("rgb-deflate.tif", 0),
        ("grey.tif", 0),
        // The checksum and the end.
        ("palette.png", 16),
        ("progressive.jpg", 0),
        ("cmyk.jpg", 0),
    ] {
        let bytes = fs::read(stored(name)).unwrap();
        assert!(decode::decode(&stored(name), SMALL).is_ok(), "{name} is whole");
        for length in (1..10).map(|tenth| bytes.len() * tenth / 10).chain([bytes.len() - spare - 1]) {
            let bad = refused(&folder.file(name, &bytes[..length]));
            // Too little to tell what it is, or packed so that an end is not told from damage.
            let told = bad.fault == Fault::Truncated || length < 12 || name.ends_with(".tif");
            assert!(told, "{name} cut to {length} of {}: {:?}, {}", bytes.len(), bad.fault, bad.reason);
        }
    }
}

/// Headers that claim more than the file has: nothing is allocated for them.
#[test]
fn headers_that_claim_too_much_are_refused_before_decoding() {
    let folder = Folder::new();
    let wide = 16_385u32.to_le_bytes();
    for (name, offset, width, height, words) in [
        ("rgb.bmp", 18, &wide[..], &[1, 0, 0, 0][..], "16385 x 1 pixels"),
        ("palette.gif", 6, &wide[..2], &[1, 0][..], "16385 x 1 pixels"),
        ("palette.gif", 6, &[0xff, 0x3f][..], &[0xff, 0x3f][..], "100 megapixels"),
        // 10,000 x 9,000 pixels of four bytes.
        ("palette.gif", 6, &[0x10, 0x27][..], &[0x28, 0x23][..], "256 MiB once decoded"),
        // 14 bits each of width and height in a lossy frame's header.
        ("rgb-lossy.webp", 26, &[0xff, 0x3f][..], &[0xff, 0x3f][..], "100 megapixels"),
    ] {
        let mut bytes = fs::read(stored(name)).unwrap();
        bytes[offset..][..width.len()].copy_from_slice(width);
        bytes[offset + width.len()..][..height.len()].copy_from_slice(height);
        let bad = refused(&folder.file(name, &bytes));
        assert_eq!(bad.fault, Fault::Oversized, "{}", bad.reason);
        assert!(bad.reason.contains(words), "{words}: {}", bad.reason);
    }
    // A lossless frame: 14 bits each of width and height, less one, after its signature. 7,000 x 7,000 pixels.
    let mut bytes = fs::read(stored("rgb-lossless.webp")).unwrap();
    let sizes = u32::from_le_bytes(bytes[21..25].try_into().unwrap()) >> 28 << 28 | 6999 << 14 | 6999;
    bytes[21..25].copy_from_slice(&sizes.to_le_bytes());
    let bad = refused(&folder.file("lossless.webp", &bytes));
    assert!(bad.fault == Fault::Oversized && bad.reason.contains("256 MiB"), "{bad:?}");
    // A part of a WebP that says that it is of 4 GB.
    let mut bytes = fs::read(stored("turned.webp")).unwrap();
    let exif = bytes.windows(4).position(|part| part == b"EXIF").unwrap();
    bytes[exif + 4..exif + 8].copy_from_slice(&[0xf0, 0xff, 0xff, 0xff]);
    assert_eq!(refused(&folder.file("a.webp", &bytes)).fault, Fault::Truncated);
}

/// A file of some hundred bytes has no room for 25 megapixels, however alike they are.
#[test]
fn headers_that_claim_more_than_the_file_can_hold_are_refused_before_decoding() {
    let folder = Folder::new();
    let place = |name: &str, bytes: &[u8]| match name {
        "rgb-lossy.webp" => 26,
        "palette.png" => 16,
        _ => bytes.windows(2).position(|pair| pair == [0xff, 0xc2]).expect("a progressive frame") + 5,
    };
    for (name, sides) in [
        ("rgb-lossy.webp", [0x88, 0x13, 0x88, 0x13].as_slice()),
        ("palette.png", &[0, 0, 0x13, 0x88, 0, 0, 0x13, 0x88]),
        ("progressive.jpg", &[0x13, 0x88, 0x13, 0x88]),
    ] {
        let mut bytes = fs::read(stored(name)).unwrap();
        let at = place(name, &bytes);
        bytes[at..][..sides.len()].copy_from_slice(sides);
        if name == "palette.png" {
            let mut sum = flate2::Crc::new();
            sum.update(&bytes[12..29]);
            bytes[29..33].copy_from_slice(&sum.sum().to_be_bytes());
        }
        let bad = refused(&folder.file(name, &bytes));
        assert_eq!(bad.fault, Fault::Truncated, "{name}: {}", bad.reason);
        assert!(bad.reason.contains("5000 x 5000 pixels cannot be in"), "{name}: {}", bad.reason);
    }
    // Nothing but black is dense, and believed.
    for name in ["black.png", "black.jpg", "black.webp"] {
        let path = folder.root().join(name);
        RgbImage::new(2000, 2000).save(&path).unwrap();
        decode::decode(&path, SMALL).unwrap_or_else(|bad| panic!("{name}: {}", bad.reason));
    }
}
