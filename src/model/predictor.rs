//! A network on a device: images in, classes out.

use super::network::{ModelError, Network};
use crate::data::{Format, Images, Sample};
use crate::gpu::{Buf, Gpu};
use crate::graph::Deployed;
use crate::kernels::Tuning;
use std::path::Path;

/// A network made ready to run on a device, an image at a time.
pub struct Model {
    network: Network,
    deployed: Deployed,
}

/// A class and how likely the network holds it to be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prediction {
    /// Index of the class in `Architecture::classes`.
    pub class: usize,
    /// 0 to 1; all classes together are 1.
    pub probability: f32,
}

impl Model {
    /// The network in `folder` (see `Network::open`) on `gpu`.
    ///
    /// # Errors
    /// `ModelError` names the file that is not as it should be, or what the device could not do.
    pub fn open(gpu: &Gpu, folder: &Path) -> Result<Self, ModelError> {
        Self::new(gpu, Network::open(folder)?)
    }

    /// `network` on `gpu`.
    ///
    /// # Errors
    /// `ModelError::Network` where the device cannot hold or run it.
    pub fn new(gpu: &Gpu, network: Network) -> Result<Self, ModelError> {
        Self::tuned(gpu, network, &Tuning::for_adapter(gpu.adapter()))
    }

    /// `network` on `gpu`, its kernels with these tile sizes instead of the usual ones.
    ///
    /// # Errors
    /// As `new`.
    pub fn tuned(gpu: &Gpu, network: Network, tuning: &Tuning) -> Result<Self, ModelError> {
        let Network { graph, weights, .. } = &network;
        let deployed = Deployed::new(gpu, graph, weights, tuning, 1)?;
        Ok(Self { network, deployed })
    }

    /// `network` on `gpu`, reading its image from memory that the caller writes: (S, S, 4) f32, normalised, channels
    /// that it does not have zero. `submit` runs it, and its logits are in `output`: nothing leaves the device.
    ///
    /// # Errors
    /// `ModelError::Network` where the device cannot hold or run it, or the memory is too small.
    pub fn on_buffer(gpu: &Gpu, network: Network, image: Buf) -> Result<Self, ModelError> {
        let tuning = Tuning::for_adapter(gpu.adapter());
        let Network { graph, weights, .. } = &network;
        let deployed = Deployed::reading(gpu, graph, weights, &tuning, image)?;
        Ok(Self { network, deployed })
    }

    /// Submits the network on the image in its memory after all that was submitted before, without waiting.
    pub fn submit(&self) {
        self.deployed.submit();
    }

    /// Where the logits (classes, padded to a multiple of four) are after `submit`.
    pub fn output(&self) -> &Buf {
        self.deployed.output()
    }

    /// What it was made from.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// Logits (N, classes) of `images` (N, S, S, 4), normalised, channels padded with zeros.
    ///
    /// # Errors
    /// `ModelError::Network` where the device fails.
    pub fn logits(&self, images: &[f32]) -> Result<Vec<f32>, ModelError> {
        let size = self.network.architecture.size as usize;
        let mut logits = Vec::new();
        for image in images.chunks_exact(size * size * 4) {
            logits.extend(self.deployed.logits(image)?);
        }
        Ok(logits)
    }

    /// The classes of the image in a file, the likeliest first; decoded as for an evaluation.
    ///
    /// # Errors
    /// `ModelError::Data` where it is no usable image, `ModelError::Network` where the device fails.
    pub fn predict(&self, image: &Path) -> Result<Vec<Prediction>, ModelError> {
        let architecture = &self.network.architecture;
        let format = Format { size: architecture.size, channels: architecture.channels };
        let sample = Sample { path: image.to_owned(), label: 0 };
        let images = Images::load(&[sample], format, 1, format.bytes(), &|_, _| ())?;
        let batch = images.batch(&[0], &architecture.normalisation, None)?;
        Ok(ranked(&self.logits(&batch.images)?))
    }
}

/// Softmax of one image's logits, in descending order; of equals the first class first.
fn ranked(logits: &[f32]) -> Vec<Prediction> {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let shares: Vec<f64> = logits.iter().map(|logit| f64::from(logit - largest).exp()).collect();
    let total: f64 = shares.iter().sum();
    let mut predictions: Vec<Prediction> = shares
        .iter()
        .enumerate()
        .map(|(class, share)| Prediction { class, probability: (share / total) as f32 })
        .collect();
    predictions.sort_by(|a, b| b.probability.total_cmp(&a.probability));
    predictions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_come_in_order_and_their_shares_are_one() {
        let ranked = ranked(&[1.0, 3.0, 3.0, -200.0]);
        let order: Vec<usize> = ranked.iter().map(|p| p.class).collect();
        assert_eq!(order, [1, 2, 0, 3]);
        assert!((ranked.iter().map(|p| p.probability).sum::<f32>() - 1.0).abs() < 1e-6);
        assert!((ranked[0].probability / ranked[2].probability - 2f32.exp()).abs() < 1e-4);
    }
}
