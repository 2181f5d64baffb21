//! An axis: a range of values that begins and ends at round numbers, with ticks at round numbers.

/// A range on an axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Scale {
    low: f64,
    high: f64,
    step: f64,
}

impl Scale {
    /// The range of all finite `values` with about `ticks` steps; `None` where there is none.
    pub(super) fn over(values: impl IntoIterator<Item = f64>, ticks: u32) -> Option<Self> {
        let [low, high] = ends(values)?;
        let step = round_step((high - low) / f64::from(ticks.max(1)));
        Some(Self { low: (low / step).floor() * step, high: (high / step).ceil() * step, step })
    }

    /// As `over`, but it ends a little beyond the values instead of at a tick: for many dots.
    pub(super) fn around(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let [low, high] = ends(values)?;
        let margin = (high - low) * 0.03;
        Some(Self { low: low - margin, high: high + margin, step: round_step((high - low) / 7.0) })
    }

    /// The least and the largest value on it.
    pub(super) fn ends(&self) -> [f64; 2] {
        [self.low, self.high]
    }

    /// Where `value` lies, 0 to 1 from end to end; values beyond the ends stay there.
    pub(super) fn share(&self, value: f64) -> f64 {
        ((value - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
    }

    /// The ticks with their labels.
    pub(super) fn ticks(&self) -> impl Iterator<Item = (f64, String)> {
        let decimals = (-(self.step * 1.0001).log10().floor()).max(0.0) as usize;
        // A tick at an end counts in spite of rounding.
        let first = (self.low / self.step - 1e-6).ceil() as i64;
        let last = (self.high / self.step + 1e-6).floor() as i64;
        (first..=last).map(move |tick| {
            let value = tick as f64 * self.step;
            (value, format!("{value:.decimals$}").replace('-', "−"))
        })
    }
}

/// The least and the largest finite value; a single one gets a range around it.
fn ends(values: impl IntoIterator<Item = f64>) -> Option<[f64; 2]> {
    let finite = values.into_iter().filter(|value| value.is_finite());
    let start = [f64::INFINITY, f64::NEG_INFINITY];
    let [low, high] = finite.fold(start, |[low, high], value| [f64::min(low, value), f64::max(high, value)]);
    let margin = if high > low { 0.0 } else { (low.abs() * 0.1).max(1e-6) };
    (low <= high).then_some([low - margin, high + margin])
}

/// The smallest of 1, 2, 5, 10, ... times a power of ten that is not below `least`.
fn round_step(least: f64) -> f64 {
    let power = 10f64.powf(least.log10().floor());
    [1.0, 2.0, 5.0].map(|digit| digit * power).into_iter().find(|step| *step >= least * 0.9999).unwrap_or(10.0 * power)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(values: &[f64], ticks: u32) -> Vec<String> {
        let scale = Scale::over(values.iter().copied(), ticks).expect("values");
        scale.ticks().map(|(_, label)| label).collect()
    }

    #[test]
    fn ticks_are_round_and_hold_all_values() {
        assert_eq!(labels(&[0.93, 2.04], 5), ["0.5", "1.0", "1.5", "2.0", "2.5"]);
        assert_eq!(labels(&[0.0, 100.0], 5), ["0", "20", "40", "60", "80", "100"]);
        assert_eq!(labels(&[-0.4, 3.1], 4), ["−1", "0", "1", "2", "3", "4"]);
        assert_eq!(labels(&[0.0011, 0.0029], 4), ["0.0010", "0.0015", "0.0020", "0.0025", "0.0030"]);
        assert_eq!(labels(&[7.0], 2), ["6", "7", "8"]);
        assert_eq!(Scale::over([f64::NAN, f64::INFINITY], 4), None);
        assert_eq!(Scale::around([]), None);
        let around = Scale::around([0.91, 3.81]).expect("values");
        let labels: Vec<String> = around.ticks().map(|(_, label)| label).collect();
        assert_eq!(labels, ["1.0", "1.5", "2.0", "2.5", "3.0", "3.5"]);
        let scale = Scale::over([3.0, f64::NAN, 8.0], 5).expect("values");
        assert_eq!([2.0, 3.0, 8.0, 9.0].map(|value| scale.share(value)), [0.0, 0.0, 1.0, 1.0]);
    }

    #[test]
    fn any_range_gets_a_few_ticks() {
        for exponent in -9..12 {
            for digit in [1.0, 1.3, 2.0, 4.9, 5.0, 7.7, 9.99] {
                let high = digit * 10f64.powi(exponent);
                let count = labels(&[0.0, high], 5).len();
                assert!((3..=7).contains(&count), "0 to {high}: {count} ticks");
            }
        }
    }
}
