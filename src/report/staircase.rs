//! The page of a latency table: milliseconds against channels, with the steps that show in them.

use super::chart::{Dot, Plot};
use super::html::{Text, milliseconds, percent, push};
use super::page::head;
use super::scale::Scale;
use crate::latency::{Curve, Staircase, Sweep, Table};

/// The page: HTML that needs nothing beside itself.
pub fn table_page(table: &Table) -> String {
    let origin = &table.origin;
    let mut html = head("latency table");
    push!(html, "<body><header><p class=\"eyebrow\">netadapt latency table</p><h1>{}</h1>", Text(&origin.adapter.name));
    push!(html, "<p class=\"lede\">{} operations at {} widths, ", table.curves().len(), table.all().count());
    push!(html, "{} at a time. {}</p>", images(origin.batch), step(table.width_step()));
    push!(html, "<p class=\"lede\">{}.</p></header><main>", Text(&table.clock()));
    let sweeps = table.sweeps();
    if !sweeps.is_empty() {
        let cards: String = sweeps.iter().map(sweep).collect();
        push!(
            html,
            "<section id=\"staircase\"><h2>The staircase</h2><p class=\"about\">The slowest operations, a quad of \
             channels from dot to dot. A kernel works on blocks of channels: its time rises where a block begins, and \
             what is wider within the block is free.</p><div class=\"cards\">{cards}</div></section>"
        );
    }
    let cards: String = table.curves().iter().filter(|curve| curve.points.len() > 1).map(grid).collect();
    push!(
        html,
        "<section id=\"operations\"><h2>All operations</h2><p class=\"about\">At the largest number of channels in. A \
         prediction lies on the line; widths are measured where it bends.</p><div class=\"cards\">{cards}</div></section>\
         </main></body></html>\n"
    );
    html
}

fn images(batch: u32) -> String {
    if batch == 1 { "one image".into() } else { format!("{batch} images") }
}

/// The device's step in words.
fn step(channels: u32) -> String {
    match channels {
        0..=4 => "Its time rises evenly with every quad of channels.".into(),
        step => format!("Its time rises in steps of <b>{step} channels</b>."),
    }
}

fn sweep(sweep: &Sweep) -> String {
    let about = match sweep.staircase {
        Staircase { step, share, .. } if share > 0.0 => {
            format!("steps of {step}, {} of the rise", percent(share.min(1.0)))
        }
        _ => "no steps".into(),
    };
    card(&sweep.operation.to_string(), &about, &sweep.points)
}

fn grid(Curve { operation, points }: &Curve) -> String {
    card(&operation.to_string(), "", points)
}

fn card(name: &str, about: &str, points: &[(u32, crate::latency::Spread)]) -> String {
    let most = points.iter().map(|(_, ms)| ms.median).fold(0.0, f64::max);
    let (factor, unit) = if most < 1.0 { (1e3, "µs") } else { (1.0, "ms") };
    let x = Scale::around(points.iter().map(|(width, _)| f64::from(*width)));
    let y = Scale::over(points.iter().map(|(_, ms)| ms.median * factor).chain([0.0]), 4);
    let (Some(x), Some(y)) = (x, y) else { return String::new() };
    let mut plot = Plot::new(x, y, 150.0);
    let line: Vec<(f64, f64)> = points.iter().map(|(width, ms)| (f64::from(*width), ms.median * factor)).collect();
    plot.line("path", &line);
    let dot = |((x, y), (width, ms)): (&(f64, f64), &(u32, crate::latency::Spread))| Dot {
        x: *x,
        y: *y,
        tip: format!(
            "{width} channels: {}, deviation {}, {} rounds",
            milliseconds(ms.median),
            milliseconds(ms.mad),
            ms.count
        ),
    };
    plot.dots("iterates", 2.6, &line.iter().zip(points).map(dot).collect::<Vec<_>>());
    let chart = plot.finish("small", "time against channels out", ["channels out", unit]);
    format!("<figure class=\"card\"><figcaption><b>{}</b> {about}</figcaption>{chart}</figure>", Text(name))
}
