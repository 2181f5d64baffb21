//! Loss and accuracy of every training, and where the time of the run went.

use super::chart::{Dot, Plot};
use super::classes;
use super::html::{Text, duration, fixed, percent, push};
use super::input::{Curve, Input, Seconds};
use super::scale::Scale;

/// The section, or nothing where no training was recorded.
pub(super) fn section(input: &Input) -> String {
    let trainings = &input.trainings;
    let cards: String = trainings.iter().filter(|curve| !curve.epochs.is_empty()).map(card).collect();
    if cards.is_empty() {
        return cards;
    }
    format!(
        "<section id=\"training\"><h2>Trainings</h2><p class=\"about\">Both are of the training images as they were \
         augmented. In the super-network every image trains a network of another width, so its loss stays higher than \
         that of one network.</p><div class=\"cards\">{cards}</div>{}{}</section>",
        table(trainings),
        classes::batch(input)
    )
}

fn card(curve: &Curve) -> String {
    let seconds = curve.epochs.iter().map(|epoch| epoch.seconds).sum();
    let about = format!("{} epochs, {}", curve.epochs.len(), duration(seconds));
    let mut html = format!("<figure class=\"card\"><figcaption><b>{}</b> {about}</figcaption>", Text(&curve.name));
    let loss = |e: &crate::train::EpochReport| e.loss;
    let accuracy = |e: &crate::train::EpochReport| e.accuracy * 100.0;
    push!(html, "{}", plot(curve, "loss", "loss, nats", loss));
    push!(html, "{}</figure>", plot(curve, "hits", "accuracy, %", accuracy));
    html
}

/// One quantity over the epochs, from zero.
fn plot(curve: &Curve, class: &str, title: &str, value: impl Fn(&crate::train::EpochReport) -> f64) -> String {
    let points: Vec<(f64, f64)> = curve.epochs.iter().map(|epoch| (f64::from(epoch.epoch), value(epoch))).collect();
    let x = Scale::over(points.iter().map(|point| point.0).chain([0.0]), 5);
    let y = Scale::over(points.iter().map(|point| point.1).chain([0.0]), 3);
    let (Some(x), Some(y)) = (x, y) else { return String::new() };
    let mut plot = Plot::new(x, y, 110.0);
    plot.line(class, &points);
    let dot = |&(x, y): &(f64, f64)| {
        let text = if class == "hits" { percent(y / 100.0) } else { format!("loss {y:.3}") };
        Dot { x, y, tip: format!("epoch {x}: {text}") }
    };
    plot.dots(class, 2.0, &points.iter().map(dot).collect::<Vec<_>>());
    plot.finish("small", title, ["epoch", title])
}

fn table(trainings: &[Curve]) -> String {
    let mut html = String::from(
        "<details><summary>All epochs as a table</summary><div class=\"wide tall\"><table><thead><tr><th>training\
         <th>epoch<th>loss<th>accuracy<th>learning rate<th>time</thead><tbody>",
    );
    for curve in trainings {
        for e in &curve.epochs {
            push!(html, "<tr><th>{}<td>{} of {}<td>{}", Text(&curve.name), e.epoch, e.epochs, fixed(e.loss, 4));
            push!(html, "<td>{}<td>{:.4}<td>{}</tr>", percent(e.accuracy), e.learning_rate, duration(e.seconds));
        }
    }
    html.push_str("</tbody></table></div></details>");
    html
}

/// Where the time went, or nothing where none was recorded.
pub(super) fn time(seconds: &Seconds) -> String {
    let steps = [
        ("timing the layers", seconds.table),
        ("training the super-network", seconds.supernet),
        ("searching", seconds.search),
        ("training what was found", seconds.r#final),
        ("comparing", seconds.compare),
    ];
    let total: f64 = steps.iter().map(|step| step.1).sum();
    if !total.is_finite() || total <= 0.0 {
        return String::new();
    }
    let mut html = format!(
        "<section id=\"time\"><h2>Where the time went</h2><p class=\"about\">{} in all.</p><svg class=\"stack\" \
         role=\"img\" aria-label=\"share of each step\" width=\"100%\" height=\"28\">",
        duration(total)
    );
    let mut before = 0.0;
    for (place, (name, value)) in steps.into_iter().enumerate() {
        let width = value / total * 100.0;
        push!(html, "<rect class=\"t{place}\" x=\"{before:.2}%\" width=\"{width:.2}%\" height=\"28\">");
        push!(html, "<title>{name}: {}</title></rect>", duration(value));
        before += width;
    }
    html.push_str("</svg><table class=\"times\"><tbody>");
    for (place, (name, value)) in steps.into_iter().enumerate() {
        push!(html, "<tr><th><i class=\"swatch t{place}\"></i>{name}<td>{}", duration(value));
        push!(html, "<td>{:.0}&nbsp;%</tr>", value / total * 100.0);
    }
    html.push_str("</tbody></table></section>");
    html
}
