//! Files from strangers: whatever is in them, an error or a value comes out, quickly, and never a panic.
//!
//! 2,000 changed files of each format; 50,000 with `NETADAPT_LONG=1`. Exports are in `export.rs`.

use crate::harness::{gpu, is_long};
use crate::memory::peak;
use crate::scene::Scene;
use netadapt::data::pack::pack;
use netadapt::data::{Normalisation, Shares, divide};
use netadapt::export;
use netadapt::formats::{self, FORMATS};
use netadapt::graph::{initial_weights, lower};
use netadapt::kernels::Tuning;
use netadapt::model::{Architecture, Network, WeightType, to_safetensors};
use netadapt::report::{Compared, Input, LayerBar, NetworkSummary, Picture};
use netadapt::rng::{Purpose, stream};
use netadapt::run::{self, Config, Environment, RunError, Stop};
use netadapt::space::Space;
use netadapt::space::spec::PRESETS;
use netadapt::tune::{Knob, Trial, Tuned};
use rand::{Rng, RngExt};
use std::io::Write as _;
use std::time::{Duration, Instant};

pub(crate) fn count() -> u64 {
    if is_long() { 50_000 } else { 2_000 }
}

/// Numbers that programs like to stumble over, and what ends a text early.
const TOKENS: [&str; 14] = [
    "0",
    "-1",
    "4294967295",
    "4294967296",
    "18446744073709551616",
    "1e999",
    "NaN",
    "null",
    "\"",
    "]",
    "}",
    "\0",
    "{",
    "[[",
];

/// A few changes of `original`: bits, cuts, repeated parts, tokens in the place of numbers.
fn mutated(original: &[u8], rng: &mut impl Rng) -> Vec<u8> {
    let mut bytes = original.to_vec();
    for _ in 0..rng.random_range(1..4) {
        let at = rng.random_range(0..bytes.len().max(1)).min(bytes.len());
        let end = (at + rng.random_range(1..40)).min(bytes.len());
        match rng.random_range(0..6) {
            0 => bytes.truncate(at),
            1 if at < bytes.len() => bytes[at] ^= 1 << rng.random_range(0..8),
            2 => drop(bytes.drain(at..end)),
            3 => {
                let part = bytes[at..end].to_vec();
                bytes.splice(at..at, part);
            }
            4 => {
                // The next number is another one.
                let digits =
                    |from: usize, bytes: &[u8]| bytes[from..].iter().position(u8::is_ascii_digit).map(|i| from + i);
                if let Some(start) = digits(at, &bytes) {
                    let length = bytes[start..].iter().take_while(|b| b.is_ascii_digit()).count();
                    let token = TOKENS[rng.random_range(0..TOKENS.len())];
                    bytes.splice(start..start + length, token.bytes());
                }
            }
            _ => drop(bytes.splice(at..end, TOKENS[rng.random_range(0..TOKENS.len())].bytes())),
        }
    }
    // Half of the changed headers of safetensors have a length that is right, so that what they say is looked at.
    if original.get(8) == Some(&b'{') && bytes.len() > 8 && rng.random() {
        let length = u64::from_le_bytes(std::array::from_fn(|i| original[i]));
        let grown = (bytes.len() as u64).wrapping_sub(original.len() as u64);
        bytes[..8].copy_from_slice(&length.wrapping_add(grown).to_le_bytes());
    }
    bytes
}

/// Reads changed files, each within a second and 256 MiB; returns how many of them were refused.
pub(crate) fn check(format: u64, original: &[u8], mut read: impl FnMut(&[u8]) -> bool) -> u64 {
    assert!(read(original), "the file itself is valid");
    let mut refused = 0;
    for index in 0..count() {
        let bytes = mutated(original, &mut stream(0, Purpose::Data, format, index));
        let start = Instant::now();
        let (held, outcome) = peak(|| std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| read(&bytes))));
        let text = || String::from_utf8_lossy(&bytes).into_owned();
        refused += u64::from(!outcome.unwrap_or_else(|_| panic!("change {index} panics: {}", text())));
        assert!(held < 256 << 20, "change {index} takes {held} bytes: {}", text());
        assert!(start.elapsed() < Duration::from_secs(1), "change {index} takes {:?}: {}", start.elapsed(), text());
    }
    assert!(refused > 0, "no change was noticed");
    refused
}

/// A run that was stopped in its search, so that every kind of file is there; its newest checkpoint.
fn stopped_run(scene: &Scene) -> (Config, String) {
    let config = scene.config("run", "70%MAC");
    let stop = |at| Environment { stop: Stop::at(at), ..Environment::from(gpu().clone()) };
    let mut at = 0;
    let state = config.out.join("state");
    let has = |name: &str| std::fs::read(state.join(name)).is_ok_and(|bytes| bytes.len() > 100);
    let mut result = run::search(&config, stop(60), &mut ());
    while !has("scores.jsonl") {
        assert!(matches!(result, Err(RunError::Stopped { .. })), "{result:?}");
        at += 1;
        result = run::resume(&config.out, stop(at), &mut ());
    }
    let entries = std::fs::read_dir(&state).expect("a folder").map(|entry| entry.expect("an entry").file_name());
    let names = entries.map(|name| name.into_string().expect("a name of ours"));
    let checkpoint = names.filter(|name| name.ends_with(".checkpoint")).max().expect("there is one");
    (config, format!("state/{checkpoint}"))
}

/// A file of each format, by the format's name.
fn samples() -> Vec<(&'static str, Vec<u8>)> {
    let scene = Scene::new();
    let (config, checkpoint) = stopped_run(&scene);
    let of_run = |name: &str| std::fs::read(config.out.join(name)).expect("a file of the run");
    let mut tables = std::fs::read_dir(config.out.join("latency")).expect("a folder");
    let table = tables.next().expect("it has a table").expect("an entry").path();

    let space = Space::open(&scene.space).expect("it is valid");
    let net = space.supernet(8, 1, 2);
    let (arch, graph) = (net.full(), lower(&net, &net.full()));
    let classes = ["left", "right"].map(String::from);
    let normalisation = Normalisation { mean: [0.5; 3], std: [0.25; 3] };
    let architecture = Architecture::new(&space, &net, &arch, &classes, normalisation);
    let weights = initial_weights(&graph, 0);
    let export = scene.path("export");
    let (formats, onnx) = (vec![export::Format::Onnx], export::OnnxOptions::default());
    let options = export::Options { formats, onnx, weights: WeightType::F32 };
    let described = serde_json::to_vec(&architecture).expect("it is plain data");
    let network = Network { architecture, net, arch, graph, weights };
    export::write(gpu(), network, &export::Facts::default(), &options, &export).expect("it is written");
    let of_export = |name: &str| std::fs::read(export.join(name)).expect("a file of the export");
    let shares = Shares { val: 0.1, test: 0.1 };
    let data = scene.path("data");
    let split = divide(&data, &scene.path("data.json"), shares, 0, 2, &mut |_, _| ()).expect("the images are sound");
    let packed = scene.path("data.pack");
    let options = netadapt::data::Options { seed: 0, holdout: 0, max_bad: 0.0 };
    pack(&data, &packed, 8, &options, 2, &mut |_, _| ()).expect("the images are sound");
    let (_, tiny) = formats::network();
    let trial = Trial {
        knob: Knob::Pixels,
        value: "4".into(),
        from: "8".into(),
        ratio: Some(0.9),
        taken: true,
        fault: Some("it differs".into()),
    };
    let tuned = Tuned::new(gpu(), "2026-11-25".into(), Tuning::for_adapter(gpu().adapter()), vec![trial]);
    vec![
        ("space", PRESETS[1].1.as_bytes().to_vec()),
        ("budget", b"8.5ms".to_vec()),
        ("config", of_run("config.toml")),
        ("started", of_run("state/started.json")),
        ("surroundings", of_run("env.json")),
        ("records", [of_run("measurements.jsonl"), of_run("state/scores.jsonl")].concat()),
        ("checkpoint", of_run(&checkpoint)),
        ("latency_table", std::fs::read(table).expect("a file of the run")),
        ("tuning", serde_json::to_vec(&tuned).expect("it is plain data")),
        ("architecture", described),
        ("weights", to_safetensors(tiny, &initial_weights(tiny, 0)).expect("they fit")),
        ("onnx", of_export("model.onnx")),
        ("manifest", of_export("manifest.json")),
        ("report", report()),
        ("split", serde_json::to_vec(&split.manifest).expect("it is plain data")),
        ("image", std::fs::read(scene.path("data/train/left/0.png")).expect("an image")),
        ("table", b"id,label\na.png,cat\nb/a,\"dog, wild\"\nc,cat\n".to_vec()),
        ("tar", archive(false)),
        ("zip", archive(true)),
        ("pack", std::fs::read(packed).expect("it was written")),
    ]
}

/// An archive of three small files.
fn archive(is_zip: bool) -> Vec<u8> {
    let files = [("set/a/1.png", &b"one"[..]), ("set/a/2.png", b"two"), ("set/b/3.png", &[0; 2000])];
    if is_zip {
        let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        for (name, content) in files {
            writer.start_file(name, zip::write::SimpleFileOptions::default()).expect("a new name");
            writer.write_all(content).expect("memory can be written to");
        }
        return writer.finish().expect("memory can be written to").into_inner();
    }
    let mut builder = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        builder.append_data(&mut header, name, content).expect("memory can be written to");
    }
    builder.into_inner().expect("memory can be written to")
}

/// What a run leaves for its page: two networks, an iterate, a candidate, a picture.
fn report() -> Vec<u8> {
    let network = |budget: &str, latency_ms: f64| NetworkSummary {
        budget_text: budget.into(),
        latency_ms,
        test: 0.75,
        interval: 0.02,
        layers: vec![LayerBar { name: "stem".into(), kind: "conv".into(), ..LayerBar::default() }],
        confusion: vec![vec![3, 1], vec![0, 4]],
        mistakes: vec![Picture::new(&[0; 16], 4, 1).expect("a picture")],
        ..NetworkSummary::default()
    };
    let iterate = serde_json::json!({
        "iteration": 1, "values": [8, 4], "target": 2.0, "predicted": 1.9, "measured": 1.8, "correction": 1.0,
        "loss": 0.5, "accuracy": 0.8, "samples": 4
    });
    let input = Input {
        title: "left within 50%".into(),
        resource: "latency".into(),
        networks: vec![network("50%", 1.5), network("2ms", 2.0)],
        iterates: vec![serde_json::from_value(iterate).expect("an iterate")],
        comparison: vec![Compared { name: "uniform".into(), latency_ms: 1.4, test: 0.7, ..Compared::default() }],
        ..Input::default()
    };
    serde_json::to_vec(&input).expect("it is plain data")
}

/// Every format, as `fuzz/` reads them too. `NETADAPT_SEEDS` names a folder that the files are written to, for it to
/// begin with.
#[test]
fn every_format_with_changed_files() {
    let samples = samples();
    assert!(FORMATS.iter().map(|format| format.name).eq(samples.iter().map(|(name, _)| *name)), "a sample of each");
    if let Some(folder) = std::env::var_os("NETADAPT_SEEDS") {
        for (name, bytes) in &samples {
            let folder = std::path::Path::new(&folder).join(name);
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join("sample"), bytes).unwrap();
        }
    }
    for (index, (format, (_, bytes))) in FORMATS.iter().zip(&samples).enumerate() {
        check(index as u64, bytes, |bytes| format.reads(bytes));
    }
    // Images of every other format, and of more than one kind of it.
    let images =
        ["lossy.webp", "lossless.webp", "lzw.tif", "deflate.tif", "jpeg.tif"].map(|kind| format!("rgb-{kind}"));
    let others =
        ["animated.webp", "turned.webp", "interlaced.gif", "palette.bmp", "cmyk.tif", "turned.png", "cmyk.jpg"];
    for (index, name) in images.iter().map(String::as_str).chain(others).enumerate() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/data/formats").join(name);
        check(60 + index as u64, &std::fs::read(path).unwrap(), |bytes| formats::format("image").reads(bytes));
    }
    // All presets are spaces.
    for (index, (_, text)) in PRESETS.into_iter().enumerate() {
        check(40 + index as u64, text.as_bytes(), |bytes| formats::format("space").reads(bytes));
    }
}

/// A network of which all values are in their ranges, and which is too large for numbers of 32 bits.
#[test]
fn networks_that_cannot_be_indexed_are_refused() {
    let (_, text) = PRESETS[0];
    let wide = |line: &str| match line.split_once(" = ") {
        Some(("filters" | "expansion", _)) => line.replace(|c: char| c.is_ascii_digit(), "").replace("= ", "= 4096"),
        Some(("repeat", _)) => "repeat = 50".to_owned(),
        _ => line.to_owned(),
    };
    let large = text.lines().map(wide).collect::<Vec<_>>().join("\n");
    let error = Space::parse("large", &large).expect_err("it has too many parameters").to_string();
    assert!(error.contains("parameters"), "{error}");
    let space = Space::open("tiny").unwrap();
    space.validate_classes("tiny", 1000).expect("a thousand classes are usual");
    let error = space.validate_classes("tiny", u32::MAX / 4096).expect_err("so many are not").to_string();
    assert!(error.contains("classes"), "{error}");
}

#[test]
fn the_files_of_a_run() {
    let scene = Scene::new();
    let (config, checkpoint) = stopped_run(&scene);
    let stop = || Environment { stop: Stop::at(0), ..Environment::from(gpu().clone()) };
    // A run that goes on opens its device and reads its images, so there are fewer tries of each.
    let tries = count() / 100;
    let names = [
        "state/started.json",
        "state/scores.jsonl",
        "state/seconds.json",
        "config.toml",
        "env.json",
        "data.json",
        "measurements.jsonl",
        "results.csv",
    ];
    for (index, name) in names.into_iter().chain([checkpoint.as_str()]).enumerate() {
        let path = config.out.join(name);
        let original = std::fs::read(&path).unwrap();
        for change in 0..tries {
            let bytes = mutated(&original, &mut stream(0, Purpose::Data, 30 + index as u64, change));
            std::fs::write(&path, &bytes).unwrap();
            let result = run::resume(&config.out, stop(), &mut ());
            assert!(result.is_err(), "it stops before its next piece of work");
            if let Err(error) = result {
                // An error of ours, in words.
                assert!(!error.to_string().is_empty(), "{name}");
            }
        }
        std::fs::write(&path, &original).unwrap();
    }
}
