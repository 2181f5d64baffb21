//! What a run works with that is not part of what it was asked to do.

use super::folder::Patience;
use super::stop::Stop;
use crate::disk::{Disk, SystemDisk};
use crate::gpu::{Gpu, GpuError, Options};
use std::path::PathBuf;
use std::sync::Arc;

/// Opens the device of this number in `netadapt devices`, or the best; is asked again when it was lost.
pub type OpenDevice = Arc<dyn Fn(Option<usize>) -> Result<Gpu, GpuError> + Send + Sync>;

/// The surroundings of a run: with the default one it opens a device and writes to the system's disk.
#[derive(Clone)]
pub struct Environment {
    /// Where its device comes from.
    pub open: OpenDevice,
    /// The folder that tile sizes of devices are kept below; where there is none, all devices get the usual ones.
    pub tunings: Option<PathBuf>,
    /// Asks the run to stop.
    pub stop: Stop,
    /// What its folder is written with.
    pub disk: Arc<dyn Disk>,
    /// What to do when the disk is full. The default gives up.
    pub patience: Patience,
}

impl Default for Environment {
    fn default() -> Self {
        Self {
            open: Arc::new(|device| Gpu::open(Options { device, portable: false })),
            tunings: None,
            stop: Stop::default(),
            disk: Arc::new(SystemDisk),
            patience: Arc::new(|_| false),
        }
    }
}

/// A run on a device that the caller has. When it is lost the run ends.
impl From<Gpu> for Environment {
    fn from(gpu: Gpu) -> Self {
        Self { open: Arc::new(move |_| gpu.check().map(|()| gpu.clone())), ..Self::default() }
    }
}
