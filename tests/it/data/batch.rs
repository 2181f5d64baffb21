//! Loading, statistics, and batches: order, resuming, threads, failures.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use netadapt::data::{Augment, Batch, DataError, Epoch, Format, Images, Loader, Normalisation, Sample, Sampling};

use super::{Folder, PLAIN, SMALL, colour, grey, load, load_with, several};

#[test]
fn statistics_and_batches_are_normalised_with_empty_channels_zero() {
    let folder = Folder::new();
    let paths = [0, 255].map(|v| folder.image(&format!("{v}.png"), &grey(8, 8, |_, _| v)));
    let images = load(&paths, Format { size: 8, channels: 1 });
    let statistics = images.statistics();
    assert_eq!(statistics, Normalisation { mean: [0.5, 0.0, 0.0], std: [0.5, 1.0, 1.0] });
    let batch = images.batch(&[1, 0, 1], &statistics, None).unwrap();
    assert_eq!((batch.labels, batch.indices), (vec![1, 0, 1], vec![1, 0, 1]));
    assert_eq!(batch.images.len(), 3 * 8 * 8 * 4);
    for (i, image) in batch.images.chunks_exact(8 * 8 * 4).enumerate() {
        let value = if i == 1 { -1.0 } else { 1.0 };
        assert!(image.chunks_exact(4).all(|pixel| pixel == [value, 0.0, 0.0, 0.0]), "image {i}");
    }

    let constant = load(&[folder.image("c.png", &colour(9, 9, |_, _| [51, 102, 0]))], SMALL);
    let Normalisation { mean, std } = constant.statistics();
    assert!(mean.iter().zip([0.2, 0.4, 0.0]).all(|(a, b)| (a - b).abs() < 1e-6), "{mean:?}");
    assert_eq!(std, [1.0 / 255.0; 3]);
    let batch = constant.batch(&[0], &PLAIN, None).unwrap();
    assert!(batch.images.chunks_exact(4).all(|pixel| pixel[3] == 0.0));
}

#[test]
fn neither_the_cap_nor_the_threads_change_what_is_loaded() {
    let folder = Folder::new();
    let paths = several(&folder, 23);
    let everything: Vec<u32> = (0..23).collect();
    let all = load_with(&paths, SMALL, 1, usize::MAX).unwrap();
    let expected = all.batch(&everything, &all.statistics(), None).unwrap();
    for (threads, kept) in [(1, 0), (3, 23), (4, 5), (64, 22)] {
        let images = load_with(&paths, SMALL, threads, kept * SMALL.bytes() + 1).unwrap();
        assert_eq!((images.len(), images.kept()), (23, kept));
        assert_eq!(images.statistics(), all.statistics());
        assert_eq!(images.batch(&everything, &images.statistics(), None).unwrap(), expected);
    }
    let (calls, last) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let samples: Vec<Sample> = paths.iter().map(|path| Sample { path: path.clone(), label: 0 }).collect();
    let progress = |done, all| {
        calls.fetch_add(1, Ordering::Relaxed);
        last.store(done * 1000 + all, Ordering::Relaxed);
    };
    Images::load(&samples, SMALL, 3, 0, &progress).unwrap();
    assert_eq!((calls.into_inner(), last.into_inner()), (23, 23_023));
}

/// What is left is as if the bad files had never been there, wherever they lay and whatever is kept in memory.
#[test]
fn bad_files_leave_no_trace_in_what_is_loaded() {
    let folder = Folder::new();
    let sound = several(&folder, 9);
    let mut mixed = sound.clone();
    for (at, name) in [(0, "first.png"), (4, "middle.png"), (5, "next.png"), (12, "last.png")] {
        mixed.insert(at, folder.file(name, b"no image"));
    }
    let labelled = |paths: &[PathBuf]| -> Vec<Sample> {
        let label = |path: &PathBuf| sound.iter().position(|other| other == path).unwrap_or(99) as u32;
        paths.iter().map(|path| Sample { path: path.clone(), label: label(path) }).collect()
    };
    let everything: Vec<u32> = (0..9).collect();
    for kept in [0, 3, 5, 6, 13] {
        let load = |paths: &[PathBuf]| {
            Images::load_usable(&labelled(paths), SMALL, 3, kept * SMALL.bytes(), &|_, _| ()).unwrap()
        };
        let ((expected, none), (images, bad)) = (load(&sound), load(&mixed));
        let names: Vec<_> = bad.iter().map(|bad| bad.path.file_name().unwrap()).collect();
        assert_eq!(
            (none.len(), names),
            (0, ["first.png", "middle.png", "next.png", "last.png"].map(OsStr::new).to_vec())
        );
        assert_eq!((images.labels(), images.statistics()), (expected.labels(), expected.statistics()));
        let batch = |images: &Images| images.batch(&everything, &PLAIN, None).unwrap();
        assert_eq!(batch(&images), batch(&expected), "{kept} of them kept");
    }
}

#[test]
fn what_cannot_be_loaded_or_batched_is_refused() {
    let folder = Folder::new();
    let paths = several(&folder, 4);
    assert!(matches!(load_with(&[], SMALL, 1, 0), Err(DataError::NoImages)));
    for format in [Format { size: 0, channels: 3 }, Format { size: 8, channels: 2 }] {
        assert!(matches!(load_with(&paths, format, 1, 0), Err(DataError::Format { .. })));
    }
    let images = Arc::new(load(&paths, SMALL));
    for batch_size in [0, 5] {
        let refused = Loader::epoch(Arc::clone(&images), &Epoch { batch_size, ..epoch() });
        assert!(matches!(refused, Err(DataError::Batch { images: 4, .. })), "{batch_size}");
    }
    assert!(matches!(Loader::in_order(Arc::clone(&images), PLAIN, 0, 1), Err(DataError::Batch { .. })));
    for (name, augment) in [
        ("cutout", Augment { cutout: 1.1, ..Augment::default() }),
        ("operations", Augment { operations: 5, ..Augment::default() }),
        ("strength", Augment { strength: 1.5, ..Augment::default() }),
        ("mixup", Augment { mixup: -0.5, ..Augment::default() }),
        ("cutmix", Augment { cutmix: f32::NAN, ..Augment::default() }),
        ("mixup + cutmix", Augment { mixup: 0.6, cutmix: 0.6, ..Augment::default() }),
        ("jitter", Augment { jitter: -0.1, ..Augment::default() }),
        ("scale_min", Augment { scale_min: 0.0, ..Augment::default() }),
        ("scale_min", Augment { scale_min: f32::NAN, ..Augment::default() }),
    ] {
        let refused = Loader::epoch(Arc::clone(&images), &Epoch { augment, batch_size: 2, ..epoch() });
        assert!(matches!(refused, Err(DataError::Augment { name: n, .. }) if n == name), "{augment:?}");
    }
}

fn epoch() -> Epoch {
    let augment = Augment { flip: true, crop: true, cutout: 0.3, scale_min: 1.0, jitter: 0.2, ..Augment::default() };
    let sampling = Sampling::Natural;
    Epoch { normalisation: PLAIN, augment, sampling, batch_size: 5, seed: 7, epoch: 3, threads: 2, start_step: 0 }
}

#[test]
fn a_pass_is_the_same_whatever_the_threads_and_wherever_it_starts() {
    let folder = Folder::new();
    let images = Arc::new(load_with(&several(&folder, 33), SMALL, 2, 9 * SMALL.bytes()).unwrap());
    let pass = |epoch: &Epoch| -> Vec<_> {
        let loader = Loader::epoch(Arc::clone(&images), epoch).unwrap();
        assert_eq!(loader.len(), 6_usize.saturating_sub(epoch.start_step));
        loader.map(|batch| batch.unwrap()).collect()
    };
    let expected = pass(&Epoch { threads: 1, ..epoch() });
    let seen: HashSet<u32> = expected.iter().flat_map(|batch| batch.indices.clone()).collect();
    assert_eq!((expected.len(), seen.len()), (6, 30));
    assert!(expected.iter().flat_map(|b| b.indices.iter().zip(&b.labels)).all(|(i, l)| i % 7 == *l));
    for threads in [0, 2, 3, 5, 40] {
        for start_step in [0, 1, 4, 6, 9] {
            let passed = pass(&Epoch { threads, start_step, ..epoch() });
            let rest = &expected[start_step.min(6)..];
            assert!(passed == rest, "{threads} threads from step {start_step}");
        }
    }
    let mixed = Augment { operations: 2, strength: 0.5, mixup: 0.4, cutmix: 0.4, ..epoch().augment };
    let balanced = Epoch { sampling: Sampling::Balanced, augment: mixed, ..epoch() };
    let expected = pass(&Epoch { threads: 1, ..balanced });
    for threads in [2, 4] {
        for start_step in [0, 1, 4] {
            assert!(pass(&Epoch { threads, start_step, ..balanced }) == expected[start_step..], "{threads} threads");
        }
    }
    let expected = pass(&Epoch { threads: 1, ..epoch() });
    for other in [Epoch { seed: 8, ..epoch() }, Epoch { epoch: 4, ..epoch() }] {
        assert!(pass(&other)[0].indices != expected[0].indices, "{other:?} has the same order");
    }
}

#[test]
fn evaluation_sees_every_image_once_in_order() {
    let folder = Folder::new();
    let images = Arc::new(load(&several(&folder, 13), SMALL));
    for threads in [1, 4] {
        let loader = Loader::in_order(Arc::clone(&images), PLAIN, 5, threads).unwrap();
        let batches: Vec<_> = loader.map(|batch| batch.unwrap()).collect();
        let indices: Vec<u32> = batches.iter().flat_map(|batch| batch.indices.clone()).collect();
        assert_eq!((indices, batches.len()), ((0..13).collect(), 3));
        assert_eq!(batches[2], images.batch(&[10, 11, 12], &PLAIN, None).unwrap());
    }
    assert_eq!(Loader::in_order(images, PLAIN, 100, 2).unwrap().count(), 1);
}

/// 2 images of one class, 10 of another, 30 of a third, none of a fourth.
#[test]
fn balanced_classes_are_shown_alike_small_ones_several_times_and_augmented_anew() {
    let folder = Folder::new();
    let label =
        |i: usize| [(0, 2), (1, 12), (3, 42)].iter().find(|(_, end)| i < *end).map(|(label, _)| *label).unwrap();
    let samples = several(&folder, 42).into_iter().enumerate();
    let samples: Vec<Sample> = samples.map(|(i, path)| Sample { path, label: label(i) }).collect();
    let images = Arc::new(Images::load(&samples, SMALL, 2, usize::MAX, &|_, _| ()).unwrap());
    let pass = |epoch: u64| -> Vec<_> {
        let epoch = Epoch { sampling: Sampling::Balanced, batch_size: 1, epoch, ..self::epoch() };
        Loader::epoch(Arc::clone(&images), &epoch).unwrap().map(|batch| batch.unwrap()).collect()
    };
    let (first, second) = (pass(0), pass(1));
    let shown = |pass: &[Batch], label| -> Vec<u32> {
        let mut shown: Vec<u32> = pass.iter().filter(|b| b.labels[0] == label).map(|b| b.indices[0]).collect();
        shown.sort_unstable();
        shown
    };
    for pass in [&first, &second] {
        assert_eq!(pass.len(), 42);
        assert_eq!([0, 1, 3].map(|label| shown(pass, label).len()), [14; 3]);
        assert_eq!(shown(pass, 0), [[0; 7], [1; 7]].concat());
        let large: HashSet<u32> = shown(pass, 3).into_iter().collect();
        assert_eq!(large.len(), 14, "none of a large class twice");
    }
    assert_ne!(shown(&first, 3), shown(&second, 3), "another part of the large class in each pass");
    let same: Vec<&Batch> = first.iter().filter(|batch| batch.indices[0] == 0).collect();
    assert!(same.windows(2).any(|pair| pair[0].images != pair[1].images), "an image that is shown again is drawn anew");
    assert!(first.iter().all(|batch| batch.labels[0] == label(batch.indices[0] as usize)));
}

#[test]
fn a_loader_dropped_early_joins_its_threads_and_one_that_fails_names_the_file() {
    let folder = Folder::new();
    let paths = several(&folder, 30);
    let images = Arc::new(load_with(&paths, SMALL, 2, 0).unwrap());
    for taken in 0..3 {
        let mut loader = Loader::epoch(Arc::clone(&images), &Epoch { threads: 3, ..epoch() }).unwrap();
        assert_eq!(loader.by_ref().take(taken).count(), taken);
        drop(loader);
        assert_eq!(Arc::strong_count(&images), 1, "a thread still holds the images");
    }
    fs::remove_file(&paths[17]).unwrap();
    let loader = Loader::epoch(images, &epoch()).unwrap();
    let failed: Vec<DataError> = loader.filter_map(Result::err).collect();
    assert_eq!(failed.len(), 1);
    assert!(failed[0].to_string().contains("17.png"), "{}", failed[0]);
}
