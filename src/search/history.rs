//! What a search leaves behind: every candidate that was scored, and every network that it stood at.
//!
//! Plain values for files and reports. Writing them is the caller's.

use super::strategy::{Observer, Score};
use crate::space::{Arch, Supernet};
use serde::{Deserialize, Serialize};

/// A network that was sampled and scored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// Iteration, from 1 (random search: the budget's position, from 0).
    pub iteration: u32,
    /// Number of the sample within its iteration, from 0.
    pub sample: u32,
    /// Value of every coordinate, in the super-network's order.
    pub values: Vec<u32>,
    /// Predicted resource times the correction of the iterate before, in the resource's unit.
    pub predicted: f64,
    /// Measured resource, where it was measured: of what was accepted, or would have been.
    #[serde(default)]
    pub measured: Option<f64>,
    /// Cross-entropy on the held-out images, with the shared weights.
    pub loss: f64,
    /// Share of the same images that is classified correctly, 0 to 1.
    pub accuracy: f64,
    /// Whether it scored best and was taken.
    pub accepted: bool,
}

/// A network that the search stood at: the initial one, then the best sample of every iteration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Iterate {
    /// 0 for the initial network (random search: the budget's position).
    pub iteration: u32,
    /// Value of every coordinate, in the super-network's order.
    pub values: Vec<u32>,
    /// The resource that samples had to meet, in the resource's unit; the initial network's own.
    pub target: f64,
    /// Predicted resource times the correction of the iterate before.
    pub predicted: f64,
    /// Measured resource.
    pub measured: f64,
    /// Measured over uncorrected prediction: the factor of the next iteration's predictions.
    pub correction: f64,
    /// Cross-entropy. The best of many samples, so biased to the good: score again to report it.
    pub loss: f64,
    /// Accuracy, 0 to 1, with the same bias.
    pub accuracy: f64,
    /// How many candidates were scored in this iteration.
    pub samples: u32,
}

impl Candidate {
    /// The columns of `row`, with one named column for each coordinate.
    pub fn header(net: &Supernet) -> String {
        with_names("iteration,sample,predicted,measured,error,loss,accuracy,accepted", net)
    }

    /// One line of CSV, without a line break. What was not measured has neither a measured value nor an error.
    pub fn row(&self) -> String {
        let Self { iteration, sample, predicted, measured, loss, accuracy, accepted, .. } = self;
        let text = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
        let (measured, error) = (text(*measured), text(measured.map(|measured| error(*predicted, measured))));
        let start = format!("{iteration},{sample},{predicted},{measured},{error},{loss},{accuracy},{accepted}");
        with_values(start, &self.values)
    }
}

impl Iterate {
    /// How far the prediction was off, as a share of what was measured: above 0 where it was too much.
    pub fn error(&self) -> f64 {
        error(self.predicted, self.measured)
    }

    /// The columns of `row`, with one named column for each coordinate.
    pub fn header(net: &Supernet) -> String {
        with_names("iteration,target,predicted,measured,correction,loss,accuracy,samples", net)
    }

    /// One line of CSV, without a line break.
    pub fn row(&self) -> String {
        let Self { iteration, target, predicted, measured, correction, loss, accuracy, samples, .. } = self;
        let start = format!("{iteration},{target},{predicted},{measured},{correction},{loss},{accuracy},{samples}");
        with_values(start, &self.values)
    }
}

/// The networks of one iteration with their scores: what candidates and iterates are made from.
pub(super) struct Scored {
    pub(super) iteration: u32,
    /// What they had to meet.
    pub(super) target: f64,
    pub(super) archs: Vec<Arch>,
    /// Corrected predictions.
    pub(super) predicted: Vec<f64>,
    pub(super) scores: Vec<Score>,
}

impl Scored {
    /// Tells of all of them as candidates; some of them, by their index, were measured.
    pub(super) fn tell(&self, observer: &mut dyn Observer, accepted: Option<usize>, measured: &[(usize, f64)]) {
        for (index, arch) in self.archs.iter().enumerate() {
            observer.sample(&Candidate {
                iteration: self.iteration,
                sample: index as u32,
                values: arch.values().to_vec(),
                predicted: self.predicted[index],
                measured: measured.iter().find(|(of, _)| *of == index).map(|(_, measured)| *measured),
                loss: self.scores[index].loss,
                accuracy: self.scores[index].accuracy,
                accepted: accepted == Some(index),
            });
        }
    }

    /// One of them as an iterate, with its uncorrected prediction and its measured cost.
    pub(super) fn iterate(&self, index: usize, (uncorrected, measured): (f64, f64)) -> Iterate {
        Iterate {
            iteration: self.iteration,
            values: self.archs[index].values().to_vec(),
            target: self.target,
            predicted: self.predicted[index],
            measured,
            correction: measured / uncorrected,
            loss: self.scores[index].loss,
            accuracy: self.scores[index].accuracy,
            samples: self.archs.len() as u32,
        }
    }
}

fn error(predicted: f64, measured: f64) -> f64 {
    predicted / measured - 1.0
}

fn with_names(start: &str, net: &Supernet) -> String {
    (0..net.coordinates().len()).fold(start.to_owned(), |line, index| format!("{line},{}", net.coordinate_name(index)))
}

fn with_values(start: String, values: &[u32]) -> String {
    values.iter().fold(start, |line, value| format!("{line},{value}"))
}
