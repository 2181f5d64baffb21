//! The sizes that an architecture gives to every layer: the bypass formula of NetAdaptV2, section 2.
//!
//! With `c` input channels, at most `m` filters and `t` of them kept: `b = min(c, m)` channels of the
//! input can stand in for dropped filters, and the output has `max(t, b)` channels; where the bypass
//! is forbidden `b = 0` and the output has `t`.

use super::supernet::{Activation, Arch, Axis, LayerKind, Supernet};
use serde::{Deserialize, Serialize};

/// How a layer's input reaches its output beside the convolutions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shortcut {
    /// Not at all: the layer changes the resolution, or the bypass is forbidden.
    None,
    /// Output channels `t <= j < b` are input channels.
    Bypass,
    /// Input channels are added to the filters, `j < b`; a channel that only one side has is that side's.
    Residual,
}

/// One layer of one architecture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerShape {
    /// Index of the layer in the super-network.
    pub layer: usize,
    /// Pixels a side of the input.
    pub input_size: u32,
    /// Pixels a side of the output.
    pub output_size: u32,
    /// `c`: channels of the input.
    pub input: u32,
    /// `t`: filters kept.
    pub kept: u32,
    /// `b`: input channels that the shortcut may use.
    pub bypass: u32,
    /// Channels of the output.
    pub output: u32,
    /// Channels of the expansion; 0 in a removed block and in a plain convolution.
    pub expansion: u32,
    /// Side of the spatial kernel.
    pub kernel: u32,
    /// Squeezed channels of squeeze-and-excite; 0 without one.
    pub squeezed: u32,
    /// Stride of the spatial kernel.
    pub stride: u32,
    /// How the input reaches the output.
    pub shortcut: Shortcut,
    /// Activation of the inner convolutions.
    pub activation: Activation,
}

/// The per-image numbers of a layer that kernels read: one row of the widths buffer each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Row {
    /// `LayerShape::input`.
    Input = 0,
    /// `LayerShape::kept`.
    Kept,
    /// `LayerShape::bypass`.
    Bypass,
    /// `LayerShape::output`.
    Output,
    /// `LayerShape::expansion`.
    Expansion,
    /// `LayerShape::kernel`.
    Kernel,
    /// `LayerShape::squeezed`.
    Squeezed,
}

impl Row {
    /// Rows of one layer.
    pub const COUNT: u32 = 7;
}

impl LayerShape {
    /// The layer's rows in the order of `Row`.
    pub fn rows(&self) -> [u32; Row::COUNT as usize] {
        [self.input, self.kept, self.bypass, self.output, self.expansion, self.kernel, self.squeezed]
    }

    /// Whether nothing of the layer is left but its input.
    pub fn is_removed(&self) -> bool {
        self.kept == 0
    }
}

/// The squeezed width of `width` channels: a quarter, on the grid, at least one quad.
pub fn squeezed(width: u32) -> u32 {
    super::round_up((width / 4).max(1))
}

/// Pixels a side after a convolution with "same" padding.
pub fn strided(size: u32, stride: u32) -> u32 {
    size.div_ceil(stride)
}

/// `b`: how many input channels may stand in for dropped filters.
pub fn bypass_width(allowed: bool, input: u32, filters: u32) -> u32 {
    if allowed { input.min(filters) } else { 0 }
}

/// Every layer's sizes under `arch`.
pub(super) fn walk(net: &Supernet, arch: &Arch) -> Vec<LayerShape> {
    let mut size = net.input().size;
    let mut width = net.input().channels;
    let mut full_width = width;
    let mut shapes = Vec::with_capacity(net.layers().len());
    for (index, layer) in net.layers().iter().enumerate() {
        let kept = net.value(arch, index, Axis::Filters);
        let bypass = bypass_width(layer.bypass, width, layer.filters);
        let squeeze = matches!(layer.kind, LayerKind::InvertedResidual { squeeze: true, .. });
        let block = matches!(layer.kind, LayerKind::InvertedResidual { .. });
        let expansion = if kept == 0 { 0 } else { net.value(arch, index, Axis::Expansion) };
        let shape = LayerShape {
            layer: index,
            input_size: size,
            output_size: strided(size, layer.stride),
            input: width,
            kept,
            bypass,
            output: kept.max(bypass),
            expansion,
            kernel: net.value(arch, index, Axis::Kernel),
            squeezed: if squeeze && expansion > 0 { squeezed(expansion) } else { 0 },
            stride: layer.stride,
            shortcut: match (layer.bypass, block && full_width == layer.filters) {
                (false, _) => Shortcut::None,
                (true, true) => Shortcut::Residual,
                (true, false) => Shortcut::Bypass,
            },
            activation: layer.activation,
        };
        size = shape.output_size;
        width = shape.output;
        full_width = layer.filters;
        shapes.push(shape);
    }
    shapes
}
