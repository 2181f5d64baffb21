//! The learning rate of a step: a linear warm-up, then half a cosine to zero (Loshchilov, Hutter 2017).

/// A schedule over a known number of steps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// Learning rate at the end of the warm-up.
    pub peak: f32,
    /// Share of the steps that warm up.
    pub warmup: f32,
    /// All steps.
    pub steps: u64,
}

impl Schedule {
    /// The learning rate of step `step`, from 0.
    pub fn rate(&self, step: u64) -> f32 {
        let (step, steps) = (step as f64, self.steps as f64);
        let warmup = (f64::from(self.warmup) * steps).max(1.0);
        let factor = if step < warmup {
            (step + 1.0) / warmup
        } else {
            let share = (step - warmup) / (steps - warmup).max(1.0);
            0.5 * (1.0 + (std::f64::consts::PI * share.min(1.0)).cos())
        };
        (f64::from(self.peak) * factor) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_climbs_to_the_peak_and_falls_to_nearly_zero() {
        let schedule = Schedule { peak: 0.3, warmup: 0.1, steps: 100 };
        let rates: Vec<f32> = (0..100).map(|step| schedule.rate(step)).collect();
        assert!(rates[..10].is_sorted() && (rates[9] - 0.3).abs() < 1e-6);
        assert!(rates[10..].is_sorted_by(|a, b| a >= b) && rates[99] < 0.001);
    }
}
