//! What may exist: search spaces, super-networks, architectures and their costs that need no device.
//!
//! Pure values: nothing here knows of a GPU, of images or of a search strategy.

pub mod settings; // the search and training settings that a space carries
pub mod spec; // the TOML file of a space and the presets shipped
pub mod supernet; // layers, coordinates, architectures
pub mod shape; // the sizes that an architecture gives to every layer
pub mod operation; // one deployed operation: the unit of MACs, parameters and the latency table
pub mod dropout; // widths drawn for ordered dropout

pub use dropout::WidthSampler;
pub use operation::{Operation, OperationKind};
pub use settings::{Auto, Optimizer, SearchSettings, TrainSettings, WidthDistribution, WidthStep};
pub use shape::{LayerShape, Row, Shortcut};
pub use spec::{Space, SpaceError};
pub use supernet::{Activation, Arch, Axis, Coordinate, Layer, LayerKind, Supernet};

/// Widths are drawn and stored on this grid, the number of channels that a kernel loads at once.
pub const GRID: u32 = 4;

/// `width` rounded up to whole quads of channels.
pub fn round_up(width: u32) -> u32 {
    width.div_ceil(GRID) * GRID
}
