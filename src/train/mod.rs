//! Training: a graph, images and settings become weights.
//!
//! The same trainer trains a super-network (every image with widths of its own), a found network and
//! the networks that it is compared with.

mod evaluate; // accuracy and loss of a network on a split
mod schedule; // the learning rate of a step
mod trainer; // steps, one by one, and all the state between them

pub(crate) use evaluate::spread;
pub use evaluate::{Evaluation, Recalibration, evaluate, recalibrated};
pub use schedule::Schedule;
pub use trainer::{Advance, EpochReport, Position, Snapshot, State, TrainError, Trainer, TrainerOptions};
