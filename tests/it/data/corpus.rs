//! Files as people really have them, all in one folder: each has its finding, and the sound images beside them are used.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use image::{DynamicImage, ImageFormat, RgbaImage};
use netadapt::data::examine::{Finding, Kind};
use netadapt::data::{Format, Images, Options, examine, open};

use super::decode::with_orientation;
use super::examine::photo;
use super::folder::with_size;
use super::formats::stored;
use super::{Folder, OPTIONS, colour, encoded};

/// What is to be said of a file: one of these kinds, or nothing of its bytes.
type Expected = &'static [Kind];

const CUT: Expected = &[Kind::Truncated, Kind::Unreadable];
const FORMATS: [(ImageFormat, &str); 6] = [
    (ImageFormat::Png, "png"),
    (ImageFormat::Jpeg, "jpg"),
    (ImageFormat::WebP, "webp"),
    (ImageFormat::Bmp, "bmp"),
    (ImageFormat::Gif, "gif"),
    (ImageFormat::Tiff, "tif"),
];

/// Name, bytes and what is to be said, of files that lie in a class folder.
fn spoilt() -> Vec<(String, Vec<u8>, Expected)> {
    let image = photo(900, 40, 32);
    let bytes = |format| encoded(&image, format);
    let (png, jpeg) = (bytes(ImageFormat::Png), bytes(ImageFormat::Jpeg));
    let mut files: Vec<(String, Vec<u8>, Expected)> = Vec::new();
    for (format, extension) in FORMATS {
        let whole = bytes(format);
        for tenth in 1..10 {
            files.push((format!("cut{tenth}.{extension}"), whole[..whole.len() * tenth / 10].to_vec(), CUT));
        }
        files.push((format!("zero.{extension}"), Vec::new(), &[Kind::Empty]));
        let mut other = whole;
        other[0] ^= 0x55;
        files.push((format!("magic.{extension}"), other, &[Kind::Unreadable]));
    }
    let changed = |bytes: &[u8], at: usize, by: &[u8]| {
        let mut bytes = bytes.to_vec();
        bytes[at..at + by.len()].copy_from_slice(by);
        bytes
    };
    let pixel = colour(1, 1, |_, _| [0; 3]);
    let deep = DynamicImage::from(RgbaImage::new(1, 1)).into_rgba16().into();
    let gif = fs::read(stored("palette.gif")).expect("it is there");
    let webp = fs::read(stored("rgb-lossy.webp")).expect("it is there");
    let bmp = fs::read(stored("rgb.bmp")).expect("it is there");
    let middle = png.len() / 2;
    let of_kind = |name: &str, bytes: Vec<u8>, kind: Expected| (name.to_owned(), bytes, kind);
    files.extend([
        of_kind("text.png", b"no image".to_vec(), &[Kind::Unreadable]),
        of_kind("page.jpg", b"<!doctype html><title>404</title>".to_vec(), &[Kind::Unreadable]),
        of_kind("icon.png", b"\0\0\x01\0\x01\0\x10\x10\0\0".to_vec(), &[Kind::Unreadable]),
        of_kind("archive.png", b"PK\x03\x04".to_vec(), &[Kind::Unreadable]),
        of_kind("zeros.bmp", vec![0; 4096], &[Kind::Unreadable]),
        of_kind("damaged.png", changed(&png, middle, &[png[middle] ^ 0xff]), &[Kind::Unreadable]),
        of_kind("palette.tif", fs::read(stored("palette.tif")).expect("it is there"), &[Kind::Unreadable]),
        of_kind("wide.png", with_size(&pixel, 16_385, 1), &[Kind::Oversized]),
        of_kind("bomb.png", with_size(&pixel, 10_001, 10_000), &[Kind::Oversized]),
        of_kind("bomb16.png", with_size(&deep, 6000, 6000), &[Kind::Oversized]),
        of_kind("largest.png", with_size(&pixel, u32::MAX >> 1, u32::MAX >> 1), &[Kind::Oversized, Kind::Unreadable]),
        of_kind("bomb.gif", changed(&gif, 6, &[0xff; 4]), &[Kind::Oversized]),
        of_kind("bomb.webp", changed(&webp, 26, &[0xff, 0x3f, 0xff, 0x3f]), &[Kind::Oversized]),
        of_kind("bomb.bmp", changed(&bmp, 18, &[0xff, 0xff, 0, 0]), &[Kind::Oversized]),
        of_kind("none.bmp", changed(&bmp, 18, &[0; 4]), &[Kind::Unreadable]),
        of_kind("bits3.bmp", changed(&bmp, 28, &[3, 0]), &[Kind::Unreadable]),
        of_kind("bits3.png", changed(&png, 24, &[3]), &[Kind::Unreadable]),
        of_kind("really-png.jpg", png.clone(), &[Kind::Misnamed]),
        of_kind("really-jpeg.png", jpeg.clone(), &[Kind::Misnamed]),
        of_kind("really-gif.webp", gif.clone(), &[Kind::Misnamed]),
        of_kind("really-png.txt", png.clone(), &[Kind::Extension]),
        of_kind("notes.txt", b"notes".to_vec(), &[Kind::Extension]),
        of_kind("Thumbs.db", b"\xd0\xcf\x11\xe0".to_vec(), &[Kind::Extension]),
        of_kind("new\nline.png", Vec::new(), &[Kind::Empty]),
        of_kind("quote\"'`$(x).png", Vec::new(), &[Kind::Empty]),
        of_kind("<script>alert(1)<\u{2215}script>.png", Vec::new(), &[Kind::Empty]),
        of_kind("gpj.\u{202e}a.png", Vec::new(), &[Kind::Empty]),
        of_kind("\u{1b}[31mred.png", Vec::new(), &[Kind::Empty]),
        of_kind(" spaces .png", Vec::new(), &[Kind::Empty]),
        of_kind("-rf.png", Vec::new(), &[Kind::Empty]),
    ]);
    // What is unusual, and of use.
    let exif = |content: u8| {
        let mut jpeg = with_orientation(&jpeg, 6);
        let at = jpeg.windows(4).position(|part| part == b"MM\0\x2a").expect("its EXIF is there");
        jpeg[at..at + 8].fill(content);
        jpeg
    };
    files.extend([
        of_kind("exif-zeros.jpg", exif(0), &[]),
        of_kind("exif-ones.jpg", exif(0xff), &[]),
        of_kind("orientation9.jpg", with_orientation(&jpeg, 9), &[]),
        of_kind("trailing.jpg", [&jpeg[..], b"trailing"].concat(), &[]),
    ]);
    for name in ["cmyk.jpg", "palette4.png", "bilevel.bmp", "grey16.tif", "animated.gif", "animated.webp"] {
        files.push(of_kind(name, fs::read(stored(name)).expect("it is there"), &[]));
    }
    files
}

/// Findings that are about a file and not about how it compares with others.
fn of_bytes(findings: &[Finding]) -> BTreeMap<&str, Vec<Kind>> {
    let mut of: BTreeMap<&str, Vec<Kind>> = BTreeMap::new();
    for finding in findings {
        use Kind::{Empty, Extension, Folder, Link, Misnamed, Oversized, Truncated, Unreadable};
        if matches!(finding.kind, Empty | Truncated | Unreadable | Oversized | Misnamed | Folder | Extension | Link) {
            of.entry(finding.file.as_str()).or_default().push(finding.kind);
        }
    }
    of
}

/// Links to outside, to nothing and to a folder above, a name of no text, a file that may not be read; what is to be said.
#[cfg(unix)]
fn unusual(root: &Path) -> Vec<(String, Expected)> {
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    let cat = root.join("train/cat");
    for (to, name) in [("/etc/hostname", "out.png"), ("/nowhere.png", "nothing.png"), ("..", "above")] {
        symlink(to, cat.join(name)).expect("a link can be made");
    }
    let secret = cat.join("secret.png");
    fs::write(&secret, encoded(&photo(901, 40, 32), ImageFormat::Png)).expect("it can be written");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o000)).expect("it is ours");
    // Nothing is forbidden to an administrator, who runs the tests in containers.
    let forbidden: Expected = if fs::read(&secret).is_err() { &[Kind::Unreadable] } else { &[] };
    const LINK: Expected = &[Kind::Link];
    let kinds = [("out.png", LINK), ("nothing.png", LINK), ("above", LINK), ("secret.png", forbidden)];
    let mut expected: Vec<(String, Expected)> = Vec::new();
    expected.extend(kinds.map(|(name, kinds)| (format!("train/cat/{name}"), kinds)));
    // Other systems refuse the name.
    if cfg!(target_os = "linux") {
        fs::write(cat.join(std::ffi::OsStr::from_bytes(b"\xff\xfe.png")), b"").expect("a name of bytes");
        expected.push(("train/cat/\u{fffd}\u{fffd}.png".to_owned(), &[Kind::Empty]));
    }
    expected
}

#[test]
fn every_kind_of_bad_file_has_its_finding_and_the_others_are_used() {
    let folder = Folder::new();
    for (class, from) in [("cat", 0), ("dog", 100)] {
        (0..25).for_each(|i| drop(folder.image(&format!("train/{class}/{i}.png"), &photo(from + i, 40, 32))));
        (0..3).for_each(|i| drop(folder.image(&format!("val/{class}/{i}.png"), &photo(from + 50 + i, 40, 32))));
        (0..3).for_each(|i| drop(folder.image(&format!("test/{class}/{i}.png"), &photo(from + 60 + i, 40, 32))));
    }
    let mut expected: Vec<(String, Expected)> = Vec::new();
    for (name, bytes, kinds) in spoilt() {
        let file = format!("train/cat/{name}");
        folder.file(&file, &bytes);
        expected.push((file, kinds));
    }
    // A folder with the name of an image, and one image in it.
    folder.image("train/dog/cat.jpg/inside.png", &photo(902, 40, 32));
    expected.push(("train/dog/cat.jpg".to_owned(), &[Kind::Folder]));
    #[cfg(unix)]
    expected.extend(unusual(folder.root()));
    assert!(expected.iter().filter(|(_, kinds)| !kinds.is_empty()).count() >= 60, "{}", expected.len());

    let report = examine(folder.root(), &OPTIONS, 4, &mut |_, _| ());
    let found = of_bytes(&report.findings);
    for (file, kinds) in &expected {
        let found = found.get(file.as_str()).map_or(&[][..], Vec::as_slice);
        match kinds {
            [] => assert_eq!(found, [], "{file}"),
            kinds => assert!(matches!(found, [kind] if kinds.contains(kind)), "{file}: {found:?}"),
        }
    }
    let named: Vec<&&str> = found.keys().filter(|file| expected.iter().all(|(of, _)| of != **file)).collect();
    assert!(named.is_empty(), "sound files have no findings: {named:?}");
    assert!(report.refused.is_some());

    // With leave to do so, all others are used.
    let all = Options { max_bad: 1.0, ..OPTIONS };
    assert!(examine(folder.root(), &all, 4, &mut |_, _| ()).verdict().is_ok());
    let mut dataset = open(folder.root(), &all).unwrap();
    let format = Format { size: 16, channels: 3 };
    let (images, bad) = Images::load_usable(&dataset.train, format, 2, usize::MAX, &|_, _| ()).unwrap();
    dataset.leave_out(bad).unwrap();
    let is_bad = |kinds: &Expected| kinds.iter().any(|kind| *kind <= Kind::Oversized);
    assert_eq!(dataset.bad.len(), expected.iter().filter(|(_, kinds)| is_bad(kinds)).count());
    let used = expected.iter().filter(|(_, kinds)| matches!(kinds, [] | [Kind::Misnamed])).count();
    assert_eq!((images.len(), dataset.train.len()), (50 + 1 + used, 50 + 1 + used));
    assert_eq!((dataset.holdout.len(), dataset.test.len()), (6, 6));
}
