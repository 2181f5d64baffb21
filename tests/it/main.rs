//! All tests that need more than one module, in one binary: a device is opened once.

mod cli; // the programs as a user runs them
mod data; // folders made on the spot: layouts, splits, decoding, augmentation, batches
mod doctor; // what the doctor says of devices that work and that do not
mod export; // what leaves home is the same network, what is damaged is told
mod gradients; // the reference's backward passes against differences of its forward ones
mod harness; // one device, operands full of traps, comparison, and the tests of the comparison
mod golden; // ten training steps against PyTorch's
mod hostile; // files from strangers
mod import; // networks that come back, and weights that a run starts from
mod latency; // tables built, stopped, killed and refused
mod memory; // an allocator that counts, so that a test can say how much a call may take
mod kernels; // every kernel against its reference, with several tile sizes
mod report; // the page, on made-up numbers
mod resume; // runs stopped, killed and starved in every way, and gone on with
mod soak; // memory and open files over time
mod scene; // images and a space that train in a second
mod search; // strategies on fakes
mod shaders; // every WGSL file against its host and the back ends; needs no device
mod supernet; // masked equals extracted, forward and backward
mod tune; // tile sizes found, kept, taken by runs
mod tidy; // rules of the house that a machine can check
