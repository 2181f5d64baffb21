//! A run with somebody at the terminal: progress, Ctrl-C, a full disk.

use super::terminal::{Progress, duration, print_result};
use crate::gpu::Gpu;
use crate::kernels::Tuning;
use crate::run::{Environment, Event, Listener, RunError, RunResult, Stop};
use crate::tune::{cache_folder, chosen};
use clap::builder::FalseyValueParser;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Options of every command that carries a run on.
#[derive(Debug, clap::Args)]
pub(super) struct Output {
    /// Stop with a checkpoint after this much time: 90s, 30min, 8h.
    #[arg(long, env = "NETADAPT_MAX_TIME", value_parser = time)]
    max_time: Option<Duration>,
    /// Print one event a line as JSON, the result last.
    #[arg(long)]
    json: bool,
    /// No progress and no remarks.
    #[arg(long, short, env = "NETADAPT_QUIET", value_parser = FalseyValueParser::new())]
    quiet: bool,
}

impl Output {
    /// Whether the output is for programs.
    pub(super) fn is_json(&self) -> bool {
        self.json
    }
}

/// The option of what takes tile sizes.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct NoTune {
    /// Take the usual tile sizes of kernels, not those that `netadapt-bench tune` kept for this device.
    #[arg(long, global = true)]
    pub(super) no_tune: bool,
}

impl NoTune {
    /// The device's tile sizes: those that were kept for it, unless they are not wanted; said on stderr.
    pub(super) fn tuning(&self, gpu: &Gpu) -> Tuning {
        let (tuning, remark) = chosen(cache_folder().filter(|_| !self.no_tune).as_deref(), gpu);
        remark.iter().for_each(|text| eprintln!("{text}"));
        tuning
    }
}

/// Seconds between two tries to write to a full disk.
const FULL_DISK_SECONDS: u64 = 5;

fn time(text: &str) -> Result<Duration, String> {
    let refuse = || format!("`{text}` is no time: write for example 90s, 30min or 8h");
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let number: f64 = text[..split].parse().map_err(|_| refuse())?;
    let unit = match &text[split..] {
        "s" => 1.0,
        "min" | "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(refuse()),
    };
    Duration::try_from_secs_f64(number * unit).map_err(|_| refuse())
}

/// What a run needs to be attended to.
pub(super) struct Attended {
    environment: Environment,
    json: bool,
    quiet: bool,
}

impl Attended {
    /// From now on the first Ctrl-C asks the run to stop, and the second ends the program.
    pub(super) fn new(output: &Output) -> anyhow::Result<Self> {
        let stop = output.max_time.map_or_else(Stop::default, Stop::within);
        let (asked, quiet) = (stop.clone(), output.quiet);
        ctrlc::set_handler(move || {
            if asked.is_requested() {
                // 128 + SIGINT, as shells have it.
                std::process::exit(130);
            }
            asked.request();
            if !quiet {
                eprintln!("stopping after this step; once more to stop at once");
            }
        })?;
        let (waiting, told) = (stop.clone(), AtomicBool::new(false));
        let patience = move |path: &Path| {
            if !told.swap(true, Ordering::Relaxed) {
                eprintln!("the disk is full: {} waits until there is room again", path.display());
            }
            std::thread::sleep(Duration::from_secs(FULL_DISK_SECONDS));
            !waiting.is_requested()
        };
        let environment = Environment { stop, patience: Arc::new(patience), ..Environment::default() };
        Ok(Self { environment, json: output.json, quiet: output.quiet })
    }

    /// With the tile sizes that were found for this device, where that is wanted.
    pub(super) fn tuned(mut self, wanted: bool) -> Self {
        self.environment.tunings = cache_folder().filter(|_| wanted);
        self
    }

    /// Carries out what tells of its progress, in the form that was asked for.
    pub(super) fn attend<T>(
        self,
        work: impl FnOnce(Environment, &mut dyn Listener) -> Result<T, RunError>,
    ) -> Result<T, RunError> {
        match self.json {
            true => work(self.environment, &mut Json { last: Instant::now() }),
            false => work(self.environment, &mut Progress::new(self.quiet)),
        }
    }

    /// Carries a run on in the folder `out`, and prints what it comes to.
    pub(super) fn carry_on(
        self,
        out: &Path,
        run: impl FnOnce(Environment, &mut dyn Listener) -> Result<RunResult, RunError>,
    ) -> anyhow::Result<()> {
        let (begun, json) = (Instant::now(), self.json);
        let result = self.attend(run)?;
        if json {
            return Ok(());
        }
        print_result(&result);
        say!("report: {}, after {}", out.join("report.html").display(), duration(begun.elapsed().as_secs_f64()));
        Ok(())
    }
}

/// Prints events as JSON, one a line; progress at most every 30 s.
struct Json {
    last: Instant,
}

impl Listener for Json {
    fn event(&mut self, event: &Event) {
        if let Event::Progress { .. } = event {
            if self.last.elapsed() < Duration::from_secs(30) {
                return;
            }
            self.last = Instant::now();
        }
        // Every event is plain data, so this cannot fail.
        if let Ok(line) = serde_json::to_string(event) {
            say!("{line}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_unit() {
        assert_eq!(time("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(time("1.5min"), Ok(Duration::from_secs(90)));
        assert_eq!(time("8h"), Ok(Duration::from_secs(28_800)));
        for wrong in ["", "8", "h", "-1s", "1 day", "1e999h", "9999999999999999999999h"] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
    }
}
