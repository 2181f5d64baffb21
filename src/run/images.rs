//! The images of a run: what its configuration makes of a data set.

use super::config::threads;
use super::error::RunError;
use super::started::source;
use crate::data::{self, BadFile, DataError, Dataset, Format, Images, Sample};
use crate::model::Architecture;
use crate::space::Space;
use std::path::Path;

/// Decoded images kept in memory at most; what is over is decoded again each time.
pub(crate) const CACHE_BYTES: usize = 768 << 20;

/// Where images come from, and what a run may do with them.
pub(super) struct ImageSource<'a> {
    /// The folder or the manifest.
    pub(super) data: &'a Path,
    /// What splits are drawn with.
    pub(super) seed: u64,
    /// The share of files that may be bad.
    pub(super) max_bad: f64,
}

impl ImageSource<'_> {
    /// The data set, its sides drawn as `space` has them; `progress` as by [`data::open_telling`].
    pub(super) fn open(&self, space: &Space, progress: &dyn Fn(usize, usize)) -> Result<Dataset, DataError> {
        let holdout = space.search.holdout_images as usize;
        let options = data::Options { seed: self.seed, holdout, max_bad: self.max_bad };
        data::open_telling(self.data, &options, progress)
    }
}

/// Decodes what is usable of a side of `dataset`, or takes it from its pack, and says what is not usable.
pub(super) fn load(
    dataset: &Dataset,
    samples: &[Sample],
    format: Format,
    threads: usize,
    progress: &dyn Fn(usize, usize),
) -> Result<(Images, Vec<BadFile>), DataError> {
    dataset.images(samples, format, threads, CACHE_BYTES, progress)
}

/// Test images for a network found by the run in `run`, as that run has them; those of another data set of the same
/// classes where `data` names one.
///
/// # Errors
/// `RunError` where there is neither a run nor `data`, the classes are others, or images are missing or invalid.
pub fn test_images(run: &Path, data: Option<&Path>, architecture: &Architecture) -> Result<Images, RunError> {
    let config = source(run).ok().map(|source| source.config);
    let Some(root) = data.or(config.as_ref().map(|config| config.data.as_path())) else {
        let text = "the network is no run's, so there are no test images to measure it on; name them with --data";
        return Err(RunError::Other(text.into()));
    };
    let (seed, max_bad) = config.as_ref().map_or((0, 0.0), |config| (config.seed, config.max_bad));
    let mut dataset = ImageSource { data: root, seed, max_bad }.open(&architecture.space, &|_, _| ())?;
    if dataset.classes != architecture.classes {
        return Err(RunError::Other(format!("{} has other classes than the network", root.display()).into()));
    }
    let format = Format { size: architecture.size, channels: architecture.channels };
    let (images, bad) = load(&dataset, &dataset.test, format, threads(), &|_, _| ())?;
    dataset.leave_out(bad)?;
    Ok(images)
}
