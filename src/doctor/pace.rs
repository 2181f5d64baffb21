//! The same kernel again and again: a device that is hot or in use by others does not keep its pace.

use crate::gpu::{Gpu, GpuError, Program, Recording};
use crate::kernels::{Tuning, probe};
use crate::latency::{Spread, filling};
use serde::Serialize;
use std::time::Instant;

/// Seconds of one sample.
const SAMPLE_SECONDS: f64 = 0.02;
/// Rounds of the kernel's chains: a third of a second on a GPU of 25 GFLOP/s.
const ROUNDS: u32 = 512;
/// The share of the samples that counts as the beginning, and as the end.
const SHARE: usize = 5;
/// A device that slows down by more than this drifts.
const DRIFT: f64 = 0.1;
/// A device whose samples deviate by more than this is in use, or saves power.
const NOISE: f64 = 0.05;

/// How a device kept its pace.
#[derive(Clone, Debug, Serialize)]
pub struct Pace {
    /// Seconds that it was watched for.
    pub seconds: f64,
    /// Time of the kernel in the last fifth of them over that in the first.
    pub last_over_first: f64,
    /// Median absolute deviation of all samples over their median.
    pub deviation: f64,
    /// Samples taken.
    pub samples: usize,
}

pub(super) fn examine(gpu: &Gpu, tuning: Tuning, seconds: f64) -> Result<Pace, GpuError> {
    let groups = if gpu.adapter().is_software() { 64 } else { 4096 };
    let bytes = u64::from(tuning.lanes * groups) * 16;
    let x = gpu.upload("x", &vec![0.3f32; bytes as usize / 4])?;
    let y = gpu.allocate("y", bytes)?;
    let mut rec = Recording::new();
    probe::multiply_add(&mut rec, tuning.lanes, ROUNDS, &x, &y);
    let program = Program::new(gpu, rec)?;
    program.seconds(1)?;
    let repeats = filling(SAMPLE_SECONDS, program.seconds(1)?, 4096);
    let (start, mut samples) = (Instant::now(), Vec::new());
    while samples.len() < 2 * SHARE || start.elapsed().as_secs_f64() < seconds {
        samples.push(program.seconds(repeats)?);
    }
    let share = samples.len() / SHARE;
    let (first, last) = (Spread::of(&samples[..share]), Spread::of(&samples[samples.len() - share..]));
    let all = Spread::of(&samples);
    Ok(Pace {
        seconds: start.elapsed().as_secs_f64(),
        last_over_first: last.median / first.median,
        deviation: all.mad / all.median,
        samples: samples.len(),
    })
}

impl Pace {
    pub(super) fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.last_over_first > 1.0 + DRIFT {
            warnings.push(format!(
                "the device became {:.0} % slower within {:.0} s of work: it is hot or limited in power, and latencies \
                 of a long run will drift",
                (self.last_over_first - 1.0) * 100.0,
                self.seconds
            ));
        }
        if self.deviation > NOISE {
            warnings.push(format!(
                "the same work takes {:.0} % more or less time again and again: something else uses the device, so \
                 latencies will be noisy",
                self.deviation * 100.0
            ));
        }
        warnings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_device_is_not_warned_of() {
        let pace = |last_over_first, deviation| Pace { seconds: 5.0, last_over_first, deviation, samples: 250 };
        assert_eq!(pace(1.05, 0.02).warnings(), [""; 0]);
        assert_eq!(pace(0.7, 0.02).warnings(), [""; 0], "a device that warms up to its pace");
        assert!(pace(1.3, 0.02).warnings()[0].contains("30 % slower"));
        assert!(pace(1.0, 0.2).warnings()[0].contains("20 % more or less"));
    }
}
