//! Every layer before (hollow) and after (filled): widths, kernel, milliseconds.

use super::html::{Text, milliseconds, push};
use super::input::{LayerBar, NetworkSummary};

/// The figure with its table, or nothing without layers.
pub(super) fn figure(network: &NetworkSummary) -> String {
    let layers = &network.layers;
    if layers.is_empty() {
        return String::new();
    }
    let widths =
        layers.iter().flat_map(|l| [l.initial.filters, l.initial.expansion, l.found.filters, l.found.expansion]);
    let scales = Scales {
        width: f64::from(widths.max().unwrap_or(0)),
        ms: layers.iter().flat_map(|l| [l.initial_ms, l.found_ms]).flatten().fold(0.0, f64::max),
    };
    let mut html = format!(
        "<h3>Layers</h3><p class=\"about\">{} Hollow is what was there, filled is what is left.</p>\
         <ul class=\"legend\"><li><i class=\"swatch filters\"></i>filters<li>\
         <i class=\"swatch expansion\"></i>expansion",
        summary(layers)
    );
    if scales.ms > 0.0 {
        html.push_str("<li><i class=\"swatch ms\"></i>time, predicted from the table");
    }
    let class = if scales.ms > 0.0 { "layers" } else { "layers untimed" };
    push!(html, "</ul><div class=\"{class}\" role=\"img\" aria-label=\"widths and times of every layer\">");
    for layer in layers {
        row(&mut html, layer, &scales);
    }
    push!(html, "</div>{}{}", total(network), table(layers));
    html
}

/// What the longest bars stand for.
struct Scales {
    width: f64,
    ms: f64,
}

fn summary(layers: &[LayerBar]) -> String {
    let searched = layers.iter().filter(|layer| layer.kind != "linear");
    let sum = |of: fn(&LayerBar) -> u32| searched.clone().map(of).sum::<u32>();
    let mut text = format!(
        "Filters of all layers: {} → {}. Channels of all expansions: {} → {}.",
        sum(|l| l.initial.filters),
        sum(|l| l.found.filters),
        sum(|l| l.initial.expansion),
        sum(|l| l.found.expansion)
    );
    match layers.iter().filter(|layer| layer.removed).count() {
        0 => text.push_str(" No layer was removed."),
        1 => text.push_str(" One layer was removed."),
        removed => push!(text, " {removed} layers were removed."),
    }
    text
}

fn row(html: &mut String, layer: &LayerBar, scales: &Scales) {
    let class = if layer.removed { "layer removed" } else { "layer" };
    push!(html, "<div class=\"{class}\"><div class=\"name\"><b>{}</b>", Text(&layer.name));
    push!(
        html,
        "<small>{}</small></div><div class=\"bars\">",
        Text(if layer.removed { "removed" } else { &layer.kind })
    );
    let (initial, found) = (layer.initial, layer.found);
    let width = |html: &mut String, class: &str, before: u32, after: u32| {
        let (before, after) = (f64::from(before), f64::from(after));
        let tip = format!("{class}: {before} → {after}");
        bar(html, class, [before / scales.width, after / scales.width], &tip);
        push!(html, "<span>{}</span>", arrow(before as u32, after as u32));
    };
    width(html, "filters", initial.filters, found.filters);
    if initial.expansion > 0 {
        width(html, "expansion", initial.expansion, found.expansion);
    }
    push!(html, "</div><div class=\"kernel\">{}</div>", kernel(layer));
    if scales.ms > 0.0 {
        let (before, after) = (layer.initial_ms.unwrap_or(0.0), layer.found_ms.unwrap_or(0.0));
        let tip = format!("predicted: {} → {}", milliseconds(before), milliseconds(after));
        html.push_str("<div class=\"bars time\">");
        bar(html, "ms", [before / scales.ms, after / scales.ms], &tip);
        push!(html, "<span>{}</span></div>", milliseconds(after));
    }
    html.push_str("</div>");
}

/// A hollow bar and a filled one over it; both are shares of the width.
fn bar(html: &mut String, class: &str, [before, after]: [f64; 2], tip: &str) {
    let [before, after] = [before, after].map(|share| if share.is_finite() { share * 100.0 } else { 0.0 });
    push!(html, "<svg class=\"bar {class}\" width=\"100%\" height=\"13\"><g><title>{tip}</title>");
    push!(html, "<rect class=\"hit\" width=\"100%\" height=\"13\"/>");
    push!(html, "<rect class=\"before\" y=\".5\" width=\"{before:.2}%\" height=\"12\" rx=\"2\"/>");
    push!(html, "<rect class=\"after\" y=\".5\" width=\"{after:.2}%\" height=\"12\" rx=\"2\"/></g></svg>");
}

fn arrow(before: u32, after: u32) -> String {
    if before == after { before.to_string() } else { format!("{before}&nbsp;→&nbsp;{after}") }
}

/// The kernel as squares: a smaller kernel is the centre of the larger one.
fn kernel(layer: &LayerBar) -> String {
    let before = layer.initial.kernel;
    let after = if layer.removed { 0 } else { layer.found.kernel };
    if before == 0 {
        return String::new();
    }
    // More than 9 squares a side are too small to be seen.
    let text = if layer.removed { format!("<s>{before}</s>") } else { arrow(before, after) };
    if before > 9 || after > before {
        return format!("<span>{text}</span>");
    }
    let side = before * 6;
    let margin = (before - after) / 2;
    let mut html =
        format!("<svg class=\"taps\" width=\"{side}\" height=\"{side}\"><title>kernel: {before} → {after}</title>");
    for place in 0..before * before {
        let (x, y) = (place % before, place / before);
        let kept = [x, y].iter().all(|at| (margin..margin + after).contains(at));
        let class = if kept { "after" } else { "before" };
        push!(html, "<rect class=\"{class}\" x=\"{}.5\" y=\"{}.5\" width=\"5\" height=\"5\"/>", x * 6, y * 6);
    }
    push!(html, "</svg><span>{text}</span>");
    html
}

/// The sum of the predictions beside the measurement.
fn total(network: &NetworkSummary) -> String {
    let sum = |of: fn(&LayerBar) -> Option<f64>| network.layers.iter().map(of).sum::<Option<f64>>();
    let (Some(before), Some(after)) = (sum(|l| l.initial_ms), sum(|l| l.found_ms)) else { return String::new() };
    format!(
        "<p class=\"about\">Sum of the predictions by layer: {} → <b>{}</b>. Measured as a whole: <b>{}</b>. They \
         differ as far as layers in a row run otherwise than alone; every iteration of the search corrects for it.</p>",
        milliseconds(before),
        milliseconds(after),
        milliseconds(network.latency_ms)
    )
}

fn table(layers: &[LayerBar]) -> String {
    let mut html = String::from(
        "<details><summary>All layers as a table</summary><div class=\"wide\"><table><thead><tr><th>layer<th>kind\
         <th>filters<th>expansion<th>kernel<th>predicted before<th>predicted after</thead><tbody>",
    );
    let ms = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), milliseconds);
    for l in layers {
        let kind = if l.removed { "removed" } else { &l.kind };
        push!(html, "<tr><th>{}<td>{}<td>{}", Text(&l.name), Text(kind), arrow(l.initial.filters, l.found.filters));
        let dash = |before: u32, after: u32| if before == 0 { "–".to_owned() } else { arrow(before, after) };
        push!(html, "<td>{}", dash(l.initial.expansion, l.found.expansion));
        push!(html, "<td>{}", if l.removed { "–".to_owned() } else { dash(l.initial.kernel, l.found.kernel) });
        push!(html, "<td>{}<td>{}</tr>", ms(l.initial_ms), ms(l.found_ms));
    }
    html.push_str("</tbody></table></div></details>");
    html
}
