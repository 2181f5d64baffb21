//! The batches of one pass over a split, made ahead of the consumer by threads, in order.
//!
//! Thread t of T makes every T-th batch and puts it into a channel of its own that holds one;
//! the consumer takes from the channels in turn. So the order is fixed whatever the number of
//! threads, at most two batches a thread exist at a time, and nothing is reordered.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::JoinHandle;

use super::augment::Augment;
use super::batch::{Batch, Drawn, Images, Normalisation};
use super::error::DataError;
use super::order::{Sampling, order};

/// One pass over the training images.
#[derive(Clone, Copy, Debug)]
pub struct Epoch {
    /// Applied to every image.
    pub normalisation: Normalisation,
    /// What every image goes through.
    pub augment: Augment,
    /// How often each class is shown.
    pub sampling: Sampling,
    /// Images a batch; an incomplete last batch is dropped.
    pub batch_size: usize,
    /// Key of the order and the augmentation.
    pub seed: u64,
    /// Which pass this is, from 0.
    pub epoch: u64,
    /// Threads that make batches, at least 1.
    pub threads: usize,
    /// Batches to leave out at the start, when a pass is resumed.
    pub start_step: usize,
}

/// An iterator over the batches of one pass. Dropping it early ends and joins its threads.
#[derive(Debug)]
pub struct Loader {
    channels: Vec<Receiver<Result<Batch, DataError>>>,
    workers: Vec<JoinHandle<()>>,
    next: usize,
    steps: usize,
}

/// What the threads of one loader share.
struct Work {
    images: Arc<Images>,
    normalisation: Normalisation,
    augment: Option<(Augment, u64, u64)>,
    /// Images, as `order` makes them.
    order: Vec<u64>,
    batch_size: usize,
}

impl Loader {
    /// The batches of one pass in an order drawn from (seed, epoch), from `start_step` on.
    ///
    /// # Errors
    /// [`DataError::Batch`] when there is not a single complete batch, [`DataError::Augment`]
    /// when a setting is out of its range.
    pub fn epoch(images: Arc<Images>, epoch: &Epoch) -> Result<Self, DataError> {
        epoch.augment.check()?;
        check_batch(&images, epoch.batch_size)?;
        let order = order(images.labels(), epoch.sampling, epoch.seed, epoch.epoch);
        let work = Work {
            images,
            normalisation: epoch.normalisation,
            augment: Some((epoch.augment, epoch.seed, epoch.epoch)),
            order,
            batch_size: epoch.batch_size,
        };
        let steps = work.order.len() / epoch.batch_size;
        Ok(Self::start(work, epoch.start_step, steps, epoch.threads))
    }

    /// All images in their order, not augmented; the last batch may be smaller. For evaluation.
    ///
    /// # Errors
    /// [`DataError::Batch`] when `batch_size` is 0.
    pub fn in_order(
        images: Arc<Images>,
        normalisation: Normalisation,
        batch_size: usize,
        threads: usize,
    ) -> Result<Self, DataError> {
        check_batch(&images, batch_size.min(images.len()))?;
        let order: Vec<u64> = (0..images.len() as u64).collect();
        let steps = order.len().div_ceil(batch_size);
        let work = Work { images, normalisation, augment: None, order, batch_size };
        Ok(Self::start(work, 0, steps, threads))
    }

    fn start(work: Work, first: usize, steps: usize, threads: usize) -> Self {
        let threads = threads.clamp(1, steps.saturating_sub(first).max(1));
        let work = Arc::new(work);
        let mut loader = Self { channels: Vec::new(), workers: Vec::new(), next: first, steps };
        // Channel step % threads brings batch `step`, so the thread of it starts there.
        for lane in 0..threads {
            let (batches, channel) = sync_channel(1);
            let work = Arc::clone(&work);
            loader.channels.push(channel);
            loader.workers.push(std::thread::spawn(move || {
                for step in (lane..steps).step_by(threads).filter(|&step| step >= first) {
                    // The consumer is gone when nobody takes a batch.
                    if batches.send(work.make(step)).is_err() {
                        return;
                    }
                }
            }));
        }
        loader
    }
}

fn check_batch(images: &Images, batch_size: usize) -> Result<(), DataError> {
    if (1..=images.len()).contains(&batch_size) {
        return Ok(());
    }
    Err(DataError::Batch { batch_size, images: images.len() })
}

impl Work {
    fn make(&self, step: usize) -> Result<Batch, DataError> {
        let start = step * self.batch_size;
        let end = (start + self.batch_size).min(self.order.len());
        let drawn = self.augment.as_ref().map(|(augment, seed, epoch)| Drawn {
            augment,
            seed: *seed,
            epoch: *epoch,
            pool: &self.order,
        });
        self.images.draw(&self.order[start..end], &self.normalisation, drawn)
    }
}

impl Iterator for Loader {
    type Item = Result<Batch, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next >= self.steps {
            return None;
        }
        let lane = self.next % self.channels.len();
        self.next += 1;
        match self.channels[lane].recv() {
            Ok(batch) => Some(batch),
            // A thread ends before its last batch only by a panic, which goes on here.
            Err(_) => match self.workers.swap_remove(lane).join() {
                Err(panic) => std::panic::resume_unwind(panic),
                Ok(()) => unreachable!("a thread sends all of its batches"),
            },
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.steps.saturating_sub(self.next);
        (left, Some(left))
    }
}

impl ExactSizeIterator for Loader {}

impl Drop for Loader {
    fn drop(&mut self) {
        // Without a receiver a thread that waits to send stops waiting.
        self.channels.clear();
        for worker in self.workers.drain(..) {
            // A panic that the consumer did not meet concerns a batch nobody asked for.
            let _ = worker.join();
        }
    }
}
