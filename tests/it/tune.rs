//! Tile sizes: every candidate computes the same, what is found is kept, and runs stay with what they began with.

use crate::export;
use crate::harness::{Faults, gpu, is_long, portable};
use crate::scene::Scene;
use netadapt::check::checks;
use netadapt::disk::SystemDisk;
use netadapt::gpu::Precision;
use netadapt::kernels::Tuning;
use netadapt::latency::{LAYERS, Layer};
use netadapt::run::{self, Config, Environment, Event, Stop};
use netadapt::tune::{Found, Knob, Tuned, find, keep, measure};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// Every candidate of this adapter's usual tile sizes, for all kernels that it affects: a case or two of each kernel.
/// With `NETADAPT_LONG=1` also those of a GPU's, and all tables of cases (`harness::settings`).
#[test]
fn every_candidate_computes_what_the_references_do() {
    let mut faults = Faults::default();
    let mut starts = vec![(gpu(), Tuning::for_adapter(gpu().adapter()))];
    if is_long() {
        starts.push((portable(), Tuning::GPU));
    }
    for (setting, start) in starts {
        for knob in Knob::ALL {
            for tuning in knob.candidates(&start) {
                for check in
                    checks(setting).filter(|check| check.kernels.iter().any(|kernel| knob.affects(kernel.name)))
                {
                    let name = format!("{knob} {}, {}", knob.value(&tuning), check.kernels[0].name);
                    faults.add(&name, check.run(setting, tuning));
                }
            }
        }
    }
    faults.finish();
}

/// Overrides, parameters and workgroups of every launch of every layer.
fn launches(tuning: &Tuning) -> Vec<(&'static str, impl PartialEq + use<>)> {
    let record = |layer: &Layer| {
        let recorded =
            layer.record(gpu(), tuning, 1, Precision::F32).unwrap_or_else(|error| panic!("{layer}: {error}"));
        let launches = recorded.recording.launches().iter();
        launches.map(|l| (l.kernel.name, (l.overrides.clone(), l.params.clone(), l.groups))).collect::<Vec<_>>()
    };
    LAYERS.iter().flat_map(record).collect()
}

#[test]
fn a_knob_affects_the_kernels_whose_launches_it_changes() {
    let starts = [Tuning::SOFTWARE, Tuning::GPU].map(|start| (start, launches(&start)));
    for knob in Knob::ALL {
        let mut changed = BTreeSet::new();
        for (start, before) in &starts {
            for candidate in knob.candidates(start) {
                let pairs = before.iter().zip(launches(&candidate));
                changed.extend(pairs.filter(|(before, after)| *before != after).map(|(before, _)| before.0));
            }
        }
        assert!(!changed.is_empty(), "{knob} changes nothing");
        let missing: Vec<_> = changed.iter().filter(|kernel| !knob.affects(kernel)).collect();
        assert!(missing.is_empty(), "{knob} changes {missing:?} too");
    }
}

fn kept(folder: &Path, tuning: Tuning) -> std::path::PathBuf {
    keep(&SystemDisk, folder, &Tuned::new(gpu(), "2026-11-25".into(), tuning, Vec::new())).expect("it can be written")
}

#[test]
fn what_is_kept_is_found_and_what_is_damaged_or_foreign_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let usual = Tuning::for_adapter(gpu().adapter());
    assert_eq!(find(dir.path(), gpu()), Found::Nothing);
    let tuning = Tuning { pixels: 2, ..usual };
    let path = kept(dir.path(), tuning);
    let Found::Tuned(tuned, from) = find(dir.path(), gpu()) else { panic!("it is there") };
    assert_eq!((tuned.tuning, &from), (tuning, &path));

    let text = std::fs::read_to_string(&path).unwrap();
    let name = &gpu().adapter().name;
    let cases = [
        (text[..text.len() / 2].to_owned(), "EOF"),
        (text.replace("\"version\": 1", "\"version\": 2"), "version 2"),
        (text.replace("\"pixels\": 2", "\"pixels\": 0"), "none that a kernel can have"),
        (text.replace(name, "Another Device"), "Another Device"),
        (text.replace(&tuned.shaders, "0123"), "other shaders"),
        (" ".repeat(2 << 20), "larger than 1 MiB"),
    ];
    for (text, word) in cases {
        std::fs::write(&path, text).unwrap();
        let Found::Unusable(from, reason) = find(dir.path(), gpu()) else { panic!("{word} is noticed") };
        assert!(from == path && reason.contains(word), "{reason}");
    }
}

/// What is tried is told, and what is taken is one of the candidates and was faster.
#[test]
fn a_pass_takes_what_was_faster_and_nothing_else() {
    let start = Tuning::for_adapter(gpu().adapter());
    let mut told = Vec::new();
    let (tuning, trials) = measure(gpu(), start, &[Knob::Reduction], &mut |trial| told.push(trial.clone())).unwrap();
    assert_eq!(told, trials);
    assert_eq!(trials.len(), Knob::Reduction.candidates(&start).len());
    let taken: Vec<_> = trials.iter().filter(|trial| trial.taken).collect();
    assert!(taken.len() <= 1 && trials.iter().all(|trial| trial.ratio.unwrap() > 0.0), "{trials:?}");
    assert_eq!(
        Knob::Reduction.value(&tuning),
        taken.first().map_or(Knob::Reduction.value(&start), |t| t.value.clone())
    );
    assert!(taken.iter().all(|trial| trial.ratio.unwrap() < 1.0 && trial.fault.is_none()), "{trials:?}");
    assert_eq!(Tuning { reduction: start.reduction, ..tuning }, start);
}

/// Runs of the same scene: a new one takes what is kept, one that goes on and one that replays take what was taken then.
#[test]
fn runs_stay_with_the_tile_sizes_that_they_began_with() {
    let scene = Scene::new();
    let cache = scene.path("cache");
    let usual = Tuning::for_adapter(gpu().adapter());
    let tuning = Tuning { pixels: 3, weight_groups: 7, ..usual };
    let environment = |stop| Environment { stop, tunings: Some(cache.clone()), ..Environment::from(gpu().clone()) };
    let tuning_of = |out: &Path| -> Tuning {
        let env: serde_json::Value = serde_json::from_slice(&std::fs::read(out.join("env.json")).unwrap()).unwrap();
        serde_json::from_value(env["tuning"].clone()).unwrap()
    };
    let mut notes = Notes::default();

    // What is trained does not matter here.
    let short = |config| Config { epochs: Some(1), final_epochs: Some(1), ..config };
    let config = short(scene.config("run", "90%"));
    let path = kept(&cache, tuning);
    run::search(&config, environment(Stop::at(3)), &mut notes).expect_err("it stops");
    assert_eq!(tuning_of(&config.out), tuning);
    assert!(notes.0.contains(&path.display().to_string()) && notes.0.contains("2026-11-25"), "{}", notes.0);
    // Tuned again in between.
    kept(&cache, Tuning { pixels: 5, ..usual });
    run::resume(&config.out, environment(Stop::default()), &mut ()).expect("it goes on");
    assert_eq!(tuning_of(&config.out), tuning);

    let measured = config.out.join("measurements.jsonl");
    let again = short(Config { replay: Some(measured.clone()), ..scene.config("again", "90%") });
    run::search(&again, environment(Stop::default()), &mut ()).expect("it ends well");
    assert_eq!(tuning_of(&again.out), tuning);
    let weights = |out: &Path| std::fs::read(out.join("networks/0/model.safetensors")).unwrap();
    assert_eq!(weights(&again.out), weights(&config.out));

    // A file that cannot be used is told of, and the usual tile sizes are taken; without a cache nothing is said.
    std::fs::write(&path, "{").unwrap();
    let mut notes = Notes::default();
    let fresh = scene.config("fresh", "90%MAC");
    run::search(&fresh, environment(Stop::at(0)), &mut notes).expect_err("it stops");
    assert!(notes.0.contains("is no tuning of this device") && notes.0.contains("netadapt-bench tune"), "{}", notes.0);
    assert_eq!(tuning_of(&fresh.out), usual);

    // Measurements without their run beside them may be of other tile sizes; a damaged record is refused.
    let alone = scene.path("measurements.jsonl");
    std::fs::copy(&measured, &alone).unwrap();
    let moved = |out: &str| short(Config { replay: Some(alone.clone()), ..scene.config(out, "90%") });
    let mut notes = Notes::default();
    run::search(&moved("moved"), environment(Stop::at(0)), &mut notes).expect_err("it stops");
    assert!(notes.0.contains("no env.json lies beside"), "{}", notes.0);
    std::fs::write(scene.path("env.json"), "{}").unwrap();
    let error = run::search(&moved("refused"), environment(Stop::at(0)), &mut ()).unwrap_err();
    assert!(format!("{error:?}").contains("env.json") && !scene.path("refused").exists(), "{error:?}");
}

#[derive(Default)]
struct Notes(String);

impl run::Listener for Notes {
    fn event(&mut self, event: &Event) {
        if let Event::Note { text } = event {
            self.0 += text;
        }
    }
}

/// One knob measured by the program, kept, shown, and taken by other measurements.
#[test]
fn the_program_tunes_keeps_and_shows() {
    let dir = tempfile::tempdir().unwrap();
    let bench = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_netadapt-bench"));
        let output = command.args(arguments).env("NETADAPT_CACHE", dir.path()).output().expect("the program starts");
        let text = |bytes| String::from_utf8(bytes).expect("it prints text");
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let (code, text, _) = bench(&["tune", "reduction"]);
    assert_eq!(code, Some(0));
    assert!(text.contains("reduction") && text.contains(&dir.path().display().to_string()), "{text}");
    let Found::Tuned(tuned, path) = find(dir.path(), gpu()) else { panic!("it was kept") };

    let (_, json, _) = bench(&["tune", "--json"]);
    let shown: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(serde_json::from_value::<Tuning>(shown["tuning"].clone()).unwrap(), tuned.tuning);
    assert_eq!(shown["trials"].as_array().unwrap().len(), tuned.trials.len());

    let kernels = ["kernels", "pool", "--rounds", "1", "--batch", "2", "--json"];
    let (_, _, message) = bench(&kernels);
    assert!(message.contains("tile sizes as tuned on"), "{message}");
    std::fs::write(&path, "[]").unwrap();
    let (code, _, message) = bench(&kernels);
    assert!(code == Some(0) && message.contains("is no tuning of this device"), "{message}");
    let (_, _, message) = bench(&["kernels", "pool", "--rounds", "1", "--batch", "2", "--no-tune"]);
    assert!(!message.contains("tuning"), "{message}");
    let (code, _, message) = bench(&["tune", "reduction"]);
    assert!(code == Some(0) && message.contains("measuring again"), "{message}");
    assert!(matches!(find(dir.path(), gpu()), Found::Tuned(..)));

    let (code, _, message) = bench(&["tune", "tiles"]);
    assert!(code == Some(2) && message.contains("`tiles` is nothing to tune"), "{message}");
}

/// What runs networks without a search takes what was kept, too.
#[test]
fn predictions_and_the_doctor_take_what_was_kept() {
    let run = export::run();
    let path = |name: &str| run.path().join(name).display().to_string();
    let own = Tuning::for_adapter(gpu().adapter());
    let tuned = Tuned::new(gpu(), "2026-11-25".into(), Tuning { reduction: own.reduction + 1, ..own }, Vec::new());
    keep(&SystemDisk, run.path(), &tuned).unwrap();
    let said = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_netadapt"));
        let output = command.args(arguments).env("NETADAPT_CACHE", run.path()).output().expect("the program starts");
        assert!(output.status.success(), "{arguments:?}");
        String::from_utf8(output.stderr).expect("it prints text")
    };
    let (network, image) = (path("run"), path("images/large.png"));
    for arguments in [&["predict", &network, &image][..], &["doctor", "--seconds", "0.1"]] {
        let message = said(arguments);
        assert!(message.contains("tile sizes as tuned on 2026-11-25"), "{arguments:?}: {message}");
    }
    let message = said(&["predict", &network, &image, "--no-tune"]);
    assert!(!message.contains("tuned"), "{message}");
}
