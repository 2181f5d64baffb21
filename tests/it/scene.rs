//! A folder of images and a search space whose networks train in a second.

use image::{GrayImage, Luma};
use netadapt::rng::{Purpose, stream};
use netadapt::run::{Config, FinalStart, StrategyKind};
use netadapt::search::Goal;
use rand::RngExt;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A space whose networks train in a second.
const SPACE: &str = include_str!("../../assets/golden/space.toml");

/// Two classes, bright in one half or the other, `count` images each.
pub(crate) fn dataset(root: &Path, count: u64) {
    for (label, class) in ["left", "right"].iter().enumerate() {
        for split in ["train", "test"] {
            let folder = root.join(split).join(class);
            std::fs::create_dir_all(&folder).expect("a folder can be made");
            for n in 0..count {
                let mut rng = stream(n, Purpose::Data, label as u64, u64::from(split == "test"));
                let image = GrayImage::from_fn(12, 12, |x, _| {
                    let bright = (x < 6) == (label == 0);
                    Luma([(if bright { 150 } else { 50 }) + rng.random_range(0..100u8)])
                });
                image.save(folder.join(format!("{n}.png"))).expect("an image can be written");
            }
        }
    }
}

/// A set and a space file in a folder of their own.
pub(crate) struct Scene {
    pub(crate) dir: TempDir,
    pub(crate) data: String,
    pub(crate) space: String,
}

impl Scene {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder can be made");
        dataset(&dir.path().join("data"), 60);
        let space = SPACE
            .replace("samples = 1", "samples = 4")
            .replace("holdout_images = 1", "holdout_images = 16")
            .replace("score_images = 1", "score_images = 16")
            .replace("recalibration_images = 1", "recalibration_images = 16")
            .replace("latency_seconds = 0.1", "latency_seconds = 0.1\nlatency_tolerance = 1.0\nconfirm_seconds = 0.0")
            .replace("full_images = 8", "full_images = 2")
            .replace("final_epochs = 1", "final_epochs = 3")
            .replace("\nepochs = 1", "\nepochs = 3");
        std::fs::write(dir.path().join("space.toml"), space).expect("a file can be written");
        let path = |name: &str| dir.path().join(name).display().to_string();
        let (data, space) = (path("data"), path("space.toml"));
        Self { dir, data, space }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A run in a folder of this name, as a user of the library configures it.
    pub(crate) fn config(&self, out: &str, budget: &str) -> Config {
        Config {
            data: self.data.clone().into(),
            budgets: Goal::parse_all(&[budget]).expect("a budget"),
            space: self.space.clone(),
            size: None,
            out: self.path(out),
            seed: 0,
            device: None,
            epochs: None,
            final_epochs: None,
            samples: None,
            strategy: StrategyKind::Mcd,
            final_start: FinalStart::Shared,
            teacher: None,
            sampling: None,
            precision: None,
            augment: None,
            compare: Vec::new(),
            from: None,
            replay: None,
            latency: None,
            target: None,
            init_from: None,
            max_bad: 0.01,
            threads: 2,
        }
    }
}
