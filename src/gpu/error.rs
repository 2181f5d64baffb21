//! What can go wrong between the host and the device.

/// Why the device could not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GpuError {
    /// No adapter that can be used.
    #[error(
        "no usable GPU: {reason}; install a Vulkan, Metal or DX12 driver (on Debian, mesa-vulkan-drivers has a software one)"
    )]
    NoAdapter {
        /// What was found instead.
        reason: String,
    },
    /// The device index of the command line does not exist.
    #[error("there is no device {index}; `netadapt devices` lists {count}")]
    NoSuchDevice {
        /// What was asked for.
        index: usize,
        /// How many there are.
        count: usize,
    },
    /// The driver refused to make a device.
    #[error("{adapter} refused to open: {reason}; update its driver, or name another device (netadapt devices)")]
    Refused {
        /// The adapter's name.
        adapter: String,
        /// The driver's words.
        reason: String,
    },
    /// One buffer over the device's limit.
    #[error("buffer {name} needs {bytes} bytes, and this device binds at most {limit}")]
    TooLarge {
        /// What it would hold.
        name: String,
        /// Bytes asked for.
        bytes: u64,
        /// The device's limit.
        limit: u64,
    },
    /// No memory left.
    #[error(
        "the device has no room for {name} of {bytes} bytes beside the {held} that it holds for this program; close \
         what else uses it"
    )]
    OutOfMemory {
        /// What it would hold.
        name: String,
        /// Bytes asked for.
        bytes: u64,
        /// Bytes of this program's buffers so far.
        held: u64,
    },
    /// A launch with more workgroups than the device allows in one dimension.
    #[error(
        "{launch} needs {groups:?} workgroups, and this device runs at most {limit} in one dimension; use a smaller batch or image size"
    )]
    TooManyGroups {
        /// The launch's label.
        launch: String,
        /// Workgroups in x, y, z.
        groups: [u32; 3],
        /// The device's limit.
        limit: u32,
    },
    /// A launch whose bindings are not those of its shader: a fault of ours.
    #[error("{launch}: {problem}; this is a fault of netadapt: please report it")]
    Launch {
        /// The launch's label.
        launch: String,
        /// What does not agree.
        problem: String,
    },
    /// A shader that naga refuses: a fault of ours.
    #[error("shader {kernel} is invalid: {problem}; this is a fault of netadapt: please report it")]
    Shader {
        /// The kernel's name.
        kernel: String,
        /// naga's message with the source line.
        problem: String,
    },
    /// A kernel of 16-bit floats on a device without.
    #[error("{kernel} computes in f16, which {adapter} does not have")]
    NoF16 {
        /// The kernel's name.
        kernel: String,
        /// The adapter, with its driver.
        adapter: String,
    },
    /// The device reported an error.
    #[error("the device failed: {reason}")]
    Device {
        /// The driver's words.
        reason: String,
    },
    /// The device computes something else than it should.
    #[error("{adapter} computes wrong numbers: {problem}; update its driver, or name another device with --device")]
    Wrong {
        /// The adapter, with its driver.
        adapter: String,
        /// Which kernels, and how far they are off.
        problem: String,
    },
    /// The device is gone, or only pretends to work: another one may do.
    #[error("the device was lost: {reason}")]
    Lost {
        /// The driver's words.
        reason: String,
    },
}
