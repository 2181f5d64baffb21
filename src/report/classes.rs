//! What a network gets right and wrong: the confusion matrix, its largest errors, pictures.

use super::html::{Text, percent, push};
use super::input::{Input, NetworkSummary, Picture};

/// Above so many classes the matrix has no numbers in its cells.
const NUMBERS_AT_MOST: usize = 20;

/// Classes of which the accuracy is listed.
const CLASSES_AT_MOST: usize = 30;

/// Confusions that are listed.
const LISTED: usize = 8;

/// What a class came to, the worst first; nothing without a matrix.
pub(super) fn accuracies(input: &Input, network: &NetworkSummary) -> String {
    let share = |(hits, images): (u32, u32)| f64::from(hits) / f64::from(images);
    let mut rows: Vec<(usize, (u32, u32))> = (network.confusion.iter().enumerate())
        .map(|(class, row)| (class, (row.get(class).copied().unwrap_or(0), row.iter().sum())))
        .filter(|(_, (_, images))| *images > 0)
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    rows.sort_by(|a, b| share(a.1).total_cmp(&share(b.1)).then(a.0.cmp(&b.0)));
    let left_out = rows.len().saturating_sub(CLASSES_AT_MOST);
    let mut html = String::from("<h3>Accuracy of each class</h3><p class=\"about\">The worst first. ");
    if let Some(balanced) = network.balanced {
        push!(html, "Their mean, in which a small class counts as much as a large one, is {}. ", percent(balanced));
    }
    if left_out > 0 {
        push!(html, "The {left_out} best are left out. ");
    }
    html.push_str("</p><table class=\"list\"><thead><tr><th>class<th>images<th>right<th>accuracy</thead><tbody>");
    for (class, (hits, images)) in rows.into_iter().take(CLASSES_AT_MOST) {
        let name = name(input, class);
        push!(html, "<tr><th>{}<td>{images}<td>{hits}<td>{}</tr>", Text(&name), percent(share((hits, images))));
    }
    html.push_str("</tbody></table>");
    html
}

/// Matrix and list, or nothing without a matrix.
pub(super) fn confusion(input: &Input, network: &NetworkSummary) -> String {
    let matrix = &network.confusion;
    if matrix.is_empty() {
        return String::new();
    }
    let drawn = if matrix.len() > NUMBERS_AT_MOST { map(input, matrix) } else { cells(input, matrix) };
    format!(
        "<h3>Which classes are confused</h3><p class=\"about\">A row is what an image is, a column what the network \
         said. Blue are hits, orange are errors, the stronger the more of the row; errors are shown stronger than \
         hits, as their square root.</p><div class=\"matrix-and-list\"><div class=\"wide\">{drawn}</div>{}</div>",
        list(input, matrix)
    )
}

/// The name of a class; its number where it has none.
fn name(input: &Input, class: usize) -> String {
    input.dataset.classes.get(class).cloned().unwrap_or_else(|| format!("class {class}"))
}

/// Strength of a cell's colour, 0 to 1.
fn strength(hit: bool, value: u32, total: u32) -> f64 {
    let share = f64::from(value) / f64::from(total.max(1));
    if hit { share } else { share.sqrt() }
}

fn tip(input: &Input, [label, predicted]: [usize; 2], value: u32, total: u32) -> String {
    let (is, said) = (name(input, label), name(input, predicted));
    format!("{value} of {total} of {is} are called {said} ({})", percent(f64::from(value) / f64::from(total.max(1))))
}

fn cells(input: &Input, matrix: &[Vec<u32>]) -> String {
    let mut html = String::from("<table class=\"confusion\"><thead><tr><th>");
    for class in 0..matrix.len() {
        push!(html, "<th><span>{}</span>", Text(&name(input, class)));
    }
    html.push_str("<th class=\"recall\"><span>right</span></thead><tbody>");
    for (label, row) in matrix.iter().enumerate() {
        let total: u32 = row.iter().sum();
        push!(html, "<tr><th>{}", Text(&name(input, label)));
        for (predicted, value) in row.iter().enumerate() {
            let hit = label == predicted;
            let strength = strength(hit, *value, total);
            let class = if hit { "hit" } else { "miss" };
            let dark = if strength > 0.55 { " full" } else { "" };
            let tip = tip(input, [label, predicted], *value, total);
            push!(html, "<td class=\"{class}{dark}\" style=\"--v:{strength:.2}\" title=\"{}\">", Text(&tip));
            if *value > 0 {
                push!(html, "{value}");
            }
        }
        let hits = row.get(label).copied().unwrap_or(0);
        push!(html, "<td class=\"recall\">{:.0}&nbsp;%</tr>", 100.0 * f64::from(hits) / f64::from(total.max(1)));
    }
    html.push_str("</tbody></table>");
    html
}

/// The matrix of many classes: squares with tooltips.
fn map(input: &Input, matrix: &[Vec<u32>]) -> String {
    let classes = matrix.len();
    let mut html = format!("<svg class=\"confusion-map\" viewBox=\"0 0 {classes} {classes}\">");
    for (label, row) in matrix.iter().enumerate() {
        let total: u32 = row.iter().sum();
        for (predicted, value) in row.iter().enumerate().filter(|(_, value)| **value > 0) {
            let hit = label == predicted;
            let (class, strength) = (if hit { "hit" } else { "miss" }, strength(hit, *value, total));
            push!(html, "<rect class=\"{class}\" x=\"{predicted}\" y=\"{label}\" width=\"1\" height=\"1\" ");
            let tip = tip(input, [label, predicted], *value, total);
            push!(html, "fill-opacity=\"{strength:.2}\"><title>{}</title></rect>", Text(&tip));
        }
    }
    html.push_str("</svg>");
    html
}

/// The largest errors.
fn list(input: &Input, matrix: &[Vec<u32>]) -> String {
    let mut errors: Vec<(u32, usize, usize)> = Vec::new();
    for (label, row) in matrix.iter().enumerate() {
        errors.extend(row.iter().enumerate().filter(|(p, n)| *p != label && **n > 0).map(|(p, n)| (*n, label, p)));
    }
    errors.sort_by(|a, b| b.0.cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
    if errors.is_empty() {
        return "<p class=\"about\">No test image is wrong.</p>".into();
    }
    let mut html = String::from("<table class=\"list\"><thead><tr><th>is<th>called<th>images</thead><tbody>");
    for (value, label, predicted) in errors.into_iter().take(LISTED) {
        let (label, predicted) = (name(input, label), name(input, predicted));
        push!(html, "<tr><th>{}<th>{}<td>{value}</tr>", Text(&label), Text(&predicted));
    }
    html.push_str("</tbody></table>");
    html
}

/// Mistakes and samples, or nothing without pictures.
pub(super) fn pictures(input: &Input, network: &NetworkSummary) -> String {
    let mistakes = gallery(
        input,
        &network.mistakes,
        "<h3>The worst mistakes</h3><p class=\"about\">Test images that the network is wrong about and most sure of. A \
         wrong label, a bad crop or two classes that look alike show here first.</p>",
    );
    let samples = gallery(input, &network.samples, "<h3>Sample images</h3>");
    mistakes + &samples
}

/// What a network saw in training, or nothing without pictures.
pub(super) fn batch(input: &Input) -> String {
    if input.batch.is_empty() {
        return String::new();
    }
    let mut html = String::from(
        "<h3>What the network saw</h3><p class=\"about\">Images of the first batch, as they were augmented. Where two are \
         mixed, so are their labels.</p><div class=\"gallery\">",
    );
    for picture in &input.batch {
        let (is, other) = (name(input, picture.label as usize), name(input, picture.other as usize));
        push!(html, "<figure><img alt=\"{}\" src=\"data:image/png;base64,{}\">", Text(&is), Text(&picture.png_base64));
        push!(html, "<figcaption>{}", Text(&is));
        if picture.share > 0.0 {
            push!(html, "<small>and {} of {}</small>", percent(f64::from(picture.share)), Text(&other));
        }
        html.push_str("</figcaption></figure>");
    }
    html.push_str("</div>");
    html
}

fn gallery(input: &Input, pictures: &[Picture], head: &str) -> String {
    if pictures.is_empty() {
        return String::new();
    }
    let mut html = format!("{head}<div class=\"gallery\">");
    for picture in pictures {
        let (is, said) = (name(input, picture.label as usize), name(input, picture.predicted as usize));
        let (is, said) = (Text(&is), Text(&said));
        let sure = format!("{:.0}&nbsp;%", picture.confidence * 100.0);
        // What a run saved may have been changed since: base64 has no character that needs escaping.
        push!(html, "<figure><img alt=\"{is}\" src=\"data:image/png;base64,{}\">", Text(&picture.png_base64));
        if picture.label == picture.predicted {
            push!(html, "<figcaption><b class=\"right\">✓</b> {is}<small>{sure} sure</small></figcaption></figure>");
        } else {
            push!(
                html,
                "<figcaption><b class=\"wrong\">✗</b> {said}<small>{sure} sure, is {is}</small></figcaption></figure>"
            );
        }
    }
    html.push_str("</div>");
    html
}
