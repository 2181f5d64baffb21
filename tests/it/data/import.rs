//! Sets in other programs' forms: that each image comes to its class, and that what is no such set is refused untouched.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use flate2::Compression;
use flate2::write::GzEncoder;
use netadapt::data::examine::Kind;
use netadapt::data::import::table::{Columns, Labelled, labelled, to_folder};
use netadapt::data::import::{ImportError, cifar, idx};
use netadapt::data::open;

use super::{Folder, OPTIONS};

/// Six images of 3 x 2 pixels, of which pixel p of image i is 10 i + p.
fn images() -> Vec<u8> {
    let header = [0, 0, 8, 3, 0, 0, 0, 6, 0, 0, 0, 2, 0, 0, 0, 3];
    header.into_iter().chain((0..6).flat_map(|i| (0..6).map(move |p| 10 * i + p))).collect()
}

fn labels(of: [u8; 6]) -> Vec<u8> {
    [&[0, 0, 8, 1, 0, 0, 0, 6][..], &of].concat()
}

fn zipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("memory can be written to");
    encoder.finish().expect("memory can be written to")
}

/// Classes and their images.
fn counts<const N: usize>(of: [(&str, usize); N]) -> BTreeMap<String, usize> {
    of.map(|(class, images)| (class.to_owned(), images)).into()
}

/// Files below a folder, sorted.
fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(path) = folders.pop() {
        for entry in fs::read_dir(path).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let inside = path.strip_prefix(folder).expect("it lies inside");
                found.push(inside.to_string_lossy().replace('\\', "/"));
            }
        }
    }
    found.sort();
    found
}

#[test]
fn idx_files_become_a_folder_a_class() {
    let folder = Folder::new();
    let names = folder.file("names.txt", b"shirt\ncoat\n\nbag\n");
    for zip in [false, true] {
        let file = |name: &str, bytes: &[u8]| folder.file(name, &if zip { zipped(bytes) } else { bytes.to_vec() });
        let (pictures, numbers) = (file("images", &images()), file("labels", &labels([2, 0, 1, 2, 0, 0])));
        let out = folder.root().join(format!("set{zip}/train"));
        let imported = idx(&pictures, &numbers, Some(&names), &out).unwrap();
        assert_eq!(imported.classes, counts([("bag", 2), ("coat", 1), ("shirt", 3)]));
        assert_eq!(files(&out)[..3], ["bag/0000000.png", "bag/0000003.png", "coat/0000002.png"]);
        let image = image::open(out.join("bag/0000003.png")).unwrap().into_luma8();
        assert_eq!((image.dimensions(), image.into_raw()), ((3, 2), vec![30, 31, 32, 33, 34, 35]));
    }
    let out = folder.root().join("numbers");
    let (pictures, numbers) = (folder.file("images", &images()), folder.file("labels", &labels([0, 1, 2, 10, 0, 0])));
    let imported = idx(&pictures, &numbers, None, &out).unwrap();
    assert_eq!(imported.classes.keys().collect::<Vec<_>>(), ["00", "01", "02", "10"]);
    // Once made, it is not made again.
    let again = idx(&pictures, &numbers, None, &out).unwrap_err();
    assert!(matches!(again, ImportError::Exists { .. }), "{again}");
}

#[test]
fn idx_files_that_are_none_are_refused_and_leave_nothing() {
    let folder = Folder::new();
    let (good, numbers) = (images(), labels([0, 1, 0, 1, 0, 1]));
    let changed = |bytes: &[u8], at: usize, to: u8| {
        let mut bytes = bytes.to_vec();
        bytes[at] = to;
        bytes
    };
    for (images, labels, words) in [
        (changed(&good, 2, 13), numbers.clone(), "no IDX file of images"),
        (numbers.clone(), numbers.clone(), "no IDX file of images"),
        (good.clone(), good.clone(), "no IDX file of labels"),
        (good[..good.len() - 1].to_vec(), numbers.clone(), "another length"),
        ([&good[..], &[0]].concat(), numbers.clone(), "another length"),
        (good[..3].to_vec(), numbers.clone(), "cut short"),
        (zipped(&good[..good.len() - 1]), numbers.clone(), "cut short"),
        (zipped(&[&good[..], &[0]].concat()), numbers.clone(), "is longer"),
        (good.clone(), zipped(&[&numbers[..], &[0]].concat()), "is longer"),
        (changed(&good, 4, 0xff), numbers.clone(), "another length"),
        (zipped(&changed(&good, 4, 0xff)), numbers.clone(), "images and"),
        (zipped(&changed(&good, 8, 0xff)), numbers.clone(), "none or too many"),
        (good.clone(), [&[0, 0, 8, 1, 0, 0, 0, 5][..], &[0; 5]].concat(), "6 images and"),
        (b"hello".to_vec(), numbers.clone(), "no IDX file of images"),
        (Vec::new(), numbers.clone(), "cut short"),
    ] {
        let (images, labels) = (folder.file("images", &images), folder.file("labels", &labels));
        let error = idx(&images, &labels, None, &folder.root().join("out")).unwrap_err().to_string();
        assert!(error.contains(words), "{words}: {error}");
        assert_eq!(files(folder.root()), ["images", "labels"], "{words}");
    }
    let (images, labels) = (folder.file("images", &good), folder.file("labels", &numbers));
    for (names, words) in [
        ("one", "has 1 names"),
        ("one\n../two", "can be no folder's"),
        ("one\n.two", "can be no folder's"),
        ("one\n/two", "can be no folder's"),
        ("one\none", "a name twice"),
    ] {
        let names = folder.file("names", names.as_bytes());
        let error = idx(&images, &labels, Some(&names), &folder.root().join("out")).unwrap_err().to_string();
        assert!(error.contains(words), "{words}: {error}");
    }
    assert_eq!(files(folder.root()), ["images", "labels", "names"]);
}

/// Records of CIFAR: labels, then three planes of 1,024 bytes, red 1, green 2, blue 3 with the record's number added.
fn records(labels: &[&[u8]]) -> Vec<u8> {
    let one = |(i, labels): (usize, &&[u8])| {
        let planes = (1..=3).flat_map(move |plane| vec![plane + 10 * i as u8; 1024]);
        labels.iter().copied().chain(planes).collect::<Vec<u8>>()
    };
    labels.iter().enumerate().flat_map(one).collect()
}

#[test]
fn cifar_files_become_a_folder_a_class() {
    let folder = Folder::new();
    let file = |name: &str, labels: &[&[u8]]| folder.file(name, &records(labels));
    let out = folder.root().join("ten");
    let ten = [file("a.bin", &[&[3], &[9]]), file("b.bin", &[&[3]])];
    assert_eq!(cifar(&ten, None, &out).unwrap().classes, counts([("3", 2), ("9", 1)]));
    assert_eq!(files(&out), ["3/0000000.png", "3/0000002.png", "9/0000001.png"]);
    let image = image::open(out.join("9/0000001.png")).unwrap().into_rgb8();
    assert!(image.dimensions() == (32, 32) && image.pixels().all(|pixel| pixel.0 == [11, 12, 13]));
    let hundred = [file("c.bin", &[&[19, 99], &[0, 7]])];
    let imported = cifar(&hundred, None, &folder.root().join("hundred")).unwrap();
    assert_eq!(imported.classes.keys().collect::<Vec<_>>(), ["07", "99"]);
    let cut: Vec<PathBuf> = vec![folder.file("cut.bin", &records(&[&[1]])[..3000])];
    for (wrong, words) in [
        (cut, "no whole number of images"),
        (vec![folder.file("empty.bin", b"")], "0 bytes"),
        (vec![file("label.bin", &[&[10]])], "a label is 10"),
    ] {
        let error = cifar(&wrong, None, &folder.root().join("wrong")).unwrap_err().to_string();
        assert!(error.contains(words) && !folder.root().join("wrong").exists(), "{error}");
    }
}

#[test]
fn the_program_imports_and_refuses() {
    let folder = Folder::new();
    let (pictures, numbers) = (folder.file("images", &images()), folder.file("labels", &labels([1, 0, 1, 1, 0, 0])));
    let out = folder.root().join("set");
    let import = |numbers: &Path| {
        let program = env!("CARGO_BIN_EXE_netadapt-data");
        let mut command = Command::new(program);
        command.args(["import", "idx", "-o"]).args([&out, &pictures]).arg(numbers).output().unwrap()
    };
    let refused = import(&pictures);
    assert_eq!(refused.status.code(), Some(5));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("no IDX file of labels") && !out.exists());
    let output = import(&numbers);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("6 images in 2 classes"), "{text}");
    assert_eq!(import(&numbers).status.code(), Some(5), "it is there already");
}

/// Ten images in `images/`, two of one name but for the extension, one in a folder of its own.
fn pictures(folder: &Folder) -> PathBuf {
    for i in 0..7 {
        folder.image(&format!("images/{i}.png"), &super::grey(6, 5 + i, |x, y| (x * y) as u8));
    }
    folder.file("images/7.png", b"not looked at");
    folder.file("images/7.jpg", b"not looked at");
    folder.file("images/below/8.png", b"not looked at");
    folder.file("images/notes.txt", b"no image");
    folder.root().join("images")
}

fn table(folder: &Folder, text: &str) -> Result<Labelled, String> {
    let table = folder.file("table.csv", text.as_bytes());
    labelled(&table, &folder.root().join("images"), &Columns::default()).map_err(|error| error.to_string())
}

#[test]
fn tables_name_files_with_and_without_extensions() {
    let folder = Folder::new();
    let images = pictures(&folder);
    let text = "Id,note,LABEL\n0,,cat\n1.png,\"a, b\",cat\n2,,dog\nbelow/8,,dog\n3.png,,\"big\"\n7.jpg,,big\n";
    for text in [text.to_owned(), format!("\u{feff}{}", text.replace('\n', "\r\n"))] {
        let found = table(&folder, &text).unwrap();
        let files = |class: &str| found.files[class].join(" ");
        assert_eq!([files("cat"), files("dog"), files("big")], ["0.png 1.png", "2.png below/8.png", "3.png 7.jpg"]);
    }
    let tabs = table(&folder, "file\tclass\n0.png\ta;b,c\n1.png\td\n").unwrap();
    assert_eq!(tabs.files.keys().collect::<Vec<_>>(), ["a;b,c", "d"]);
    let file = folder.file("other.csv", b"what;which\n0;a\n1;b\n");
    let columns = Columns { file: Some("what".to_owned()), class: Some("which".to_owned()) };
    assert_eq!(labelled(&file, &images, &columns).unwrap().files.len(), 2);
    // Copies lie in folders of their classes under the names that they had.
    let found = table(&folder, text).unwrap();
    let imported = to_folder(&found, &images, &folder.root().join("set")).unwrap();
    assert_eq!(imported.classes, counts([("big", 2), ("cat", 2), ("dog", 2)]));
    let copied = files(&folder.root().join("set"));
    assert_eq!(copied, ["big/3.png", "big/7.jpg", "cat/0.png", "cat/1.png", "dog/2.png", "dog/below/8.png"]);
    assert_eq!(fs::read(folder.root().join("set/big/7.jpg")).unwrap(), b"not looked at");
}

#[test]
fn lines_and_files_that_do_not_fit_are_findings() {
    let folder = Folder::new();
    pictures(&folder);
    let text = "id,class\n0,cat\n0.png,cat\n1,dog\n2,dog\n2,cat\n7,cat\nno,cat\n3\n4,../dog\n../table.csv,cat\n";
    let found = table(&folder, text).unwrap();
    assert_eq!(found.files.values().flatten().collect::<Vec<_>>(), ["0.png", "1.png"]);
    let findings: Vec<(&str, Kind)> = found.findings.iter().map(|f| (f.file.as_str(), f.kind)).collect();
    assert_eq!(
        findings,
        [
            ("2", Kind::DuplicateAcrossLabels),
            ("no", Kind::LabelWithoutFile),
            ("../table.csv", Kind::LabelWithoutFile),
            ("3.png", Kind::FileWithoutLabel),
            ("4.png", Kind::FileWithoutLabel),
            ("5.png", Kind::FileWithoutLabel),
            ("6.png", Kind::FileWithoutLabel),
            ("7.jpg", Kind::FileWithoutLabel),
            ("7.png", Kind::FileWithoutLabel),
            ("below/8.png", Kind::FileWithoutLabel),
            ("0.png", Kind::Line),
            ("7", Kind::Line),
            ("3", Kind::Line),
            ("4", Kind::Line),
        ]
    );
    assert!(found.findings[1].advice.starts_with("line 8: "), "{:?}", found.findings[1]);
    for (text, words) in [
        ("", "lacks a column of files"),
        ("id\n1\n", "lacks a column of classes that is known: name one of 'id' with --class-column"),
        ("id,class\n", "names no image of"),
        ("id,class\nx,cat\n", "names no image of"),
        ("id,class\n0,cat\n1,cat\n", "one class only, 'cat'"),
    ] {
        let error = table(&folder, text).unwrap_err();
        assert!(error.contains(words), "{words}: {error}");
    }
}

#[test]
fn the_program_makes_a_manifest_of_a_table_that_a_search_takes() {
    let folder = Folder::new();
    for i in 0..20 {
        folder.image(&format!("images/{i}.png"), &super::grey(6 + i, 6, |x, y| (x * y) as u8));
    }
    let lines: String = (0..19).map(|i| format!("{i},{}\n", if i % 2 == 0 { "even" } else { "odd" })).collect();
    let table = folder.file("table.csv", format!("id,label\n{lines}missing,odd\n").as_bytes());
    let import = |out: &str, more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_netadapt-data"));
        let images = folder.root().join("images");
        command.args(["import", "csv"]).arg(&table).arg("--images").arg(images).arg("-o").arg(folder.root().join(out));
        command.args(more).output().unwrap()
    };
    let output = import("set.json", &[]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    for words in ["2 findings", "label-without-file", "missing: line 21", "19.png: no line", "19 images in 2 classes"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    let dataset = open(&folder.root().join("set.json"), &OPTIONS).unwrap();
    assert_eq!(dataset.classes, ["even", "odd"]);
    assert_eq!(dataset.train.len() + dataset.holdout.len() + dataset.test.len(), 19);
    let output = import("copies", &["--json"]);
    let object: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&object["images"], &object["classes"]["even"]), (&19.into(), &10.into()));
    assert_eq!(object["findings"][0]["kind"], "label-without-file");
    assert!(folder.root().join("copies/odd/1.png").exists());
    let refused = import("wrong.json", &["--class-column", "weight"]);
    assert_eq!(refused.status.code(), Some(5));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("lacks the column 'weight'"));
}
