//! Training: a graph, images and settings become weights.
//!
//! The same trainer trains a super-network (every image with widths of its own), a found network and
//! the networks that it is compared with.

mod evaluate; // accuracy and loss of a network on a split
mod schedule; // the learning rate of a step
mod trainer; // epochs of steps

pub use evaluate::{Evaluation, Recalibration, evaluate, recalibrated};
pub use schedule::Schedule;
pub use trainer::{EpochReport, State, TrainError, Trainer, TrainerOptions};
