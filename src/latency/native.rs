//! The processor's own rate of multiply-adds: what a software adapter could reach at most.

use crate::gpu::{Elapsed, Stopwatch};
use std::hint::black_box;

/// Numbers that a thread works on at a time: enough independent chains for every vector unit there is.
const WIDTH: usize = 96;
/// Rounds of a measurement: some tens of milliseconds.
const ROUNDS: usize = 4_000_000;
/// Measurements, of which the best counts: a bound is what is possible.
const TRIES: usize = 5;

/// A rate of multiply-adds, in 10^9 operations, each multiply-add being two.
pub(super) struct Rate {
    /// A second, on all threads.
    pub(super) gflops: f64,
    /// In a second of one processor's time.
    pub(super) processor_gflops: Option<f64>,
}

/// Multiply-adds of f32.
pub(super) fn fma() -> Rate {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let once = || {
        let start = Stopwatch::start();
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| black_box(chains(black_box(0.3))));
            }
        });
        start.elapsed()
    };
    let tries: Vec<Elapsed> = (0..TRIES).map(|_| once()).collect();
    let best = |seconds: Vec<f64>| {
        2.0 * (threads * ROUNDS * WIDTH) as f64 / seconds.into_iter().fold(f64::INFINITY, f64::min) / 1e9
    };
    let processor: Option<Vec<f64>> = tries.iter().map(|time| time.processor).collect();
    Rate { gflops: best(tries.iter().map(|time| time.wall).collect()), processor_gflops: processor.map(best) }
}

/// The loop with the widest vectors that this processor has.
fn chains(x: f32) -> f32 {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("fma") && is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has what the function is compiled for.
            return unsafe { fused_on_x86(x) };
        }
        run(x, |s, x| s * x + x)
    }
    #[cfg(not(target_arch = "x86_64"))]
    run(x, |s, x| s.mul_add(x, x))
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn fused_on_x86(x: f32) -> f32 {
    run(x, |s, x| s.mul_add(x, x))
}

#[inline(always)]
fn run(x: f32, step: impl Fn(f32, f32) -> f32) -> f32 {
    let mut sums: [f32; WIDTH] = std::array::from_fn(|i| i as f32 * x);
    for _ in 0..ROUNDS {
        for sum in &mut sums {
            *sum = step(*sum, x);
        }
    }
    sums.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_loop_does_its_multiply_adds() {
        // s = 0.3 s + 0.3 ends at 3/7, whatever it started from.
        let want = WIDTH as f32 * 3.0 / 7.0;
        for got in [chains(0.3), run(0.3, |s, x| s * x + x)] {
            assert!((got - want).abs() < 1e-3, "{got}, not {want}");
        }
    }
}
