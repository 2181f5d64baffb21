//! Latency measured on the device: of operations, into a table, and of whole networks.
//!
//! A table predicts; only a network that ran whole is measured. The two are never mixed up: what a
//! table says is called predicted everywhere.

mod agreement; // predictions beside measurements
mod awake; // processors that do not sleep meanwhile
mod device; // what a device can do at most
mod kernel; // kernels one by one, beside their bounds
mod layer; // every kernel over shapes of real networks
mod least_squares; // small systems of equations
mod measure; // repeats, medians, drift divided out
mod native; // what a processor can do at most
mod origin; // what a table was measured on and with
mod operation; // one operation alone, ready to run
mod stream; // one query after the other
mod series; // when timings say enough
mod staircase; // the step of widths that a device likes
mod error; // why there is no measurement
mod stats; // medians and spreads
mod transfer; // the table of one device mapped to another
mod table; // operations on a grid of widths, interpolated between
mod questions; // what a table asks, depending on the answers
mod builder; // its questions, put to a device

pub use agreement::{Agreement, Correction, kendall_tau};
pub use builder::TableBuilder;
pub use device::{Device, Rates, device};
pub use error::LatencyError;
pub use kernel::{Bound, DropoutTime, KernelOptions, KernelTime, layer_kernels};
pub use layer::{Kept, LAYERS, Layer, Recorded};
pub use measure::{LaunchTime, Measurement, Meter, ROUND_SECONDS, alternate, launch_times};
pub(crate) use measure::{empty_elapsed, filling};
pub use operation::operation_program;
pub use origin::Origin;
pub(crate) use origin::shaders;
pub use questions::REFERENCE;
pub use series::{Effort, LEAST_ROUNDS};
pub use staircase::{Curve, Staircase, Sweep, width_step};
pub use stats::Spread;
pub use stream::{MLPERF, Stream, StreamRule, single_stream};
pub use table::{Entry, Family, Table, WholeNetwork};
pub use transfer::{Fitted, LEAST_NETWORKS, MOST_NETWORKS, Transfer};
