//! Layouts, splits, fingerprints, and folders and files that are refused.

use std::collections::HashSet;
use std::fs;

use image::{DynamicImage, ImageFormat};
use netadapt::data::{
    BadFile, BadFiles, DataError, Dataset, Fault, HoldoutFrom, Options, Sample, TestFrom, open, open_telling,
};

use super::{Folder, OPTIONS, encoded, grey};

#[test]
fn the_split_layout_is_read_as_torchvision_reads_it() {
    let folder = Folder::new();
    for split in ["train", "valid", "test"] {
        for class in ["b", "B", "a b", "é"] {
            folder.class(&format!("{split}/{class}"), 2);
        }
    }
    let png = encoded(&grey(5, 5, |_, _| 9), ImageFormat::Png);
    folder.file("train/b/UPPER.PNG", &png);
    folder.file("train/b/below/deep.png", &png);
    folder.file("train/b/photo.JpEg", &encoded(&grey(5, 5, |_, _| 9), ImageFormat::Jpeg));
    folder.file("train/b/.hidden.png", b"not an image");
    folder.file("train/b/notes.txt", b"not an image");
    folder.file("train/README", b"not an image");
    folder.file("train/.DS_Store", b"");
    folder.folder("train/.cache");

    let dataset = folder.open().unwrap();
    assert_eq!(dataset.classes, ["B", "a b", "b", "é"]);
    assert_eq!(dataset.train.len(), 11);
    assert_eq!((dataset.holdout.len(), dataset.test.len()), (8, 8));
    assert_eq!((dataset.holdout_from, dataset.test_from), (HoldoutFrom::ValFolder, TestFrom::TestFolder));
    assert_eq!((dataset.skipped, dataset.links), (2, 0));
    for split in [&dataset.train, &dataset.holdout, &dataset.test] {
        for sample in split {
            let class = &dataset.classes[sample.label as usize];
            assert!(sample.path.iter().any(|part| part == class.as_str()), "{sample:?} is not {class}");
        }
    }
    let names = folder.names(&dataset.train);
    for name in ["train/b/UPPER.PNG", "train/b/below/deep.png", "train/b/photo.JpEg"] {
        assert!(names.iter().any(|n| n == name), "{name} is missing from {names:?}");
    }
}

#[test]
fn what_has_no_folder_is_split_off_by_class_and_seed() {
    let make = |prefix: &str| {
        let folder = Folder::new();
        folder.class(&format!("{prefix}few"), 20);
        folder.class(&format!("{prefix}many"), 100);
        folder
    };
    for prefix in ["train/", ""] {
        let folder = make(prefix);
        let dataset = folder.open().unwrap();
        let of = |samples: &[Sample], label| samples.iter().filter(|s| s.label == label).count();
        assert_eq!((dataset.holdout_from, dataset.test_from), (HoldoutFrom::Train, TestFrom::Train));
        assert_eq!([of(&dataset.test, 0), of(&dataset.test, 1)], [4, 20]);
        // A fifth of the 96 left is 19: 3.17 and 15.83 in proportion.
        assert_eq!([of(&dataset.holdout, 0), of(&dataset.holdout, 1)], [3, 16]);
        assert_eq!([of(&dataset.train, 0), of(&dataset.train, 1)], [13, 64]);
        let splits = [&dataset.train, &dataset.holdout, &dataset.test].map(|s| folder.names(s));
        assert_eq!(splits.iter().flatten().collect::<HashSet<_>>().len(), 120);

        let again = make(prefix);
        let moved = again.open().unwrap();
        assert_eq!(splits, [&moved.train, &moved.holdout, &moved.test].map(|s| again.names(s)));
        assert_eq!(dataset.fingerprint, moved.fingerprint);

        let other = open(folder.root(), &Options { seed: 2, holdout: 10, ..OPTIONS }).unwrap();
        assert_eq!(other.holdout.len(), 10);
        assert_ne!(folder.names(&dataset.test), folder.names(&other.test));
        assert_ne!(dataset.fingerprint, other.fingerprint);
        assert_eq!(open(folder.root(), &Options { seed: 1, holdout: 0, ..OPTIONS }).unwrap().holdout, []);
    }
}

#[test]
fn the_fingerprint_follows_names_sizes_and_labels() {
    let make = || {
        let folder = Folder::new();
        for class in ["a", "b"] {
            for split in ["train", "val", "test"] {
                folder.class(&format!("{split}/{class}"), 2);
            }
        }
        folder
    };
    let base = make().open().unwrap().fingerprint;
    assert!(base.len() == 64 && base.bytes().all(|b| b.is_ascii_hexdigit()), "{base}");
    type Change = (&'static str, fn(&Folder));
    let changes: [Change; 4] = [
        ("size", |f| drop(f.image("train/a/0.png", &grey(9, 9, |x, y| (x * y) as u8)))),
        ("name", |f| fs::rename(f.root().join("train/a/0.png"), f.root().join("train/a/9.png")).unwrap()),
        ("label", |f| fs::rename(f.root().join("test/a/0.png"), f.root().join("test/b/9.png")).unwrap()),
        ("split", |f| fs::rename(f.root().join("test/a/0.png"), f.root().join("val/a/9.png")).unwrap()),
    ];
    let mut seen = HashSet::from([base]);
    for (what, change) in changes {
        let folder = make();
        change(&folder);
        assert!(seen.insert(folder.open().unwrap().fingerprint), "{what} leaves the fingerprint as it is");
    }
}

#[test]
fn what_cannot_be_used_is_refused_with_its_place_and_remedy() {
    type Case = (&'static str, fn(&Folder), &'static [&'static str]);
    let cases: &[Case] = &[
        ("empty root", |_| (), &["has no class folders", "one folder per class"]),
        ("one class", |f| f.class("cat", 9), &["only one class folder, 'cat'"]),
        ("no train", |f| f.class("val/cat", 9), &["a folder 'val' but no folder 'train'"]),
        (
            "empty class",
            |f| {
                f.class("train/cat", 9);
                f.file("train/dog/dog.txt", b"x");
            },
            &["train/dog' has no png, jpeg, webp, bmp, gif or tiff images (1 other files", "add images or remove"],
        ),
        (
            "unknown class",
            |f| {
                f.class("train/cat", 9);
                f.class("train/dog", 9);
                f.class("test/cow", 1);
            },
            &["test/cow' has no counterpart in 'train'"],
        ),
        (
            "images without classes",
            |f| {
                f.class("train/cat", 9);
                f.class("train/dog", 9);
                f.class("test", 3);
            },
            &["test' has no images in class folders"],
        ),
        (
            "two hold-outs",
            |f| {
                f.class("train/cat", 9);
                f.class("val/cat", 9);
                f.class("validation/cat", 9);
            },
            &["both 'val' and 'validation'", "keep one"],
        ),
        (
            "too few for a hold-out",
            |f| {
                f.class("cat", 5);
                f.class("dog", 5);
            },
            &["8 training images in 2 classes, too few", "held-out", "at least 10", "'val'"],
        ),
        (
            "too few for a test set",
            |f| {
                f.class("train/cat", 2);
                f.class("train/dog", 2);
            },
            &["4 training images in 2 classes, too few", "as the test set"],
        ),
    ];
    for (case, make, expected) in cases {
        let folder = Folder::new();
        make(&folder);
        let message = folder.open().expect_err(case).to_string().replace('\\', "/");
        for part in *expected {
            assert!(message.contains(part), "{case}: '{message}' does not say '{part}'");
        }
        assert!(message.contains(&*folder.root().to_string_lossy().replace('\\', "/")), "{case}: {message}");
    }

    let folder = Folder::new();
    let file = folder.file("file", b"");
    assert!(matches!(open(&file, &OPTIONS), Err(DataError::NotAFolder { path }) if path == file));
    let missing = folder.root().join("missing");
    assert!(matches!(open(&missing, &OPTIONS), Err(DataError::Missing { path }) if path == missing));
}

#[test]
fn unusable_files_are_found_by_their_headers_and_named() {
    let check = |name: &str, bytes: &[u8], expected: &str| {
        let folder = Folder::new();
        folder.class("train/cat", 9);
        folder.class("train/dog", 9);
        let path = folder.file(name, bytes);
        let Err(DataError::BadFiles(bad)) = folder.open() else { panic!("{name} was accepted") };
        assert_eq!((bad.count, bad.first.len()), (1, 1));
        assert_eq!(bad.first[0].path, path);
        assert!(bad.first[0].reason.contains(expected), "{name}: {}", bad.first[0].reason);
    };
    check("train/cat/empty.png", b"", "empty file");
    check("train/cat/text.jpg", b"hello", "not png, jpeg");
    check("train/dog/webp.jpg", b"RIFF\x10\0\0\0WEBPVP8 ", "cut short");
    check("train/dog/short.png", &encoded(&grey(9, 9, |_, _| 0), ImageFormat::Png)[..20], "cut short");
    check("train/dog/short.jpg", &encoded(&grey(9, 9, |_, _| 0), ImageFormat::Jpeg)[..40], "cut short");
    let pixel = grey(1, 1, |_, _| 0);
    check("train/dog/long.png", &with_size(&pixel, 16_385, 1), "16385 x 1 pixels");
    check("train/dog/large.png", &with_size(&pixel, 10_001, 10_000), "100 megapixels");

    let folder = Folder::new();
    folder.class("train/cat", 9);
    folder.class("train/dog", 9);
    (0..7).for_each(|i| drop(folder.file(&format!("train/cat/bad{i}.png"), b"")));
    let Err(DataError::BadFiles(bad)) = folder.open() else { panic!("7 bad files were accepted") };
    assert_eq!((bad.count, bad.first.len()), (7, BadFiles::LISTED));
    let message = bad.to_string();
    assert!(message.starts_with("7 files") && message.contains("and 2 more"), "{message}");
}

/// Two files of 202 may be bad at one in a hundred, and not a class alone.
#[test]
fn a_few_bad_files_are_left_out() {
    let folder = Folder::new();
    folder.class("cat", 120);
    folder.class("dog", 80);
    let sound = folder.open().unwrap();
    let options = Options { max_bad: 0.01, ..OPTIONS };
    let bad = [folder.file("cat/empty.png", b""), folder.file("dog/text.png", b"no image")];
    let dataset = open(folder.root(), &options).unwrap();
    assert_eq!(dataset.bad.iter().map(|bad| &bad.path).collect::<Vec<_>>(), bad.iter().collect::<Vec<_>>());
    let all = |dataset: &Dataset| dataset.train.len() + dataset.holdout.len() + dataset.test.len();
    assert_eq!((all(&sound), all(&dataset)), (200, 200));
    let text = dataset.left_out().unwrap();
    assert!(text.starts_with("2 files") && text.contains("empty.png': an empty file"), "{text}");
    assert_eq!(sound.left_out(), None);
    // A file found later counts with these.
    let later = BadFile { path: dataset.train[0].path.clone(), fault: Fault::Truncated, reason: "cut".to_owned() };
    let message = dataset.clone().leave_out(vec![later]).unwrap_err().to_string();
    assert!(message.starts_with("3 files") && message.ends_with("(up to 2 would be left out: --max-bad)"), "{message}");
    folder.file("cat/third.png", b"");
    assert!(
        matches!(open(folder.root(), &options), Err(DataError::BadFiles(bad)) if bad.count == 3 && bad.allowed == 2)
    );
    // Whoever allows all of them keeps each class.
    let options = Options { max_bad: 1.0, holdout: 0, ..OPTIONS };
    assert_eq!(open(folder.root(), &options).unwrap().bad.len(), 3);
    (0..80).for_each(|i| drop(folder.file(&format!("dog/{i}.png"), b"")));
    assert!(matches!(open(folder.root(), &options), Err(DataError::BadFiles(bad)) if bad.count == 83));

    // And an image to test with.
    let folder = Folder::new();
    folder.class("train/cat", 9);
    folder.class("train/dog", 9);
    let only = folder.file("test/cat/only.png", b"");
    assert!(matches!(open(folder.root(), &options), Err(DataError::BadFiles(bad)) if bad.first[0].path == only));
    folder.class("test/dog", 1);
    assert_eq!(open(folder.root(), &options).unwrap().test.len(), 1);
}

/// A PNG whose header says another size.
pub(super) fn with_size(image: &DynamicImage, width: u32, height: u32) -> Vec<u8> {
    let mut png = encoded(image, ImageFormat::Png);
    png[16..20].copy_from_slice(&width.to_be_bytes());
    png[20..24].copy_from_slice(&height.to_be_bytes());
    let mut crc = !0u32;
    for &byte in &png[12..29] {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xedb8_8320 * (crc & 1));
        }
    }
    png[29..33].copy_from_slice(&(!crc).to_be_bytes());
    png
}

#[test]
fn the_largest_allowed_header_is_accepted() {
    let folder = Folder::new();
    folder.class("train/cat", 9);
    folder.class("train/dog", 9);
    folder.file("train/cat/wide.png", &with_size(&grey(1, 1, |_, _| 0), 10_000, 10_000));
    assert!(folder.open().is_ok());
}

#[cfg(unix)]
#[test]
fn links_are_followed_only_inside_the_root() {
    use std::os::unix::fs::symlink;
    let outside = Folder::new();
    outside.class("cat", 3);
    let folder = Folder::new();
    folder.class("train/cat", 9);
    folder.class("train/dog", 9);
    let cat = |name: &str| folder.root().join("train/cat").join(name);
    symlink(outside.root().join("cat/0.png"), cat("out.png")).unwrap();
    symlink(outside.root().join("nothing"), cat("dangling.png")).unwrap();
    symlink(folder.root().join("train"), cat("loop")).unwrap();
    symlink(folder.root().join("train/dog/0.png"), cat("in.png")).unwrap();
    let dataset = folder.open().unwrap();
    let all = dataset.train.len() + dataset.holdout.len() + dataset.test.len();
    assert_eq!((all, dataset.links), (19, 3));

    let out = folder.root().join("train/elk");
    symlink(outside.root().join("cat"), &out).unwrap();
    assert!(matches!(folder.open(), Err(DataError::LinkLeaves { path }) if path == out));
}

/// Files are looked at by many threads; they stay in their order, and what is done is told up to the last of them.
#[test]
fn what_was_looked_at_is_told_and_stays_in_order() {
    let folder = Folder::new();
    ["cat", "dog"].into_iter().for_each(|class| folder.class(class, 700));
    let told = std::cell::RefCell::new(Vec::new());
    let dataset = open_telling(folder.root(), &OPTIONS, &|done, all| told.borrow_mut().push((done, all))).unwrap();
    let told = told.into_inner();
    assert!(told.len() > 1 && told.windows(2).all(|pair| pair[0].0 < pair[1].0), "{told:?}");
    assert_eq!(told.last(), Some(&(1400, 1400)));
    let quiet = open(folder.root(), &OPTIONS).unwrap();
    assert_eq!((&dataset.train, &dataset.short_sides), (&quiet.train, &quiet.short_sides));
    assert!(dataset.short_sides.is_sorted() && dataset.short_sides.len() == 1400);
    // A bad file is the one that is bad, wherever it stands.
    let bad = folder.file("dog/600.png", b"no image");
    let error = open(folder.root(), &OPTIONS).unwrap_err();
    let DataError::BadFiles(files) = &error else { panic!("{error}") };
    assert_eq!(files.first.iter().map(|file| &file.path).collect::<Vec<_>>(), [&bad]);
}
