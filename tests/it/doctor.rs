//! What the doctor says of a device that works, and of one that does not.

use crate::harness::gpu;
use netadapt::check::checks;
use netadapt::doctor::{Question, Report, examine};
use netadapt::gpu::{Gpu, Kernel, Options, Precision, SENTINEL};
use netadapt::graph::{
    BatchStatistics, Deployed, NetworkError, Teacher, Training, TrainingOptions, initial_weights, lower,
};
use netadapt::kernels::optimizer::Rule;
use netadapt::kernels::{self, Tuning};
use netadapt::run::RunError;
use netadapt::space::Space;
use std::process::Command;

fn own_device() -> Gpu {
    Gpu::open(Options::default()).expect("these tests need an adapter; a software one will do")
}

fn report(gpu: &Gpu) -> Report {
    let folder = tempfile::tempdir().expect("a folder");
    let space = Space::open("tiny").expect("a preset");
    let tuning = Tuning::for_adapter(gpu.adapter());
    let question = Question { name: "tiny", space: &space, size: 28, tuning, folder: folder.path(), seconds: 0.1 };
    examine(gpu, &question, &mut |_| ()).expect("the device works")
}

/// The kernel with its own text changed.
fn changed(kernel: &Kernel, change: impl Fn(&str) -> String) -> &'static Kernel {
    let parts = kernel.parts.iter().map(|part| -> &'static str { change(part).leak() }).collect::<Vec<_>>();
    assert!(parts != kernel.parts, "{}: the change finds nothing to change", kernel.name);
    Box::leak(Box::new(Kernel { name: kernel.name, parts: parts.leak(), maps: kernel.maps }))
}

/// The text with a `main` that does nothing.
fn idle(text: &str) -> String {
    let Some(main) = text.find("fn main(") else { return text.to_owned() };
    let body = main + text[main..].find('{').expect("a function has a body") + 1;
    format!("{} if true {{ return; }} {}", &text[..body], &text[body..])
}

/// Each kernel in turn does nothing: the checks that name it fail, and no other. Without the sentinel all do.
#[test]
fn every_kernel_that_does_nothing_is_found() {
    let gpu = own_device();
    let tuning = Tuning::for_adapter(gpu.adapter());
    for kernel in kernels::ALL.iter().filter(|kernel| gpu.runs(kernel)) {
        gpu.substitute(changed(kernel, idle)).expect("the text is valid");
        for check in checks(&gpu) {
            let names: Vec<&str> = check.kernels.iter().map(|kernel| kernel.name).collect();
            let outcome = check.run(&gpu, tuning);
            let fails = names.contains(&kernel.name) || kernel.name == SENTINEL.name;
            assert_eq!(outcome.is_err(), fails, "{} and {names:?}: {outcome:?}", kernel.name);
        }
        gpu.substitute(kernel).expect("its own text is valid");
    }
}

/// A driver that rounds a constant: one kernel is off by a few thousandths in some of its values.
#[test]
fn a_kernel_that_is_off_by_little_is_told_in_a_sentence() {
    let gpu = own_device();
    let worse = |text: &str| text.replace("fma(x, vec4f(1.0 / 6.0)", "fma(x, vec4f(1.0 / 6.01)");
    gpu.substitute(changed(&kernels::norm::BACKWARD_REDUCE, worse)).expect("the text is valid");
    gpu.substitute(changed(&kernels::depthwise::FORWARD, worse)).expect("the text is valid");
    let report = report(&gpu);
    let wrong: Vec<_> = report.kernels.wrong.iter().map(|wrong| wrong.kernels.join(" ")).collect();
    assert_eq!(wrong, ["depthwise/forward"], "a backward pass has other constants");
    let error = report.verdict().expect_err("a kernel is wrong");
    let text = error.to_string();
    assert!(text.contains("computes wrong numbers: depthwise/forward (") && text.contains("driver"), "{text}");
    assert!(text.lines().count() == 1, "{text}");
    assert_eq!(RunError::from(error).exit_code(), 4);
}

#[test]
fn a_device_that_works_is_described() {
    let report = report(gpu());
    report.verdict().expect("all kernels are right");
    assert_eq!(report.kernels.kernels + report.kernels.left_out.len(), kernels::ALL.len());
    let launches = report.launches.as_ref().expect("there is room for a step");
    assert!(launches.longest_ms > 0.0 && launches.launches > 50, "{launches:?}");
    assert_eq!(report.memory.needs.len(), netadapt::space::spec::PRESETS.len());
    assert!(report.memory.device_gave >= report.memory.needs[0].footprint.bytes());
    let says = report.warnings().iter().any(|warning| warning.contains("software adapter"));
    assert_eq!(says, report.adapter.is_software());
}

/// What a training is said to need is what it holds; without room for it the error says what would fit, and that does.
#[test]
fn what_would_fit_fits() {
    // A GPU's tile sizes want more room for parts of sums.
    for tuning in [Tuning::SOFTWARE, Tuning::GPU] {
        fits_with(&own_device(), tuning);
    }
}

fn fits_with(gpu: &Gpu, tuning: Tuning) {
    let space = Space::open("tiny").expect("a preset");
    let net = space.supernet(28, 3, 10);
    let graph = lower(&net, &net.full());
    let rule = Rule::Sgd { momentum: 0.9, decay: 0.0 };
    let (statistics, precision) = (BatchStatistics::OfBatch, Precision::F32);
    let options = |batch| TrainingOptions { batch, rule, smoothing: 0.0, statistics, precision, tuning };
    let halves = TrainingOptions { precision: Precision::Bf16, ..options(64) };
    let needs = |batch| Training::needs(&graph, &options(batch)).bytes();
    let before = gpu.held_bytes();
    let training = Training::new(gpu, graph.clone(), options(64)).expect("there is room");
    let held = gpu.held_bytes() - before;
    assert_eq!(training.footprint().bytes(), needs(64));
    // Labels, losses and tables are not planned: some kilobytes.
    assert!(held >= needs(64) && held < needs(64) + (100 << 10), "{held} of {}", needs(64));
    drop(training);
    assert_eq!(gpu.held_bytes(), before, "what is dropped is given back");
    let training = Training::new(gpu, graph.clone(), halves).expect("there is room");
    let (held, needed) = (gpu.held_bytes() - before, Training::needs(&graph, &halves));
    assert!(held >= needed.bytes() && held < needed.bytes() + (100 << 10), "{held} of {needed:?}");
    let maps = Training::needs(&graph, &options(64)).maps;
    assert!(needed.maps * 10 < maps * 6, "{needed:?} beside {maps}");
    drop(training);

    let mut sizes = Vec::new();
    for room in [needs(40), needs(20), needs(3)] {
        gpu.refuse_allocations_above(before + room);
        let error = Training::new(gpu, graph.clone(), options(64)).err().expect("there is no room");
        let text = error.to_string();
        let NetworkError::NoRoom { fits, .. } = error else { panic!("{text}") };
        let batch = fits.batch.expect("a smaller batch fits");
        assert!(text.contains(&format!("batches of {batch} images")), "{text}");
        assert!(needs(batch) <= room && needs(batch * 2) > room, "{batch} in {room}");
        Training::new(gpu, graph.clone(), options(batch)).expect("it fits");
        if let Some(size) = fits.size {
            let smaller = space.supernet(size, 3, 10);
            Training::new(gpu, lower(&smaller, &smaller.full()), options(64)).expect("it fits");
            sizes.push(size);
        }
    }
    assert!(sizes.contains(&14), "{sizes:?}");

    // What only runs adds up nothing in parts.
    assert_eq!(Deployed::needs(&graph, &tuning, 64).scratch, 16);
    gpu.refuse_allocations_above(before + Deployed::needs(&graph, &tuning, 20).bytes());
    let weights = initial_weights(&graph, 0);
    let teacher = |batch| Teacher::new(gpu, &graph, &weights, &tuning, (batch, 0.5));
    let error = teacher(64).err().expect("there is no room");
    assert!(
        error.to_string().contains("a teacher's answers in batches of 64 does not fit: batches of 16 images"),
        "{error}"
    );
    assert!(teacher(16).is_ok());
}

/// Without memory there is less to say, and no error.
#[test]
fn a_device_without_memory_is_described_too() {
    let gpu = own_device();
    // The kernels' checks have their operands, and little is left.
    let enough = (0..).map(|step| step * 64).find(|allocations| {
        gpu.refuse_allocations_after(*allocations);
        checks(&gpu).all(|check| check.run(&gpu, Tuning::for_adapter(gpu.adapter())).is_ok())
    });
    gpu.refuse_allocations_after(enough.expect("some number is enough") + 64);
    let folder = tempfile::tempdir().expect("a folder");
    let space = Space::open("mobile").expect("a preset");
    let tuning = Tuning::for_adapter(gpu.adapter());
    let question = Question { name: "mobile", space: &space, size: 64, tuning, folder: folder.path(), seconds: 0.1 };
    let error = examine(&gpu, &question, &mut |_| ()).expect_err("even its pace needs memory").to_string();
    assert!(error.contains("no room for"), "{error}");
}

#[test]
fn the_program_prints_a_screen_and_json() {
    let folder = tempfile::tempdir().expect("a folder");
    let doctor = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_netadapt"))
            .args(["doctor", "--seconds", "0.1"])
            .arg(folder.path())
            .args(arguments)
            .output()
            .expect("the program starts");
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    };
    let text = doctor(&[]);
    for word in ["device", "limits", "kernels", "memory", "launches", "watchdog", "pace", "disk"] {
        assert!(text.lines().any(|line| line.starts_with(word)), "{word} is missing: {text}");
    }
    assert!(text.lines().count() < 24, "{text}");
    let value: serde_json::Value = serde_json::from_str(&doctor(&["--json"])).expect("JSON");
    assert_eq!(value["kernels"]["wrong"].as_array().map(Vec::len), Some(0));
    assert!(value["warnings"].is_array() && value["storage"]["checkpoint_ms"].is_number(), "{value}");
}
