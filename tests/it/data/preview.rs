//! Sheets of pictures: who is on them, where, and with what colours.

use std::process::Command;

use image::Rgb;
use netadapt::data::{Augment, DataError, Format, Images, open, preview};

use super::{Folder, OPTIONS, colour, load};

const SIZE: Format = Format { size: 8, channels: 3 };

#[test]
fn a_sheet_has_a_row_a_class_and_the_pixels_of_its_images() {
    let folder = Folder::new();
    for i in 0..12u32 {
        folder
            .image(&format!("train/cat/{i:02}.png"), &colour(8, 8, |x, y| [i as u8 * 20, x as u8 * 30, y as u8 * 30]));
    }
    folder.image("train/dog/0.png", &colour(8, 8, |_, _| [9, 99, 199]));
    folder.class("val/cat", 2);
    folder.class("test/cat", 2);
    let dataset = open(folder.root(), &OPTIONS).unwrap();
    let chosen = preview::choose(&dataset, 4);
    assert_eq!(
        folder.names(&chosen),
        ["00", "03", "06", "09"]
            .map(|n| format!("train/cat/{n}.png"))
            .into_iter()
            .chain(["train/dog/0.png".to_owned()])
            .collect::<Vec<_>>()
    );
    let images = Images::load(&chosen, SIZE, 2, usize::MAX, &|_, _| ()).unwrap();
    let sheet = preview::sheet(&images, 2, None).unwrap();
    assert_eq!(sheet.dimensions(), (4 * 10 + 2, 2 * 10 + 2));
    let white = Rgb([255; 3]);
    assert_eq!([sheet[(0, 0)], sheet[(11, 5)], sheet[(15, 15)]], [white; 3]);
    for (column, i) in [0u8, 3, 6, 9].into_iter().enumerate() {
        assert_eq!(sheet[(column as u32 * 10 + 2 + 5, 2 + 7)], Rgb([i * 20, 150, 210]), "column {column}");
    }
    assert_eq!(sheet[(4, 14)], Rgb([9, 99, 199]));
    // Augmented as in the first epoch: the same sheet for the same seed.
    let augment = Augment { flip: true, crop: true, cutout: 0.5, ..Augment::default() };
    let augmented = |seed| preview::sheet(&images, 2, Some((&augment, seed))).unwrap();
    assert!(augmented(1) == augmented(1) && augmented(1) != augmented(2) && augmented(1) != sheet);
    let wrong = Augment { cutout: 2.0, ..augment };
    assert!(matches!(preview::sheet(&images, 2, Some((&wrong, 0))), Err(DataError::Augment { .. })));
    assert!(matches!(preview::sheet(&images, 2000, None), Err(DataError::Sheet { .. })));
    let grey = load(&[folder.image("g.png", &colour(8, 8, |_, _| [70; 3]))], Format { size: 8, channels: 1 });
    assert_eq!(preview::sheet(&grey, 1, None).unwrap()[(5, 5)], Rgb([70; 3]));
}

#[test]
fn the_program_writes_a_sheet() {
    let folder = Folder::new();
    folder.class("cat", 12);
    folder.class("dog", 12);
    let out = folder.root().join("sheet.png");
    let preview = |more: &[&str]| {
        let program = env!("CARGO_BIN_EXE_netadapt-data");
        Command::new(program).arg("preview").arg(folder.root()).arg("-o").arg(&out).args(more).output().unwrap()
    };
    let output = preview(&["--augment", "--columns", "5", "--size", "16"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("row 2    dog") && text.contains("92 x 38 pixels"), "{text}");
    assert_eq!(image::open(&out).unwrap().into_rgb8().dimensions(), (5 * 18 + 2, 2 * 18 + 2));
    assert!(!preview(&[]).status.success(), "nothing is written over");
    let sheet = |flag: &str| {
        std::fs::remove_file(&out).unwrap();
        assert_eq!(preview(&[flag]).status.code(), Some(0), "{flag}");
        image::open(&out).unwrap().into_rgb8()
    };
    let [none, light, strong] = ["none", "light", "strong"].map(|name| sheet(&format!("--augment={name}")));
    assert!(none != light && light != strong, "each preset shows");
}
