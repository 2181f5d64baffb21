//! The frame of the page: head, headline, sections in reading order, guide, data.

use super::html::{Text, base64, change, count, embedded, milliseconds, percent, points, push};
use super::input::{Input, NetworkSummary};
use super::{classes, comparison, curves, descent, layers};
use sha2::{Digest, Sha256};

const STYLE: &str = include_str!("../../assets/report/style.css");
const SCRIPT: &str = include_str!("../../assets/report/tooltip.js");
pub(super) const GUIDE: &str = include_str!("../../assets/report/guide.html");

/// The page: HTML that needs nothing beside itself. All numbers of `input` are in it once more as JSON,
/// in the element `report-data`, without pictures and candidates.
pub fn page(input: &Input) -> String {
    let mut html = header(input);
    html.push_str("<main>");
    html.push_str(&comparison::section(input));
    html.push_str(&descent::section(input));
    for (index, network) in input.networks.iter().enumerate() {
        html.push_str(&network_section(input, index, network));
    }
    html.push_str(&curves::section(input));
    html.push_str(&curves::time(&input.seconds));
    push!(html, "{GUIDE}<section id=\"run\"><h2>The run</h2>{}</section></main>", facts(input));
    document(&input.title, &html, &serde_json::to_string(&slim(input)).unwrap_or_default())
}

/// A whole document with this title, body and data; nothing is loaded, and one script may run.
pub(super) fn document(title: &str, body: &str, data: &str) -> String {
    let mut html = head(title);
    push!(html, "<body>{body}");
    push!(html, "<script type=\"application/json\" id=\"report-data\">{}</script>", embedded(data));
    push!(html, "<script>{SCRIPT}</script></body></html>\n");
    html
}

/// The numbers alone. Pictures are in the page already, and candidates may be many thousands.
pub(super) fn slim(input: &Input) -> Input {
    let mut input = Input { candidates: Vec::new(), ..input.clone() };
    for network in &mut input.networks {
        network.samples.clear();
        network.mistakes.clear();
    }
    input.batch.clear();
    input
}

/// The head of a page, up to its body.
pub(super) fn head(title: &str) -> String {
    // The page may run one script, which is known by its hash, and load nothing.
    let policy = format!(
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{}'",
        base64(&Sha256::digest(SCRIPT))
    );
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">\
         <title>{} – netadapt</title><style>{STYLE}</style></head>",
        Text(title)
    )
}

fn header(input: &Input) -> String {
    let device = &input.device;
    let mut html = format!("<header><p class=\"eyebrow\">netadapt report<span>{}</span></p>", Text(&input.date));
    push!(html, "<h1>{}</h1><p class=\"lede\">{}</p>", Text(&input.title), lede(input));
    if device.kind == "software" {
        html.push_str(&software(&device.name));
    }
    for network in &input.networks {
        tiles(&mut html, input, network);
    }
    html.push_str("</header>");
    html
}

/// The warning of a processor that plays a GPU.
pub(super) fn software(name: &str) -> String {
    format!(
        "<p class=\"warning\"><b>Software adapter.</b> {} runs on the processor: the latencies of this page say \
         nothing about a graphics card.</p>",
        Text(name)
    )
}

/// The result in a sentence or two.
fn lede(input: &Input) -> String {
    let Some(network) = input.networks.first() else { return "No network was found.".into() };
    let mut text = format!(
        "Asked for {}, the search found a network that runs in <b>{}</b> on {}",
        Text(&network.budget_text),
        milliseconds(network.latency_ms),
        Text(&input.device.name)
    );
    let factor = input.initial.latency_ms / network.latency_ms;
    if factor.is_finite() && factor >= 1.05 {
        push!(text, ", {factor:.1} times as fast as the initial network");
    }
    push!(
        text,
        ". It classifies <b>{}</b> (±&nbsp;{}) of {} test images correctly.",
        percent(network.test),
        points(network.interval),
        input.dataset.test
    );
    if input.networks.len() > 1 {
        push!(text, " It is the first of {} networks.", input.networks.len());
    }
    text
}

/// The four numbers of a network, each with a bar against the initial network.
fn tiles(html: &mut String, input: &Input, network: &NetworkSummary) {
    let initial = &input.initial;
    if input.networks.len() > 1 {
        push!(html, "<h2 class=\"budget\">Budget {}</h2>", Text(&network.budget_text));
    }
    html.push_str("<div class=\"tiles\">");
    push!(html, "<div class=\"tile\"><h4>Test accuracy</h4><p>{}</p>", percent(network.test));
    let note = format!("±&nbsp;{} (95&nbsp;%)", points(network.interval));
    push!(html, "{}<small>{note}</small></div>", meter("accuracy", network.test, "share of hits"));
    let mut tile = |title: &str, value: String, [before, after]: [f64; 2], initial: String| {
        push!(
            html,
            "<div class=\"tile\"><h4>{title}</h4><p>{value}</p>{}",
            meter("", after / before, "of the initial")
        );
        push!(html, "<small>{} of {initial}</small></div>", change(before, after));
    };
    let ms = [initial.latency_ms, network.latency_ms];
    tile("Latency, measured", milliseconds(ms[1]), ms, milliseconds(ms[0]));
    for (title, before, after) in [("MACs", initial.macs, network.macs), ("Parameters", initial.params, network.params)]
    {
        let [before, after] = [before, after].map(|value| value as f64);
        tile(title, count(after), [before, after], count(before));
    }
    html.push_str("</div>");
}

fn meter(class: &str, share: f64, about: &str) -> String {
    let width = if share.is_finite() { share.clamp(0.0, 1.0) * 100.0 } else { 0.0 };
    format!(
        "<svg class=\"meter {class}\" width=\"100%\" height=\"6\" role=\"img\" aria-label=\"{width:.0} % {about}\">\
         <rect class=\"all\" width=\"100%\" height=\"6\" rx=\"3\"/>\
         <rect class=\"part\" width=\"{width:.1}%\" height=\"6\" \
         rx=\"3\"/></svg>"
    )
}

fn network_section(input: &Input, index: usize, network: &NetworkSummary) -> String {
    let mut html =
        format!("<section id=\"network-{index}\"><h2>The network found for {}</h2>", Text(&network.budget_text));
    push!(html, "<dl class=\"facts\">");
    let mut fact = |name: &str, value: String| push!(html, "<div><dt>{name}<dd>{value}</div>");
    fact("latency, median", milliseconds(network.latency_ms));
    if network.latency_p90_ms > 0.0 {
        fact("latency, 90th percentile", milliseconds(network.latency_p90_ms));
    }
    if let Some(predicted) = network.predicted_ms {
        fact("latency, predicted", milliseconds(predicted));
    }
    fact("held-out, shared weights", percent(network.shared));
    fact("held-out, trained", percent(network.holdout));
    fact("test", format!("{} ± {}", percent(network.test), points(network.interval)));
    if let Some(balanced) = network.balanced {
        fact("mean of the classes", percent(balanced));
    }
    push!(html, "</dl>{}</section>", details(input, network));
    html
}

/// Layers, confusions and pictures of a network.
pub(super) fn details(input: &Input, network: &NetworkSummary) -> String {
    let parts = [
        layers::figure(network),
        classes::accuracies(input, network),
        classes::confusion(input, network),
        classes::pictures(input, network),
    ];
    parts.concat()
}

/// What the run was made with.
pub(super) fn facts(input: &Input) -> String {
    let (device, dataset) = (&input.device, &input.dataset);
    let mut html = String::from("<dl class=\"facts long\">");
    let mut fact = |name: &str, value: &str| {
        if !value.is_empty() {
            push!(html, "<div><dt>{name}<dd>{}</div>", Text(value));
        }
    };
    fact("command", &input.command);
    let mut adapter = vec![device.name.as_str(), &device.kind, &device.backend, &device.driver];
    adapter.retain(|part| !part.is_empty());
    fact("device", &adapter.join(" · "));
    fact("dataset", &dataset.path);
    fact("images", &format!("{} training, {} held out, {} test", dataset.train, dataset.holdout, dataset.test));
    let colour = if dataset.channels == 1 { "grey" } else { "colour" };
    fact("size", &format!("{0} × {0} pixels, {colour}", dataset.size));
    fact("classes", &dataset.classes.join(", "));
    fact("space", &input.space);
    fact("strategy", &input.strategy);
    fact("limited", &input.resource);
    fact("seed", &input.seed.to_string());
    fact("netadapt", &input.version);
    html.push_str("</dl>");
    html
}
