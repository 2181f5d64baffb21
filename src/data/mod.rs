//! Folders of images: scanned, split, decoded once, augmented and handed out as host batches.
//!
//! Nothing here meets a device: a [`Batch`] is plain memory, and uploading it is the caller's.
//! Every random choice is a function of (seed, purpose, epoch, image), so neither the number of
//! threads nor an interruption changes what a network sees.

// In reading order.
pub mod error; // everything that can be wrong with a folder or a file, with its remedy
pub mod folder; // a folder's classes, files and splits
mod scan; // the walk over class folders
mod split; // which file goes to test and to the hold-out
pub mod manifest; // a split written down, in the place of a folder
pub mod file; // one file's bytes and pixels, or what is wrong with it
mod whole; // whether a file is all that its header claims
mod each; // the same for many files, by threads
mod check; // the cheap look at every file's header
pub mod decode; // one file to a square of 8-bit pixels
mod colour; // changes of colours
mod operations; // those of RandAugment
pub mod augment; // what a training image goes through, and the arithmetic of it
pub mod preset; // augmentation by name
mod mix; // two images made one
pub mod batch; // the images of one split in memory, and batches of them
mod order; // which images a pass shows, and in which order
pub mod loader; // batches of one pass, made ahead by threads, in order
mod likeness; // which images look alike
mod seen; // every file decoded once, and what is kept of it
pub mod examine; // everything that may be wrong with a folder, found and named
pub mod divide; // a split of one's own: stratified, what looks alike on one side
mod survey; // a folder in numbers
pub mod preview; // a sheet of pictures to look at
pub mod pack; // images decoded once, in a file that is mapped
pub mod import; // sets in other programs' forms as folders

pub use augment::Augment;
pub use batch::{Batch, Images, Normalisation};
pub use decode::{Format, detect_channels};
pub use divide::{Division, Shares, divide};
pub use error::{BadFile, BadFiles, DataError, Fault};
pub use examine::{Report, examine};
pub use folder::{Dataset, HoldoutFrom, Options, Sample, TestFrom, open, open_telling};
pub use loader::{Epoch, Loader};
pub use manifest::Manifest;
pub use order::Sampling;
pub use preset::Preset;
pub use scan::image_files;
pub use survey::{Bin, Class, Suggested, Survey, survey};
