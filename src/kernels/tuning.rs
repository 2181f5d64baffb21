//! Tile sizes for an adapter.

use crate::gpu::Adapter;

/// Quads that an invocation owns at most: as many as `lib/tile.wgsl` names and `lib/columns.wgsl` holds.
const MOST_QUADS: u32 = 4;

/// Pixels that an invocation of a dense convolution owns at most, as many as `lib/tile.wgsl` has accumulators for.
pub(super) const MOST_PIXELS: u32 = 8;

/// Release of Mesa whose lavapipe makes one load of an address that lanes share; Debian 12's, 22.3, makes one a lane.
/// Those between were not measured.
const LOADS_SHARED_ADDRESSES_ONCE: u32 = 26;

/// Strategy of every kernel, never its meaning: any value gives the same result up to rounding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Tuning {
    /// Invocations of a workgroup.
    pub lanes: u32,
    /// Pixels that an invocation of a dense convolution owns, at most 8.
    pub conv_pixels: u32,
    /// Quads of channels that it owns, at most 4.
    pub conv_quads: u32,
    /// Workgroups of a dense convolution below which its invocations own fewer pixels.
    pub conv_groups: u32,
    /// Lanes of a dense convolution that share their pixels and take further quads: a power of two.
    pub quad_lanes: u32,
    /// Lanes over rows of the weights in their gradient, at most; the others take further slices.
    pub weight_rows: u32,
    /// Pixels that an invocation of an element-wise kernel owns; columns of a depthwise strip at most.
    pub pixels: u32,
    /// Quads of a pixel that an invocation of an element-wise kernel or of a reduction owns at most, up to 4.
    pub quads: u32,
    /// Largest kernel of a depthwise convolution whose weights an invocation holds; of larger ones it reads them again.
    pub held_kernel: u32,
    /// Invocations that a reduction is split into, about; it also sets the rows of a depthwise strip.
    pub reduction: u32,
    /// Workgroups that a gradient of weights is split into, about.
    pub weight_groups: u32,
    /// Lanes of a workgroup that share a sum, at most: a power of two. With one there are no barriers.
    pub slices: u32,
    /// Whether workgroups load lines of maps one by one before their lanes use them (`shaders/lib/ahead.wgsl`).
    #[serde(default)]
    pub ahead: bool,
}

impl Tuning {
    /// For software adapters, which run a workgroup on one thread, eight lanes at a time, and like big register tiles;
    /// measured on lavapipe.
    pub const SOFTWARE: Self = Self {
        lanes: 8,
        conv_pixels: 4,
        conv_quads: 4,
        conv_groups: 1,
        quad_lanes: 1,
        weight_rows: 8,
        pixels: 16,
        quads: 4,
        held_kernel: 7,
        reduction: 256,
        weight_groups: 24,
        slices: 1,
        ahead: false,
    };

    /// For GPUs, which want many workgroups, neighbours that read neighbours and few registers; measured on an H200.
    pub const GPU: Self = Self {
        lanes: 64,
        conv_pixels: 8,
        conv_quads: 2,
        conv_groups: 1024,
        quad_lanes: 8,
        weight_rows: 8,
        pixels: 4,
        quads: 1,
        held_kernel: 3,
        reduction: 1 << 17,
        weight_groups: 2048,
        slices: 256,
        ahead: false,
    };

    /// Whether kernels can be run with these values: they may come from a file.
    pub fn is_usable(&self) -> bool {
        let most = 1 << 24;
        let positive = [self.conv_groups, self.pixels, self.held_kernel, self.reduction, self.weight_groups];
        let lanes = [self.lanes, self.quad_lanes, self.weight_rows, self.slices];
        lanes.iter().all(|lanes| lanes.is_power_of_two() && *lanes <= 256)
            && (1..=MOST_PIXELS).contains(&self.conv_pixels)
            && [self.conv_quads, self.quads].iter().all(|quads| (1..=MOST_QUADS).contains(quads))
            && positive.iter().all(|value| (1..=most).contains(value))
    }

    /// Most lanes of any workgroup.
    pub fn most_lanes(&self) -> u32 {
        self.lanes.max(self.slices)
    }

    /// Lanes of a workgroup that shares sums, and the lanes that share one of so many `terms`: as many as leave
    /// `items` sums at least to a workgroup.
    pub(super) fn sharing(&self, terms: u32, items: u32) -> (u32, u32) {
        let lanes = self.most_lanes();
        let most = terms.min(self.slices).min(lanes / items).max(1);
        (lanes, 1 << most.ilog2())
    }

    /// Quads of a pixel that an invocation owns: as many as leave the lanes of a workgroup one pixel.
    pub(super) fn held_quads(&self, quads: u32) -> u32 {
        quads.div_ceil(self.lanes).min(self.quads)
    }

    /// Good values for an adapter.
    pub fn for_adapter(adapter: &Adapter) -> Self {
        if !adapter.is_software() {
            return Self::GPU;
        }
        let ahead = adapter.mesa().is_some_and(|release| release >= LOADS_SHARED_ADDRESSES_ONCE);
        Self { ahead, ..Self::SOFTWARE }
    }

    /// The override of `shaders/lib/ahead.wgsl`.
    pub(super) fn ahead(&self) -> (&'static str, u32) {
        ("AHEAD", u32::from(self.ahead))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_fetched_on_drivers_that_load_shared_addresses_once() {
        let fetches = |kind: &str, driver: &str| {
            let [name, backend] = ["a device", "vulkan"].map(String::from);
            let adapter = Adapter { name, driver: driver.into(), backend, kind: kind.into(), pci: (0, 0) };
            Tuning::for_adapter(&adapter).ahead
        };
        assert!(fetches("software", "llvmpipe Mesa 26.1.6-1~bpo13+1 (LLVM 19.1.7)"));
        assert!(!fetches("software", "llvmpipe Mesa 22.3.6 (LLVM 15.0.6)"));
        assert!(!fetches("software", "SwiftShader driver"));
        assert!(!fetches("discrete", "radv Mesa 26.1.6"));
    }
}
