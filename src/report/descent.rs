//! Accuracy against the limited resource over the search.

use super::chart::{Dot, Mark, Plot, Series};
use super::comparison::series_of;
use super::html::{count, fixed, milliseconds, percent, push, signed_percent};
use super::input::Input;
use super::prediction;
use super::scale::Scale;
use crate::search::Iterate;

/// Above so many candidates they are drawn without tooltips: the page stays small.
const TIPS_AT_MOST: usize = 4000;

/// The unit of the limited resource on an axis.
pub(super) struct Unit {
    /// A value times this is in the unit.
    pub(super) factor: f64,
    /// Its name; empty for a count.
    pub(super) name: &'static str,
    /// What the axis says.
    pub(super) axis: String,
    /// Whether values are milliseconds.
    is_latency: bool,
    /// Whether they are bytes.
    is_bytes: bool,
}

impl Unit {
    /// The unit in which values up to `most` read well.
    pub(super) fn new(resource: &str, most: f64) -> Self {
        let is_latency = resource.starts_with("latency");
        let is_bytes = !is_latency && !["MACs", "parameters"].contains(&resource);
        let scales: &[(f64, &'static str)] = match (is_latency, is_bytes) {
            (true, _) => &[(1.0, "ms"), (1e-3, "µs")],
            (_, true) => &[(1e6, "MB"), (1e3, "kB")],
            _ => &[(1e9, "billions"), (1e6, "millions"), (1e3, "thousands")],
        };
        let fallback = if is_latency { (1e-3, "µs") } else { (1.0, if is_bytes { "bytes" } else { "" }) };
        let (size, name) = scales.iter().copied().find(|(size, _)| most >= *size).unwrap_or(fallback);
        let of = match resource {
            "latency" => "latency of one run",
            _ if is_latency => "latency of one run predicted for the target",
            "MACs" => "multiply-accumulates of one image",
            "parameters" => "trainable parameters",
            "bytes of weights" => "weights",
            _ => "peak of the activations",
        };
        let axis = if name.is_empty() { of.to_owned() } else { format!("{of}, {name}") };
        Self { factor: 1.0 / size, name, axis, is_latency, is_bytes }
    }

    /// A value in the unit.
    pub(super) fn scaled(&self, value: f64) -> f64 {
        value * self.factor
    }

    /// A value with its unit.
    pub(super) fn text(&self, value: f64) -> String {
        match (self.is_latency, self.is_bytes) {
            (true, _) => milliseconds(value),
            (_, true) => format!("{}B", count(value)),
            _ => count(value),
        }
    }
}

/// The section, or nothing where no search was recorded.
pub(super) fn section(input: &Input) -> String {
    let marks = marks(input);
    let iterates = &input.iterates;
    let xs = || {
        let of_search = input.candidates.iter().map(|c| c.predicted).chain(iterates.iter().map(|i| i.measured));
        of_search.chain(marks.iter().map(|mark| mark.x)).chain(input.networks.iter().map(|n| n.limit))
    };
    let of_search = input.candidates.iter().map(|c| c.accuracy).chain(iterates.iter().map(|i| i.accuracy));
    let ys = of_search.chain(marks.iter().map(|mark| mark.y)).map(|share| share * 100.0);
    let most = xs().filter(|x| x.is_finite()).fold(0.0, f64::max);
    let unit = Unit::new(&input.resource, most);
    let (Some(x), Some(y)) = (Scale::around(xs().map(|x| x * unit.factor)), Scale::around(ys)) else {
        return String::new();
    };
    if input.candidates.is_empty() && iterates.is_empty() {
        return String::new();
    }
    let mut plot = Plot::new(x, y, 400.0);
    plot.limits(
        &input.networks.iter().map(|n| (n.limit * unit.factor, format!("≤ {}", n.budget_text))).collect::<Vec<_>>(),
    );
    candidates(&mut plot, input, &unit);
    if is_descent(input) {
        let points: Vec<(f64, f64)> = iterates.iter().map(|i| (i.measured * unit.factor, i.accuracy * 100.0)).collect();
        plot.line("path", &points);
    }
    plot.dots("iterates", 4.0, &iterates.iter().map(|iterate| dot(iterate, &unit)).collect::<Vec<_>>());
    plot.marks(
        &marks.into_iter().map(|mark| Mark { x: mark.x * unit.factor, y: mark.y * 100.0, ..mark }).collect::<Vec<_>>(),
    );
    let chart = plot.finish(
        "large",
        "accuracy against the limited resource, over the search",
        [&unit.axis, "accuracy on the held-out images, %"],
    );
    format!(
        "<section id=\"search\"><h2>The search</h2><p class=\"about\">{}</p>{}{chart}{}{}</section>",
        about(input),
        legend(input),
        prediction::figure(input, &unit),
        table(iterates, &unit)
    )
}

/// A descent has numbered iterations from 1; other strategies give every budget candidates from number 0.
fn is_descent(input: &Input) -> bool {
    input.candidates.iter().all(|candidate| candidate.iteration > 0)
}

fn about(input: &Input) -> String {
    let mut text =
        format!("{} networks were scored with the shared weights of one super-network. ", input.candidates.len());
    if is_descent(input) {
        text.push_str(
            "Each iteration samples networks that cost a little less and keeps the best: read the line from right to \
             left. Dots lie at their predicted cost, the line at what was measured. ",
        );
    }
    if !input.networks.is_empty() {
        text.push_str("The large marks are networks after a training of their own, so they lie off the line.");
    }
    text
}

fn legend(input: &Input) -> String {
    let mut html = String::from("<ul class=\"legend\">");
    if !input.candidates.is_empty() {
        html.push_str("<li><i class=\"dot candidates\"></i>candidate, shared weights</li>");
    }
    if !input.iterates.is_empty() {
        html.push_str("<li><i class=\"dot iterates\"></i>accepted, shared weights</li>");
    }
    if !input.networks.is_empty() {
        push!(html, "<li>{}found, trained by itself</li>", Series::FOUND.key());
    }
    html.push_str("</ul>");
    html
}

fn candidates(plot: &mut Plot, input: &Input, unit: &Unit) {
    let rejected = input.candidates.iter().filter(|candidate| !candidate.accepted);
    if input.candidates.len() > TIPS_AT_MOST {
        let points: Vec<_> = rejected.map(|c| (c.predicted * unit.factor, c.accuracy * 100.0)).collect();
        return plot.cloud("candidates", &points);
    }
    let dots = rejected.map(|c| Dot {
        x: c.predicted * unit.factor,
        y: c.accuracy * 100.0,
        tip: format!(
            "candidate {}.{}: {} at {} (predicted)",
            c.iteration,
            c.sample,
            percent(c.accuracy),
            unit.text(c.predicted)
        ),
    });
    plot.dots("candidates", 2.6, &dots.collect::<Vec<_>>());
}

fn dot(iterate: &Iterate, unit: &Unit) -> Dot {
    let name = if iterate.iteration == 0 && iterate.samples <= 1 {
        "initial network".into()
    } else {
        format!("iteration {}", iterate.iteration)
    };
    let (accuracy, measured) = (percent(iterate.accuracy), unit.text(iterate.measured));
    let tip = format!("{name}: {accuracy} at {measured}, best of {}", iterate.samples);
    Dot { x: iterate.measured * unit.factor, y: iterate.accuracy * 100.0, tip }
}

/// What a network has of a resource that is counted.
fn counted(resource: &str, [macs, params, weights, activations]: [u64; 4]) -> f64 {
    let count = match resource {
        "MACs" => macs,
        "parameters" => params,
        "bytes of weights" => weights,
        _ => activations,
    };
    count as f64
}

/// What was trained by itself: the found networks, then what they are compared with, each once.
fn marks(input: &Input) -> Vec<Mark> {
    let cost = |latency_ms: f64, target_ms: Option<f64>, counts: [u64; 4]| match input.resource.as_str() {
        "latency" => latency_ms,
        resource if resource.starts_with("latency") => target_ms.unwrap_or(latency_ms),
        resource => counted(resource, counts),
    };
    let mut marks: Vec<Mark> = Vec::new();
    let mut add = |x: f64, y: f64, series: Series, label: String, latency_ms: f64| {
        let tip = format!("{label}: {} on the held-out images, {}", percent(y), milliseconds(latency_ms));
        // The initial network is one for all budgets, measured for each.
        if !marks.iter().any(|mark| mark.label == label) {
            marks.push(Mark { x, y, series, label, tip });
        }
    };
    for n in &input.networks {
        let label = format!("found, {}", n.budget_text);
        let x = cost(n.latency_ms, n.target_ms, [n.macs, n.params, n.weight_bytes, n.activation_bytes]);
        add(x, n.holdout, Series::FOUND, label, n.latency_ms);
    }
    for c in &input.comparison {
        let series = series_of(input, &c.name);
        let x = cost(c.latency_ms, c.target_ms, [c.macs, c.params, c.weight_bytes, c.activation_bytes]);
        let label = match input.networks.get(c.network) {
            Some(network) if input.networks.len() > 1 && c.name != "initial" => {
                format!("{}, {}", c.name, network.budget_text)
            }
            _ => c.name.clone(),
        };
        add(x, c.holdout, series, label, c.latency_ms);
    }
    marks
}

fn table(iterates: &[Iterate], unit: &Unit) -> String {
    if iterates.is_empty() {
        return String::new();
    }
    let mut html = String::from(
        "<details><summary>All accepted networks as a table</summary><div class=\"wide\"><table><thead><tr>\
         <th>iteration<th>asked for<th>predicted<th>measured<th>error<th>accuracy<th>loss<th>of samples</thead><tbody>",
    );
    for i in iterates {
        let [target, predicted, measured] = [i.target, i.predicted, i.measured].map(|value| unit.text(value));
        push!(html, "<tr><td>{}<td>{target}<td>{predicted}<td>{measured}", i.iteration);
        push!(html, "<td>{}", signed_percent(i.error()));
        push!(html, "<td>{}<td>{}<td>{}</tr>", percent(i.accuracy), fixed(i.loss, 3), i.samples);
    }
    html.push_str("</tbody></table></div></details>");
    html
}
