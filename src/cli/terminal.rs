//! Progress and results for people.

use crate::run::{Accuracy, ComparedNetwork, Comparison, Event, InitialNetwork, Listener, Phase, RunResult};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::collections::HashSet;
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
    /// Share that was shown last: where there turns out to be more to do, it waits.
    shown: f64,
    last_line: Instant,
}

impl Progress {
    pub(super) fn new(quiet: bool) -> Self {
        let terminal = std::io::stderr().is_terminal() && !quiet;
        let target = if terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let style = ProgressStyle::with_template("{msg:32} {wide_bar} {percent:>3} %  {eta} left")
            .expect("the template is constant and valid");
        let bar = ProgressBar::with_draw_target(Some(TICKS), target).with_style(style);
        Self { bar, quiet, terminal, phase: String::new(), first: None, shown: 0.0, last_line: Instant::now() }
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
                (self.first, self.shown) = (None, 0.0);
                self.last_line = Instant::now();
                self.bar.reset();
                self.bar.set_message(self.phase.clone());
            }
            Event::Progress { done, all } => {
                let share = (done / all).clamp(self.shown, 1.0);
                self.shown = share;
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

/// A network in the table of a result.
struct Row<'a> {
    name: String,
    latency_ms: f64,
    macs: u64,
    params: u64,
    accuracy: &'a Accuracy,
    interval: f64,
    target_ms: Option<f64>,
}

/// The networks of a result, each once.
fn rows(result: &RunResult) -> Vec<Row<'_>> {
    let InitialNetwork { latency_ms, target_ms, macs, params, accuracy } = &result.initial;
    let initial = Row {
        name: "initial, shared".into(),
        latency_ms: *latency_ms,
        macs: *macs,
        params: *params,
        accuracy,
        interval: 0.0,
        target_ms: *target_ms,
    };
    let found = result.networks.iter().map(|n| Row {
        name: format!("found for {}", n.budget.text),
        latency_ms: n.latency_ms,
        macs: n.macs,
        params: n.params,
        accuracy: &n.accuracy,
        interval: n.interval,
        target_ms: n.target_ms,
    });
    let compared = result.compare.iter().map(|c| Row {
        name: rival(result, c),
        latency_ms: c.latency_ms,
        macs: c.macs,
        params: c.params,
        accuracy: &c.accuracy,
        interval: c.interval,
        target_ms: c.target_ms,
    });
    let mut told = HashSet::new();
    // The initial network is one for all budgets.
    std::iter::once(initial).chain(found).chain(compared).filter(|row| told.insert(row.name.clone())).collect()
}

/// What a network that a found one is compared with is called: of several budgets each has its own, but for the initial
/// network.
fn rival(result: &RunResult, compared: &ComparedNetwork) -> String {
    let name = &compared.name;
    if result.networks.len() == 1 || name == Comparison::Initial.name() {
        return name.clone();
    }
    format!("{name} for {}", result.networks[compared.network].budget.text)
}

/// The result in a table, and the differences with their intervals.
pub(super) fn print_result(result: &RunResult) {
    let percent = |share: Option<f64>| share.map_or("-".into(), |s| format!("{:.1} %", s * 100.0));
    let rows = rows(result);
    let width = rows.iter().map(|row| row.name.len()).max().unwrap_or(0).max(18);
    say!("{}", result.device);
    say!(
        "{:<width$} {:>10} {:>8} {:>8} {:>8} {:>12} {:>8}",
        "network",
        "latency",
        "MMACs",
        "kparams",
        "held-out",
        "test",
        "balanced"
    );
    for Row { name, latency_ms, macs, params, accuracy, interval, .. } in &rows {
        let test = accuracy.test.map_or("-".into(), |a| format!("{:.1} ± {:.1} %", a * 100.0, interval * 100.0));
        say!(
            "{name:<width$} {latency_ms:>7.3} ms {:>8.2} {:>8.1} {:>8} {test:>12} {:>8}",
            *macs as f64 / 1e6,
            *params as f64 / 1e3,
            percent(accuracy.holdout),
            percent(accuracy.balanced)
        );
    }
    if let Some(target) = &result.target {
        say!("predicted for {target}, and not measured there:");
        for Row { name, target_ms, .. } in &rows {
            say!("{name:<width$} {:>7.3} ms", target_ms.unwrap_or(f64::NAN));
        }
    }
    for c in &result.compare {
        let (d, rival) = (&c.difference, rival(result, c));
        let found = match result.networks.len() {
            1 => "found".to_owned(),
            _ => format!("found for {}", result.networks[c.network].budget.text),
        };
        say!(
            "{found} - {rival}: {:+.2} points, 95 % interval {:+.2} to {:+.2} (paired over the same images)",
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
