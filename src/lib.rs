//! Hardware-aware neural architecture search on any GPU: NetAdaptV2 (Yang, Liao, Sze, CVPR 2021).
//!
//! The way of the data: a folder of images becomes batches (`data`), which train a super-network
//! (`space`, `graph`, `kernels`, `gpu`, `train`); its layers are timed on the same GPU (`latency`);
//! `search` shrinks it to the budget; `train` trains what was found; `run` keeps it all in a folder, and
//! `export` takes a network out of it.

pub mod rng; // randomness keyed by a counter
pub mod digest; // checksums in words
pub mod disk; // files that are there whole or not at all
pub mod data; // a folder of images becomes batches
pub mod space; // what may exist: layers, coordinates, architectures
pub mod gpu; // the only place that names wgpu
pub mod kernels; // the host half of every shader
pub mod reference; // the meaning of each kernel in plain loops
pub mod check; // kernels on a device against their references
pub mod graph; // a network lowered to launches
pub mod task; // what is learned, and how well
pub mod train; // a graph and images become weights
pub mod latency; // measured on the device: operations into a table, whole networks
pub mod tune; // tile sizes found by measuring, kept for a device
pub mod search; // strategies over a space, a score and a cost
pub mod model; // a network that exists, as files
pub mod export; // a network leaves home
pub mod report; // a run as one page
pub mod run; // the three steps in order, kept in a folder
pub mod formats; // what the programs read, as functions of bytes
pub mod doctor; // what may go wrong on this machine
pub mod cli; // the command line, the only place that prints
