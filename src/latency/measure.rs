//! Timing of programs: warm-up, repeats in one submit less an empty submit, medians, and drift
//! divided out by a reference that runs in turn with what is measured.

use super::awake::Awake;
use super::error::LatencyError;
use super::series::{Effort, LEAST_ROUNDS, Series, Verdict, outliers, verdict, warm_up};
use super::stats::Spread;
use crate::gpu::{Elapsed, Gpu, GpuError, Program, Recording, Work};
use serde::{Deserialize, Serialize};
use std::time::Instant;

/// A latency that was measured, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// Median, at the device speed of the first measurement of the run.
    pub median_ms: f64,
    /// 90th percentile, likewise.
    pub p90_ms: f64,
    /// Median absolute deviation, likewise.
    pub mad_ms: f64,
    /// Median as the clock showed it, before drift was divided out.
    pub clock_ms: f64,
    /// Rounds.
    pub rounds: usize,
    /// Rounds that lie far from the others, by their modified z-score.
    #[serde(default)]
    pub outliers: usize,
    /// Runs of the network in a round.
    pub repeats: u32,
    /// What the device's own clock says, as a share of what the wall's does; none where it says nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamps: Option<f64>,
}

impl Measurement {
    /// The same as a spread, in milliseconds.
    pub fn spread(&self) -> Spread {
        Spread { median: self.median_ms, p90: self.p90_ms, mad: self.mad_ms, count: self.rounds }
    }
}

/// Seconds that a round of a whole network lasts at least: the first run of a submit takes longer than the others, by
/// more than an empty submit.
pub const ROUND_SECONDS: f64 = 0.02;
/// The same of a launch alone.
pub(super) const LAUNCH_SECONDS: f64 = 0.008;
/// Launches of such a round at most.
pub(super) const MOST_LAUNCHES: u32 = 1024;
/// How often something too noisy is measured before that is an error.
const TRIES: u32 = 3;
/// Runs in one submit at most.
const MAX_REPEATS: u32 = 4096;

/// Times networks of one run against its reference, the initial network.
pub struct Meter {
    gpu: Gpu,
    reference: Program,
    repeats: u32,
    reference_ms: f64,
    effort: Effort,
}

impl Meter {
    /// Warms `reference` up and times it: later measurements are at the device speed of this moment. Each
    /// measurement takes the effort given.
    pub fn new(gpu: &Gpu, reference: Program, effort: Effort) -> Result<(Self, Measurement), LatencyError> {
        let _awake = Awake::during(gpu);
        let (mut meter, empty) = Self::warm(gpu, reference, effort)?;
        let repeats = meter.repeats;
        let series = patiently(&effort, |series| {
            let mine = meter.reference.elapsed(repeats)?.part(empty, repeats);
            series.push_alone(mine.wall);
            series.push_timestamps(mine.wall, mine.device);
            Ok(())
        })?;
        let spread = series.clock().scaled(1e3);
        let measurement = Measurement {
            median_ms: spread.median,
            p90_ms: spread.p90,
            mad_ms: spread.mad,
            clock_ms: spread.median,
            rounds: spread.count,
            outliers: series.outliers(),
            repeats,
            timestamps: series.timestamps(),
        };
        meter.reference_ms = measurement.median_ms;
        Ok((meter, measurement))
    }

    /// Goes on with a reference that was timed before: later measurements are at the device speed of then.
    pub fn resumed(gpu: &Gpu, reference: Program, reference_ms: f64, effort: Effort) -> Result<Self, LatencyError> {
        let _awake = Awake::during(gpu);
        let (meter, _) = Self::warm(gpu, reference, effort)?;
        Ok(Self { reference_ms, ..meter })
    }

    /// A meter whose reference is warm but not timed yet, and what an empty submit takes.
    fn warm(gpu: &Gpu, reference: Program, effort: Effort) -> Result<(Self, Elapsed), LatencyError> {
        warm_up(|| reference.seconds(1))?;
        let empty = empty_elapsed(gpu)?;
        let repeats = repeats(&reference, empty.wall, effort.round_seconds)?;
        Ok((Self { gpu: gpu.clone(), reference, repeats, reference_ms: 0.0, effort }, empty))
    }

    /// Times a network in turn with the reference.
    ///
    /// # Errors
    /// `LatencyError::Noisy` where several tries in a row do not come to a median that is known.
    pub fn measure(&self, program: &Program) -> Result<Measurement, LatencyError> {
        let _awake = Awake::during(&self.gpu);
        warm_up(|| program.seconds(1))?;
        // What a submit costs drifts like all else.
        let empty = empty_elapsed(&self.gpu)?;
        let repeats = repeats(program, empty.wall, self.effort.round_seconds)?;
        let run = |program: &Program, repeats: u32| Ok::<_, GpuError>(program.elapsed(repeats)?.part(empty, repeats));
        let reference = || Ok::<_, GpuError>(run(&self.reference, self.repeats)?.wall);
        let mut before = reference()?;
        let series = patiently(&self.effort, |series| {
            let mine = run(program, repeats)?;
            // What comes after a round is what comes before the next.
            let after = reference()?;
            series.push(mine.wall, [std::mem::replace(&mut before, after), after]);
            series.push_timestamps(mine.wall, mine.device);
            Ok(())
        })?;
        let spread = series.ratios().scaled(self.reference_ms);
        Ok(Measurement {
            median_ms: spread.median,
            p90_ms: spread.p90,
            mad_ms: spread.mad,
            clock_ms: series.clock().median * 1e3,
            rounds: spread.count,
            outliers: series.outliers(),
            repeats,
            timestamps: series.timestamps(),
        })
    }

    /// The reference's latency at the start of the run, in milliseconds.
    pub fn reference_ms(&self) -> f64 {
        self.reference_ms
    }
}

/// Times whole programs in turn, round by round, until all medians are known to one percent or for `most_seconds`.
/// What drifts, drifts for all.
///
/// # Errors
/// What the device says.
pub fn alternate(gpu: &Gpu, programs: &[&Program], most_seconds: f64) -> Result<Vec<Measurement>, GpuError> {
    let _awake = Awake::during(gpu);
    let empty = empty_elapsed(gpu)?.wall;
    let mut repeated = Vec::with_capacity(programs.len());
    for program in programs {
        warm_up(|| program.seconds(1))?;
        repeated.push(repeats(program, empty, ROUND_SECONDS)?);
    }
    let effort = Effort {
        seconds: most_seconds,
        precision: 0.01,
        tolerance: f64::INFINITY,
        rounds: LEAST_ROUNDS,
        round_seconds: ROUND_SECONDS,
    };
    let begun = Instant::now();
    let mut seconds = vec![Vec::new(); programs.len()];
    while seconds.iter().any(|seconds| verdict(seconds, &effort, begun.elapsed().as_secs_f64()) == Verdict::More) {
        for ((program, repeats), seconds) in programs.iter().zip(&repeated).zip(&mut seconds) {
            seconds.push((program.seconds(*repeats)? - empty).max(1e-9) / f64::from(*repeats));
        }
    }
    let measurement = |(seconds, repeats): (&Vec<f64>, &u32)| {
        let Spread { median, p90, mad, count } = Spread::of(seconds).scaled(1e3);
        Measurement {
            median_ms: median,
            p90_ms: p90,
            mad_ms: mad,
            clock_ms: median,
            rounds: count,
            outliers: outliers(seconds),
            repeats: *repeats,
            timestamps: None,
        }
    };
    Ok(seconds.iter().zip(&repeated).map(measurement).collect())
}

/// A launch of a program, timed alone.
#[derive(Clone, Debug)]
pub struct LaunchTime {
    /// What it is for: the path of the layer, and the kernel.
    pub label: String,
    /// The kernel.
    pub kernel: &'static str,
    /// What it costs at full width.
    pub work: Work,
    /// Milliseconds.
    pub ms: Spread,
}

/// Times every launch of a program alone, the submit left out.
///
/// # Errors
/// What the device says.
pub fn launch_times(gpu: &Gpu, program: &Program, rounds: u32) -> Result<Vec<LaunchTime>, GpuError> {
    let _awake = Awake::during(gpu);
    let empty = empty_elapsed(gpu)?;
    program.seconds(1)?;
    let launches = program.launches().enumerate();
    launches
        .map(|(index, (label, kernel, work))| {
            let round = alone(program, index, empty)?;
            let seconds = (0..rounds).map(|_| Ok(round()?.wall)).collect::<Result<Vec<_>, GpuError>>()?;
            Ok(LaunchTime { label: label.to_owned(), kernel, work, ms: Spread::of(&seconds).scaled(1e3) })
        })
        .collect()
}

/// Measures a launch alone, in rounds that are long enough, less an empty submit: seconds of one.
pub(super) fn alone(
    program: &Program,
    index: usize,
    empty: Elapsed,
) -> Result<impl Fn() -> Result<Elapsed, GpuError>, GpuError> {
    let one = (program.launch_seconds(index, 1)? - empty.wall).max(1e-6);
    let repeats = filling(LAUNCH_SECONDS, one, MOST_LAUNCHES);
    Ok(move || Ok(program.launch_elapsed(index, repeats)?.part(empty, repeats)))
}

/// Rounds until the median is known; tries again where it was too noisy.
fn patiently(
    effort: &Effort,
    mut round: impl FnMut(&mut Series) -> Result<(), GpuError>,
) -> Result<Series, LatencyError> {
    let mut last = (0, f64::INFINITY);
    for _ in 0..TRIES {
        let (begun, mut series) = (Instant::now(), Series::default());
        let verdict = loop {
            round(&mut series)?;
            match series.verdict(effort, begun.elapsed().as_secs_f64()) {
                Verdict::More => {}
                verdict => break verdict,
            }
        };
        if verdict == Verdict::Known {
            return Ok(series);
        }
        last = (series.clock().count, series.error());
    }
    let ((rounds, error), tolerance) = (last, effort.tolerance);
    Err(LatencyError::Noisy { tries: TRIES, rounds, error, tolerance })
}

/// What a submit that does nothing takes at least: on a busy machine the median has other work in it, more than many a
/// round takes.
pub(crate) fn empty_elapsed(gpu: &Gpu) -> Result<Elapsed, GpuError> {
    Ok(least(&empty_submits(gpu)?))
}

/// Some submits that do nothing.
pub(super) fn empty_submits(gpu: &Gpu) -> Result<Vec<Elapsed>, GpuError> {
    let empty = Program::new(gpu, Recording::new())?;
    (0..15).map(|_| empty.elapsed(1)).collect()
}

/// Medians by each clock; none of one that did not always tell.
pub(super) fn median(all: &[Elapsed]) -> Elapsed {
    by_clock(all, |times| Spread::of(times).median)
}

/// The least by each clock, likewise.
pub(super) fn least(all: &[Elapsed]) -> Elapsed {
    by_clock(all, |times| times.iter().copied().fold(f64::INFINITY, f64::min))
}

fn by_clock(all: &[Elapsed], one: fn(&[f64]) -> f64) -> Elapsed {
    let by = |clock: fn(&Elapsed) -> Option<f64>| -> Option<f64> {
        let times: Option<Vec<f64>> = all.iter().map(clock).collect();
        times.map(|times| one(&times))
    };
    Elapsed {
        wall: by(|elapsed| Some(elapsed.wall)).expect("the wall clock always tells"),
        processor: by(|elapsed| elapsed.processor),
        device: by(|elapsed| elapsed.device),
    }
}

/// Runs in one submit that make a round of `round_seconds`.
fn repeats(program: &Program, empty_seconds: f64, round_seconds: f64) -> Result<u32, GpuError> {
    let mut four = f64::INFINITY;
    for _ in 0..3 {
        // Whatever comes between only makes it longer, and too few repeats would be left.
        four = four.min(program.seconds(4)?);
    }
    let one = (four - empty_seconds).max(1e-6) / 4.0;
    Ok(filling(round_seconds, one, MAX_REPEATS))
}

/// Repeats of what takes `one` second or part of it that fill so many seconds.
pub(crate) fn filling(seconds: f64, one: f64, most: u32) -> u32 {
    ((seconds / one).ceil() as u32).clamp(1, most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_submit_is_the_one_that_nothing_came_between() {
        let of = |wall: f64, device| Elapsed { wall, processor: Some(2.0 * wall), device };
        // A busy machine takes more than half of them away for a while.
        let submits = [of(4.0, Some(0.1)), of(0.2, Some(0.1)), of(3.0, Some(0.2)), of(5.0, Some(0.3)), of(0.3, None)];
        assert_eq!(least(&submits), of(0.2, None));
        assert_eq!(median(&submits), of(3.0, None));
        assert_eq!(least(&submits[..4]), of(0.2, Some(0.1)));
    }
}
