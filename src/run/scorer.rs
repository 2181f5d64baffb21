//! Many networks scored in one pass with the shared weights, each with statistics of its own.

use super::error::RunError;
use super::networks::Known;
use super::prepare::Prepared;
use super::records::Thoroughness;
use super::stop::Stop;
use crate::graph::{Scoring, Weights};
use crate::search::{BoxError, Score, Scorer};
use crate::space::{Arch, LayerShape, Supernet};
use crate::task;
use crate::train::{Recalibration, spread};
use std::cell::{Cell, RefCell};

/// Images of a network in a pass at most.
const PASS_IMAGES: u32 = 256;
/// Networks of a pass at most.
const GROUPS: u32 = 8;

/// How many networks a run's passes hold. Each has its own statistics, so fewer at a time change no bit: where the
/// device has no room, half as many are tried.
pub(super) struct Passes {
    most: Cell<u32>,
    /// Remarks for the user, to be told where there is a listener.
    notes: RefCell<Vec<String>>,
}

impl Default for Passes {
    fn default() -> Self {
        Self { most: Cell::new(GROUPS), notes: RefCell::default() }
    }
}

impl Passes {
    /// Half of `groups` from now on; `false` where there is no half.
    fn halve(&self, groups: u32, error: &RunError) -> bool {
        let half = groups / 2;
        if half == 0 {
            return false;
        }
        self.most.set(half);
        self.notes.borrow_mut().push(format!("{error}; going on with {half} networks scored at a time, not {groups}"));
        true
    }

    /// What has not been told yet.
    pub(super) fn take_notes(&self) -> Vec<String> {
        self.notes.take()
    }
}

/// Scores networks on held-out images after recalibration on training images.
struct SharedScorer {
    scoring: Scoring,
    net: Supernet,
    filler: Arch,
    recalibration: Vec<Vec<f32>>,
    held_out: Vec<Vec<f32>>,
    labels: Vec<u32>,
    classes: usize,
}

impl SharedScorer {
    /// Networks of a pass if there is room for them, and the images of each: those of a pass of the recalibration.
    fn sizes(prepared: &Prepared, thoroughness: Thoroughness) -> [u32; 2] {
        let most = Scoring::most_images(&prepared.graph);
        let group_images = Self::recalibration(prepared, thoroughness)[0].len() as u32;
        [(most / group_images).clamp(1, GROUPS), group_images]
    }

    /// The images of each pass of the recalibration.
    fn recalibration(prepared: &Prepared, thoroughness: Thoroughness) -> Vec<Vec<u32>> {
        Recalibration { images: &prepared.train, count: thoroughness.recalibration }
            .passes(PASS_IMAGES.min(Scoring::most_images(&prepared.graph)))
    }

    /// Makes passes of `groups` networks ready; images are rendered once.
    fn new(
        prepared: &Prepared,
        weights: &Weights,
        thoroughness: Thoroughness,
        [groups, group_images]: [u32; 2],
    ) -> Result<Self, RunError> {
        let held_out = spread(thoroughness.held_out, prepared.holdout.len());
        let scoring = Scoring::new(&prepared.gpu, prepared.graph.clone(), &prepared.tuning, [groups, group_images])?;
        scoring.load(weights)?;

        let chunk = group_images as usize;
        let render = |images: &crate::data::Images, indices: &[u32]| -> Result<Vec<f32>, RunError> {
            // A last pass is filled up with its first image; its logits are cut off.
            let mut indices = indices.to_vec();
            indices.resize(chunk, indices[0]);
            Ok(images.batch(&indices, &prepared.normalisation, None)?.images)
        };
        let labels = held_out.iter().map(|index| prepared.holdout.labels()[*index as usize]).collect();
        let recalibration = Self::recalibration(prepared, thoroughness);
        let recalibration = recalibration.iter().map(|i| render(&prepared.train, i));
        let held_out = held_out.chunks(chunk).map(|i| render(&prepared.holdout, i));
        Ok(Self {
            scoring,
            filler: prepared.net.smallest(),
            net: prepared.net.clone(),
            recalibration: recalibration.collect::<Result<_, _>>()?,
            held_out: held_out.collect::<Result<_, _>>()?,
            labels,
            classes: prepared.dataset.classes.len(),
        })
    }

    /// Scores up to `groups` networks in one go.
    fn pass(&self, archs: &[Arch]) -> Result<Vec<Score>, RunError> {
        let groups = self.scoring.groups() as usize;
        let filled = archs.iter().chain(std::iter::repeat(&self.filler)).take(groups);
        let shapes: Vec<Vec<LayerShape>> = filled.map(|arch| self.net.shapes(arch)).collect();
        self.scoring.set_networks(&shapes.iter().map(Vec::as_slice).collect::<Vec<_>>());
        for (pass, images) in self.recalibration.iter().enumerate() {
            self.scoring.recalibrate(images, pass as u32);
        }
        let mut logits: Vec<Vec<f32>> = vec![Vec::new(); archs.len()];
        for images in &self.held_out {
            let all = self.scoring.logits(images)?;
            let per_group = all.len() / groups;
            for (own, group) in logits.iter_mut().zip(all.chunks(per_group)) {
                own.extend_from_slice(group);
            }
        }
        Ok(logits
            .iter()
            .map(|logits| {
                let evaluation =
                    task::evaluate(&logits[..self.labels.len() * self.classes], &self.labels, self.classes);
                Score { loss: evaluation.loss, accuracy: evaluation.accuracy }
            })
            .collect())
    }
}

/// Scores networks, each once in a run: what is known is read back.
pub(super) struct RecordedScorer<'a> {
    prepared: &'a Prepared,
    known: &'a Known<'a>,
    stop: &'a Stop,
    on: Thoroughness,
    /// Made when there is something to score.
    live: Option<SharedScorer>,
}

impl<'a> RecordedScorer<'a> {
    pub(super) fn new(prepared: &'a Prepared, known: &'a Known<'a>, stop: &'a Stop, on: Thoroughness) -> Self {
        Self { prepared, known, stop, on, live: None }
    }

    fn pass(&mut self, sizes: [u32; 2], archs: &[Arch]) -> Result<Vec<Score>, RunError> {
        let live = match &mut self.live {
            Some(live) => live,
            none => none.insert(SharedScorer::new(self.prepared, self.known.shared, self.on, sizes)?),
        };
        live.pass(archs)
    }

    /// Scores what is not known, in passes of as many as fit, and writes each pass down.
    fn score_missing(&mut self, archs: &[Arch]) -> Result<(), RunError> {
        let unknown = |arch: &&Arch| self.known.scores.get(self.on, arch.values()).is_none();
        let missing: Vec<Arch> = archs.iter().filter(unknown).cloned().collect();
        let mut rest = missing.as_slice();
        while !rest.is_empty() {
            if self.stop.look() {
                return Err(RunError::stopped(self.known.scores.folder));
            }
            let [fitting, group_images] = SharedScorer::sizes(self.prepared, self.on);
            let groups = fitting.min(self.known.passes.most.get());
            let (now, later) = rest.split_at(rest.len().min(groups as usize));
            match self.pass([groups, group_images], now) {
                Ok(scores) => {
                    self.known.scores.note(self.on, now.iter().map(Arch::values).zip(scores))?;
                    rest = later;
                }
                Err(error) if error.is_out_of_memory() && self.known.passes.halve(groups, &error) => self.live = None,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl Scorer for RecordedScorer<'_> {
    fn score(&mut self, archs: &[Arch]) -> Result<Vec<Score>, BoxError> {
        self.score_missing(archs)?;
        let score = |arch: &Arch| self.known.scores.get(self.on, arch.values()).expect("it was just noted");
        Ok(archs.iter().map(score).collect())
    }
}
