//! Hardware-aware neural architecture search on any GPU: NetAdaptV2 (Yang, Liao, Sze, CVPR 2021).
//!
//! The way of the data: a folder of images becomes batches (`data`), which train a super-network
//! (`space`, `graph`, `kernels`, `gpu`, `train`); its layers are timed on the same GPU (`latency`);
//! `search` shrinks it to the budget; `train` trains what was found; `run` keeps it all in a folder.

pub mod data; // a folder of images becomes batches
pub mod gpu; // the only place that names wgpu
pub mod graph; // a network lowered to launches
pub mod kernels; // the host half of every shader
pub mod reference; // the meaning of each kernel in plain loops
pub mod rng; // randomness keyed by a counter
pub mod search;
pub mod space; // what may exist: layers, coordinates, architectures
pub mod task; // what is learned, and how well
pub mod train; // a graph and images become weights // strategies over a space, a score and a cost
