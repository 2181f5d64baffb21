//! The three steps in order, from a folder of images to networks within a budget, kept in a folder.
//!
//! This is what a user of the library calls and what the command line wraps.

mod compare; // what a search has to beat
mod config; // what a run was asked to do
mod cost; // measured and predicted resources, for the search
mod error; // why a run ended
mod events; // what a run tells while it goes on
mod folder; // the run's folder
mod page; // what the report shows of a run
mod prepare; // device, images, super-network
mod result; // result.json
mod scorer; // many networks scored in one pass
mod search; // the run itself

pub use config::Comparison;
pub use config::{Config, FinalStart, StrategyKind};
pub use error::RunError;
pub use events::{Event, Listener, Phase};
pub use folder::{Folder, FolderError};
pub use result::{
    Accuracy, ComparedNetwork, Difference, FoundNetwork, InitialNetwork, ResultBudget, RunResult, Seconds,
};
pub use search::search;
