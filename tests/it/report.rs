//! The report: nothing from outside becomes markup, nothing is loaded, what is empty is left out.
//!
//! The example's numbers are made up. `report.html` and others are left in the target's temporary folder to be
//! looked at.

use netadapt::report::*;
use netadapt::rng::{Purpose, stream};
use netadapt::search::{Candidate, Iterate};
use netadapt::train::EpochReport;
use rand::Rng;
use rand_pcg::Pcg64Mcg;

const CLASSES: [&str; 10] =
    ["ankle boot", "bag", "coat", "dress", "pullover", "sandal", "shirt", "sneaker", "T-shirt", "trousers"];

/// Uniform numbers from 0 to 1, a function of `index` alone.
struct Dice(Pcg64Mcg);

impl Dice {
    fn new(index: u64) -> Self {
        Self(stream(1, Purpose::Data, 0, index))
    }

    fn share(&mut self) -> f64 {
        f64::from(self.0.next_u32()) / f64::from(u32::MAX)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.share() * end as f64 * 0.999_999) as usize
    }
}

/// A ring, a cross or a bar in noise.
fn picture(dice: &mut Dice, [label, predicted]: [usize; 2], channels: u32) -> Picture {
    let size = 28;
    let mut pixels = Vec::new();
    let radius = 5.0 + dice.share() * 6.0;
    for place in 0..size * size {
        let (x, y) = (f64::from(place % size) - 13.5, f64::from(place / size) - 13.5);
        let inside = match label % 3 {
            0 => (x.hypot(y) - radius).abs() < 2.5,
            1 => x.abs().min(y.abs()) < 2.5 && x.hypot(y) < radius + 2.0,
            _ => x.abs() < radius / 2.0 && y.abs() < 11.0,
        };
        let value = if inside { 150.0 + 80.0 * dice.share() } else { 25.0 * dice.share() };
        pixels.extend((0..channels).map(|c| (value * (1.0 - 0.25 * f64::from(c))) as u8));
    }
    let made = Picture::new(&pixels, size, channels).expect("28 x 28 pixels are a picture");
    let confidence = 0.5 + 0.5 * dice.share() as f32;
    Picture { label: label as u32, predicted: predicted as u32, confidence, ..made }
}

fn curve(dice: &mut Dice, name: &str, epochs: u32, end: f64) -> Curve {
    let report = |epoch: u32, noise: f64| {
        let left = (-4.0 * f64::from(epoch) / f64::from(epochs)).exp();
        let loss = end + (2.3 - end) * left + 0.06 * (noise - 0.5);
        let learning_rate = 0.3 * (1.0 - epoch as f32 / epochs as f32);
        EpochReport { epoch, epochs, loss, accuracy: (-loss).exp().min(1.0), learning_rate, seconds: 8.2 + noise }
    };
    Curve { name: name.into(), epochs: (1..=epochs).map(|epoch| report(epoch, dice.share())).collect() }
}

/// An inverted residual block: before and after are filters, expansion, kernel.
fn block(name: &str, before: [u32; 3], after: [u32; 3]) -> LayerBar {
    let size = |[filters, expansion, kernel]: [u32; 3]| LayerSize { filters, expansion, kernel };
    let ms = |[filters, expansion, kernel]: [u32; 3]| match filters {
        0 => 0.0,
        _ => f64::from((filters + kernel * kernel) * expansion.max(16)) * 1.9e-4,
    };
    let kind = if before[1] > 0 { "inverted-residual" } else { "conv" };
    LayerBar {
        name: name.into(),
        kind: kind.into(),
        initial: size(before),
        found: size(after),
        initial_ms: Some(ms(before)),
        found_ms: Some(ms(after)),
        removed: after[0] == 0,
    }
}

fn network(dice: &mut Dice, budget: &str, limit: f64, test: f64) -> NetworkSummary {
    let confusion = (0..10).map(|label| {
        let row = (0..10).map(|predicted| match (label, predicted) {
            (l, p) if l == p => (50.0 * test - 6.0 * dice.share()) as u32,
            (2 | 4 | 6 | 8, 2 | 4 | 6 | 8) => dice.below(5) as u32,
            _ => u32::from(dice.share() > 0.85),
        });
        row.collect()
    });
    let confusion = confusion.collect();
    let samples = (0..16).map(|i| picture(dice, [i % 10, if i == 6 { 8 } else { i % 10 }], 1)).collect();
    let mistakes = (0..12).map(|i| picture(dice, [[6, 4, 2][i % 3], [8, 2, 6][i % 3]], 1)).collect();
    let mut linear = block("classifier", [10, 0, 0], [10, 0, 0]);
    linear.kind = "linear".into();
    NetworkSummary {
        budget_text: budget.into(),
        limit,
        latency_ms: limit * 0.984,
        latency_p90_ms: limit * 1.03,
        predicted_ms: Some(limit * 1.07),
        macs: (limit * 1.02e6) as u64,
        params: (limit * 21.3e3) as u64,
        weight_bytes: (limit * 85e3) as u64,
        activation_bytes: (limit * 30e3) as u64,
        target_ms: None,
        shared: test - 0.031,
        holdout: test + 0.012,
        test,
        balanced: Some(test - 0.004),
        interval: 1.96 * (test * (1.0 - test) / 500.0).sqrt(),
        layers: vec![
            block("stem", [16, 0, 3], [12, 0, 3]),
            block("blocks.0", [16, 48, 5], [16, 24, 3]),
            block("blocks.1", [16, 48, 5], [0, 0, 5]),
            block("blocks.2", [16, 48, 5], [8, 20, 5]),
            block("blocks.3", [32, 96, 5], [32, 64, 5]),
            block("blocks.4", [32, 96, 5], [20, 28, 3]),
            block("blocks.5", [32, 96, 5], [0, 0, 3]),
            block("blocks.6", [32, 96, 7], [28, 60, 5]),
            block("head", [128, 0, 1], [88, 0, 1]),
            linear,
        ],
        confusion,
        samples,
        mistakes,
    }
}

/// A descent from 3.8 ms: every iteration cuts a little less.
fn descent(dice: &mut Dice) -> (Vec<Iterate>, Vec<Candidate>) {
    let accuracy = |ms: f64| 0.872 - 0.11 * (-2.2 * (ms - 0.6)).exp();
    let first = Iterate {
        iteration: 0,
        values: vec![],
        target: 3.81,
        predicted: 3.81,
        measured: 3.81,
        correction: 1.0,
        loss: 0.37,
        accuracy: accuracy(3.81),
        samples: 1,
    };
    let (mut iterates, mut candidates) = (vec![first], Vec::new());
    let (mut target, mut cut) = (3.81, 0.055);
    for iteration in 1..=32 {
        target *= 1.0 - cut;
        cut *= 0.985;
        let from = candidates.len();
        for sample in 0..24 {
            let predicted = target * (0.975 + 0.025 * dice.share());
            let accuracy = accuracy(predicted) - 0.05 * dice.share().powi(2);
            let loss = -accuracy.ln() * 2.6;
            candidates.push(Candidate {
                iteration,
                sample,
                values: vec![],
                predicted,
                measured: None,
                loss,
                accuracy,
                accepted: false,
            });
        }
        let of_iteration = &mut candidates[from..];
        let best = of_iteration.iter_mut().max_by(|a, b| a.accuracy.total_cmp(&b.accuracy)).expect("24 samples");
        let measured = best.predicted * (0.985 + 0.03 * dice.share());
        (best.accepted, best.measured) = (true, Some(measured));
        iterates.push(Iterate {
            iteration,
            target,
            predicted: best.predicted,
            measured,
            correction: measured / best.predicted,
            loss: best.loss,
            accuracy: best.accuracy,
            samples: 24,
            ..iterates[0].clone()
        });
    }
    (iterates, candidates)
}

fn compared(name: &str, latency_ms: f64, test: f64, found: f64) -> Compared {
    let value = found - test;
    Compared {
        name: name.into(),
        network: 0,
        latency_ms,
        macs: (latency_ms * 0.98e6) as u64,
        params: (latency_ms * 22e3) as u64,
        weight_bytes: (latency_ms * 88e3) as u64,
        activation_bytes: (latency_ms * 30e3) as u64,
        target_ms: None,
        holdout: test + 0.008,
        test,
        balanced: Some(test - 0.004),
        interval: 1.96 * (test * (1.0 - test) / 500.0).sqrt(),
        difference: Some(Difference { value, low: value - 0.014, high: value + 0.014 }),
    }
}

fn example() -> Input {
    let dice = &mut Dice::new(0);
    let (iterates, candidates) = descent(dice);
    Input {
        title: "fashion-2k at 50 % (made-up numbers)".into(),
        device: Device {
            name: "Example Graphics 5000".into(),
            driver: "Example 1.2.3".into(),
            backend: "vulkan".into(),
            kind: "integrated".into(),
        },
        dataset: DatasetSummary {
            path: "data/fashion-2k".into(),
            classes: CLASSES.map(String::from).to_vec(),
            train: 1300,
            holdout: 200,
            test: 500,
            size: 28,
            channels: 1,
        },
        space: "tiny".into(),
        strategy: "coordinate descent".into(),
        seed: 7,
        command: "netadapt search data/fashion-2k --budget 50% --seed 7".into(),
        date: "2026-11-22 14:03".into(),
        version: "0.1.0".into(),
        resource: "latency".into(),
        seconds: Seconds { table: 41.0, supernet: 372.0, search: 118.0, r#final: 74.0, compare: 233.0 },
        initial: InitialSummary { latency_ms: 3.81, macs: 3_713_000, params: 81_000, holdout_accuracy: 0.871 },
        networks: vec![network(dice, "50%", 1.905, 0.874)],
        comparison: vec![
            compared("initial", 3.81, 0.886, 0.874),
            compared("uniform", 1.89, 0.848, 0.874),
            compared("random", 1.90, 0.862, 0.874),
        ],
        batch: vec![
            TrainingPicture { png_base64: picture(dice, [2, 2], 1).png_base64, label: 2, other: 2, share: 0.0 },
            TrainingPicture { png_base64: picture(dice, [4, 4], 1).png_base64, label: 4, other: 7, share: 0.3 },
        ],
        iterates,
        candidates,
        trainings: vec![
            curve(dice, "super-network", 20, 0.55),
            curve(dice, "found, 50%", 8, 0.31),
            curve(dice, "initial", 8, 0.24),
            curve(dice, "uniform, 50%", 8, 0.36),
            curve(dice, "random, 50%", 8, 0.34),
        ],
    }
}

/// Three budgets of a software adapter, a hundred classes, no comparison.
fn several() -> Input {
    let dice = &mut Dice::new(1);
    let mut input = example();
    input.title = "Three budgets, a hundred classes (made-up numbers)".into();
    input.device.kind = "software".into();
    input.dataset.classes = (0..100).map(|class| format!("species {class}")).collect();
    input.networks = [("3ms", 3.0, 0.871), ("50%", 1.905, 0.862), ("1.8ms", 1.8, 0.857)]
        .map(|(budget, limit, test)| network(dice, budget, limit, test))
        .to_vec();
    input.networks[0].confusion = (0..100)
        .map(|label| {
            let cell = |predicted| if label == predicted { 9 } else { u32::from(dice.share() > 0.985) };
            (0..100).map(cell).collect()
        })
        .collect();
    for compared in &mut input.comparison {
        compared.network = 1;
    }
    input
}

/// What there are pages of.
trait Page {
    fn html(&self) -> String;
}

impl Page for Input {
    fn html(&self) -> String {
        page(self)
    }
}

impl<const N: usize> Page for [(String, Input); N] {
    fn html(&self) -> String {
        merged(self)
    }
}

/// Writes a page where a person can look at it, and checks what holds for every page.
fn checked<P: Page + ?Sized>(name: &str, page: &P) -> String {
    let html = page.html();
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.html"));
    std::fs::write(path, &html).expect("the target's folder can be written");
    assert_eq!(unbalanced(&html), None, "{name}");
    assert_eq!(html.matches("<script").count(), 2, "{name}: the data and the page's own script");
    assert_eq!(html.matches("</script").count(), 2, "{name}");
    for outside in ["http:", "https:", "src=\"//", "url(", "@import", "<link", "<iframe"] {
        assert!(!html.contains(outside), "{name}: `{outside}` loads from outside");
    }
    let images = html.matches("<img ").count();
    assert_eq!(html.matches("src=\"data:image/png;base64,").count(), images, "{name}");
    let markup = html.split("<script").next().expect("a page");
    // Pictures may hold any letters.
    let parts = markup.split("base64,").enumerate();
    let markup: String =
        parts.map(|(i, part)| if i == 0 { part } else { part.split_once('"').map_or("", |(_, rest)| rest) }).collect();
    for bad in ["NaN", "inf%", "\"inf", ">inf<"] {
        assert!(!markup.contains(bad), "{name}: {bad} in the page");
    }
    html
}

/// The first element that is closed without being open, or open at the end. HTML closes table cells, list
/// items and terms by itself.
fn unbalanced(html: &str) -> Option<String> {
    let optional = ["td", "th", "tr", "li", "dt", "dd", "tbody", "thead"];
    let empty = ["meta", "img", "circle", "line", "rect", "path", "polyline", "html", "!doctype"];
    let mut open: Vec<&str> = Vec::new();
    let mut rest = html;
    while let Some(start) = rest.find('<') {
        let end = start + rest[start..].find('>')?;
        let tag = &rest[start + 1..end];
        rest = &rest[end + 1..];
        let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap_or_default();
        if optional.contains(&name)
            || empty.contains(&name) && !tag.ends_with('/') && !["circle", "rect", "path"].contains(&name)
        {
            continue;
        }
        if tag.starts_with('/') {
            if !empty.contains(&name) && open.last() != Some(&name) {
                return Some(format!("</{name}> within {open:?}"));
            }
            if open.last() == Some(&name) {
                open.pop();
            }
        } else if !tag.ends_with('/') {
            open.push(name);
            // What stands in these is not markup.
            if ["script", "style"].contains(&name) {
                rest = &rest[rest.find(&format!("</{name}>"))?..];
            }
        }
    }
    (!open.is_empty()).then(|| format!("{open:?} left open"))
}

/// The text of the data element, undone as a browser would not: JSON undoes it.
fn data(html: &str) -> Input {
    let start = html.find("id=\"report-data\">").expect("the page has its data") + "id=\"report-data\">".len();
    let end = start + html[start..].find("</script>").expect("the data end");
    serde_json::from_str(&html[start..end]).expect("the data are an input")
}

#[test]
fn the_example_has_every_section() {
    let html = checked("report", &example());
    for id in ["comparison", "search", "network-0", "training", "time", "guide", "run"] {
        assert!(html.contains(&format!("<section id=\"{id}\">")), "no section {id}");
    }
    for text in [
        "87.4\u{a0}%",
        "predicted",
        "blocks.5",
        "The worst mistakes",
        "Accuracy of each class",
        "What the network saw",
        "and 30.0\u{a0}% of sneaker",
        "87.0\u{a0}%",
        "+2.6",
        "≤ 50%",
        "held-out images, %",
    ] {
        assert!(html.contains(text), "no `{text}`");
    }
    assert!(!html.contains("Software adapter"));
    assert!(html.matches("<circle").count() > 32 * 23, "every candidate is a dot");
    assert!(html.len() < 600_000, "{} bytes", html.len());
}

#[test]
fn several_budgets_have_a_section_each() {
    let mut input = several();
    let smaller =
        input.comparison.iter().map(|c| Compared { network: 2, latency_ms: 0.99 * c.latency_ms, ..c.clone() });
    input.comparison.extend(smaller.collect::<Vec<_>>());
    let html = checked("several", &input);
    // What each budget's network is compared with is told apart, the initial network is one.
    for text in ["<title>uniform, 50%: ", "<title>uniform, 1.8ms: ", "<title>initial: "] {
        assert_eq!(html.matches(text).count(), 1, "{text}");
    }
    assert!(["network-0", "network-1", "network-2"].iter().all(|id| html.contains(&format!("<section id=\"{id}\">"))));
    assert!(html.contains("Software adapter"), "latencies of a software adapter need a warning");
    assert!(html.contains("class=\"confusion-map\""));
}

/// Two runs on one device and one on another: what the merged page says of each network, the fastest first.
#[test]
fn several_runs_share_one_curve_for_each_device() {
    let dice = &mut Dice::new(7);
    let with = |input: Input, networks: Vec<NetworkSummary>| Input { networks, ..input };
    let slow = network(dice, "3ms", 3.0, 0.880);
    let runs = [
        ("first".to_owned(), with(example(), vec![network(dice, "2ms", 2.0, 0.870), slow])),
        // Slower than the first run's 2 ms and no better, and faster than all.
        (
            "second".to_owned(),
            with(example(), vec![network(dice, "2.5ms", 2.5, 0.868), network(dice, "1ms", 1.0, 0.8)]),
        ),
    ];
    let on_curve = |html: &str| -> Vec<(String, bool)> {
        let table = html.split("<th>on the curve</thead><tbody>").nth(1).expect("a table");
        let rows = table.split("</table>").next().expect("its end").split("<tr>").skip(1);
        let budget = |row: &str| row.split("<td>").nth(1).expect("a budget").to_owned();
        rows.map(|row| (budget(row), row.contains("<td>yes"))).collect()
    };
    let named = |rows: &[(&str, bool)]| rows.iter().map(|(name, on)| ((*name).to_owned(), *on)).collect::<Vec<_>>();
    let html = checked("merged", &runs);
    assert_eq!(on_curve(&html), named(&[("1ms", true), ("2ms", true), ("2.5ms", false), ("3ms", true)]));
    assert_eq!(html.matches("<polyline class=\"path\"").count(), 1);
    assert!(!html.contains("Not all alike"));
    for id in ["curve", "run-0", "run-1", "guide"] {
        assert!(html.contains(&format!("<section id=\"{id}\">")), "no section {id}");
    }

    let mut other = with(several(), vec![network(dice, "2.2ms", 2.2, 0.5)]);
    other.device.name = "Another".into();
    let [first, second] = runs;
    let html = checked("merged-three", &[first, second, ("third".to_owned(), other)]);
    let rows = [("1ms", true), ("2ms", true), ("2.2ms", true), ("2.5ms", false), ("3ms", true)];
    assert_eq!(on_curve(&html), named(&rows), "the best of its device");
    assert_eq!(html.matches("<polyline class=\"path\"").count(), 2);
    assert!(html.contains("Not all alike") && html.contains("Another runs on the processor"));

    let hostile = "</script><script>alert(1)</script><img src=x onerror='alert(2)'>";
    let html = checked("merged-hostile", &[(hostile.to_owned(), example()), ("b".to_owned(), Input::default())]);
    assert!(!html.contains("<script>alert") && !html.contains("<img src=x"));
    checked("merged-empty", &[("a".to_owned(), Input::default()), ("b".to_owned(), Input::default())]);
}

#[test]
fn predictions_stand_against_what_was_measured() {
    let mut input = example();
    let html = checked("predictions", &input);
    assert_eq!(html.matches(": predicted ").count(), 32, "a dot for every network that was predicted");
    input.iterates[7].measured = input.iterates[7].predicted / 1.08;
    assert!(checked("predictions", &input).contains("+8.0\u{a0}%"), "an error is a share of what was measured");
    input.resource = "MACs".into();
    assert!(!checked("counted", &input).contains("Predicted against"), "a count is predicted exactly");
    let input = Input { iterates: example().iterates[..2].to_vec(), ..example() };
    assert!(!checked("one", &input).contains("Predicted against"), "one network makes no figure");
}

#[test]
fn what_is_empty_is_left_out() {
    let html = checked("empty", &Input::default());
    for id in ["comparison", "search", "network-0", "training", "time"] {
        assert!(!html.contains(&format!("<section id=\"{id}\">")), "an empty section {id}");
    }
    let mut input = example();
    input.comparison.clear();
    input.candidates.clear();
    input.networks[0].confusion.clear();
    input.networks[0].mistakes.clear();
    for layer in &mut input.networks[0].layers {
        (layer.initial_ms, layer.found_ms) = (None, None);
    }
    let html = checked("without", &input);
    for text in ["id=\"comparison\"", "Which classes", "The worst mistakes", "predicted from the table"] {
        assert!(!html.contains(text), "`{text}` without its values");
    }
}

#[test]
fn numbers_that_are_none_make_a_page() {
    let mut input = example();
    input.seconds.table = f64::NAN;
    input.initial = InitialSummary::default();
    input.trainings[0].epochs[3].loss = f64::NAN;
    input.candidates[5].accuracy = f64::NAN;
    input.iterates.truncate(1);
    input.iterates[0].measured = f64::INFINITY;
    input.comparison[0].interval = f64::NAN;
    input.networks[0].confusion = vec![vec![0; 10]; 10];
    checked("odd", &input);
}

#[test]
fn thousands_of_candidates_keep_the_page_small() {
    let mut input = example();
    let all: Vec<Candidate> = input.candidates.iter().cycle().take(20_000).cloned().collect();
    input.candidates = all;
    let html = checked("many", &input);
    assert!(html.split("<script").next().expect("a page").len() < 900_000);
}

#[test]
fn text_from_outside_stays_text() {
    let hostile = "</title></style></script><script>alert(1)</script><img src=x onerror='alert(2)' x=\"";
    let mut input = example();
    let Input { title, device, dataset, space, strategy, command, date, version, resource, .. } = &mut input;
    let texts = [title, &mut device.name, &mut device.driver, &mut device.backend, &mut dataset.path, space];
    texts.into_iter().chain([strategy, command, date, version, resource]).for_each(|text| *text = hostile.into());
    dataset.classes[6] = hostile.into();
    dataset.classes[8] = hostile.into();
    let network = &mut input.networks[0];
    network.budget_text = hostile.into();
    network.layers[1].name = hostile.into();
    network.layers[1].kind = hostile.into();
    network.mistakes[0].png_base64 = hostile.into();
    input.comparison[1].name = hostile.into();
    input.trainings[1].name = hostile.into();
    let html = checked("hostile", &input);
    let markup = html.split("<script").next().expect("a page");
    for bad in ["<script>alert", "<img src=x", "x=\"\"", "onerror='"] {
        assert!(!markup.contains(bad), "`{bad}` is markup");
    }
    assert!(html.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "the name shows as text");
    let kept = data(&html);
    assert_eq!(kept.dataset, input.dataset, "the data hold the names as they were");
    assert_eq!(kept.networks[0].confusion, input.networks[0].confusion);
}

#[test]
fn pixels_of_another_shape_are_an_error() {
    let grey = Picture::new(&[0; 16], 4, 1).expect("grey");
    let colour = Picture::new(&[200; 48], 4, 3).expect("colour");
    assert!([grey, colour].iter().all(|picture| picture.png_base64.starts_with("iVBORw0KGgo")));
    for (bytes, channels) in [(15, 1), (16, 3), (32, 2), (0, 1)] {
        let error = Picture::new(&vec![0; bytes], 4, channels).expect_err("another shape").to_string();
        assert!(error.ends_with(&format!("cannot have {bytes} bytes")), "{error}");
    }
}
