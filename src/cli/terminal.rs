//! Progress and results for people.

use crate::run::{Accuracy, Event, Listener, Phase, RunResult};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// Seconds between two lines of progress where there is no terminal.
const LINE_SECONDS: u64 = 30;
/// Ticks of a bar: progress comes as shares.
const TICKS: u64 = 10_000;

/// Shows events on stderr: a bar on a terminal, a line every 30 s otherwise.
pub(super) struct Progress {
    bar: ProgressBar,
    quiet: bool,
    terminal: bool,
    phase: String,
    /// Share that the first report of a phase said was done, and when that was.
    first: Option<(f64, Instant)>,
    last_line: Instant,
}

impl Progress {
    pub(super) fn new(quiet: bool) -> Self {
        let terminal = std::io::stderr().is_terminal() && !quiet;
        let target = if terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let style = ProgressStyle::with_template("{msg:32} {wide_bar} {percent:>3} %  {eta} left")
            .expect("the template is constant and valid");
        let bar = ProgressBar::with_draw_target(Some(TICKS), target).with_style(style);
        Self { bar, quiet, terminal, phase: String::new(), first: None, last_line: Instant::now() }
    }

    fn line(&self, text: &str) {
        if self.quiet {
            return;
        }
        if self.terminal { self.bar.println(text) } else { eprintln!("{text}") }
    }
}

/// Shows the progress of one piece of work, done and all, and what is left of its time.
pub(super) fn phase<T>(quiet: bool, phase: Phase, work: impl FnOnce(&mut dyn FnMut(f64, f64)) -> T) -> T {
    let mut progress = Progress::new(quiet);
    let begun = Instant::now();
    progress.event(&Event::Begin { phase: phase.clone() });
    let result = work(&mut |done, all| progress.event(&Event::Progress { done, all }));
    progress.event(&Event::End { phase, seconds: begun.elapsed().as_secs_f64() });
    result
}

impl Listener for Progress {
    fn event(&mut self, event: &Event) {
        match event {
            Event::Note { text } => self.line(&format!("note: {}", printable(text))),
            Event::Begin { phase } => {
                self.phase = phase.to_string();
                self.first = None;
                self.last_line = Instant::now();
                self.bar.reset();
                self.bar.set_message(self.phase.clone());
            }
            Event::Progress { done, all } => {
                let share = (done / all).clamp(0.0, 1.0);
                self.bar.set_position((share * TICKS as f64) as u64);
                let (from, since) = *self.first.get_or_insert_with(|| {
                    // What an earlier process did took none of this one's time.
                    self.bar.reset_eta();
                    (share, Instant::now())
                });
                if !self.terminal && self.last_line.elapsed() >= Duration::from_secs(LINE_SECONDS) {
                    self.last_line = Instant::now();
                    let left = since.elapsed().as_secs_f64() * (1.0 - share) / (share - from);
                    // A first step says little of those to come.
                    let left =
                        if share - from < 0.01 { String::new() } else { format!(", about {} left", duration(left)) };
                    self.line(&format!("{}: {:.0} %{left}", self.phase, share * 100.0));
                }
            }
            Event::End { phase, seconds } => self.line(&format!("{phase}: {}", duration(*seconds))),
            Event::Epoch { training, report } => self.line(&format!(
                "  {training}: epoch {} of {}, loss {:.3}, accuracy {:.1} %",
                report.epoch,
                report.epochs,
                report.loss,
                report.accuracy * 100.0
            )),
            Event::Measured { network, latency } => self.line(&format!(
                "  measured {network}: {:.3} ms (90th percentile {:.3} ms)",
                latency.median_ms, latency.p90_ms
            )),
            Event::Sample(_) => {}
            Event::Iterate(iterate) => self.line(&format!(
                "  iteration {}: at {:.4}, target {:.4}, held-out loss {:.4}",
                iterate.iteration, iterate.measured, iterate.target, iterate.loss
            )),
            Event::Result(_) => self.bar.finish_and_clear(),
        }
    }
}

/// Seconds in words.
pub(super) fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 10.0 => format!("{s:.1} s"),
        s if s < 100.0 => format!("{s:.0} s"),
        s if s < 6000.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}

/// The result in a table, and the differences with their intervals.
pub(super) fn print_result(result: &RunResult) {
    let percent = |share: Option<f64>| share.map_or("-".into(), |s| format!("{:.1} %", s * 100.0));
    say!("{}", result.device);
    say!(
        "{:<18} {:>10} {:>8} {:>8} {:>8} {:>12} {:>8}",
        "network",
        "latency",
        "MMACs",
        "kparams",
        "held-out",
        "test",
        "balanced"
    );
    let row = |name: &str, latency: f64, macs: u64, params: u64, accuracy: &Accuracy, interval: f64| {
        let test = accuracy.test.map_or("-".into(), |a| format!("{:.1} ± {:.1} %", a * 100.0, interval * 100.0));
        say!(
            "{name:<18} {:>7.3} ms {:>8.2} {:>8.1} {:>8} {test:>12} {:>8}",
            latency,
            macs as f64 / 1e6,
            params as f64 / 1e3,
            percent(accuracy.holdout),
            percent(accuracy.balanced)
        );
    };
    let i = &result.initial;
    row("initial, shared", i.latency_ms, i.macs, i.params, &i.accuracy, 0.0);
    for n in &result.networks {
        let name = format!("found for {}", n.budget.text);
        row(&name, n.latency_ms, n.macs, n.params, &n.accuracy, n.interval);
    }
    for c in &result.compare {
        row(&c.name, c.latency_ms, c.macs, c.params, &c.accuracy, c.interval);
    }
    if let Some(target) = &result.target {
        say!("predicted for {target}, and not measured there:");
        let found = result.networks.iter().map(|n| (format!("found for {}", n.budget.text), n.target_ms));
        let compared = result.compare.iter().map(|c| (c.name.clone(), c.target_ms));
        for (name, ms) in [("initial".to_owned(), i.target_ms)].into_iter().chain(found).chain(compared) {
            say!("{name:<22} {:>7.3} ms", ms.unwrap_or(f64::NAN));
        }
    }
    for c in &result.compare {
        let d = &c.difference;
        say!(
            "found - {}: {:+.2} points, 95 % interval {:+.2} to {:+.2} (paired over the same images)",
            c.name,
            d.value * 100.0,
            d.low * 100.0,
            d.high * 100.0
        );
    }
}

/// A name from a stranger without what would move the cursor, colour the terminal or turn the direction of reading.
pub(super) fn printable(text: &str) -> String {
    let turns = |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || turns(c) { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    shown
}

#[test]
fn names_cannot_write_to_the_terminal() {
    assert_eq!(printable("a\n\u{1b}[31m\u{202e}gpj.é"), "a\\n\\u{1b}[31m\\u{202e}gpj.é");
}
