//! Tile sizes for an adapter.

use crate::gpu::Adapter;

/// Strategy of every kernel, never its meaning: any value gives the same result up to rounding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Tuning {
    /// Invocations of a workgroup.
    pub lanes: u32,
    /// Pixels that an invocation of a dense convolution owns, at most 8.
    pub conv_pixels: u32,
    /// Quads of channels that it owns; times the pixels at most 32.
    pub conv_quads: u32,
    /// Lanes over rows of the weights in their gradient; the others take further parts.
    pub weight_rows: u32,
    /// Pixels that an invocation of an element-wise kernel owns; columns of a depthwise strip at most.
    pub pixels: u32,
    /// Invocations that a reduction is split into, about; it also sets the rows of a depthwise strip.
    pub reduction: u32,
    /// Workgroups that a gradient of weights is split into, about.
    pub weight_groups: u32,
}

impl Tuning {
    /// For software adapters, which run a workgroup on one thread, eight lanes at a time, and like big register tiles;
    /// measured on lavapipe.
    pub const SOFTWARE: Self =
        Self { lanes: 8, conv_pixels: 4, conv_quads: 4, weight_rows: 8, pixels: 8, reduction: 256, weight_groups: 24 };

    /// For GPUs, which want whole subgroups and many workgroups.
    pub const GPU: Self = Self {
        lanes: 64,
        conv_pixels: 4,
        conv_quads: 2,
        weight_rows: 8,
        pixels: 4,
        reduction: 16384,
        weight_groups: 2048,
    };

    /// Whether kernels can be run with these values: they may come from a file.
    pub fn is_usable(&self) -> bool {
        let most = 1 << 24;
        let positive = [self.weight_rows, self.pixels, self.reduction, self.weight_groups];
        (1..=256).contains(&self.lanes)
            && (1..=8).contains(&self.conv_pixels)
            && (1..=32 / self.conv_pixels).contains(&self.conv_quads)
            && positive.iter().all(|value| (1..=most).contains(value))
    }

    /// Good values for an adapter.
    pub fn for_adapter(adapter: &Adapter) -> Self {
        if adapter.is_software() { Self::SOFTWARE } else { Self::GPU }
    }
}
