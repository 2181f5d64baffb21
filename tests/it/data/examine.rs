//! Each kind of finding in an otherwise sound folder: that it is made, for the right file, and nothing else.

use std::fs;
use std::process::{Command, Output};

use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, ImageFormat, RgbaImage, imageops::FilterType};
use netadapt::data::examine::{Counts, Kind, SMALL_CLASS};
use netadapt::data::{DataError, Report, examine};
use serde_json::Value;

use super::decode::{stored_as, with_orientation};
use super::folder::with_size;
use super::{Folder, OPTIONS, colour, encoded};

/// A smooth picture of its own for each seed, of the size asked for.
pub(super) fn photo(seed: u32, width: u32, height: u32) -> DynamicImage {
    let level = |x: u32, y: u32, c: u32| {
        let mixed = (seed * 12 + y * 4 + x * 40 + c * 7 + 1).wrapping_mul(0x9e37_79b1);
        ((mixed ^ (mixed >> 15)).wrapping_mul(0x85eb_ca6b) >> 24) as u8
    };
    let coarse = colour(5, 4, |x, y| [0, 1, 2].map(|c| level(x, y, c + seed * 1000)));
    coarse.resize_exact(width, height, FilterType::Triangle)
}

/// 20 training images of two classes, and two each to hold out and to test with; all different and sound.
fn sound() -> Folder {
    let folder = Folder::new();
    let mut seed = 0;
    for (split, count) in [("train", SMALL_CLASS), ("val", 2), ("test", 2)] {
        for class in ["cat", "dog"] {
            for i in 0..count {
                seed += 1;
                folder.image(&format!("{split}/{class}/{i}.png"), &photo(seed, 40, 32));
            }
        }
    }
    folder
}

fn report(folder: &Folder) -> Report {
    examine(folder.root(), &OPTIONS, 2, &mut |_, _| ())
}

/// File, kind and advice of every finding once `spoil` has been at a sound folder, and whether a search would refuse.
fn found(spoil: impl Fn(&Folder)) -> (Vec<(String, Kind, String)>, bool) {
    let folder = sound();
    spoil(&folder);
    let report = report(&folder);
    let findings = report.findings.iter().map(|f| (f.file.clone(), f.kind, f.advice.clone())).collect();
    let refused = report.refused.is_some();
    assert_eq!(refused, report.verdict().is_err());
    // What the quick look at the headers refuses, a search refuses, and so must the whole look.
    assert!(refused || folder.open().is_ok());
    (findings, refused)
}

/// Exactly one finding, of this file and kind, whose advice has all of `words`.
fn finds(spoil: impl Fn(&Folder), file: &str, kind: Kind, words: &[&str], refuses: bool) {
    let (findings, refused) = found(spoil);
    let [(of, is, advice)] = findings.as_slice() else { panic!("{file}: {findings:?}") };
    assert_eq!((of.as_str(), *is, refused), (file, kind, refuses), "{advice}");
    assert!(!advice.contains("  "), "{advice}");
    for word in words {
        assert!(advice.contains(word), "`{word}` is not in: {advice}");
    }
}

#[test]
fn a_sound_folder_has_its_counts_and_no_findings() {
    let folder = sound();
    let turned = with_orientation(&encoded(&photo(900, 30, 50), ImageFormat::Jpeg), 6);
    folder.file("test/cat/turned.jpg", &turned);
    folder.image("test/dog/grey.png", &photo(901, 64, 20).into_luma16().into());
    let report = report(&folder);
    assert_eq!(report.findings, []);
    assert_eq!((report.images, report.turned, report.imbalance), (50, 1, Some(1.0)));
    assert_eq!(report.classes["cat"], Counts { train: SMALL_CLASS, holdout: 2, test: 3 });
    let channels: Vec<_> = report.channels.iter().map(|(name, count)| (*name, *count)).collect();
    assert_eq!(channels, [("grey16", 1), ("rgb", 49)]);
    let sizes = report.sizes.unwrap();
    assert_eq!((sizes.width, sizes.height, sizes.short_side), ([40, 40, 64], [20, 32, 32], [20, 32, 32]));
    assert!(report.refused.is_none());
}

#[test]
fn files_that_are_no_usable_images_are_named_and_refused() {
    let jpeg = encoded(&photo(900, 40, 32), ImageFormat::Jpeg);
    let png = encoded(&photo(900, 40, 32), ImageFormat::Png);
    let mut damaged = png.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 0xff;
    let deep = DynamicImage::from(RgbaImage::new(1, 1)).into_rgba16().into();
    for (kind, name, bytes, word) in [
        (Kind::Empty, "0.png", vec![], "an empty file: copy"),
        (Kind::Truncated, "b.jpg", jpeg[..jpeg.len() * 3 / 4].to_vec(), "end marker"),
        (Kind::Truncated, "b.jpg", jpeg[..60].to_vec(), "end marker"),
        (Kind::Truncated, "b.png", png[..png.len() / 2].to_vec(), "cut short"),
        (Kind::Truncated, "b.png", png[..20].to_vec(), "cut short"),
        (Kind::Unreadable, "b.png", damaged, "damaged"),
        (
            Kind::Unreadable,
            "b.jpg",
            b"no image".to_vec(),
            "not png, jpeg, webp, bmp, gif or tiff, whatever its name says",
        ),
        (Kind::Oversized, "b.png", with_size(&colour(1, 1, |_, _| [0; 3]), 16_385, 1), "16384 a side"),
        (Kind::Oversized, "b.png", with_size(&colour(1, 1, |_, _| [0; 3]), 10_001, 10_000), "100 megapixels"),
        (Kind::Oversized, "b.png", with_size(&deep, 6000, 6000), "256 MiB once decoded"),
    ] {
        let file = format!("train/cat/{name}");
        finds(|folder| drop(folder.file(&file, &bytes)), &file, kind, &[word, "remove it"], true);
    }
    let huge = |folder: &Folder| {
        let path = folder.file("test/cat/b.png", &png);
        fs::File::options().write(true).open(path).unwrap().set_len((256 << 20) + 1).unwrap();
    };
    finds(huge, "test/cat/b.png", Kind::Oversized, &["more than 256 MiB: scale it down"], true);
    #[cfg(unix)]
    {
        let pipe = |folder: &Folder| {
            let path = folder.root().join("val/dog/pipe.png");
            assert!(Command::new("mkfifo").arg(path).status().expect("mkfifo is there").success());
        };
        finds(pipe, "val/dog/pipe.png", Kind::Unreadable, &["not a regular file"], true);
    }
}

#[test]
fn files_and_links_left_out_are_named() {
    let png = encoded(&photo(900, 40, 32), ImageFormat::Png);
    for (bytes, words) in [
        (&b"notes"[..], ["not png, jpeg, webp, bmp, gif or tiff by its name", "remove it"]),
        (&png[..], ["though it is a png file", "end in '.png'"]),
        (&b"RIFF\x24\0\0\0WEBPVP8 "[..], ["though it is a webp file", "end in '.webp'"]),
        (&b"qoif\0\0\0\x01"[..], ["a qoi file is not read", "convert it"]),
    ] {
        let spoil = |folder: &Folder| drop(folder.file("train/cat/a.txt", bytes));
        finds(spoil, "train/cat/a.txt", Kind::Extension, &words, false);
    }
    #[cfg(unix)]
    {
        let link = |folder: &Folder| {
            std::os::unix::fs::symlink("/nowhere.png", folder.root().join("train/cat/link.png")).unwrap();
        };
        finds(link, "train/cat/link.png", Kind::Link, &["not followed"], false);
    }
}

#[test]
fn the_same_file_twice_is_named_with_its_twin() {
    for (from, to, kind, word) in [
        ("train/cat/0.png", "train/cat/x.png", Kind::Duplicate, "count twice"),
        ("train/cat/0.png", "test/cat/x.png", Kind::DuplicateAcrossSplits, "(test, train): remove one"),
        ("val/cat/0.png", "test/cat/x.png", Kind::DuplicateAcrossSplits, "(test, holdout)"),
        ("train/cat/0.png", "train/dog/x.png", Kind::DuplicateAcrossLabels, "the right class"),
        ("train/dog/0.png", "test/cat/x.png", Kind::DuplicateAcrossLabels, "the right class"),
    ] {
        let copy = |folder: &Folder| {
            fs::copy(folder.root().join(from), folder.root().join(to)).unwrap();
        };
        finds(copy, to, kind, &[word, &format!("the same file as '{from}'")], false);
    }
}

#[test]
fn images_that_look_alike_are_named_with_their_twin() {
    let original = || photo(1, 40, 32);
    let mut poor = Vec::new();
    original().write_with_encoder(JpegEncoder::new_with_quality(&mut poor, 60)).unwrap();
    let small = encoded(&original().resize_exact(24, 20, FilterType::Triangle), ImageFormat::Png);
    for (bytes, to, kind, word) in [
        (&poor, "train/cat/x.jpg", Kind::NearDuplicate, "count twice"),
        (&small, "test/cat/x.png", Kind::NearDuplicateAcrossSplits, "(test, train): remove one"),
        (&poor, "train/dog/x.jpg", Kind::NearDuplicateAcrossLabels, "the right class"),
    ] {
        let spoil = |folder: &Folder| drop(folder.file(to, bytes));
        finds(spoil, to, kind, &[word, "looks like 'train/cat/0.png'"], false);
    }
    for orientation in 2..=8 {
        let jpeg = encoded(&stored_as(orientation, &original()), ImageFormat::Jpeg);
        let turned = |folder: &Folder| drop(folder.file("train/cat/x.jpg", &with_orientation(&jpeg, orientation)));
        finds(turned, "train/cat/x.jpg", Kind::NearDuplicate, &["looks like 'train/cat/0.png'"], false);
    }
    // The same signs at other levels of grey, and pictures without any shape, are not alike.
    let light = |level: u8| colour(40, 32, move |x, y| [level + (x * 2 + y) as u8; 3]);
    let (findings, _) = found(|folder| {
        for (i, level) in [0, 80].into_iter().enumerate() {
            folder.image(&format!("train/cat/slope{i}.png"), &light(level));
            folder
                .image(&format!("train/cat/flat{i}.png"), &colour(40, 32, |x, _| [100 + (x / 36) as u8 + i as u8; 3]));
        }
    });
    assert_eq!(findings, []);
}

#[test]
fn classes_that_are_small_missing_or_unbalanced_are_named() {
    let remove = |path: &'static str| move |folder: &Folder| fs::remove_file(folder.root().join(path)).unwrap();
    finds(remove("train/cat/3.png"), "train/cat", Kind::SmallClass, &["19 training images", "fewer than 20"], false);
    let no_test = |folder: &Folder| fs::remove_dir_all(folder.root().join("test/dog")).unwrap();
    finds(no_test, "train/dog", Kind::MissingClass, &["no image of it in test"], false);
    let many = |more: usize| {
        move |folder: &Folder| {
            (0..more).for_each(|i| drop(folder.image(&format!("train/dog/m{i}.png"), &photo(100 + i as u32, 10, 8))));
        }
    };
    assert_eq!(found(many(4 * SMALL_CLASS)).0, []);
    finds(many(4 * SMALL_CLASS + 1), "train/cat", Kind::Imbalance, &["'dog' has 5.0 times"], false);
}

#[test]
fn a_folder_without_a_layout_is_one_finding() {
    let folder = Folder::new();
    folder.image("photo.png", &photo(1, 40, 32));
    let report = report(&folder);
    let [finding] = report.findings.as_slice() else { panic!("{:?}", report.findings) };
    assert_eq!((finding.kind, report.images), (Kind::Layout, 0));
    assert!(finding.advice.contains("no class folders"), "{}", finding.advice);
    assert!(matches!(report.verdict(), Err(DataError::NoClasses { .. })));
}

#[test]
fn threads_change_nothing_and_progress_ends_at_all() {
    let folder = sound();
    folder.file("train/cat/b.png", b"");
    folder.file("train/dog/b.png", b"no image");
    folder.image("test/dog/x.png", &photo(1, 40, 32));
    let told = |threads| {
        let mut last = (0, 0);
        let report = examine(folder.root(), &OPTIONS, threads, &mut |done, all| last = (done, all));
        (serde_json::to_string(&report).unwrap(), last)
    };
    assert_eq!(told(1), told(5));
    assert_eq!(told(1).1, (51, 51));
}

fn check(folder: &Folder, more: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_netadapt-data");
    Command::new(program).arg("check").arg(folder.root()).args(more).output().expect("the program starts")
}

#[test]
fn the_program_says_it_in_a_screen_or_in_json_and_by_its_exit_code() {
    let folder = sound();
    let output = check(&folder, &[]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("nothing found to be wrong"), "{text}");

    let name = |i: usize| format!("train/cat/b\u{202e}{i}.png");
    (0..40).for_each(|i| drop(folder.file(&name(i), b"")));
    (0..30).for_each(|i| drop(folder.file(&format!("train/dog/b{i}.jpg"), b"no image")));
    (0..20).for_each(|i| drop(folder.image(&format!("test/{i}/a.png"), &photo(i, 9, 8))));
    (0..20).for_each(|i| drop(folder.image(&format!("train/{i}/a.png"), &photo(i, 9, 8))));
    let output = check(&folder, &[]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(5), "{text}");
    assert!(text.lines().count() <= 40 && text.contains("b\\u{202e}0.png: an empty file"), "{text}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("70 files are not usable images"));

    let output = check(&folder, &["--json"]);
    assert_eq!(output.status.code(), Some(5));
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["classes"]["7"], serde_json::json!({ "train": 1, "holdout": 0, "test": 1 }));
    assert_eq!(json["images"], 40 + 4 + 4 + 70 + 40);
    let findings = json["findings"].as_array().unwrap();
    let empty: Vec<&Value> = findings.iter().filter(|finding| finding["kind"] == "empty").collect();
    assert_eq!((empty.len(), &empty[0]["file"]), (40, &Value::from(name(0))));
    assert!(json["refused"].as_str().unwrap().contains("70 files"));

    let nothing = Folder::new();
    let output = check(&nothing, &["--json"]);
    assert_eq!(output.status.code(), Some(5));
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["findings"][0]["kind"], "layout");
}

/// A name cannot colour the terminal, forge a line, or turn the direction of reading, in an error.
#[cfg(unix)]
#[test]
fn names_in_errors_cannot_write_to_the_terminal() {
    let folder = Folder::new();
    ["a", "b"].into_iter().for_each(|class| folder.class(class, 20));
    folder.file("a/x\u{1b}[31m\nerror: none\u{202e}.png", b"");
    let program = env!("CARGO_BIN_EXE_netadapt-data");
    let stats = Command::new(program).arg("stats").arg(folder.root()).args(["--max-bad", "0%"]).output().unwrap();
    let text = String::from_utf8(stats.stderr).unwrap();
    assert_eq!(stats.status.code(), Some(5), "{text}");
    assert!(text.contains("x\\u{1b}[31m\\nerror: none\\u{202e}.png"), "{text}");
    assert!(text.lines().count() == 1 && !text.contains(['\u{1b}', '\u{202e}']), "{text}");
}
