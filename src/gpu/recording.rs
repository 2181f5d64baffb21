//! Work as data: launches in order, before any device sees them.

use super::buffer::Buf;
use super::pipeline::{Kernel, Overrides};
use super::precision::Precision;

/// What a launch costs at full width, for reports: never used to decide anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Floating-point operations, a multiply-add being two.
    pub flops: u64,
    /// Bytes read and written at least.
    pub bytes: u64,
}

/// One dispatch of one kernel.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The kernel.
    pub kernel: &'static Kernel,
    /// Values of the kernel's overrides; those not named keep their default.
    pub overrides: Vec<(&'static str, u32)>,
    /// The bytes of its `Params`.
    pub params: Vec<u8>,
    /// Memory by the name that the shader gives it.
    pub bindings: Vec<(&'static str, Buf)>,
    /// Workgroups in x, y, z.
    pub groups: [u32; 3],
    /// What it costs.
    pub work: Work,
}

/// Launches in the order in which they run; each sees what those before it wrote.
#[derive(Clone, Debug, Default)]
pub struct Recording {
    launches: Vec<Launch>,
    /// What each is for: its layer and its kernel.
    labels: Vec<String>,
    scope: String,
}

impl Recording {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Launches pushed from now on belong to this layer: it becomes the first part of their labels.
    pub fn scope(&mut self, name: &str) {
        self.scope = name.to_owned();
    }

    /// Appends a launch and returns its index.
    pub fn push(&mut self, mut launch: Launch) -> usize {
        self.labels.push(format!("{} {}", self.scope, launch.kernel.name).trim_start().to_owned());
        launch.overrides.sort_unstable();
        self.launches.push(launch);
        self.launches.len() - 1
    }

    /// The launches in order.
    pub fn launches(&self) -> &[Launch] {
        &self.launches
    }

    pub(super) fn into_launches(self) -> impl ExactSizeIterator<Item = (String, Launch)> {
        self.labels.into_iter().zip(self.launches)
    }
}

impl Launch {
    /// What a compiled kernel is cached under.
    pub(super) fn key(&self) -> (&'static Kernel, Precision, &Overrides) {
        let is_bf16 = self.bindings.iter().any(|(_, buf)| buf.precision() == Precision::Bf16);
        (self.kernel, if is_bf16 { Precision::Bf16 } else { Precision::F32 }, &self.overrides)
    }
}
