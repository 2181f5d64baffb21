//! Several runs on one page: one curve of accuracy against latency, a table, and what each run found.
//!
//! Latencies of two devices and accuracies on two sets of images do not compare, so each device and set has a curve
//! of its own.

use super::chart::{Dot, Mark, Plot, Series};
use super::descent::Unit;
use super::html::{Text, count, milliseconds, percent, points, push};
use super::input::{Input, NetworkSummary};
use super::page::{GUIDE, details, document, facts, slim, software};
use super::scale::Scale;

/// A network of one of the runs.
struct Entry<'a> {
    /// Index of the run.
    run: usize,
    network: &'a NetworkSummary,
    /// Whether no network of its curve is at least as fast and more accurate.
    best: bool,
}

/// The page of these runs, each with its name. All numbers are in it once more as JSON, a list of
/// `{"run", "report"}`, in the element `report-data`.
pub fn merged(runs: &[(String, Input)]) -> String {
    let entries = entries(runs);
    let title = format!("{} networks of {} runs", entries.len(), runs.len());
    let mut html = header(runs, &title);
    push!(html, "<main>{}", curve(runs, &entries));
    for (index, (name, input)) in runs.iter().enumerate() {
        push!(html, "<section id=\"run-{index}\"><h2>{}{}</h2>", Series(index).key(), Text(name));
        html.push_str(&facts(input));
        for network in &input.networks {
            push!(html, "<details><summary>The network found for {}", Text(&network.budget_text));
            push!(html, ": layers, classes, mistakes</summary>{}</details>", details(input, network));
        }
        html.push_str("</section>");
    }
    push!(html, "{GUIDE}</main>");
    let data: Vec<_> =
        runs.iter().map(|(run, input)| serde_json::json!({ "run": run, "report": slim(input) })).collect();
    document(&title, &html, &serde_json::Value::from(data).to_string())
}

/// What two runs must share for their networks to be compared.
fn setting(input: &Input) -> [&str; 3] {
    [&input.device.name, &input.device.driver, &input.dataset.path]
}

/// The settings that there are, in the order of the runs.
fn settings(runs: &[(String, Input)]) -> Vec<[&str; 3]> {
    let mut found = Vec::new();
    for (_, input) in runs {
        if !found.contains(&setting(input)) {
            found.push(setting(input));
        }
    }
    found
}

/// All networks, the fastest first.
fn entries(runs: &[(String, Input)]) -> Vec<Entry<'_>> {
    let networks = runs.iter().enumerate().flat_map(|(run, (_, input))| input.networks.iter().map(move |n| (run, n)));
    let mut entries: Vec<Entry> = networks.map(|(run, network)| Entry { run, network, best: false }).collect();
    entries.sort_by(|a, b| {
        let [a, b] = [a.network, b.network];
        a.latency_ms.total_cmp(&b.latency_ms).then(b.test.total_cmp(&a.test))
    });
    for setting in settings(runs) {
        let mut most = f64::NEG_INFINITY;
        for entry in entries.iter_mut().filter(|entry| self::setting(&runs[entry.run].1) == setting) {
            entry.best = entry.network.latency_ms.is_finite() && entry.network.test > most;
            most = most.max(entry.network.test);
        }
    }
    entries
}

fn header(runs: &[(String, Input)], title: &str) -> String {
    let date = runs.iter().map(|(_, input)| input.date.as_str()).max().unwrap_or_default();
    let mut html = format!("<header><p class=\"eyebrow\">netadapt report<span>{}</span></p>", Text(date));
    let names: Vec<String> = runs.iter().map(|(name, _)| Text(name).to_string()).collect();
    push!(html, "<h1>{title}</h1><p class=\"lede\">{}</p>", names.join(", "));
    let mut adapters: Vec<&str> = Vec::new();
    for (_, Input { device, .. }) in runs {
        if device.kind == "software" && !adapters.contains(&device.name.as_str()) {
            adapters.push(&device.name);
            html.push_str(&software(&device.name));
        }
    }
    if settings(runs).len() > 1 {
        html.push_str(
            "<p class=\"warning\"><b>Not all alike.</b> The runs are not all of the same device, driver and images. \
             Latencies of two devices, and accuracies on two sets of images, do not compare: each has a curve of its \
             own.</p>",
        );
    }
    html.push_str("</header>");
    html
}

/// The section with the plot and its table, or nothing where no run has found a network.
fn curve(runs: &[(String, Input)], entries: &[Entry]) -> String {
    let rivals = || runs.iter().flat_map(|(name, input)| input.comparison.iter().map(move |c| (name, c)));
    let of_rivals = rivals().map(|(_, c)| (c.latency_ms, c.test));
    let places: Vec<(f64, f64)> =
        entries.iter().map(|e| (e.network.latency_ms, e.network.test)).chain(of_rivals).collect();
    let most = places.iter().map(|place| place.0).filter(|ms| ms.is_finite()).fold(0.0, f64::max);
    let unit = Unit::new("latency", most);
    let x = Scale::around(places.iter().map(|place| place.0 * unit.factor));
    let (Some(x), Some(y)) = (x, Scale::around(places.iter().map(|place| place.1 * 100.0))) else {
        return String::new();
    };
    let mut plot = Plot::new(x, y, 400.0);
    for setting in settings(runs) {
        let on = entries.iter().filter(|e| e.best && self::setting(&runs[e.run].1) == setting);
        let points: Vec<_> = on.map(|e| (e.network.latency_ms * unit.factor, e.network.test * 100.0)).collect();
        plot.line("path", &points);
    }
    let dots: Vec<Dot> = rivals()
        .map(|(name, c)| Dot {
            x: c.latency_ms * unit.factor,
            y: c.test * 100.0,
            tip: format!("{} of {name}: {} at {}", c.name, percent(c.test), milliseconds(c.latency_ms)),
        })
        .collect();
    plot.dots("candidates", 3.5, &dots);
    let mark = |entry: &Entry| {
        let (name, network) = (&runs[entry.run].0, entry.network);
        let NetworkSummary { budget_text, test, interval, latency_ms, .. } = network;
        Mark {
            x: latency_ms * unit.factor,
            y: test * 100.0,
            series: Series(entry.run),
            label: budget_text.clone(),
            tip: format!(
                "{name}, {budget_text}: {} ± {} at {}",
                percent(*test),
                points(*interval),
                milliseconds(*latency_ms)
            ),
        }
    };
    plot.marks(&entries.iter().map(mark).collect::<Vec<_>>());
    let about = "accuracy on the test images against measured latency, of all runs";
    let chart = plot.finish("large", about, [&unit.axis, "accuracy on the test images, %"]);
    let mut legend = String::from("<ul class=\"legend\">");
    for (index, (name, _)) in runs.iter().enumerate() {
        push!(legend, "<li>{}{}", Series(index).key(), Text(name));
    }
    if !dots.is_empty() {
        legend.push_str("<li><i class=\"dot candidates\"></i>what a search was compared with");
    }
    format!(
        "<section id=\"curve\"><h2>Accuracy against latency</h2><p class=\"about\">Every network was trained by itself, \
         measured whole, and tested on images that decided nothing. The line joins those that no other one beats: \
         none that is as fast is more accurate. Two whose intervals overlap cannot be told apart by accuracy.</p>\
         {legend}</ul>{chart}{}</section>",
        table(runs, entries)
    )
}

fn table(runs: &[(String, Input)], entries: &[Entry]) -> String {
    let mut html = String::from(
        "<div class=\"wide\"><table><thead><tr><th>run<th>budget<th>latency<th>MACs<th>parameters<th>held-out<th>test\
         <th>on the curve</thead><tbody>",
    );
    for Entry { run, network: n, best } in entries {
        push!(html, "<tr><th>{}{}<td>{}", Series(*run).key(), Text(&runs[*run].0), Text(&n.budget_text));
        push!(html, "<td>{}<td>{}", milliseconds(n.latency_ms), count(n.macs as f64));
        push!(html, "<td>{}<td>{}", count(n.params as f64), percent(n.holdout));
        push!(html, "<td>{} ± {}<td>{}</tr>", percent(n.test), points(n.interval), if *best { "yes" } else { "" });
    }
    html.push_str("</tbody></table></div>");
    html
}
