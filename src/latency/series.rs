//! What timings say, and when they say enough: pure functions, tested on made-up noise.

use super::stats::Spread;

/// Rounds of a series of a whole network, at least.
pub const LEAST_ROUNDS: usize = 21;
/// Runs that a warm-up compares with the same number before.
const WINDOW: usize = 3;
/// Runs of a warm-up at most.
const MOST_WARM_UP: usize = 24;
/// How far the medians of two windows of a warm-up may lie apart, as a share.
const SETTLED: f64 = 0.05;
/// Modified z-score from which a value is an outlier (Iglewicz, Hoaglin 1993).
const OUTLIER: f64 = 3.5;

/// How exactly something is measured, and for how long at most.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Effort {
    /// Seconds of a try.
    pub seconds: f64,
    /// Error of the median, as a share, that is small enough to stop before.
    pub precision: f64,
    /// Error of the median, as a share, that is too large to use.
    pub tolerance: f64,
    /// Rounds at least.
    pub rounds: usize,
    /// Seconds that a round lasts at least, so that the clock's and the submit's noise is small beside it.
    pub round_seconds: f64,
}

/// What to do after a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Another round.
    More,
    /// The median is known.
    Known,
    /// Time is up, and the median is not known.
    Noisy,
}

/// Timings of one thing in turn with a reference, whose own times tell how fast the device is just then.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Series {
    clock: Vec<f64>,
    ratios: Vec<f64>,
    /// What the device's own clock said, as shares of what the wall's did; fewer where it was silent.
    timestamps: Vec<f64>,
}

impl Series {
    /// A round: its seconds, and those of the reference just before and just after.
    pub(super) fn push(&mut self, seconds: f64, reference: [f64; 2]) {
        self.clock.push(seconds);
        self.ratios.push(seconds / ((reference[0] + reference[1]) / 2.0));
    }

    /// A round without a reference: its seconds are what it comes to.
    pub(super) fn push_alone(&mut self, seconds: f64) {
        self.push(seconds, [1.0; 2]);
    }

    /// What the device's own clock says of a round of so many seconds.
    pub(super) fn push_timestamps(&mut self, seconds: f64, device: Option<f64>) {
        self.timestamps.extend(device.map(|device| device / seconds));
    }

    /// Median share of the device's own clock in the wall's; none where it was silent once.
    pub(super) fn timestamps(&self) -> Option<f64> {
        let spoke = !self.clock.is_empty() && self.timestamps.len() == self.clock.len();
        spoke.then(|| Spread::of(&self.timestamps).median)
    }

    /// Multiples of the reference: what the device's speed is divided out of.
    pub(super) fn ratios(&self) -> Spread {
        Spread::of(&self.ratios)
    }

    /// Seconds as the clock showed them.
    pub(super) fn clock(&self) -> Spread {
        Spread::of(&self.clock)
    }

    /// Whether to go on after `elapsed` seconds.
    pub(super) fn verdict(&self, effort: &Effort, elapsed: f64) -> Verdict {
        verdict(&self.ratios, effort, elapsed)
    }

    /// How many rounds lie far from the others.
    pub(super) fn outliers(&self) -> usize {
        outliers(&self.ratios)
    }

    /// The error of the median of the multiples.
    pub(super) fn error(&self) -> f64 {
        median_error(&self.ratios)
    }
}

/// Whether the median of some timings is known after `elapsed` seconds.
pub(super) fn verdict(values: &[f64], effort: &Effort, elapsed: f64) -> Verdict {
    if values.len() < effort.rounds {
        return Verdict::More;
    }
    let error = median_error(values);
    if error <= effort.precision {
        Verdict::Known
    } else if elapsed < effort.seconds {
        Verdict::More
    } else if error <= effort.tolerance {
        Verdict::Known
    } else {
        Verdict::Noisy
    }
}

/// Error of a median as a share of it: what the scatter says, or half of what the first half and the second differ
/// by, where that is more: a state that lasts long scatters little.
pub(super) fn median_error(values: &[f64]) -> f64 {
    let all = Spread::of(values);
    let (first, second) = values.split_at(values.len() / 2);
    let between = match first {
        [] => 0.0,
        _ => (Spread::of(first).median - Spread::of(second).median).abs() / 2.0 / all.median,
    };
    all.median_error().max(between)
}

/// Runs, each giving its seconds, until times have settled: compilation is done, clocks are up. A device that never
/// settles is told by what it measures.
pub(super) fn warm_up<E>(mut run: impl FnMut() -> Result<f64, E>) -> Result<(), E> {
    let mut seconds = Vec::new();
    while !is_warm(&seconds) && seconds.len() < MOST_WARM_UP {
        seconds.push(run()?);
    }
    Ok(())
}

/// Whether a warm-up has settled: its last runs take as long as those before them.
fn is_warm(seconds: &[f64]) -> bool {
    let Some(earlier) = seconds.len().checked_sub(2 * WINDOW) else { return false };
    let (before, last) = seconds[earlier..].split_at(WINDOW);
    let (before, last) = (Spread::of(before).median, Spread::of(last).median);
    (before - last).abs() <= SETTLED * last
}

/// How many values lie far from the median, by the modified z-score. None do where most are equal.
pub(super) fn outliers(values: &[f64]) -> usize {
    let Spread { median, mad, .. } = Spread::of(values);
    values.iter().filter(|value| mad > 0.0 && 0.6745 * (*value - median).abs() / mad > OUTLIER).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Purpose, stream};
    use rand::{Rng, RngExt};

    const EFFORT: Effort =
        Effort { seconds: 1.0, precision: 0.01, tolerance: 0.05, rounds: LEAST_ROUNDS, round_seconds: 0.008 };

    /// Within `share` of 1, uniformly.
    fn noise(rng: &mut impl Rng, share: f64) -> f64 {
        1.0 + share * (2.0 * rng.random::<f64>() - 1.0)
    }

    /// 200 rounds on a device whose speed is `speed(round)`, of something that takes 3 times the reference and what
    /// `own(round)` makes of it.
    fn series(speed: impl Fn(f64) -> f64, own: impl Fn(usize) -> f64) -> Series {
        let mut rng = stream(1, Purpose::Data, 0, 0);
        let mut series = Series::default();
        for round in 0..200 {
            let mut timed = |work: f64, part: f64| work / speed(round as f64 + part) * noise(&mut rng, 0.02);
            let before = timed(0.01, 0.0);
            let mine = timed(0.03, 0.4) * own(round);
            let after = timed(0.01, 0.8);
            series.push(mine, [before, after]);
        }
        series
    }

    fn check(series: &Series, want: f64) {
        assert_eq!(series.verdict(&EFFORT, 2.0), Verdict::Known);
        let got = series.ratios().median;
        assert!((got / want - 1.0).abs() < 0.01, "{got} is not {want}");
    }

    #[test]
    fn drift_is_divided_out_where_the_reference_drifts_too() {
        let drifting = series(|at| 1.0 - at / 400.0, |_| 1.0);
        check(&drifting, 3.0);
        // Without the reference the clock is off by a quarter, and no scatter tells.
        let clock = drifting.clock().median;
        assert!((clock / 0.03 - 1.0).abs() > 0.2, "{clock}");
        assert_eq!(verdict(&drifting.clock, &EFFORT, 2.0), Verdict::Noisy);
    }

    #[test]
    fn two_states_of_the_clock_are_divided_out_and_two_states_of_the_work_are_too_noisy() {
        check(&series(|at| if ((at / 50.0) as u32).is_multiple_of(2) { 1.0 } else { 0.6 }, |_| 1.0), 3.0);
        // The thing alone changes for good half-way: there is no one median to know.
        let lasting = series(|_| 1.0, |round| if round < 100 { 1.0 } else { 1.5 });
        assert_eq!(lasting.verdict(&EFFORT, 2.0), Verdict::Noisy);
        assert_eq!(lasting.verdict(&EFFORT, 0.5), Verdict::More);
        // The scatter of its halves says nothing of it.
        assert!(Spread::of(&lasting.ratios[..100]).median_error() < 0.01);
    }

    #[test]
    fn spikes_move_no_median_and_are_counted() {
        let spiked = series(|_| 1.0, |round| if round % 10 == 0 { 8.0 } else { 1.0 });
        check(&spiked, 3.0);
        assert_eq!(outliers(&spiked.ratios), 20);
        assert_eq!(outliers(&series(|_| 1.0, |_| 1.0).ratios), 0);
        assert_eq!(outliers(&[1.0, 1.0, 1.0, 9.0]), 0, "where there is no deviation there is no scale");
    }

    #[test]
    fn wide_noise_is_too_noisy_at_the_end_of_the_time_and_not_before() {
        let mut rng = stream(2, Purpose::Data, 0, 0);
        let wide: Vec<f64> = (0..30).map(|_| (1.2 * (2.0 * rng.random::<f64>() - 1.0)).exp()).collect();
        assert_eq!(verdict(&wide, &EFFORT, 0.5), Verdict::More);
        assert_eq!(verdict(&wide, &EFFORT, 1.5), Verdict::Noisy);
        let lenient = Effort { tolerance: 1.0, ..EFFORT };
        assert_eq!(verdict(&wide, &lenient, 1.5), Verdict::Known);
        assert_eq!(verdict(&wide[..20], &EFFORT, 1.5), Verdict::More, "too few rounds");
    }

    #[test]
    fn a_warm_up_ends_when_runs_take_no_less_than_before() {
        let compiling = [0.9, 0.3, 0.2, 0.15, 0.12, 0.11, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1];
        let ends: Vec<usize> = (0..=compiling.len()).filter(|&n| is_warm(&compiling[..n])).collect();
        assert_eq!(ends.first(), Some(&11), "{ends:?}");
        assert!(is_warm(&[0.1, 0.1, 0.1, 0.1, 0.9, 0.1]), "one spike is no reason to go on");
        assert!(!is_warm(&[0.1; 5]));
    }
}
