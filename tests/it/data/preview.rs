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
    let strips = preview::strips(&sheet, 2);
    assert_eq!(strips.iter().map(|strip| strip.dimensions()).collect::<Vec<_>>(), [(42, 12); 2]);
    assert_eq!([strips[0][(7, 9)], strips[1][(4, 4)]], [sheet[(7, 9)], sheet[(4, 14)]]);
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

/// `stats` tells what suits the images; its page and that of `preview` hold both galleries and run nothing of a name.
#[test]
fn a_folder_is_told_of_in_numbers_and_on_a_page() {
    let folder = Folder::new();
    let evil = "<script>alert(1)<";
    for class in ["cat", evil] {
        for i in 0..10u32 {
            let side = if i < 2 { 40 } else { 100 };
            folder.image(&format!("{class}/{i}.png"), &colour(side, 120, |x, y| [x as u8, y as u8, i as u8]));
        }
    }
    let program = |command: &str, more: &[&str]| {
        let program = env!("CARGO_BIN_EXE_netadapt-data");
        Command::new(program).arg(command).arg(folder.root()).args(more).output().unwrap()
    };
    let output = program("stats", &["--json", "--size", "16"]);
    let stats: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let bin = |from: u32, below: u32, images: u32| serde_json::json!({"from": from, "below": below, "images": images});
    let bins = [bin(32, 48, 4), bin(48, 64, 0), bin(64, 96, 0), bin(96, 128, 16)];
    assert_eq!(stats["short_sides"], serde_json::json!(bins));
    assert_eq!(stats["suggested"], serde_json::json!({"size": 96, "preset": "mobile", "augment": "strong"}));
    assert_eq!(stats["all"], serde_json::json!({"train": 16, "holdout": 0, "test": 4}));
    assert_eq!((&stats["median_short_side"], &stats["channels"]), (&100.into(), &3.into()));
    let blue = stats["mean"][2].as_f64().unwrap() * 255.0;
    assert!((0.0..9.0).contains(&blue), "{stats}");
    let text = String::from_utf8(program("stats", &[]).stdout).unwrap();
    assert!(
        text.contains("--preset mobile --size 96") && text.contains("--augment strong") && text.contains("32 to 47 px"),
        "{text}"
    );

    for (command, more) in [("stats", &["--size", "16"][..]), ("preview", &["--augment=strong", "--columns", "3"])] {
        let page = folder.root().join(format!("{command}.html"));
        let output = program(command, &[more, &["-o", page.to_str().unwrap()]].concat());
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        let html = std::fs::read_to_string(&page).unwrap();
        assert!(html.contains("&lt;script&gt;alert(1)&lt;") && !html.contains("<script"), "{command}");
        assert_eq!(html.matches("data:image/png;base64,").count(), 4, "two classes, plain and augmented");
        assert_eq!(html.contains("the augmentation strong"), command == "preview");
        let again = program(command, &["-o", page.to_str().unwrap()]);
        assert!(!again.status.success() && String::from_utf8_lossy(&again.stderr).contains("exists already"));
    }
}
