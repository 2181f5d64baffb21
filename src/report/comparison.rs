//! The found networks beside what they are compared with: whiskers and numbers in one table.

use super::chart::{Series, ticks, whisker};
use super::html::{Text, count, difference, milliseconds, percent, points, push};
use super::input::{Compared, Difference, Input, NetworkSummary};
use super::scale::Scale;

/// Colour and shape of a network by its name: the same name has the same in every chart.
pub(super) fn series_of(input: &Input, name: &str) -> Series {
    let mut names: Vec<&str> = Vec::new();
    for compared in &input.comparison {
        if !names.contains(&compared.name.as_str()) {
            names.push(&compared.name);
        }
    }
    let place = names.iter().position(|known| *known == name).unwrap_or(0);
    // Four series are left beside that of the found networks.
    Series(1 + place % 4)
}

/// The section, or nothing where nothing was compared.
pub(super) fn section(input: &Input) -> String {
    let mut groups = String::new();
    for (index, network) in input.networks.iter().enumerate() {
        let compared: Vec<&Compared> = input.comparison.iter().filter(|c| c.network == index).collect();
        if compared.is_empty() {
            continue;
        }
        if input.networks.len() > 1 {
            push!(groups, "<h3>Budget {}</h3>", Text(&network.budget_text));
        }
        push!(groups, "<div class=\"pair\">{}{}</div>", accuracies(input, network, &compared), gains(input, &compared));
        push!(groups, "{}", table(input, network, &compared));
    }
    if groups.is_empty() {
        return groups;
    }
    format!(
        "<section id=\"comparison\"><h2>Was the search worth it?</h2><p class=\"about\">All were trained alike and \
         tested on the same {} images. <b>uniform</b> narrows every layer by one factor until the budget is met, \
         <b>random</b> is the best of random networks at the budget, <b>initial</b> is where the search began. An \
         interval holds the true value in 95 of 100 cases; where that of a difference \
         contains zero, the two cannot be told apart.</p>\
         {groups}</section>",
        input.dataset.test
    )
}

/// Test accuracies with their intervals.
fn accuracies(input: &Input, network: &NetworkSummary, compared: &[&Compared]) -> String {
    let mut rows = vec![("found", Series::FOUND, network.test, network.interval)];
    rows.extend(compared.iter().map(|c| (c.name.as_str(), series_of(input, &c.name), c.test, c.interval)));
    let ends = |test: f64, half: f64| [test - half, test, test + half].map(|share| share.clamp(0.0, 1.0) * 100.0);
    let Some(scale) = Scale::over(rows.iter().flat_map(|row| ends(row.2, row.3)), 4) else { return String::new() };
    let rows = rows.into_iter().map(|(name, series, test, half)| {
        let value = format!("{}<small>&nbsp;±&nbsp;{}</small>", percent(test), points(half));
        (name, series, value, whisker(&scale, series, ends(test, half), false))
    });
    forest("Test accuracy, %", rows, &scale)
}

/// What the found network is better by.
fn gains(input: &Input, compared: &[&Compared]) -> String {
    let rows: Vec<_> = compared.iter().filter_map(|c| c.difference.map(|d| (c.name.as_str(), d))).collect();
    let ends = rows.iter().flat_map(|(_, d)| [d.low, d.value, d.high, 0.0]).map(|share| share * 100.0);
    let Some(scale) = Scale::over(ends, 4) else { return String::new() };
    let rows = rows.into_iter().map(|(name, d)| {
        let series = series_of(input, name);
        (name, series, gain(d), whisker(&scale, series, [d.low, d.value, d.high].map(|share| share * 100.0), true))
    });
    forest("Found minus this one, percentage points", rows, &scale)
}

fn gain(d: Difference) -> String {
    format!("{}<small> [{}, {}]</small>", difference(d.value), difference(d.low), difference(d.high))
}

fn forest<'a>(title: &str, rows: impl Iterator<Item = (&'a str, Series, String, String)>, scale: &Scale) -> String {
    let mut html = format!("<table class=\"forest\"><caption>{title}</caption><tbody>");
    for (name, series, value, drawing) in rows {
        push!(html, "<tr><th>{}{}<td class=\"drawing\">{drawing}<td>{value}</tr>", series.key(), Text(name));
    }
    push!(html, "<tr class=\"axis\"><th><td class=\"drawing\">{}<td></tr></tbody></table>", ticks(scale));
    html
}

fn table(input: &Input, network: &NetworkSummary, compared: &[&Compared]) -> String {
    let mut html = String::from(
        "<div class=\"wide\"><table><thead><tr><th>network<th>latency<th>MACs<th>parameters<th>held-out<th>test\
         <th>mean of the classes<th>found minus this</thead><tbody>",
    );
    let balanced = |share: Option<f64>| share.map_or_else(String::new, percent);
    let mut row = |name: &str, series: Series, numbers: [f64; 3], shares: [f64; 3], ends: [String; 2]| {
        let [latency_ms, macs, params] = numbers;
        let [holdout, test, interval] = shares;
        push!(html, "<tr><th>{}{}<td>{}", series.key(), Text(name), milliseconds(latency_ms));
        push!(html, "<td>{}<td>{}<td>{}", count(macs), count(params), percent(holdout));
        let [balanced, gain] = ends;
        push!(html, "<td>{} ± {}<td>{balanced}<td>{gain}</tr>", percent(test), points(interval));
    };
    let n = network;
    row(
        "found",
        Series::FOUND,
        [n.latency_ms, n.macs as f64, n.params as f64],
        [n.holdout, n.test, n.interval],
        [balanced(n.balanced), String::new()],
    );
    for c in compared {
        let numbers = [c.latency_ms, c.macs as f64, c.params as f64];
        row(
            &c.name,
            series_of(input, &c.name),
            numbers,
            [c.holdout, c.test, c.interval],
            [balanced(c.balanced), c.difference.map_or_else(String::new, gain)],
        );
    }
    html.push_str("</tbody></table></div>");
    html
}
