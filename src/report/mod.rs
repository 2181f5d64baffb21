//! The HTML page of a run, or of several: one file that needs no server and no network, a pure function of `Input`.
//!
//! Charts are SVG written here, with positions across in percent, so that one chart fits every screen
//! and its text keeps its size. Every text from outside goes through `html::Text`; a content policy
//! in the page forbids any script but its own. Nothing here reads, writes, measures or prints.

mod input; // what a report is made of
mod page; // the frame: header, sections, guide
mod merged; // several runs on one page
mod comparison; // the found networks beside what they are compared with
mod descent; // accuracy against latency over the search
mod prediction; // predicted against measured
mod dataset; // the page of a folder of images
mod staircase; // the page of a latency table
mod layers; // widths, kernels and milliseconds of every layer
mod classes; // the confusion matrix, sample images, mistakes
mod curves; // loss and accuracy of every training, and the time of the run
mod chart; // a plot: dots, lines, marks, whiskers
mod scale; // round ticks
mod html; // escaping, base64, numbers as people read them

pub use dataset::{Gallery, dataset_page};
pub use input::{
    Compared, Curve, DatasetSummary, Device, Difference, InitialSummary, Input, LayerBar, LayerSize, NetworkSummary,
    Picture, PictureError, Seconds, TrainingPicture,
};
pub use merged::merged;
pub use page::page;
pub use staircase::table_page;
