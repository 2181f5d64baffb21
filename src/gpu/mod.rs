//! The GPU: the only place that names `wgpu`.
//!
//! Kernels append launches to a `Recording`, which is plain data; a `Program` is a recording made
//! ready for a device; `Gpu` runs programs and moves bytes.

mod buffer; // memory of the device
mod clock; // how long something took
mod context; // adapters, a device and its limits
mod error; // what can go wrong
mod execute; // recordings made ready and run
mod pipeline; // compiled kernels, cached
mod precision; // how the values of maps lie in memory
mod recording; // work as data
mod reflect; // what a shader says of itself
mod submission; // submits that the host waits for

pub use buffer::Buf;
pub use clock::{Elapsed, Stopwatch};
pub use context::{Adapter, Gpu, Limits, Options, adapters};
pub use error::GpuError;
pub use execute::Program;
pub use pipeline::Kernel;
pub use precision::{Precision, Words};
pub use recording::{Launch, Recording, Work};
pub use reflect::{Access, Reflection};
pub use submission::SENTINEL;
