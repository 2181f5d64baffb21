//! A network leaves home: what is written gives the engine's logits, and what is damaged is told.

use crate::harness::gpu;
use crate::hostile;
use crate::memory::peak;
use netadapt::data::{Images, Normalisation, Sample};
use netadapt::digest::sha256;
use netadapt::export::{ExportError, Facts, Format, OnnxOptions, Options, verify, write};
use netadapt::gpu::{Buf, Gpu};
use netadapt::graph::{initial_weights, lower};
use netadapt::kernels::Tuning;
use netadapt::model::{Architecture, Model, Network, WeightType, to_safetensors};
use netadapt::rng::{Purpose, stream};
use netadapt::space::spec::PRESETS;
use netadapt::space::{Arch, LayerShape, Shortcut, Space, WidthSampler};
use netadapt::train::evaluate;
use rand::RngExt;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

const FILES: [&str; 9] = [
    "README.md",
    "architecture.json",
    "config.json",
    "golden.safetensors",
    "labels.txt",
    "model.onnx",
    "model.py",
    "model.safetensors",
    "train.safetensors",
];

/// Preset, pixels a side, channels.
pub(crate) type Scene = (&'static str, u32, u32);

pub(crate) const TINY: Scene = ("tiny", 28, 1);
const MOBILE: Scene = ("mobile", 64, 3);
const PLAIN: Scene = ("plain", 28, 3);
/// `tiny` whose blocks get wider without a stride, so that one of them has an explicit bypass.
const WIDENING: Scene = ("widening", 14, 3);

fn space(name: &str) -> Space {
    if name != WIDENING.0 {
        return Space::open(name).expect("a preset");
    }
    let (_, tiny) = PRESETS.iter().find(|(preset, _)| *preset == TINY.0).expect("a preset");
    let widening = tiny.replace("kernels = [3, 5]\nstride = 2", "kernels = [1, 7]");
    assert_ne!(*tiny, widening, "the preset has a stage with a stride");
    Space::parse(name, &widening).expect("the space is valid")
}

/// A network of a preset with every parameter and every statistic away from its initial value.
pub(crate) fn network((preset, size, channels): Scene, choose: impl Fn(&netadapt::space::Supernet) -> Arch) -> Network {
    let space = space(preset);
    let classes: Vec<String> = (0..10).map(|c| format!("class {c}, \"quoted\"")).collect();
    let net = space.supernet(size, channels, classes.len() as u32);
    let arch = choose(&net);
    let normalisation = Normalisation { mean: [0.48, 0.45, 0.4], std: [0.23, 0.25, 0.31] };
    let architecture = Architecture::new(&space, &net, &arch, &classes, normalisation);
    let graph = lower(&net, &arch);
    let mut weights = initial_weights(&graph, 3);
    for (index, param) in graph.params.iter().enumerate() {
        let mut rng = stream(5, Purpose::Data, 1, index as u64);
        for position in param.positions() {
            weights.values[param.index(position)] += 0.2 * (rng.random::<f32>() - 0.5);
        }
    }
    for (index, running) in weights.running.iter_mut().enumerate() {
        let mut rng = stream(5, Purpose::Data, 2, index as u64);
        running.iter_mut().for_each(|v| *v += 0.4 * rng.random::<f32>());
    }
    Network { architecture, net, arch, graph, weights }
}

pub(crate) fn options(opset: u32, batch: Option<u32>) -> Options {
    let onnx = OnnxOptions::new(opset, batch).expect("a version that is written");
    let formats = vec![Format::Onnx, Format::Safetensors, Format::Pytorch];
    Options { formats, onnx, weights: WeightType::F32 }
}

/// A small export in a folder of its own.
pub(crate) fn exported() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a folder can be made");
    let out = dir.path().join("out");
    let small = network(TINY, |net| net.smallest());
    write(gpu(), small, &Facts::default(), &options(17, Some(1)), &out).expect("the export agrees");
    (dir, out)
}

/// What a layer of an architecture has the exporter do.
fn kinds(shape: &LayerShape) -> Vec<&'static str> {
    let mut kinds = Vec::new();
    match (shape.shortcut, shape.kept.cmp(&shape.bypass)) {
        _ if shape.is_removed() => kinds.push("removed"),
        (Shortcut::Bypass, std::cmp::Ordering::Less) => kinds.push("bypass"),
        (Shortcut::Residual, std::cmp::Ordering::Less) => kinds.push("residual, filters narrower"),
        (Shortcut::Residual, std::cmp::Ordering::Greater) => kinds.push("residual, input narrower"),
        (Shortcut::Residual, std::cmp::Ordering::Equal) => kinds.push("residual"),
        _ => {}
    }
    if shape.squeezed > 0 && !shape.is_removed() {
        kinds.push("squeeze");
    }
    kinds
}

/// Exports the full network, the smallest and random ones of a preset, with every opset in turn, and returns
/// what their layers had the exporter do.
///
/// The folders stay in the target's `tmp/exports`, where `tests/onnx_check.py` and `tests/pytorch_check.py` find
/// them; the environment's NETADAPT_EXPORTS says how many there are to be.
fn agree(scene: Scene) -> BTreeSet<&'static str> {
    let count = std::env::var("NETADAPT_EXPORTS").map_or(9, |text| text.parse().expect("NETADAPT_EXPORTS is a number"));
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("exports").join(scene.0);
    let _ = std::fs::remove_dir_all(&folder);
    let sampler = WidthSampler::uniform(8);
    let mut seen = BTreeSet::new();
    for index in 0..count {
        let choose = |net: &netadapt::space::Supernet| match index {
            0 => net.full(),
            1 => net.smallest(),
            _ => sampler.draw(net, 0, index + 1).remove(index as usize),
        };
        let opset = [13, 17, 21][index as usize % 3];
        let network = network(scene, choose);
        seen.extend(network.graph.shapes.iter().flat_map(kinds));
        // Every opset and batch comes with both.
        let half = index / 3 % 2 == 1;
        let weights = if half { WeightType::F16 } else { WeightType::F32 };
        let options = Options { weights, ..options(opset, (index % 2 == 0).then_some(1 << (index % 3))) };
        let report = write(gpu(), network, &Facts::default(), &options, &folder.join(index.to_string()));
        let report = report.unwrap_or_else(|error| panic!("{scene:?} {index} opset {opset}: {error}"));
        assert_eq!(report.files, FILES.len());
        assert_eq!(report.agreements.len(), 2);
        for (form, agreement) in report.agreements {
            assert!(agreement.holds() && agreement.range > 0.1, "{scene:?} {index} {form}: {agreement:?}");
            let rounded = half && form == "model.onnx";
            assert_eq!(agreement.tolerance > 1e-3, rounded, "{scene:?} {index} {form}");
            assert_eq!(agreement.largest > 1e-5 * agreement.range, rounded, "{scene:?} {index} {form}: {agreement:?}");
            assert!(rounded || agreement.same_class == agreement.samples, "{scene:?} {index} {form}");
        }
    }
    seen
}

const RESIDUALS: [&str; 4] = ["removed", "residual", "residual, filters narrower", "residual, input narrower"];

#[test]
fn every_tiny_architecture_gives_the_engines_logits() {
    assert_eq!(agree(TINY), RESIDUALS.into());
}

#[test]
fn every_mobile_architecture_gives_the_engines_logits() {
    assert_eq!(agree(MOBILE), RESIDUALS.into_iter().chain(["squeeze"]).collect());
}

#[test]
fn every_plain_architecture_gives_the_engines_logits() {
    assert_eq!(agree(PLAIN), ["bypass", "removed"].into());
}

#[test]
fn every_widening_architecture_gives_the_engines_logits() {
    assert_eq!(agree(WIDENING), RESIDUALS.into_iter().chain(["bypass"]).collect());
}

#[test]
fn an_exported_network_is_read_back_bit_for_bit() {
    let dir = tempfile::tempdir().expect("a folder can be made");
    let out = dir.path().join("out");
    let full = network(PLAIN, |net| net.full());
    write(gpu(), full.clone(), &Facts::default(), &options(17, Some(1)), &out).expect("the export agrees");
    let read = Network::open(&out).expect("the export is whole");
    assert_eq!(read.architecture, full.architecture);
    assert_eq!(read.arch, full.arch);
    assert_eq!(read.weights.values, full.weights.values);
    assert!(matches!(
        write(gpu(), full, &Facts::default(), &options(17, Some(1)), &out),
        Err(ExportError::Occupied { path }) if path == out
    ));
    let left: Vec<_> = std::fs::read_dir(dir.path()).expect("the folder is there").collect();
    assert_eq!(left.len(), 1, "nothing else is left: {left:?}");
}

#[test]
fn a_network_that_cannot_be_checked_is_not_written() {
    let dir = tempfile::tempdir().expect("a folder can be made");
    let mut endless = network(TINY, |net| net.smallest());
    let bias = endless.graph.params.last().expect("the classifier has a bias");
    endless.weights.values[bias.index([0, 0, 0, 1])] = f32::INFINITY;
    let error = write(gpu(), endless, &Facts::default(), &options(17, None), &dir.path().join("out"));
    let error = error.expect_err("an endless logit is like no other").to_string();
    assert!(error.contains("classifier.bias"), "{error}");
    assert_eq!(std::fs::read_dir(dir.path()).expect("the folder is there").count(), 0, "nothing is left");
}

#[test]
fn only_known_opsets_are_written() {
    for opset in [0, 12, 14, 22] {
        let error = OnnxOptions::new(opset, None).expect_err("it is not written").to_string();
        assert!(error.contains("13, 17 and 21"), "{error}");
    }
}

/// The message of a verification that must fail.
fn refusal(folder: &Path) -> String {
    verify(folder).expect_err("a damaged export must be refused").to_string()
}

#[test]
fn a_file_that_is_not_the_manifests_is_named() {
    let (_dir, out) = exported();
    assert_eq!(verify(&out).expect("it is whole").files, FILES.len());
    for name in FILES {
        let path = out.join(name);
        let whole = std::fs::read(&path).expect("the file is there");
        let mut changed = whole.clone();
        *changed.last_mut().expect("no file is empty") ^= 1;
        for bytes in [&changed[..], &whole[..whole.len() / 2], &[]] {
            std::fs::write(&path, bytes).expect("a file can be written");
            let message = refusal(&out);
            assert!(message.contains(name) && message.contains("SHA-256"), "{name}: {message}");
        }
        std::fs::remove_file(&path).expect("a file can be removed");
        assert!(refusal(&out).contains(name), "{name}");
        std::fs::write(&path, whole).expect("a file can be written");
    }
    verify(&out).expect("it is whole again");

    let manifest = std::fs::read_to_string(out.join("manifest.json")).expect("the manifest is there");
    for (from, to, word) in [
        ("\"labels.txt\"", "\"../labels.txt\"", "does not list labels.txt"),
        ("\"model.py\"", "\"/etc/passwd\"", "\"/etc/passwd\", which no export has"),
        ("\"version\": 1", "\"version\": 2", "version 2"),
        ("{", "", "manifest.json"),
    ] {
        std::fs::write(out.join("manifest.json"), manifest.replacen(from, to, 1)).expect("a file can be written");
        assert!(refusal(&out).contains(word), "{from}: {}", refusal(&out));
    }
}

/// Replaces a file and its sum in the manifest.
fn replace(out: &Path, name: &str, bytes: &[u8]) {
    std::fs::write(out.join(name), bytes).expect("a file can be written");
    let path = out.join("manifest.json");
    let mut manifest: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&path).expect("the manifest is there")).expect("JSON");
    manifest["files"][name] = serde_json::json!({ "bytes": bytes.len(), "sha256": sha256(bytes) });
    std::fs::write(path, manifest.to_string()).expect("a file can be written");
}

#[test]
fn sizes_are_looked_at_before_contents() {
    let (_dir, out) = exported();
    let refused = |word: &str| {
        let (bytes, result) = peak(|| Network::open(&out).map(drop));
        let message = result.expect_err("a file has a size that it cannot have").to_string();
        assert!(message.contains(word), "{message}");
        assert!(bytes < 16 << 20, "{bytes} bytes: {message}");
    };
    let weights = out.join("train.safetensors");
    let whole = std::fs::read(&weights).expect("the file is there");
    let file = std::fs::OpenOptions::new().write(true).open(&weights).expect("the file is there");
    file.set_len(3 << 30).expect("a file can have a hole");
    refused("train.safetensors: it is larger than");
    std::fs::write(&weights, whole).expect("a file can be written");

    let architecture = out.join("architecture.json");
    let whole = std::fs::read(&architecture).expect("the file is there");
    std::fs::write(&architecture, [&whole[..], &[b' '; 5 << 20]].concat()).expect("a file can be written");
    refused("architecture.json: it is larger than");
    let large = network(MOBILE, |net| net.full()).architecture;
    std::fs::write(&architecture, serde_json::to_vec(&large).expect("JSON")).expect("a file can be written");
    refused("another network's");
}

/// A file with a byte of the last of its values changed so that the value is another one.
fn with_another_value(bytes: &[u8]) -> Vec<u8> {
    let mut changed = bytes.to_vec();
    let at = changed.len() - 2;
    changed[at] ^= 0x40;
    changed
}

#[test]
fn a_file_of_another_network_is_told_even_with_its_sum_in_the_manifest() {
    let (_dir, out) = exported();
    let text = |name: &str| std::fs::read_to_string(out.join(name)).expect("the file is there");
    let labels = text("labels.txt").replace("class 3", "class 4");
    let config = text("config.json").replace("\"num_classes\": 10", "\"num_classes\": 11");
    let architecture = text("architecture.json").replace("\"version\": 1", "\"version\": 3");
    let coordinate = text("architecture.json").replacen("\"stem.filters\": ", "\"stem.filters\": 9", 1);
    for (name, bytes, word) in [
        ("labels.txt", labels.into_bytes(), "classes"),
        ("config.json", config.into_bytes(), "another architecture"),
        ("architecture.json", architecture.into_bytes(), "version 3"),
        ("architecture.json", coordinate.into_bytes(), "stem.filters"),
    ] {
        let whole = std::fs::read(out.join(name)).expect("the file is there");
        assert_ne!(whole, bytes, "{name} was to be changed");
        replace(&out, name, &bytes);
        let message = refusal(&out);
        assert!(message.contains(name) && message.contains(word), "{name}: {message}");
        replace(&out, name, &whole);
    }
    for name in ["golden.safetensors", "model.safetensors", "train.safetensors"] {
        let whole = std::fs::read(out.join(name)).expect("the file is there");
        replace(&out, name, &with_another_value(&whole));
        let message = refusal(&out);
        assert!(message.contains("safetensors"), "{name}: {message}");
        replace(&out, name, &whole);
    }
    verify(&out).expect("it is whole again");
}

#[test]
fn another_onnx_graph_is_told_by_its_logits() {
    let (_dir, out) = exported();
    let whole = std::fs::read(out.join("model.onnx")).expect("the file is there");
    // The file of a network that differs in one weight: the stem's first.
    let mut other = network(TINY, |net| net.smallest());
    other.weights.values[0] += 0.5;
    let dir = tempfile::tempdir().expect("a folder can be made");
    write(gpu(), other, &Facts::default(), &options(17, Some(1)), &dir.path().join("out")).expect("the export agrees");
    let foreign = std::fs::read(dir.path().join("out/model.onnx")).expect("the file is there");
    replace(&out, "model.onnx", &foreign);
    let message = refusal(&out);
    assert!(message.contains("model.onnx is not the network"), "{message}");
    replace(&out, "model.onnx", &whole[..whole.len() - 100]);
    assert!(refusal(&out).contains("model.onnx cannot be run"), "{}", refusal(&out));
}

/// As `examples/shared_device.rs` does with a frame: the application's device, buffer and shader.
#[test]
fn a_network_runs_on_an_applications_device_and_buffer() {
    const SHADER: &str = "
        @group(0) @binding(0) var<storage, read_write> pixels: array<vec4f>;
        @compute @workgroup_size(1)
        fn main(@builtin(workgroup_id) at: vec3u) { pixels[at.x] = vec4f(f32(at.x % 17) / 8 - 1, 0, 0, 0); }";
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.backends = wgpu::Backends::VULKAN | wgpu::Backends::METAL | wgpu::Backends::DX12;
    let instance = wgpu::Instance::new(descriptor);
    let adapter = pollster::block_on(instance.request_adapter(&Default::default())).expect("an adapter");
    let limits = wgpu::DeviceDescriptor { required_limits: adapter.limits(), ..Default::default() };
    let (device, queue) = pollster::block_on(adapter.request_device(&limits)).expect("a device");
    let buffer = |size: u64| {
        let usage = wgpu::BufferUsages::STORAGE;
        let descriptor = wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false };
        device.create_buffer(&descriptor)
    };
    let pixels = buffer(28 * 28 * 16);
    let source = wgpu::ShaderSource::Wgsl(SHADER.into());
    let module = device.create_shader_module(wgpu::ShaderModuleDescriptor { label: None, source });
    let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: None,
        layout: None,
        module: &module,
        entry_point: Some("main"),
        compilation_options: Default::default(),
        cache: None,
    });
    let bindings = device.create_bind_group(&wgpu::BindGroupDescriptor {
        label: None,
        layout: &pipeline.get_bind_group_layout(0),
        entries: &[wgpu::BindGroupEntry { binding: 0, resource: pixels.as_entire_binding() }],
    });

    let app = Gpu::from_device(device.clone(), queue.clone());
    let small = || network(TINY, |net| net.smallest());
    let model = Model::on_buffer(&app, small(), Buf::from_raw(pixels, "pixels")).expect("it fits");
    let mut encoder = device.create_command_encoder(&Default::default());
    let mut pass = encoder.begin_compute_pass(&Default::default());
    pass.set_pipeline(&pipeline);
    pass.set_bind_group(0, &bindings, &[]);
    pass.dispatch_workgroups(28 * 28, 1, 1);
    drop(pass);
    queue.submit([encoder.finish()]);
    model.submit();
    let got: Vec<f32> = app.read(model.output()).expect("the device works");

    let value = |i: u32| [(i % 17) as f32 / 8.0 - 1.0, 0.0, 0.0, 0.0];
    let image: Vec<f32> = (0..28 * 28).flat_map(value).collect();
    let want = Model::new(gpu(), small()).expect("it fits").logits(&image).expect("the device works");
    assert_eq!(got.len(), 12, "ten classes in whole quads");
    assert!(want.iter().zip(&got).all(|(a, b)| (a - b).abs() <= 1e-5 * a.abs().max(1.0)), "{want:?} {got:?}");
    assert!(want.iter().any(|logit| logit.abs() > 0.01));
    let short = Model::on_buffer(&app, small(), Buf::from_raw(buffer(28 * 28 * 16 - 16), "short"));
    let error = short.err().expect("it is too small").to_string();
    assert!(error.contains("12528 bytes") && error.contains("12544"), "{error}");
}

fn netadapt(arguments: &[&str]) -> Output {
    // What the user has kept for this device is not for tests.
    let cache = concat!(env!("CARGO_TARGET_TMPDIR"), "/no-cache");
    let mut command = Command::new(env!("CARGO_BIN_EXE_netadapt"));
    command.env("NETADAPT_CACHE", cache).args(arguments).output().expect("the program starts")
}

/// What the program prints when it ends with `code`.
pub(crate) fn prints(arguments: &[&str], code: i32) -> (String, String) {
    let output = netadapt(arguments);
    let text = |bytes| String::from_utf8(bytes).expect("it prints text");
    let (out, message) = (text(output.stdout), text(output.stderr));
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {message}");
    assert!(!message.contains("panicked"), "{message}");
    (out, message)
}

/// A run's folder with two networks in it and three images beside it, two of them usable.
pub(crate) fn run() -> TempDir {
    let dir = tempfile::tempdir().expect("a folder can be made");
    let write = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().expect("it lies in a folder")).expect("a folder can be made");
        std::fs::write(path, bytes).expect("a file can be written");
    };
    write("run/config.toml", b"data = \"/photos/<i>shoes\"\n");
    write("run/data.json", b"{\"train\": 900, \"test\": 100}");
    write("run/env.json", b"{\"adapter\": {\"name\": \"A card\", \"driver\": \"some 1.2\"}}");
    for (index, budget) in ["8ms", "50%MAC"].iter().enumerate() {
        let found = network(TINY, |net| if index == 0 { net.full() } else { net.smallest() });
        let folder = format!("run/networks/{index}");
        let architecture = serde_json::to_vec(&found.architecture).expect("an architecture is JSON");
        write(&format!("{folder}/architecture.json"), &architecture);
        let weights = to_safetensors(&found.graph, &found.weights).expect("weights make a file");
        write(&format!("{folder}/model.safetensors"), &weights);
        let metrics = format!(
            "{{\"network\": {{\"budget\": {{\"text\": \"{budget}\"}}, \"latency_ms\": 1.25, \
             \"accuracy\": {{\"test\": 0.875}}, \"interval\": 0.02}}}}"
        );
        write(&format!("{folder}/metrics.json"), metrics.as_bytes());
    }
    for (name, side) in [("images/large.png", 90), ("images/below/small.png", 20)] {
        write(name, b"");
        let image = image::GrayImage::from_fn(side, side + 7, |x, y| image::Luma([(x * x + y * 3) as u8]));
        image.save(dir.path().join(name)).expect("an image can be written");
    }
    write("note.png", b"not an image");
    dir
}

#[test]
fn the_program_exports_what_was_asked_for_and_verifies_it() {
    let dir = run();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let (from, out) = (path("run"), path("out"));
    let (text, _) = prints(&["export", &from, "--budget", "50%MAC", "--out", &out, "--batch", "any"], 0);
    assert!(text.contains("9 files") && text.contains("model.onnx: largest difference"), "{text}");
    assert_eq!(
        Network::open(&dir.path().join("out")).expect("it is whole").arch.values()[0],
        8,
        "the second network's"
    );
    let card = std::fs::read_to_string(dir.path().join("out/README.md")).expect("there is a card");
    for words in ["87.5 ± 2.0 %", "1.250 ms", "A card (some 1.2)", "50%MAC", "900 for training, 100 for testing"] {
        assert!(card.contains(words), "`{words}` is not in {card}");
    }
    assert!(card.contains("shoes") && !card.contains("<i>"), "names from outside are not markup: {card}");

    let (text, _) = prints(&["export", "--verify", &out], 0);
    assert!(text.contains("is whole") && text.contains("train.safetensors: largest difference"), "{text}");
    let (_, message) = prints(&["export", &from, "--out", &out], 1);
    assert!(message.contains("exists already") && message.contains("--out"), "{message}");
    std::fs::write(dir.path().join("out/labels.txt"), "cat\n").expect("a file can be written");
    let (_, message) = prints(&["export", "--verify", &out], 1);
    assert!(message.contains("labels.txt"), "{message}");

    let (text, _) = prints(&["export", &from, "--format", "onnx", "--opset", "13"], 0);
    assert!(text.contains("networks/0/export is written"), "{text}");
    assert!(!dir.path().join("run/networks/0/export/model.py").exists());
    let (_, message) = prints(&["export", &from, "--budget", "9ms"], 1);
    assert!(message.contains("9ms") && message.contains("8ms, 50%MAC"), "{message}");
    let (_, message) = prints(&["export", &from, "--opset", "12"], 2);
    assert!(message.contains("13, 17 and 21"), "{message}");
    let (_, message) = prints(&["export", &path("images")], 1);
    assert!(message.contains("neither an exported network nor a run"), "{message}");
}

#[test]
fn weights_in_f16_are_half_as_large_and_their_cost_is_measured() {
    let dir = run();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let bytes = |name: &str| std::fs::metadata(dir.path().join(name)).expect("a file of an export").len() as f64;
    // The network's images: eight of each of its classes.
    for split in ["train", "val", "test"] {
        for class in 0..10 {
            let folder = dir.path().join(format!("data/{split}/class {class}, \"quoted\""));
            std::fs::create_dir_all(&folder).expect("a folder can be made");
            for n in 0..8u32 {
                let mut rng = stream(9, Purpose::Data, class, u64::from(n));
                let image = image::GrayImage::from_fn(28, 28, |_, _| image::Luma([rng.random()]));
                image.save(folder.join(format!("{n}.png"))).expect("an image can be written");
            }
        }
    }
    let (from, data) = (path("run"), path("data"));
    prints(&["export", &from, "--out", &path("full")], 0);
    let (text, _) = prints(&["export", &from, "--out", &path("half"), "--weights", "f16", "--data", &data], 0);
    assert!(text.contains("of the 80 test images") && text.contains("points"), "{text}");
    let card = std::fs::read_to_string(dir.path().join("half/README.md")).expect("there is a card");
    assert!(card.contains("with weights in f16 |") && card.contains("are f16"), "{card}");
    for name in ["model.onnx", "model.safetensors"] {
        let share = bytes(&format!("half/{name}")) / bytes(&format!("full/{name}"));
        assert!((0.5..0.6).contains(&share), "{name}: {share}");
    }
    assert_eq!(bytes("half/train.safetensors"), bytes("full/train.safetensors"));
    prints(&["export", "--verify", &path("half")], 0);
    let weights = std::fs::read(dir.path().join("half/model.safetensors")).expect("a file of an export");
    replace(&dir.path().join("half"), "model.safetensors", &with_another_value(&weights));
    assert!(refusal(&dir.path().join("half")).contains("model.safetensors"));

    let (_, message) = prints(&["export", &from, "--out", &path("none"), "--weights", "f16"], 1);
    assert!(message.contains("no test images") && message.contains("--data"), "{message}");
    let (_, message) =
        prints(&["export", &from, "--out", &path("none"), "--weights", "f16", "--data", &path("nowhere")], 5);
    assert!(message.contains("nowhere"), "{message}");
}

/// A program in the place of Python that prints this and ends with `code`.
#[cfg(unix)]
fn python(dir: &TempDir, name: &str, says: &str, code: u8) -> PathBuf {
    use std::os::unix::fs::PermissionsExt as _;
    let path = dir.path().join(name);
    std::fs::write(&path, format!("#!/bin/sh\n{says}\nexit {code}\n")).expect("a file can be written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("it can be made to run");
    path
}

/// The script itself is run by `scripts/test`, which has onnxruntime.
#[cfg(unix)]
#[test]
fn another_runtimes_latency_is_in_the_card() {
    let dir = run();
    let export = |python: &Path, out: &str| {
        let out = dir.path().join(out).display().to_string();
        let output = Command::new(env!("CARGO_BIN_EXE_netadapt"))
            .args(["export", &dir.path().join("run").display().to_string(), "--out", &out])
            .args(["--format", "onnx", "--batch", "2", "--cross-check", "onnxruntime"])
            .env("NETADAPT_PYTHON", python)
            .output()
            .expect("the program starts");
        let text = |bytes| String::from_utf8(bytes).expect("it prints text");
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    // It is given the script, a file that is there, the batch and the seconds.
    let says = "[ \"$1\" = -c ] && [ -s \"$3\" ] && [ \"$4\" = 2 ] && \
                echo '{\"runtime\": \"a runtime 1.2\", \"median_ms\": 1.25, \"p90_ms\": 2}'";
    let (code, text, message) = export(&python(&dir, "good", says, 0), "out");
    assert_eq!(code, Some(0), "{message}");
    assert!(text.contains("cross-check: 1.250 ms in a runtime 1.2, ") && text.contains("batch of 2"), "{text}");
    let card = std::fs::read_to_string(dir.path().join("out/README.md")).expect("there is a card");
    assert!(card.contains("| cross-check | 1.250 ms in a runtime 1.2"), "{card}");

    let says = "echo \"ModuleNotFoundError: No module named 'onnxruntime'\" >&2";
    for (python, words) in [
        (python(&dir, "without", says, 1), "No module named 'onnxruntime'"),
        (python(&dir, "silent", "", 0), "printed no latency"),
        (dir.path().join("nowhere"), "cannot start"),
    ] {
        let (code, _, message) = export(&python, "none");
        assert_eq!(code, Some(1), "{message}");
        assert!(message.contains(words), "{message}");
        assert!(words == "printed no latency" || message.contains("NETADAPT_PYTHON"), "{message}");
        assert!(!dir.path().join("none").exists());
    }
}

#[test]
fn a_prediction_is_what_an_evaluation_sees() {
    let dir = run();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let (from, out, images) = (path("run"), path("out"), path("images"));
    prints(&["export", &from, "--out", &out], 0);
    let (of_run, _) = prints(&["predict", &from, &images, "--json", "--top", "10"], 0);
    let (of_export, _) = prints(&["predict", &out, &images, "--json", "--top", "10"], 0);
    assert_eq!(of_run, of_export);

    let network = network(TINY, |net| net.full());
    let samples: Vec<Sample> = ["images/below/small.png", "images/large.png"]
        .iter()
        .map(|name| Sample { path: dir.path().join(name), label: 0 })
        .collect();
    let format = netadapt::data::Format { size: 28, channels: 1 };
    let images_read = Images::load(&samples, format, 1, 1 << 20, &|_, _| ()).expect("the images are usable");
    let tuning = Tuning::for_adapter(gpu().adapter());
    let normalisation = &network.architecture.normalisation;
    let evaluation = evaluate(gpu(), &network.graph, &network.weights, &images_read, normalisation, &tuning)
        .expect("the device works");
    assert_eq!(of_run.lines().count(), 2);
    for (index, line) in of_run.lines().enumerate() {
        let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
        assert_eq!(line["image"].as_str().map(PathBuf::from).as_ref(), Some(&samples[index].path));
        let first = &line["predictions"][0];
        assert_eq!(first["index"].as_u64(), Some(evaluation.predicted[index].into()), "{line}");
        let probability = first["probability"].as_f64().expect("a number") as f32;
        assert!((probability - evaluation.confidence[index]).abs() < 1e-4, "{line} {evaluation:?}");
        assert_eq!(line["predictions"].as_array().map(Vec::len), Some(10));
    }

    let (text, message) = prints(&["predict", &from, &path("note.png"), &path("images/large.png")], 5);
    assert!(text.contains("large.png: class ") && text.contains(" %"), "{text}");
    assert!(message.contains("note.png") && message.contains("1 file is not a usable image"), "{message}");
    std::fs::create_dir(dir.path().join("empty")).expect("a folder can be made");
    let (_, message) = prints(&["predict", &from, &path("empty")], 5);
    assert!(message.contains("empty") && message.contains("no png, jpeg"), "{message}");
    let (_, message) = prints(&["predict", &from, &images, "--device", "99"], 4);
    assert!(message.contains("netadapt devices"), "{message}");
}

/// Verifies changed files whose sums are in the manifest: `least` of a thousand must be refused, in words.
fn survives(format: u64, name: &str, least: u64) {
    let (_dir, out) = exported();
    let whole = std::fs::read(out.join(name)).expect("the file is there");
    let refused = hostile::check(format, &whole, |bytes| {
        replace(&out, name, bytes);
        verify(&out).inspect_err(|error| assert!(!error.to_string().is_empty())).is_ok()
    });
    assert!(refused * 1000 > least * hostile::count(), "{name}: {refused}");
}

#[test]
fn changed_architectures_end_in_words() {
    survives(40, "architecture.json", 500);
}

#[test]
fn changed_configurations_end_in_words() {
    survives(41, "config.json", 500);
}

#[test]
fn changed_weights_end_in_words() {
    survives(42, "train.safetensors", 950);
}

#[test]
fn changed_onnx_files_end_in_words() {
    survives(43, "model.onnx", 500);
}
