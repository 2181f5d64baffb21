//! A plot as SVG: positions across in percent, positions down in pixels, so that it fits every width.
//!
//! Labels stand outside the drawing's box, in the padding that the style sheet gives it. A `title` of a
//! shape is its tooltip, without any script.

use super::html::{Text, push};
use super::scale::Scale;

/// A plot that is being drawn.
pub(super) struct Plot {
    x: Scale,
    y: Scale,
    height: f64,
    /// Pixels above the plot that labels need.
    head: f64,
    body: String,
}

/// A dot with its tooltip.
pub(super) struct Dot {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) tip: String,
}

/// A shape with a label beside it.
pub(super) struct Mark {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) series: Series,
    pub(super) label: String,
    pub(super) tip: String,
}

/// Colour and shape of what recurs in several charts; the shape tells without colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Series(pub(super) usize);

impl Series {
    /// The networks that were found.
    pub(super) const FOUND: Self = Self(0);

    /// The class of its colour.
    pub(super) fn class(self) -> String {
        format!("s{}", self.0 % 5)
    }

    /// Its shape around the origin: diamond, square, triangle, circle, triangle upside down.
    fn path(self) -> &'static str {
        [
            "M0-8 8 0 0 8-8 0Z",
            "M-5.5-5.5H5.5V5.5H-5.5Z",
            "M0-7 7 5.5H-7Z",
            "M-6 0A6 6 0 1 0 6 0A6 6 0 1 0-6 0Z",
            "M0 7 7-5.5H-7Z",
        ][self.0 % 5]
    }

    /// The shape for a legend or beside a name.
    pub(super) fn key(self) -> String {
        format!("<svg class=\"key mark {}\" viewBox=\"-9 -9 18 18\"><path d=\"{}\"/></svg>", self.class(), self.path())
    }
}

/// Pixels from one label to the next below it.
const LABEL_HEIGHT: f64 = 16.0;

impl Plot {
    /// An empty plot, `height` pixels high.
    pub(super) fn new(x: Scale, y: Scale, height: f64) -> Self {
        Self { x, y, height, head: 12.0, body: String::new() }
    }

    /// Percent from the left.
    fn left(&self, x: f64) -> f64 {
        self.x.share(x) * 100.0
    }

    /// Pixels from the top.
    fn top(&self, y: f64) -> f64 {
        (1.0 - self.y.share(y)) * self.height
    }

    /// Dots of one class.
    pub(super) fn dots(&mut self, class: &str, radius: f64, dots: &[Dot]) {
        push!(self.body, "<g class=\"dots {class}\">");
        for dot in dots.iter().filter(|dot| dot.x.is_finite() && dot.y.is_finite()) {
            let (left, top) = (self.left(dot.x), self.top(dot.y));
            push!(self.body, "<circle cx=\"{left:.2}%\" cy=\"{top:.1}\" r=\"{radius}\">");
            push!(self.body, "<title>{}</title></circle>", Text(&dot.tip));
        }
        self.body.push_str("</g>");
    }

    /// Dots as one path: for thousands, which nobody points at one by one.
    pub(super) fn cloud(&mut self, class: &str, points: &[(f64, f64)]) {
        let steps: String = points
            .iter()
            .filter(|(x, y)| x.is_finite() && y.is_finite())
            .map(|(x, y)| format!("M{:.2} {:.1}h0", self.left(*x), self.top(*y)))
            .collect();
        self.stretched(&format!("<path class=\"cloud {class}\" d=\"{steps}\"/>"));
    }

    /// A line through points; values that are no numbers break nothing, they are left out.
    pub(super) fn line(&mut self, class: &str, points: &[(f64, f64)]) {
        let steps: String = points
            .iter()
            .filter(|(x, y)| x.is_finite() && y.is_finite())
            .map(|(x, y)| format!("{:.2},{:.1} ", self.left(*x), self.top(*y)))
            .collect();
        self.stretched(&format!("<polyline class=\"{class}\" points=\"{}\"/>", steps.trim_end()));
    }

    /// A drawing whose width is 100 units: paths know no percent. Strokes keep their width.
    fn stretched(&mut self, inner: &str) {
        let height = self.height;
        push!(self.body, "<svg class=\"stretched\" viewBox=\"0 0 100 {height}\" preserveAspectRatio=\"none\" ");
        push!(self.body, "width=\"100%\" height=\"{height}\">{inner}</svg>");
    }

    /// Vertical lines with labels above the plot: values that must not be passed.
    pub(super) fn limits(&mut self, limits: &[(f64, String)]) {
        let mut limits: Vec<(f64, &str)> = limits.iter().map(|(x, label)| (self.left(*x), label.as_str())).collect();
        // From the right: a label that would touch the next line stands above that line's end.
        limits.sort_by(|a, b| b.0.total_cmp(&a.0));
        let (mut next, mut up) = (f64::INFINITY, 0.0);
        for (left, label) in limits {
            // A label is about a fifth of a narrow plot wide.
            up = if next - left < 20.0 { up + LABEL_HEIGHT } else { 0.0 };
            next = left;
            self.head = self.head.max(up + 2.0 * LABEL_HEIGHT);
            let (end, top) = (self.height, -6.0 - up);
            push!(self.body, "<line class=\"limit\" x1=\"{left:.2}%\" x2=\"{left:.2}%\" y1=\"{top}\" y2=\"{end}\"/>");
            let (anchor, dx) = if left > 85.0 { ("end", -5) } else { ("start", 5) };
            push!(self.body, "<text class=\"limit-text\" x=\"{left:.2}%\" dx=\"{dx}\" y=\"{}\" ", top + 4.0);
            push!(self.body, "text-anchor=\"{anchor}\">{}</text>", Text(&short(label)));
        }
    }

    /// Shapes with labels beside them, moved apart where they would cover each other.
    pub(super) fn marks(&mut self, marks: &[Mark]) {
        let finite = marks.iter().filter(|mark| mark.x.is_finite() && mark.y.is_finite());
        let mut places: Vec<_> = finite.map(|mark| (self.left(mark.x), self.top(mark.y), mark)).collect();
        places.sort_by(|a, b| a.1.total_cmp(&b.1));
        let mut labels: Vec<[f64; 3]> = Vec::new();
        for (left, top, mark) in &places {
            // A label keeps off its neighbours to the right, and off the right edge.
            let crowded = places.iter().any(|(x, y, _)| x > left && x - left < 25.0 && (y - top).abs() < 40.0);
            let side = if *left > 60.0 || crowded && *left > 25.0 { -1.0 } else { 1.0 };
            let near = labels.iter().filter(|[x, _, other]| (x - left).abs() < 40.0 && *other == side);
            let down = near.map(|[_, y, _]| y + LABEL_HEIGHT - top).fold(0.0, f64::max);
            labels.push([*left, top + down, side]);
            push!(self.body, "<svg class=\"mark {}\" x=\"{left:.2}%\" y=\"{top:.1}\">", mark.series.class());
            if down > 0.0 {
                push!(self.body, "<path class=\"leader\" d=\"M{} 0 {} {down:.1}\"/>", 7.0 * side, 14.0 * side);
            }
            push!(self.body, "<path d=\"{}\"><title>{}</title></path>", mark.series.path(), Text(&mark.tip));
            push!(self.body, "<text x=\"{}\" y=\"{down:.1}\" dy=\".35em\" ", 16.0 * side);
            let anchor = if side < 0.0 { "end" } else { "start" };
            push!(self.body, "text-anchor=\"{anchor}\">{}</text></svg>", Text(&short(&mark.label)));
        }
    }

    /// The plot with grid, ticks and the titles of its axes. All texts are our own.
    pub(super) fn finish(self, class: &str, about: &str, [x_title, y_title]: [&str; 2]) -> String {
        let Self { height, head, .. } = self;
        let mut html = format!("<div class=\"plot {class}\"><p class=\"y-title\">{y_title}</p>");
        push!(html, "<svg role=\"img\" aria-label=\"{about}\" width=\"100%\" height=\"{height}\" ");
        push!(html, "style=\"margin-top:{head}px\"><g class=\"grid\">");
        for (value, label) in self.y.ticks() {
            let top = self.top(value);
            push!(html, "<line x1=\"0\" x2=\"100%\" y1=\"{top:.1}\" y2=\"{top:.1}\"/>");
            push!(html, "<text x=\"-8\" y=\"{top:.1}\" dy=\".35em\" text-anchor=\"end\">{label}</text>");
        }
        push!(html, "<line class=\"tick\" x1=\"0\" x2=\"100%\" y1=\"{height}\" y2=\"{height}\"/>");
        for (value, label) in self.x.ticks() {
            let left = self.left(value);
            push!(
                html,
                "<line class=\"tick\" x1=\"{left:.2}%\" x2=\"{left:.2}%\" y1=\"{height}\" y2=\"{}\"/>",
                height + 5.0
            );
            push!(html, "<text x=\"{left:.2}%\" y=\"{}\" text-anchor=\"middle\">{label}</text>", height + 19.0);
        }
        push!(html, "</g>{}</svg><p class=\"x-title\">{x_title}</p></div>", self.body);
        html
    }
}

/// A label that fits beside a mark.
fn short(label: &str) -> String {
    if label.chars().count() <= 24 { label.into() } else { label.chars().take(23).chain(['…']).collect() }
}

/// One row of whiskers on a common scale: a dot with the interval around it, as a drawing that fills its cell.
pub(super) fn whisker(scale: &Scale, series: Series, [low, value, high]: [f64; 3], zero: bool) -> String {
    let at = |value: f64| scale.share(value) * 100.0;
    let mut svg = String::from("<svg class=\"whisker\" width=\"100%\" height=\"34\"><g class=\"grid\">");
    for (tick, _) in scale.ticks() {
        push!(svg, "<line x1=\"{0:.2}%\" x2=\"{0:.2}%\" y1=\"0\" y2=\"34\"/>", at(tick));
    }
    if zero {
        push!(svg, "<line class=\"zero\" x1=\"{0:.2}%\" x2=\"{0:.2}%\" y1=\"0\" y2=\"34\"/>", at(0.0));
    }
    push!(svg, "</g><g class=\"mark {}\">", series.class());
    if [low, value, high].iter().all(|end| end.is_finite()) {
        push!(svg, "<line x1=\"{:.2}%\" x2=\"{:.2}%\" y1=\"17\" y2=\"17\"/>", at(low), at(high));
        for end in [low, high] {
            push!(svg, "<line x1=\"{0:.2}%\" x2=\"{0:.2}%\" y1=\"12\" y2=\"22\"/>", at(end));
        }
        push!(svg, "<svg x=\"{:.2}%\" y=\"17\"><path d=\"{}\"/></svg>", at(value), series.path());
    }
    svg.push_str("</g></svg>");
    svg
}

/// The ticks of a scale as a drawing that fills its cell.
pub(super) fn ticks(scale: &Scale) -> String {
    let mut svg = String::from("<svg class=\"whisker\" width=\"100%\" height=\"20\"><g class=\"grid\">");
    for (tick, label) in scale.ticks() {
        push!(svg, "<text x=\"{:.2}%\" y=\"14\" text-anchor=\"middle\">{label}</text>", scale.share(tick) * 100.0);
    }
    svg.push_str("</g></svg>");
    svg
}
