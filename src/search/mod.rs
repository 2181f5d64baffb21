//! How the network is shrunk to a budget: strategies over an architecture space, a score and a cost.
//!
//! Nothing here knows of a GPU, of images or of weights: a strategy is handed two functions over
//! architectures, and the adapters that train, score and measure live elsewhere.

pub mod budget; // what may be asked for: `8ms`, `90MMAC`, `50%`
pub mod goal; // what one network has to keep: `8ms + 2MB`
pub mod cap; // resources limited beside the measured one
pub mod strategy; // the problem as a strategy sees it
pub mod schedule; // how fast a descent cuts, and what it can reach
mod shrink; // networks made smaller until they meet a target
pub mod coordinate; // multi-layer coordinate descent (NetAdaptV2), and V1 as a case of it
pub mod random; // the comparison: random networks at the budget
pub mod scale; // the comparison: all widths times one factor
pub mod history; // what a search leaves behind: candidates and iterates
pub mod error; // why no network was found

pub use budget::{Budget, BudgetError, Resource};
pub use cap::{Cap, Ceiling};
pub use coordinate::{CoordinateDescent, Settings, Visit};
pub use error::{BoxError, Limit, SearchError};
pub use goal::Goal;
pub use history::{Candidate, Iterate};
pub use random::Random;
pub use scale::{Scaled, Uniform, uniform};
pub use schedule::{Extent, Schedule, check_reach};
pub use strategy::{Cost, Counted, Found, Observer, Outcome, Problem, Score, Scorer, Strategy};
