//! Splits of one's own: what is on which side, and manifests that are searched, checked and refused.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use image::codecs::jpeg::JpegEncoder;
use netadapt::data::examine::{Counts, Kind};
use netadapt::data::{
    DataError, Division, HoldoutFrom, Manifest, Options, Sample, Shares, TestFrom, divide, examine, open,
};
use serde_json::{Value, json};

use super::examine::photo;
use super::{Folder, OPTIONS};

const TENTHS: Shares = Shares { val: 0.1, test: 0.1 };

/// Thirty cats and twenty dogs in `photos`, all different, and what `spoil` makes of them.
fn photos(spoil: impl Fn(&Folder)) -> Folder {
    let folder = Folder::new();
    for (class, count, from) in [("cat", 30, 0), ("dog", 20, 100)] {
        for i in 0..count {
            folder.image(&format!("photos/{class}/{i}.png"), &photo(from + i, 40, 32));
        }
    }
    spoil(&folder);
    folder
}

/// Five cats that are one picture, saved again or copied, and a dog that looks like two other cats.
fn with_twins(folder: &Folder) {
    let saved = |seed: u32, quality: u8| {
        let mut bytes = Vec::new();
        let encoder = JpegEncoder::new_with_quality(&mut bytes, quality);
        photo(seed, 40, 32).write_with_encoder(encoder).expect("memory can be written to");
        bytes
    };
    folder.file("photos/cat/a.jpg", &saved(0, 90));
    folder.file("photos/cat/b.jpg", &saved(0, 70));
    folder.image("photos/cat/c.png", &photo(0, 40, 32));
    folder.image("photos/cat/d.png", &photo(0, 24, 20));
    folder.file("photos/dog/e.jpg", &saved(1, 90));
    folder.image("photos/cat/f.png", &photo(1, 40, 32));
}

fn divided(folder: &Folder, shares: Shares, seed: u64) -> Division {
    let (root, file) = (folder.root().join("photos"), folder.root().join("photos.json"));
    divide(&root, &file, shares, seed, 2, &mut |_, _| ()).expect("it can be divided")
}

fn written(folder: &Folder, manifest: &Manifest) -> PathBuf {
    folder.file("photos.json", &serde_json::to_vec(manifest).expect("it is plain data"))
}

/// The side of each file.
fn sides(manifest: &Manifest) -> HashMap<&str, &'static str> {
    let mut sides = HashMap::new();
    let splits = [("train", Some(&manifest.train)), ("val", manifest.val.as_ref()), ("test", manifest.test.as_ref())];
    for (side, files) in splits {
        let mut names = files.into_iter().flat_map(|files| files.values()).flatten();
        assert!(names.all(|name| sides.insert(name.as_str(), side).is_none()), "a file is on two sides");
    }
    sides
}

#[test]
fn shares_are_exact_by_class_and_drawn_by_the_seed() {
    let folder = photos(|_| ());
    let division = divided(&folder, Shares { val: 0.1, test: 0.2 }, 1);
    let counts = |train, holdout, test| Counts { train, holdout, test };
    assert_eq!(division.classes["cat"], counts(21, 3, 6));
    assert_eq!(division.classes["dog"], counts(14, 2, 4));
    assert_eq!((division.together, division.left_out.len(), division.manifest.root.as_str()), (0, 0, "photos"));
    assert_eq!(sides(&division.manifest).len(), 50);
    assert_eq!(divided(&folder, Shares { val: 0.1, test: 0.2 }, 1).manifest, division.manifest);
    assert_ne!(divided(&folder, Shares { val: 0.1, test: 0.2 }, 2).manifest.test, division.manifest.test);
    // Folders that are there already are drawn from as well.
    let moved = photos(|folder| {
        fs::rename(folder.root().join("photos"), folder.root().join("train")).unwrap();
        fs::create_dir(folder.root().join("photos")).unwrap();
        fs::rename(folder.root().join("train"), folder.root().join("photos/train")).unwrap();
        fs::create_dir_all(folder.root().join("photos/test/dog")).unwrap();
        fs::rename(folder.root().join("photos/train/dog/0.png"), folder.root().join("photos/test/dog/0.png")).unwrap();
    });
    let division = divided(&moved, Shares { val: 0.0, test: 0.2 }, 1);
    assert_eq!((division.classes["dog"], division.manifest.val), (counts(16, 0, 4), None));
}

#[test]
fn what_looks_alike_is_on_one_side() {
    let folder = photos(with_twins);
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    for seed in 0..12 {
        let division = divided(&folder, Shares { val: 0.2, test: 0.3 }, seed);
        assert_eq!(division.together, 6);
        let sides = sides(&division.manifest);
        let of = |names: &[&str]| names.iter().map(|name| sides[name]).collect::<Vec<_>>();
        let one = of(&["cat/0.png", "cat/a.jpg", "cat/b.jpg", "cat/c.png", "cat/d.png"]);
        let two = of(&["cat/1.png", "cat/f.png", "dog/e.jpg"]);
        assert!(one.iter().all(|side| *side == one[0]) && two.iter().all(|side| *side == two[0]), "{one:?} {two:?}");
        *places.entry(one[0]).or_default() += 1;
        let counts = division.classes["cat"];
        assert_eq!((counts.holdout, counts.test), (7, 11), "35 cats, rounded");
        // And `check` has nothing to say of it.
        let report = examine(&written(&folder, &division.manifest), &OPTIONS, 2, &mut |_, _| ());
        let across = [Kind::DuplicateAcrossSplits, Kind::NearDuplicateAcrossSplits];
        assert!(report.findings.iter().all(|finding| !across.contains(&finding.kind)), "{:?}", report.findings);
        assert_eq!(report.classes, division.classes);
    }
    assert!(places.len() > 1, "the seed moves groups too: {places:?}");
}

#[test]
fn a_manifest_takes_the_place_of_a_folder() {
    let folder = photos(with_twins);
    let division = divided(&folder, TENTHS, 3);
    let dataset = open(&written(&folder, &division.manifest), &OPTIONS).unwrap();
    assert_eq!(dataset.classes, ["cat", "dog"]);
    assert_eq!((dataset.holdout_from, dataset.test_from), (HoldoutFrom::ValFolder, TestFrom::TestFolder));
    let sides = sides(&division.manifest);
    for (side, samples) in [("train", &dataset.train), ("val", &dataset.holdout), ("test", &dataset.test)] {
        for Sample { path, label } in samples {
            let name = path.strip_prefix(folder.root().join("photos")).unwrap().to_string_lossy().replace('\\', "/");
            assert_eq!(sides[name.as_str()], side, "{name}");
            assert!(name.starts_with(&dataset.classes[*label as usize]) && path.is_file(), "{name}");
        }
    }
    // The folder may be moved with its manifest, and a split that is not in it is drawn by the search.
    let moved = photos(with_twins);
    let again = open(&written(&moved, &division.manifest), &OPTIONS).unwrap();
    assert_eq!(again.fingerprint, dataset.fingerprint);
    let open_ended = divided(&folder, Shares { val: 0.0, test: 0.1 }, 3).manifest;
    let dataset = open(&written(&folder, &open_ended), &Options { holdout: 6, ..OPTIONS }).unwrap();
    assert_eq!((dataset.holdout.len(), dataset.holdout_from), (6, HoldoutFrom::Train));
    // In the folder itself, above it by two, and nowhere else.
    let at =
        |file: &str| divide(&folder.root().join("photos"), &folder.root().join(file), TENTHS, 0, 1, &mut |_, _| ());
    assert_eq!(at("photos/split.json").unwrap().manifest.root, "");
    fs::create_dir(folder.root().join("beside")).unwrap();
    let error = at("beside/split.json").unwrap_err();
    assert!(matches!(error, DataError::ManifestOutside { .. }), "{error}");
}

#[test]
fn bad_files_are_left_out_and_small_sets_refused() {
    let folder = photos(|folder| {
        folder.file("photos/cat/empty.png", b"");
        folder.file("photos/dog/text.jpg", b"no image");
    });
    #[cfg(target_os = "linux")]
    {
        use std::os::unix::ffi::OsStrExt as _;
        let name = std::ffi::OsStr::from_bytes(b"photos/cat/\xff.png");
        fs::copy(folder.root().join("photos/cat/0.png"), folder.root().join(name)).unwrap();
    }
    let division = divided(&folder, TENTHS, 0);
    let reasons: Vec<&str> = division.left_out.iter().map(|bad| bad.reason.as_str()).collect();
    let expected = ["an empty file", "not png", "not UTF-8"];
    let expected = &expected[..if cfg!(target_os = "linux") { 3 } else { 2 }];
    assert_eq!(reasons.len(), expected.len());
    assert!(reasons.iter().zip(expected).all(|(reason, word)| reason.contains(word)), "{reasons:?}");
    assert_eq!(sides(&division.manifest).len(), 50);

    let few = Folder::new();
    (0..3).for_each(|i| drop(few.image(&format!("photos/{}/{i}.png", i % 2), &photo(i, 9, 8))));
    let file = few.root().join("photos.json");
    let error = divide(&few.root().join("photos"), &file, TENTHS, 0, 1, &mut |_, _| ()).unwrap_err().to_string();
    assert!(error.contains("too few to set some aside as the held-out set"), "{error}");
}

/// A manifest with one thing changed, and what is said of it.
#[test]
fn manifests_that_lead_outside_or_make_no_sense_are_refused() {
    let folder = photos(|_| ());
    let good = serde_json::to_value(divided(&folder, TENTHS, 0).manifest).unwrap();
    let said = |bytes: &[u8]| {
        let error = open(&folder.file("photos.json", bytes), &OPTIONS).expect_err("it is refused");
        assert!(matches!(error, DataError::Manifest { .. }), "{error}");
        error.to_string()
    };
    let first = |name: &str| json!([name]);
    for (place, value, words) in [
        ("/version", json!(2), "is of version 2"),
        ("/root", json!("../photos"), "may be outside"),
        ("/root", json!("/etc"), "may be outside"),
        ("/root", json!("photos/."), "may be outside"),
        ("/train", json!({ "cat": ["cat/0.png"] }), "fewer than two classes"),
        ("/train/dog", json!([]), "no images of 'dog'"),
        ("/val", json!({ "cow": ["cow/0.png"] }), "a class 'cow' in 'val'"),
        ("/test", json!({ "cat": [] }), "no images in 'test'"),
        ("/train/dog", first("/etc/passwd"), "may be outside"),
        ("/train/dog", first("../../secret.png"), "may be outside"),
        ("/train/dog", first("dog/../../secret.png"), "may be outside"),
        ("/train/dog", first("dog//0.png"), "may be outside"),
        ("/train/dog", first("./dog/0.png"), "may be outside"),
        ("/train/dog", first("dog/\0.png"), "may be outside"),
        ("/train/dog", first(""), "may be outside"),
        ("/train/dog", json!(["dog/0.png", "dog/0.png"]), "names 'dog/0.png' twice"),
        ("/seed", json!("one"), "cannot be read"),
    ] {
        let mut changed = good.clone();
        *changed.pointer_mut(place).unwrap() = value;
        let message = said(changed.to_string().as_bytes());
        assert!(message.contains(words) && message.contains("photos.json"), "{place}: {message}");
    }
    let mut unknown = good.clone();
    unknown["more"] = json!(1);
    assert!(said(unknown.to_string().as_bytes()).contains("unknown field"));
    assert!(said(b"").contains("cannot be read"));
    let large = folder.file("photos.json", b"{}");
    fs::OpenOptions::new().write(true).open(&large).unwrap().set_len(257 << 20).unwrap();
    assert!(open(&large, &OPTIONS).unwrap_err().to_string().contains("larger than 256 MiB"));
    // A file that is not there is a bad file like any other.
    let mut gone = good.clone();
    gone["train"]["dog"][0] = json!("dog/gone.png");
    let error = open(&folder.file("photos.json", gone.to_string().as_bytes()), &OPTIONS).unwrap_err().to_string();
    assert!(error.contains("gone.png") && error.contains("cannot be opened"), "{error}");
}

#[cfg(unix)]
#[test]
fn a_manifest_follows_no_link_out_of_its_folder() {
    use std::os::unix::fs::symlink;
    let outside = photos(|_| ());
    let folder = photos(|_| ());
    let mut manifest = divided(&folder, TENTHS, 0).manifest;
    let before = manifest.train["cat"].len();
    symlink(outside.root().join("photos/cat"), folder.root().join("photos/out")).unwrap();
    symlink(outside.root().join("photos/cat/0.png"), folder.root().join("photos/cat/out.png")).unwrap();
    manifest.train.get_mut("cat").unwrap().extend(["out/1.png".to_owned(), "cat/out.png".to_owned()]);
    let dataset = open(&written(&folder, &manifest), &OPTIONS).unwrap();
    assert_eq!((dataset.links, dataset.train.iter().filter(|sample| sample.label == 0).count()), (2, before));
    symlink(outside.root().join("photos"), folder.root().join("linked")).unwrap();
    manifest.root = "linked".to_owned();
    let error = open(&written(&folder, &manifest), &OPTIONS).unwrap_err();
    assert!(matches!(error, DataError::LinkLeaves { .. }), "{error}");
}

fn program(arguments: &[&str], paths: &[&Path]) -> Output {
    let program = env!("CARGO_BIN_EXE_netadapt-data");
    Command::new(program).args(&arguments[..1]).args(paths).args(&arguments[1..]).output().expect("the program starts")
}

#[test]
fn the_program_writes_the_manifest_beside_the_folder() {
    let folder = photos(with_twins);
    let (root, file) = (folder.root().join("photos"), folder.root().join("photos.json"));
    let output = program(&["split", "--test", "20%"], &[&root]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("6 images look like others") && text.contains("photos.json: netadapt search"), "{text}");
    for command in ["check", "stats"] {
        let output = program(&[command], &[&file]);
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(0), "{command}: {text}");
        let row = text.lines().find(|line| line.starts_with("cat")).unwrap();
        assert_eq!(row.split_whitespace().skip(1).collect::<Vec<_>>(), ["24", "4", "7"], "{command}");
    }
    let again = program(&["split"], &[&root]);
    assert!(!again.status.success() && String::from_utf8_lossy(&again.stderr).contains("exists already"));
    let json = program(&["split", "--json", "-o", folder.root().join("other.json").to_str().unwrap()], &[&root]);
    let json: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!((&json["together"], &json["classes"]["dog"]["test"]), (&json!(6), &json!(2)));
    for wrong in [["split", "--val", "0.1"], ["split", "--val", "95%"]] {
        assert_eq!(program(&wrong, &[&root]).status.code(), Some(2), "{wrong:?}");
    }
    assert_eq!(program(&["split"], &[&folder.root().join("nowhere")]).status.code(), Some(5));
}
