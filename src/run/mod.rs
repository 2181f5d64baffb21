//! The three steps in order, from a folder of images to networks within a budget, kept in a folder.
//!
//! This is what a user of the library calls and what the command line wraps.

mod config; // what a run was asked to do
mod environment; // device, disk, a wish to stop
mod images; // images of its data set, bad files left out
mod prepare; // device, images, super-network
mod tile_sizes; // tile sizes of the kernels
pub(crate) mod started; // what it was started with, for one that goes on
mod search; // the run itself, and on from where it was stopped
mod pinned; // files from elsewhere, as they were when it was started
mod initial; // weights that it starts from
mod training; // trainings, with checkpoints
mod descent; // budgets, table, search
mod networks; // networks found and compared
mod limits; // what networks may have of everything that is limited
mod cost; // measured and predicted resources, for the search
mod scorer; // many networks scored in one pass
mod intervals; // how well accuracies are known
pub(crate) mod records; // what was measured and scored, read back
pub(crate) mod snapshot; // a training as sections of a checkpoint
mod checkpoint; // files of sections with checksums
mod folder; // the run's folder
mod ground; // a space on a device, without images
mod table; // a latency table built by itself
mod target; // a search for another device, by its table
mod transfer; // the table of another device fitted to this one
mod check; // its predictions against whole networks
mod stop; // a wish to stop
mod events; // what a run tells while it goes on
mod result; // result.json
mod page; // what the report shows of a run
mod error; // why a run ended

pub use check::{Check, check_table};
pub use config::{Comparison, Config, FinalStart, StrategyKind, TeacherKind, threads};
pub use environment::{Environment, OpenDevice};
pub use error::{RunError, StartedWith};
pub use events::{Event, Listener, Phase};
pub(crate) use folder::quoted;
pub use folder::{Folder, FolderError, Patience};
pub(crate) use images::CACHE_BYTES;
pub use images::test_images;
pub use initial::InitialWeights;
pub(crate) use page::date;
pub(crate) use prepare::STEPS_IN_FLIGHT;
pub use result::{
    Accuracy, ClassAccuracy, ComparedNetwork, Difference, FoundNetwork, InitialNetwork, ResultBudget, ResultLimit,
    RunResult, Seconds,
};
pub use search::{resume, search};
pub use started::{Source, source};
pub use stop::Stop;
pub use table::{BuiltTable, TableRequest, build_table, read_table};
pub use target::TargetTable;
pub use transfer::fit_table;
