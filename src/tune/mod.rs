//! Tile sizes found by measuring on a device, and kept for it.
//!
//! No value changes what a kernel computes, so any of them may be tried; each that is taken is first held against the
//! references. A search never measures them by itself: it takes what `netadapt-bench tune` kept, and says so.

mod knob; // what may be tried
mod pass; // which of it is faster
mod store; // what was found, in a file

pub use knob::Knob;
pub use pass::{Trial, measure};
pub use store::{Found, Tuned, cache_folder, chosen, find, keep};
