//! Images decoded once, in one file: the same batches as from the folder, and a word where it is not.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use netadapt::data::pack::{Written, pack};
use netadapt::data::{
    Augment, Batch, DataError, Epoch, Format, Images, Loader, Normalisation, Options, Sampling, Shares,
    detect_channels, divide, open,
};

use super::{Folder, colour, encoded};

const OPTIONS: Options = Options { seed: 3, holdout: 6, max_bad: 0.2 };
const SIZE: u32 = 12;

/// Colour images smaller and larger than the input, one on its side, and files that are none: empty, cut short.
fn images() -> Folder {
    let folder = Folder::new();
    for (class, count) in [("left", 24), ("right", 19)] {
        for i in 0..count {
            let image = colour(5 + 3 * (i % 9), 30 - i, |x, y| [(x * 40 + i) as u8, (y * 9) as u8, (i * 10) as u8]);
            let format = if i % 3 == 0 { image::ImageFormat::Png } else { image::ImageFormat::Jpeg };
            folder.file(&format!("set/{class}/{i:02}.{}", format.extensions_str()[0]), &encoded(&image, format));
        }
    }
    let turned = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/data/formats/turned.png");
    folder.file("set/left/turned.png", &fs::read(turned).expect("one of the tests' files"));
    folder.file("set/left/empty.png", b"");
    let whole = fs::read(folder.root().join("set/right/01.jpg")).expect("it was written");
    folder.file("set/right/cut.jpg", &whole[..whole.len() - 9]);
    folder
}

fn packed(folder: &Folder, source: &str) -> PathBuf {
    let file = folder.root().join("set.pack");
    let written =
        pack(&folder.root().join(source), &file, SIZE, &OPTIONS, 3, &mut |_, _| ()).expect("the images are sound");
    let Written { images, format, bytes, bad } = written;
    assert_eq!((images, format), (44, Format { size: SIZE, channels: 3 }));
    assert_eq!((bytes, bad.len()), (fs::metadata(&file).expect("the images are sound").len(), 2));
    file
}

/// All that a training, a search and a test see of a set.
fn seen(root: &Path, options: &Options, threads: usize) -> (Normalisation, Vec<Batch>, Vec<String>, String) {
    let mut dataset = open(root, options).expect("the images are sound");
    let format = Format { size: SIZE, channels: detect_channels(&dataset) };
    let mut bad = Vec::new();
    let mut load = |samples: &[_]| -> Arc<Images> {
        let (images, spoilt) =
            dataset.images(samples, format, threads, 20 * format.bytes(), &|_, _| ()).expect("the images are sound");
        bad.extend(spoilt);
        Arc::new(images)
    };
    let (train, holdout, test) = (load(&dataset.train), load(&dataset.holdout), load(&dataset.test));
    dataset.leave_out(bad).expect("the images are sound");
    let normalisation = train.statistics();
    let mut batches = Vec::new();
    for augment in [
        Augment::default(),
        Augment { flip: true, crop: true, cutout: 0.3, jitter: 0.4, ..Augment::default() },
        Augment { flip: true, scale_min: 0.3, ..Augment::default() },
    ] {
        for epoch in 0..2 {
            let sampling = Sampling::Natural;
            let epoch = Epoch {
                normalisation,
                augment,
                sampling,
                batch_size: 5,
                seed: options.seed,
                epoch,
                threads,
                start_step: 0,
            };
            batches.extend(
                Loader::epoch(Arc::clone(&train), &epoch)
                    .expect("the images are sound")
                    .map(|batch| batch.expect("it can be made")),
            );
        }
    }
    for images in [holdout, test] {
        batches.extend(
            Loader::in_order(images, normalisation, 4, threads)
                .expect("the images are sound")
                .map(|batch| batch.expect("it can be made")),
        );
    }
    let bad = dataset.bad.iter().map(|bad| format!("{}: {}", bad.path.display(), bad.reason)).collect();
    (normalisation, batches, bad, dataset.fingerprint)
}

/// The promise of `netadapt::data::pack`.
#[test]
fn a_pack_gives_the_batches_of_its_folder_bit_for_bit() {
    let folder = images();
    let file = packed(&folder, "set");
    let root = folder.root().join("set");
    for seed in [3, 4] {
        let options = Options { seed, ..OPTIONS };
        let of_folder = seen(&root, &options, 2);
        assert_eq!(of_folder.2.len(), 2, "{:?}", of_folder.2);
        for threads in [1, 2, 4] {
            assert!(seen(&file, &options, threads) == of_folder, "seed {seed}, {threads} threads");
        }
    }
    // As of a folder, too many bad files are refused.
    let error = open(&file, &Options { max_bad: 0.0, ..OPTIONS }).unwrap_err();
    assert!(matches!(&error, DataError::BadFiles(bad) if bad.count == 1), "{error}");
}

#[test]
fn a_manifest_is_packed_as_a_folder_is() {
    let folder = images();
    fs::remove_file(folder.root().join("set/left/empty.png")).unwrap();
    fs::remove_file(folder.root().join("set/right/cut.jpg")).unwrap();
    let (root, manifest) = (folder.root().join("set"), folder.root().join("split.json"));
    let shares = Shares { val: 0.2, test: 0.2 };
    let division = divide(&root, &manifest, shares, 0, 2, &mut |_, _| ()).unwrap();
    fs::write(&manifest, serde_json::to_vec(&division.manifest).unwrap()).unwrap();
    let file = folder.root().join("set.pack");
    pack(&manifest, &file, SIZE, &OPTIONS, 2, &mut |_, _| ()).unwrap();
    assert!(seen(&file, &OPTIONS, 2) == seen(&manifest, &OPTIONS, 2));
}

fn refused(file: &Path) -> String {
    match open(file, &OPTIONS) {
        Err(error @ DataError::Pack { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn files_that_changed_since_are_named() {
    let folder = images();
    let file = packed(&folder, "set");
    let path = folder.root().join("set/left/03.png");
    let (bytes, time) = (fs::read(&path).unwrap(), fs::metadata(&path).unwrap().modified().unwrap());
    let touch = |time| fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
    // The same size at another time.
    touch(time + std::time::Duration::from_secs(1));
    assert!(refused(&file).contains("('left/03.png' was changed): write it again"), "{}", refused(&file));
    // Another size at the same time.
    fs::write(&path, [&bytes[..], b" "].concat()).unwrap();
    touch(time);
    assert!(refused(&file).contains("'left/03.png' was changed"));
    fs::write(&path, &bytes).unwrap();
    touch(time);
    open(&file, &OPTIONS).unwrap();
    let other = folder.file("set/right/new.png", &bytes);
    assert!(refused(&file).contains("('right/new.png' is new)"));
    fs::remove_file(&other).unwrap();
    fs::remove_file(&path).unwrap();
    assert!(refused(&file).contains("('left/03.png' is gone)"));
    (10..20).for_each(|i| {
        folder.file(&format!("set/right/{i}.bmp"), &bytes);
    });
    assert!(refused(&file).contains("and 6 more"), "{}", refused(&file));
    fs::remove_dir_all(folder.root().join("set")).unwrap();
    assert!(matches!(open(&file, &OPTIONS), Err(DataError::Missing { .. })));
}

#[test]
fn damaged_packs_are_named_by_the_block() {
    let folder = images();
    // More than one block, and more than one image in a block.
    let file = folder.root().join("set.pack");
    let size = 90;
    pack(&folder.root().join("set"), &file, size, &OPTIONS, 2, &mut |_, _| ()).unwrap();
    let whole = fs::read(&file).unwrap();
    let mut changed = whole.clone();
    let each = Format { size, channels: 3 }.bytes();
    changed[60 + 40 * each] ^= 1;
    fs::write(&file, &changed).unwrap();
    let dataset = open(&file, &OPTIONS).unwrap();
    let format = Format { size, channels: 3 };
    let (mut sound, mut errors) = (0, Vec::new());
    for samples in [&dataset.train, &dataset.holdout, &dataset.test] {
        let (images, _) = dataset.images(samples, format, 2, 0, &|_, _| ()).unwrap();
        for index in 0..images.len() as u32 {
            match images.batch(&[index], &super::PLAIN, None) {
                Ok(_) => sound += 1,
                Err(error) => errors.push(error.to_string()),
            }
        }
    }
    assert!(sound > 30 && (1..10).contains(&errors.len()), "{sound}: {errors:?}");
    assert!(errors.iter().all(|error| error == &errors[0] && error.contains("is damaged in block ")), "{errors:?}");
    // Anything else of it is noticed when it is opened.
    let index = u64::from_le_bytes(std::array::from_fn(|i| whole[12 + i])) as usize;
    for (at, words) in [(8, "is of version 0"), (12, "cut short"), (20, "cut short"), (30, "damaged index")] {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        fs::write(&file, &changed).unwrap();
        assert!(refused(&file).contains(words), "{at}: {}", refused(&file));
    }
    let mut changed = whole.clone();
    changed[index + 100] ^= 1;
    fs::write(&file, &changed).unwrap();
    assert!(refused(&file).contains("damaged index"));
    for length in [8, 59, 60, 500, index - 1, index, whole.len() - 1] {
        fs::write(&file, &whole[..length]).unwrap();
        assert!(refused(&file).contains("cut short"), "{length}: {}", refused(&file));
    }
    fs::write(&file, [&whole[..], b"x"].concat()).unwrap();
    assert!(refused(&file).contains("cut short or damaged"));
}

/// Replaces a text in the index, with everything about it made right again.
fn forged(whole: &[u8], from: &str, to: &str) -> Vec<u8> {
    let start = u64::from_le_bytes(std::array::from_fn(|i| whole[12 + i])) as usize;
    let text = std::str::from_utf8(&whole[start..]).expect("JSON");
    assert!(text.contains(from), "{from}");
    let text = text.replacen(from, to, 1);
    let mut bytes = whole[..start].to_vec();
    bytes[20..28].copy_from_slice(&(text.len() as u64).to_le_bytes());
    bytes[28..60].copy_from_slice(&<sha2::Sha256 as sha2::Digest>::digest(&text));
    bytes.extend(text.bytes());
    bytes
}

#[test]
fn packs_from_strangers_lead_nowhere() {
    let folder = images();
    let file = packed(&folder, "set");
    let whole = fs::read(&file).unwrap();
    for (from, to, words) in [
        ("\"root\":\"set\"", "\"root\":\"../set\"", "outside its own folder"),
        ("\"root\":\"set\"", "\"root\":\"/etc\"", "outside its own folder"),
        ("\"size\":12", "\"size\":13", "its length"),
        ("\"size\":12", "\"size\":4000000000", "its format"),
        ("\"channels\":3", "\"channels\":2", "its format"),
        ("\"padded\":", "\"padded\":0,\"no\":", "cannot be read"),
        ("\"count\":", "\"count\":9", "an image"),
        ("left/00.png", "left/01.jpg", "a name twice"),
        ("\"fault\":[\"empty\",", "\"fault\":[\"rude\",", "cannot be read"),
    ] {
        fs::write(&file, forged(&whole, from, to)).unwrap();
        assert!(refused(&file).contains(words), "{to}: {}", refused(&file));
    }
    // A link that leads out of the pack's folder.
    #[cfg(unix)]
    {
        let elsewhere = images();
        std::os::unix::fs::symlink(elsewhere.root().join("set"), folder.root().join("link")).unwrap();
        fs::write(&file, forged(&whole, "\"root\":\"set\"", "\"root\":\"link\"")).unwrap();
        assert!(matches!(open(&file, &OPTIONS), Err(DataError::LinkLeaves { .. })));
    }
}

#[test]
fn the_program_packs_and_reads_packs() {
    let folder = images();
    let (root, file) = (folder.root().join("set"), folder.root().join("set.pack"));
    let program = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_netadapt-data"));
        let output = command.args(args).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let (data, out) = (root.to_str().unwrap(), file.to_str().unwrap());
    let (code, text, errors) = program(&["pack", data, "-o", out, "--size", "12", "--max-bad", "10%"]);
    assert_eq!(code, Some(0), "{text}{errors}");
    assert!(text.contains("44 colour images for 12 px") && text.contains("cut.jpg"), "{text}");
    let stats = |data: &str, size: &str| program(&["stats", data, "--size", size, "--max-bad", "10%"]);
    let (of_pack, of_folder) = (stats(out, "12"), stats(data, "12"));
    assert_eq!((of_pack.0, of_folder.0), (Some(0), Some(0)), "{of_pack:?}");
    // What was cut short in the test images is known of the pack alone: of the folder only those to train on are decoded.
    let mean = |text: &str| text.lines().find(|line| line.starts_with("mean")).map(str::to_owned).unwrap();
    assert_eq!(mean(&of_pack.1), mean(&of_folder.1));
    let (code, _, errors) = stats(out, "16");
    assert_eq!(code, Some(5));
    assert!(errors.contains("is for 12 px and 3 channels, and 16 px"), "{errors}");
    let (code, _, errors) = program(&["pack", data, "-o", out, "--size", "12", "--max-bad", "10%"]);
    assert!(code == Some(5) && errors.contains("exists already"), "{errors}");
    let outside = tempfile::tempdir().unwrap();
    let elsewhere = outside.path().join("set.pack");
    let (code, _, errors) = program(&["pack", data, "-o", elsewhere.to_str().unwrap(), "--max-bad", "10%"]);
    assert!(code == Some(5) && errors.contains("its own folder only"), "{errors}");
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
}
