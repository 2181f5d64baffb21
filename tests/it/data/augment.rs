//! What is drawn for an image stays in its range and reaches all of it.

use std::collections::HashSet;

use netadapt::data::{Augment, Format, Images, Preset};

use super::{Folder, PLAIN, colour, load};

/// One image whose stored pixels say where they are: red = column, green = row, in 0..40.
fn gradient(folder: &Folder) -> Images {
    let image = colour(40, 40, |x, y| [x as u8, y as u8, 100]);
    let images = load(&[folder.image("gradient.png", &image)], Format { size: 32, channels: 3 });
    assert_eq!(images.format().stored(), 40);
    images
}

/// The first image of a batch in steps of 8 bits, as (column, row, blue) of each pixel.
fn drawn(images: &Images, augment: &Augment, epoch: u64) -> Vec<[f32; 3]> {
    let batch = images.batch(&[0], &PLAIN, Some((augment, 1, epoch))).expect("an image in memory");
    let pixels = batch.images.chunks_exact(4);
    pixels.map(|pixel| std::array::from_fn(|c| pixel[c] * 255.0)).collect()
}

#[test]
fn crops_and_flips_stay_in_the_margin_and_reach_all_of_it() {
    let folder = Folder::new();
    let images = gradient(&folder);
    let augment = Augment { crop: true, flip: true, ..Augment::default() };
    let (mut starts, mut flips) = ([HashSet::new(), HashSet::new()], HashSet::new());
    for epoch in 0..200 {
        let pixels = drawn(&images, &augment, epoch);
        let flipped = pixels[0][0] > pixels[31][0];
        let (left, top) = (pixels[if flipped { 31 } else { 0 }][0].round(), pixels[0][1].round());
        for (i, pixel) in pixels.iter().enumerate() {
            let (x, y) = (i % 32, i / 32);
            let x = if flipped { 31 - x } else { x };
            let expected = [left + x as f32, top + y as f32, 100.0];
            assert!(pixel.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-3), "{pixel:?}");
        }
        starts[0].insert(left as i32);
        starts[1].insert(top as i32);
        flips.insert(flipped);
    }
    let margin: HashSet<i32> = (0..=8).collect();
    assert_eq!((starts, flips.len()), ([margin.clone(), margin], 2));
    // Evaluation, and training with everything off, see the middle.
    let middle = images.batch(&[0], &PLAIN, None).unwrap();
    assert!((middle.images[0] * 255.0 - 4.0).abs() < 1e-3, "{}", middle.images[0]);
    assert_eq!(middle, images.batch(&[0], &PLAIN, Some((&Augment::default(), 1, 1))).unwrap());
}

#[test]
fn resized_crops_have_the_areas_asked_for_and_stay_inside() {
    let folder = Folder::new();
    let images = gradient(&folder);
    let augment = Augment { scale_min: 0.25, flip: true, ..Augment::default() };
    let mut flips = HashSet::new();
    let shares: Vec<f32> = (0..300)
        .map(|epoch| {
            let pixels = drawn(&images, &augment, epoch);
            assert!(pixels.iter().all(|pixel| (pixel[2] - 100.0).abs() < 1e-2));
            let flipped = pixels[0][0] > pixels[31][0];
            flips.insert(flipped);
            let column = |x: usize| pixels[if flipped { 31 - x } else { x }][0];
            let row = |y: usize| pixels[y * 32][1];
            // Inner pixels, away from the repeated edge, are a step apart; pixel 10 has its
            // centre 10.5 steps from where the window starts, and values are centres too.
            let step = (column(20) - column(10)) / 10.0;
            for (at_10, at_20) in [(column(10), column(20)), (row(10), row(20))] {
                assert!((at_20 - at_10 - 10.0 * step).abs() < 1e-2, "not a square");
                let start = at_10 + 0.5 - 10.5 * step;
                assert!((-0.01..=40.01 - 32.0 * step).contains(&start), "{start} at step {step}");
            }
            (step * 32.0 / 40.0).powi(2)
        })
        .collect();
    let (least, most) = extremes(&shares);
    assert!((0.249..0.3).contains(&least) && (0.95..1.001).contains(&most), "{least} to {most}");
    assert_eq!(flips.len(), 2);
}

/// The least and the most of some values.
fn extremes(values: &[f32]) -> (f32, f32) {
    let start = (f32::INFINITY, f32::NEG_INFINITY);
    values.iter().fold(start, |(least, most), &v| (least.min(v), most.max(v)))
}

#[test]
fn cutout_is_a_square_of_the_mean() {
    let folder = Folder::new();
    let images = gradient(&folder);
    let cutout = Augment { cutout: 0.25, ..Augment::default() };
    let holes: Vec<usize> =
        (0..100).map(|epoch| drawn(&images, &cutout, epoch).iter().filter(|p| p[2] == 0.0).count()).collect();
    assert!(holes.iter().all(|&n| (16..=64).contains(&n)), "{holes:?}");
    assert!(holes.contains(&64) && holes.iter().any(|&n| n < 64), "{holes:?}");
}

#[test]
fn jitter_changes_brightness_contrast_and_saturation_within_their_range() {
    let folder = Folder::new();
    let jitter = Augment { jitter: 0.4, ..Augment::default() };
    let format = Format { size: 32, channels: 3 };
    let first = |images: &Images, epoch| drawn(images, &jitter, epoch)[0];

    // A constant grey image shows the factor of brightness alone.
    let grey = load(&[folder.image("grey.png", &colour(40, 40, |_, _| [100; 3]))], format);
    let levels: Vec<f32> = (0..200).map(|epoch| first(&grey, epoch)[0]).collect();
    let (least, most) = extremes(&levels);
    assert!((59.9..65.0).contains(&least) && (135.0..140.1).contains(&most), "{least} to {most}");

    // In a constant colour contrast and saturation both multiply the distance from its grey
    // level, which they keep: 0.36 to 1.96 in all, 0.6 to 1.4 if one of them did nothing.
    let paths = [folder.image("colour.png", &colour(40, 40, |_, _| [130, 100, 80]))];
    let images = load(&paths, format);
    let level = |p: [f32; 3]| 0.299 * p[0] + 0.587 * p[1] + 0.114 * p[2];
    let spread = |p: [f32; 3]| (p[0] - p[2]) / level(p);
    let factors: Vec<f32> =
        (0..400).map(|epoch| spread(first(&images, epoch)) / spread([130.0, 100.0, 80.0])).collect();
    let (least, most) = extremes(&factors);
    assert!((0.359..0.5).contains(&least) && (1.6..1.961).contains(&most), "{least} to {most}");

    // What would leave 0..1 is clamped.
    let bright = load(&[folder.image("b.png", &colour(40, 40, |x, _| [x as u8 * 6, 250, 3]))], format);
    for epoch in 0..50 {
        let pixels = drawn(&bright, &jitter, epoch);
        assert!(pixels.iter().flatten().all(|v| (-1e-3..=255.001).contains(v)));
    }
}

/// What one operation at full strength does to the gradient: where its middle pixel comes from, and how that changes to
/// the right and down.
#[test]
fn operations_turn_shear_and_shift_by_what_is_asked_for_or_change_colours() {
    let folder = Folder::new();
    let images = gradient(&folder);
    let augment = Augment { operations: 1, strength: 1.0, ..Augment::default() };
    let close = |a: f32, b: f32| (a - b).abs() < 1e-2;
    let mut seen = HashSet::new();
    for epoch in 0..400 {
        let pixels = drawn(&images, &augment, epoch);
        let at = |x: usize, y: usize| pixels[y * 32 + x];
        let [middle, right, below] = [at(15, 15), at(16, 15), at(15, 16)];
        if !close(middle[2], 100.0) {
            seen.insert("colour");
            continue;
        }
        let step = |to: [f32; 3]| [to[0] - middle[0], to[1] - middle[1]];
        let (across, down) = (step(right), step(below));
        let turn = |sin: f32| {
            close(across[0], 0.75f32.sqrt())
                && close(across[1], sin)
                && close(down[0], -sin)
                && close(down[1], across[0])
        };
        let straight = close(across[0], 1.0) && close(down[1], 1.0);
        let level = close(across[1], 0.0);
        let upright = close(down[0], 0.0);
        let shift = [middle[0] - 19.0, middle[1] - 19.0];
        seen.insert(match () {
            () if turn(0.5) || turn(-0.5) => "turned",
            () if straight && level && close(down[0].abs(), 0.3) => "sheared along x",
            () if straight && upright && close(across[1].abs(), 0.3) => "sheared along y",
            () if straight && level && upright && close(shift[0].abs(), 14.4) && close(shift[1], 0.0) => {
                "shifted along x"
            }
            () if straight && level && upright && close(shift[1].abs(), 14.4) && close(shift[0], 0.0) => {
                "shifted along y"
            }
            () if straight && level && upright && shift.iter().all(|s| close(*s, 0.0)) => "as it was",
            // A change of colour that leaves this blue.
            () => "colour",
        });
    }
    let all =
        ["turned", "sheared along x", "sheared along y", "shifted along x", "shifted along y", "as it was", "colour"];
    assert_eq!(seen, HashSet::from(all));
}

/// Black and white images: a value says how much of it is white, and so what its labels have to say.
#[test]
fn mixed_images_say_how_much_of_them_is_the_others() {
    let folder = Folder::new();
    let paths = [0, 255].map(|v| folder.image(&format!("{v}.png"), &colour(40, 40, |_, _| [v; 3])));
    let images = load(&paths, Format { size: 32, channels: 3 });
    let mixed = |augment: &Augment| {
        let (mut shares, mut other) = (Vec::new(), 0);
        for epoch in 0..300 {
            let batch = images.batch(&[0, 1], &PLAIN, Some((augment, 1, epoch))).unwrap();
            for (i, image) in batch.images.chunks_exact(32 * 32 * 4).enumerate() {
                let white = image.chunks_exact(4).map(|pixel| pixel[0]).sum::<f32>() / 1024.0;
                let (share, label) = (batch.shares[i], batch.others[i]);
                let want = (1.0 - share) * batch.labels[i] as f32 + share * label as f32;
                assert!((white - want).abs() < 1e-4, "{white} instead of {want}");
                other += u32::from(label != batch.labels[i]);
                shares.push(share);
            }
        }
        assert!(other > 100, "half of the partners are of the other class: {other}");
        extremes(&shares)
    };
    let (least, most) = mixed(&Augment { mixup: 1.0, ..Augment::default() });
    assert!(least < 0.02 && (0.48..0.5).contains(&most), "{least} to {most}");
    let (least, most) = mixed(&Augment { cutmix: 1.0, ..Augment::default() });
    assert!(least < 0.02 && (0.8..=1.0).contains(&most), "{least} to {most}");
    let batch = images.batch(&[0, 1], &PLAIN, Some((&Augment::default(), 1, 0))).unwrap();
    assert_eq!((batch.others, batch.shares), (batch.labels, vec![0.0; 2]));
}

#[test]
fn augmentation_settings_are_off_by_default_and_strict() {
    let read = |text: &str| toml::from_str::<Augment>(text);
    assert_eq!(read("").unwrap(), Augment::default());
    let off = Augment {
        flip: false,
        crop: false,
        cutout: 0.0,
        scale_min: 1.0,
        jitter: 0.0,
        operations: 0,
        strength: 0.3,
        mixup: 0.0,
        cutmix: 0.0,
    };
    assert_eq!(Augment::default(), off);
    assert_eq!(read("flip = true\ncutout = 0.5").unwrap(), Augment { flip: true, cutout: 0.5, ..off });
    #[derive(serde::Deserialize)]
    struct Space {
        #[serde(deserialize_with = "netadapt::data::preset::read")]
        augment: Augment,
    }
    let space = |text: &str| toml::from_str::<Space>(text).map(|space| space.augment);
    assert_eq!(space("augment = 'strong'").unwrap(), Preset::Strong.augment());
    assert_eq!(space("[augment]\nflip = true").unwrap(), Augment { flip: true, ..off });
    let error = space("augment = 'heavy'").unwrap_err().to_string();
    assert!(error.contains("heavy") && error.contains("none, light, strong"), "{error}");
    assert!(space("[augment]\nmirror = true").unwrap_err().to_string().contains("mirror"));
    for (name, preset) in Preset::ALL {
        preset.augment().check().unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    assert!(read("mirror = true").unwrap_err().to_string().contains("mirror"));
}
