//! Runs that are stopped, killed and starved in every way, and gone on with: the result is that of a run
//! that nothing happened to.
//!
//! `NETADAPT_LONG=1` tries every place where these tests take a sample.

use crate::harness::is_long;
use crate::scene::Scene;
use netadapt::data::{self, Format, Images, Preset, Sampling};
use netadapt::digest::sha256;
use netadapt::disk::{Disk, SystemDisk};
use netadapt::gpu::{Gpu, GpuError, Kernel, Options, Precision, Program, Recording, SENTINEL};
use netadapt::graph::{initial_weights, lower};
use netadapt::kernels::{Tuning, probe};
use netadapt::rng::{Purpose, stream};
use netadapt::run::{self, Comparison, Config, Environment, Event, Listener, RunError, Stop, TeacherKind};
use netadapt::space::Space;
use netadapt::train::{Advance, TrainError, Trainer, TrainerOptions};
use rand::RngExt;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Everything that has to be equal: SHA-256 of weights and logs, and the result without what was measured.
#[derive(Debug, PartialEq)]
struct Outcome {
    files: BTreeMap<String, String>,
    result: serde_json::Value,
}

fn outcome(run: &Path) -> Outcome {
    let mut files = BTreeMap::new();
    let mut folders = vec![run.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder").map(|e| e.expect("an entry")) {
            let (path, name) = (entry.path(), entry.file_name().into_string().expect("a name"));
            assert!(!name.starts_with('.'), "{path:?} was left behind");
            if path.is_dir() {
                folders.push(path);
            } else if name.ends_with(".safetensors") || name.ends_with(".csv") {
                let sum = sha256(&std::fs::read(&path).expect("a file"));
                files.insert(path.strip_prefix(run).expect("it is inside").display().to_string(), sum);
            }
        }
    }
    let mut result: serde_json::Value =
        serde_json::from_slice(&std::fs::read(run.join("result.json")).expect("a result")).expect("JSON");
    result["seconds"].take();
    Outcome { files, result }
}

/// The same without latencies, which differ when they are measured again.
fn without_latency(mut outcome: Outcome) -> Outcome {
    fn forget(value: &mut serde_json::Value) {
        match value {
            serde_json::Value::Object(map) => {
                map.retain(|key, _| !key.ends_with("_ms"));
                map.values_mut().for_each(forget);
            }
            serde_json::Value::Array(values) => values.iter_mut().for_each(forget),
            _ => {}
        }
    }
    forget(&mut outcome.result);
    outcome
}

/// A run with all three comparisons, balanced classes and all augmentation.
fn config(scene: &Scene, out: &str, budget: &str) -> Config {
    let compare = vec![Comparison::Initial, Comparison::Uniform, Comparison::Random];
    let augment = Some(Preset::Strong);
    Config { compare, augment, sampling: Some(Sampling::Balanced), ..scene.config(out, budget) }
}

fn environment() -> Environment {
    Environment::from(crate::harness::gpu().clone())
}

/// The run that nothing happened to.
fn reference(scene: &Scene, budget: &str) -> Config {
    let config = config(scene, "reference", budget);
    run::search(&config, environment(), &mut ()).expect("a run that nothing happens to ends well");
    config
}

/// An error with the chain of its causes.
fn words(error: &RunError) -> String {
    let causes = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

fn is_stopped(result: &Result<run::RunResult, RunError>) -> bool {
    matches!(result, Err(RunError::Stopped { folder }) if folder.join("config.toml").exists())
}

/// Stops before every piece of work of the run in turn, so that each goes on once from there; a teacher is trained too,
/// and maps are of bf16.
#[test]
fn a_run_that_is_stopped_at_every_step_comes_to_the_same() {
    let scene = Scene::new();
    let (teacher, precision) = (Some(TeacherKind::Initial), Some(Precision::Bf16));
    let taught = |out| Config { teacher, precision, ..config(&scene, out, "70%MAC") };
    let whole = taught("reference");
    run::search(&whole, environment(), &mut ()).expect("a run that nothing happens to ends well");
    let config = taught("stopped");
    let once = |stop| Environment { stop, ..environment() };
    let mut result = run::search(&config, once(Stop::at(0)), &mut ());
    let mut stops = 0;
    while is_stopped(&result) {
        stops += 1;
        // One piece of work is done, the next is not.
        result = run::resume(&config.out, once(Stop::at(1)), &mut ());
    }
    result.expect("a run that is gone on with ends well");
    assert!(stops > 100, "{stops} stops: table, trainings and scores each have many");
    assert_eq!(without_latency(outcome(&config.out)), without_latency(outcome(&whole.out)));
}

/// With a latency budget decisions hang on what was measured: the measurements of a run lead another one, here
/// stopped on its way, to the same result, bit for bit.
#[test]
fn replayed_measurements_repeat_a_run_to_the_last_bit() {
    let scene = Scene::new();
    let whole = scene.config("reference", "90%");
    run::search(&whole, environment(), &mut ()).expect("a run that nothing happens to ends well");
    let replay = Some(whole.out.join("measurements.jsonl"));
    let config = Config { replay, ..scene.config("replayed", "90%") };
    let mut result = run::search(&config, Environment { stop: Stop::at(20), ..environment() }, &mut ());
    assert!(is_stopped(&result), "{result:?}");
    for at in [1, 30, 7] {
        result = run::resume(&config.out, Environment { stop: Stop::at(at), ..environment() }, &mut ());
        assert!(is_stopped(&result), "{result:?}");
    }
    run::resume(&config.out, environment(), &mut ()).expect("it ends well");
    assert_eq!(outcome(&config.out), outcome(&whole.out));
    let read = |out: &Path| std::fs::read(out.join("measurements.jsonl")).unwrap();
    assert_eq!(read(&config.out), read(&whole.out));

    // Measurements of another run are not what this one asks for.
    let text = String::from_utf8(read(&whole.out)).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    lines.swap(1, 2);
    let swapped = scene.path("swapped.jsonl");
    std::fs::write(&swapped, lines.join("\n")).unwrap();
    let other = Config { replay: Some(swapped), out: scene.path("other"), ..config };
    let error = run::search(&other, environment(), &mut ()).unwrap_err();
    let words = words(&error);
    assert_eq!((error.exit_code(), words.contains("cannot replay line")), (2, true), "{words}");
}

/// Another budget on the super-network that is there: no training of one, and the same network as in a run that
/// trained it.
#[test]
fn a_super_network_is_searched_again() {
    let scene = Scene::new();
    let first = scene.config("first", "90%MAC");
    run::search(&first, environment(), &mut ()).expect("it ends well");
    let whole = scene.config("whole", "70%MAC");
    run::search(&whole, environment(), &mut ()).expect("it ends well");
    let from = Some(first.out.clone());
    let again = Config { from: from.clone(), ..scene.config("again", "70%MAC") };
    let stopped = run::search(&again, Environment { stop: Stop::at(80), ..environment() }, &mut ());
    assert!(is_stopped(&stopped), "{stopped:?}");
    run::resume(&again.out, environment(), &mut ()).expect("it goes on");
    let results = std::fs::read_to_string(again.out.join("results.csv")).unwrap();
    assert!(!results.contains("supernet") && results.contains("network-0,3,3"), "{results}");
    let (mut got, mut want) = (without_latency(outcome(&again.out)), without_latency(outcome(&whole.out)));
    for files in [&mut got.files, &mut want.files] {
        files.remove("results.csv");
    }
    assert_eq!(got, want);

    // One that is not that far yet, in a folder that a shell would take apart.
    let early = scene.config("not yet", "90%MAC");
    assert!(is_stopped(&run::search(&early, Environment { stop: Stop::at(1), ..environment() }, &mut ())));
    let other = Config { from: Some(early.out), ..scene.config("early", "70%MAC") };
    let error = run::search(&other, environment(), &mut ()).unwrap_err();
    assert_eq!(error.exit_code(), 2, "{error}");
    let text = error.to_string();
    assert!(
        text.contains("no trained super-network") && text.contains("resume '/") && text.ends_with("not yet'"),
        "{text}"
    );
    assert!(!other.out.exists());

    // Another seed splits the images in another way: some that were trained on would score.
    let other = Config { seed: 5, from, ..scene.config("other", "70%MAC") };
    let error = run::search(&other, environment(), &mut ()).unwrap_err();
    assert_eq!(error.exit_code(), 5, "{error}");
}

/// What teaches is the initial network as the comparison trains it, by the labels alone; what is taught learns otherwise.
#[test]
fn the_initial_network_teaches_the_final_trainings() {
    let scene = Scene::new();
    let run = |name: &str, teacher, compare| {
        let config = Config { teacher: Some(teacher), compare, ..scene.config(name, "70%MAC") };
        run::search(&config, environment(), &mut ()).expect("a run that nothing happens to ends well");
        let results = std::fs::read_to_string(config.out.join("results.csv")).expect("the trainings are told");
        let of = |training: &str| -> Vec<String> {
            let lines = results.lines().filter_map(|line| line.strip_prefix(training)?.strip_prefix(','));
            lines.map(str::to_owned).collect()
        };
        (of("teacher"), of("network-0"), of("initial"))
    };
    let (teacher, untaught, initial) = run("untaught", TeacherKind::None, vec![Comparison::Initial]);
    assert!(teacher.is_empty() && initial.len() == 3, "{teacher:?} {initial:?}");
    let (teacher, taught, _) = run("taught", TeacherKind::Initial, Vec::new());
    assert_eq!(teacher, initial);
    assert!(taught.len() == 3 && taught != untaught, "{taught:?}");
    let (_, by_shared, _) = run("shared", TeacherKind::Supernet, Vec::new());
    assert!(by_shared.len() == 3 && by_shared != taught && by_shared != untaught, "{by_shared:?}");
}

#[test]
fn what_changed_in_between_is_refused_by_name() {
    let scene = Scene::new();
    let config = config(&scene, "run", "70%MAC");
    let stopped = run::search(&config, Environment { stop: Stop::at(45), ..environment() }, &mut ());
    assert!(is_stopped(&stopped));
    let resume = || run::resume(&config.out, environment(), &mut ());

    let path = config.out.join("config.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("seed = 0", "seed = 7")).unwrap();
    let error = resume().unwrap_err();
    assert_eq!((error.exit_code(), error.to_string().contains("seed is 7 and was 0")), (2, true), "{error}");
    std::fs::write(&path, text.replace("seed = 0", "sead = 0")).unwrap();
    let error = resume().unwrap_err();
    assert_eq!((error.exit_code(), error.to_string().contains("sead")), (2, true), "{error}");
    std::fs::write(&path, &text).unwrap();

    let image = scene.path("data/train/left/0.png");
    let aside = scene.path("0.png");
    std::fs::rename(&image, &aside).unwrap();
    let error = resume().unwrap_err();
    assert_eq!((error.exit_code(), error.to_string().contains("train is")), (5, true), "{error}");
    std::fs::rename(&aside, &image).unwrap();
    resume().expect("the same run goes on");

    let nothing = run::resume(&scene.path("data"), environment(), &mut ()).unwrap_err();
    assert!(nothing.to_string().contains("holds no run"), "{nothing}");
}

#[test]
fn two_processes_do_not_share_a_folder() {
    let scene = Scene::new();
    let config = config(&scene, "run", "70%MAC");
    struct Second<'a>(&'a Path, Vec<String>);
    impl Listener for Second<'_> {
        fn event(&mut self, event: &Event) {
            if let Event::Begin { phase: run::Phase::Table } = event {
                let error = run::resume(self.0, environment(), &mut ()).unwrap_err();
                self.1.push(error.to_string());
            }
        }
    }
    let mut second = Second(&config.out, Vec::new());
    let stop = Stop::at(3);
    assert!(is_stopped(&run::search(&config, Environment { stop, ..environment() }, &mut second)));
    let message = &second.1[0];
    assert!(message.contains("in use by process") && message.contains(&std::process::id().to_string()), "{message}");
}

/// A damaged checkpoint is named, and the one before it is used.
#[test]
fn damaged_checkpoints_cost_time_and_no_bits() {
    let scene = Scene::new();
    let whole = reference(&scene, "70%MAC");
    let config = config(&scene, "run", "70%MAC");
    // Three stops in the super-network's training leave three checkpoints.
    let mut at = 45;
    let mut result = run::search(&config, Environment { stop: Stop::at(at), ..environment() }, &mut ());
    let checkpoints = || -> Vec<_> {
        let names = std::fs::read_dir(config.out.join("state")).unwrap().map(|e| e.unwrap().path());
        let mut found: Vec<_> = names.filter(|p| p.extension().is_some_and(|e| e == "checkpoint")).collect();
        found.sort();
        found
    };
    while checkpoints().len() < 3 {
        assert!(is_stopped(&result), "{result:?}");
        at = 2;
        result = run::resume(&config.out, Environment { stop: Stop::at(at), ..environment() }, &mut ());
    }
    struct Notes(Vec<String>);
    impl Listener for Notes {
        fn event(&mut self, event: &Event) {
            if let Event::Note { text } = event {
                self.0.push(text.clone());
            }
        }
    }
    let found = checkpoints();
    let [_, middle, newest] = found.as_slice() else { panic!("three are kept: {found:?}") };
    let bytes = std::fs::read(newest).unwrap();
    std::fs::write(newest, &bytes[..bytes.len() / 2]).unwrap();
    let mut bytes = std::fs::read(middle).unwrap();
    let last = bytes.len() - 5;
    bytes[last] ^= 4;
    std::fs::write(middle, bytes).unwrap();
    let mut notes = Notes(Vec::new());
    run::resume(&config.out, environment(), &mut notes).expect("the oldest is whole");
    let damaged: Vec<_> = notes.0.iter().filter(|note| note.contains("damaged at byte")).collect();
    assert_eq!(damaged.len(), 2, "{:?}", notes.0);
    assert!(damaged[0].contains("it ends within") && damaged[1].contains("checksum"), "{damaged:?}");
    assert_eq!(without_latency(outcome(&config.out)), without_latency(outcome(&whole.out)));
}

/// How an operation of the disk fails.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    /// It does nothing and says so.
    Refused,
    /// There is no room; it does half of its work. The next try succeeds.
    Full,
    /// It does half of its work and says so.
    Short,
    /// It does half of its work, and nothing works from then on.
    Crash,
}

/// A disk whose `at`-th operation fails.
struct FaultyDisk {
    fault: Fault,
    at: u64,
    operations: AtomicU64,
}

impl FaultyDisk {
    fn new(fault: Fault, at: u64) -> Arc<Self> {
        Arc::new(Self { fault, at, operations: AtomicU64::new(0) })
    }

    fn try_to(&self, half: impl FnOnce() -> io::Result<()>, whole: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        let number = self.operations.fetch_add(1, Ordering::Relaxed);
        if number < self.at || (number > self.at && self.fault != Fault::Crash) {
            return whole();
        }
        if number == self.at && self.fault != Fault::Refused {
            half()?;
        }
        Err(match self.fault {
            Fault::Full => io::Error::from(io::ErrorKind::StorageFull),
            _ => io::Error::other("made to fail"),
        })
    }
}

impl Disk for FaultyDisk {
    fn create_folder(&self, path: &Path) -> io::Result<()> {
        self.try_to(|| Ok(()), || SystemDisk.create_folder(path))
    }
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let half = || SystemDisk.write(path, &bytes[..bytes.len() / 2]);
        self.try_to(half, || SystemDisk.write(path, bytes))
    }
    fn append(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let half = || SystemDisk.append(path, &bytes[..bytes.len() / 2]);
        self.try_to(half, || SystemDisk.append(path, bytes))
    }
    fn truncate(&self, path: &Path, length: u64) -> io::Result<()> {
        self.try_to(|| Ok(()), || SystemDisk.truncate(path, length))
    }
    fn sync(&self, path: &Path) -> io::Result<()> {
        self.try_to(|| Ok(()), || SystemDisk.sync(path))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.try_to(|| Ok(()), || SystemDisk.rename(from, to))
    }
    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        self.try_to(|| Ok(()), || SystemDisk.sync_folder(path))
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.try_to(|| Ok(()), || SystemDisk.remove(path))
    }
}

/// Makes one operation of a run's disk after the other fail so.
fn whatever_the_disk_does(fault: Fault) {
    let scene = Scene::new();
    let small = |out: &str| Config { compare: Vec::new(), ..config(&scene, out, "80%MAC") };
    let counting = FaultyDisk::new(Fault::Refused, u64::MAX);
    let whole = small("reference");
    run::search(&whole, Environment { disk: counting.clone(), ..environment() }, &mut ()).expect("it ends well");
    let wanted = without_latency(outcome(&whole.out));
    let all = counting.operations.load(Ordering::Relaxed);
    assert!(all > 200, "{all}");
    // A stride without a common factor with the pattern of write, sync, rename, sync.
    let stride = if is_long() { 1 } else { (all / 12) | 1 };
    for at in (fault as u64 % stride..all).step_by(stride as usize) {
        let name = format!("{fault:?}-{at}");
        // What it measures is read from the reference's file, and still written: that saves seconds.
        let replay = Some(whole.out.join("measurements.jsonl"));
        let config = Config { replay, ..small(&name) };
        let disk = FaultyDisk::new(fault, at);
        let patience: run::Patience = Arc::new(|_| true);
        let result = run::search(&config, Environment { disk, patience, ..environment() }, &mut ());
        // What is only for people is retried when the run is gone over again; nothing may be lost on the way.
        let result = match result {
            Err(_) if config.out.join("config.toml").exists() => run::resume(&config.out, environment(), &mut ()),
            Err(_) => {
                // Nothing of it is there: it begins anew.
                let _ = std::fs::remove_dir_all(&config.out);
                run::search(&config, environment(), &mut ())
            }
            done => done,
        };
        result.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(without_latency(outcome(&config.out)), wanted, "{name}");
        std::fs::remove_dir_all(&config.out).expect("it is there");
    }
    println!("{fault:?}: {all} operations, each {stride}. made to fail");
}

#[test]
fn whatever_the_disk_does_a_run_can_go_on_where_it_refuses() {
    whatever_the_disk_does(Fault::Refused);
}

#[test]
fn whatever_the_disk_does_a_run_can_go_on_where_it_is_full() {
    whatever_the_disk_does(Fault::Full);
}

#[test]
fn whatever_the_disk_does_a_run_can_go_on_where_a_write_is_short() {
    whatever_the_disk_does(Fault::Short);
}

#[test]
fn a_stop_while_it_waits_for_room_is_a_stop() {
    let scene = Scene::new();
    let config = Config { compare: Vec::new(), ..config(&scene, "full", "80%MAC") };
    let stop = Stop::default();
    let asked = stop.clone();
    let patience: run::Patience = Arc::new(move |_| {
        asked.request();
        false
    });
    let disk = FaultyDisk::new(Fault::Full, 80);
    let result = run::search(&config, Environment { disk, patience, stop, ..environment() }, &mut ());
    assert!(is_stopped(&result), "{result:?}");
    run::resume(&config.out, environment(), &mut ()).expect("there is room again");
}

#[test]
fn whatever_the_disk_does_a_run_can_go_on_after_a_crash() {
    whatever_the_disk_does(Fault::Crash);
}

/// Gives the device back in the middle of the run, at the `at`-th event.
struct Destroyer {
    current: Arc<Mutex<Option<Gpu>>>,
    at: u64,
    events: u64,
    notes: Vec<String>,
}

impl Listener for Destroyer {
    fn event(&mut self, event: &Event) {
        if let Event::Note { text } = event {
            self.notes.push(text.clone());
        }
        if self.events == self.at {
            self.current.lock().expect("nobody panics with it").as_ref().expect("a device was opened").destroy();
        }
        self.events += 1;
    }
}

#[test]
fn a_lost_device_is_replaced_and_the_result_is_the_same() {
    let scene = Scene::new();
    let small = |out: &str| Config { compare: Vec::new(), ..config(&scene, out, "80%MAC") };
    let whole = small("reference");
    run::search(&whole, environment(), &mut ()).expect("it ends well");
    let wanted = without_latency(outcome(&whole.out));
    let lost_at = |name: &str, at: u64, replay: Option<PathBuf>| {
        let current = Arc::new(Mutex::new(None));
        let opened = Arc::clone(&current);
        let open: run::OpenDevice = Arc::new(move |device| {
            let gpu = Gpu::open(Options { device, portable: false })?;
            *opened.lock().unwrap() = Some(gpu.clone());
            Ok(gpu)
        });
        let config = Config { replay, ..small(name) };
        let mut destroyer = Destroyer { current, at, events: 0, notes: Vec::new() };
        let result = run::search(&config, Environment { open, ..Environment::default() }, &mut destroyer);
        (config, result, destroyer)
    };
    let events = |name: &str, replay: Option<PathBuf>| {
        let (_, result, counted) = lost_at(name, u64::MAX, replay);
        result.expect("it ends well");
        counted.events
    };
    let measurements = Some(whole.out.join("measurements.jsonl"));
    let (measuring, replaying) = (events("measuring", None), events("replaying", measurements.clone()));
    let points = if is_long() { 200 } else { 20 };
    for point in 0..points {
        // Measuring takes most of the time, so three of four runs are told what the first one measured.
        let (all, replay) = if point % 4 == 0 { (measuring, None) } else { (replaying, measurements.clone()) };
        // After the images are read, and before the last word.
        let first = 4 + 3 * 60;
        let at = first + point * (all - first - 1) / points;
        let name = format!("lost-{point}-{at}");
        let (config, result, destroyer) = lost_at(&name, at, replay);
        result.unwrap_or_else(|error| panic!("{name} of {all}: {error}"));
        assert!(destroyer.notes.iter().any(|note| note.contains("lost")), "{name}: {:?}", destroyer.notes);
        assert_eq!(without_latency(outcome(&config.out)), wanted, "{name}");
        std::fs::remove_dir_all(&config.out).unwrap();
    }
}

/// A driver that does not answer has lost its device.
#[test]
fn a_driver_that_hangs_is_a_lost_device() {
    let gpu = Gpu::open(Options::default()).expect("an adapter");
    let (x, y) = (gpu.upload("x", &[0.3f32; 4096]).unwrap(), gpu.allocate("y", 4096 * 4).unwrap());
    let mut rec = Recording::new();
    probe::multiply_add(&mut rec, 8, 1 << 20, &x, &y);
    let program = Program::new(&gpu, rec).unwrap();
    program.seconds(1).expect("it answers");
    gpu.set_patience(Duration::from_millis(1));
    program.run_repeated(8);
    let error = gpu.wait().expect_err("it is still at work");
    assert!(matches!(&error, GpuError::Lost { reason } if reason.contains("did not answer")), "{error}");
    assert!(matches!(gpu.check(), Err(GpuError::Lost { .. })), "it stays lost");
    ends_well_on_another_device_than(gpu);
}

/// A device that says it is done and leaves nothing behind is a lost one.
#[test]
fn a_device_that_only_pretends_to_work_is_a_lost_device() {
    let gpu = Gpu::open(Options::default()).expect("an adapter");
    let x = gpu.upload("x", &[0.3f32; 4]).unwrap();
    assert_eq!(gpu.read::<f32>(&x).expect("it works"), [0.3; 4]);
    let text = SENTINEL.parts[0].replace("y[0].x = params.number;", "y[0].y = params.number;");
    assert_ne!(text, SENTINEL.parts[0]);
    let parts: &'static [&'static str] = Vec::leak(vec![&*text.leak()]);
    gpu.substitute(&Kernel { name: SENTINEL.name, parts, maps: false }).unwrap();
    let missing = |error: GpuError| {
        assert!(matches!(&error, GpuError::Lost { reason } if reason.contains("is missing")), "{error}");
    };
    missing(gpu.read::<f32>(&x).expect_err("nothing it says can be trusted"));
    let program = Program::new(&gpu, Recording::new()).unwrap();
    missing(program.seconds(1).expect_err("nothing that it ran can be timed"));
    ends_well_on_another_device_than(gpu);
}

/// A run whose first device is this lost one takes another.
fn ends_well_on_another_device_than(gpu: Gpu) {
    let scene = Scene::new();
    let first = Mutex::new(Some(gpu));
    let open: run::OpenDevice = Arc::new(move |device| {
        let first = first.lock().expect("nobody panics with it").take();
        first.map_or_else(|| Gpu::open(Options { device, portable: false }), Ok)
    });
    let config = Config { compare: Vec::new(), ..config(&scene, "run", "80%MAC") };
    run::search(&config, Environment { open, ..Environment::default() }, &mut ()).expect("it ends well");
}

/// Without memory at any point a run ends with an error that says so, and goes on when there is some.
#[test]
fn an_allocation_that_is_refused_is_an_error_in_words() {
    let scene = Scene::new();
    let small = |out: &str| Config { compare: Vec::new(), ..config(&scene, out, "80%MAC") };
    let whole = small("reference");
    run::search(&whole, environment(), &mut ()).expect("it ends well");
    let (wanted, replay) = (without_latency(outcome(&whole.out)), whole.out.join("measurements.jsonl"));
    let config = Config { replay: Some(replay), ..small("run") };
    let starved = |allocations: u64| {
        let gpu = Gpu::open(Options::default()).expect("an adapter");
        gpu.refuse_allocations_after(allocations);
        Environment::from(gpu)
    };
    let mut refusals = 0;
    let mut allocations = 1;
    let mut result = run::search(&config, starved(0), &mut ());
    while let Err(error) = &result {
        let words = words(error);
        assert!(words.contains("no room for"), "{words}");
        refusals += 1;
        result = run::resume(&config.out, starved(allocations), &mut ());
        // More each time: sooner or later it is enough.
        allocations += if is_long() { 1 } else { 23 };
    }
    assert!(refusals > 5, "{refusals}");
    assert_eq!(without_latency(outcome(&config.out)), wanted);
}

/// Without room for all networks of a pass fewer are scored at a time: the same bits, and a remark.
#[test]
fn scoring_goes_on_with_fewer_networks_at_a_time() {
    let scene = Scene::new();
    let small = |out: &str| Config { compare: Vec::new(), ..config(&scene, out, "80%MAC") };
    let whole = small("reference");
    run::search(&whole, environment(), &mut ()).expect("it ends well");
    let (wanted, replay) = (without_latency(outcome(&whole.out)), whole.out.join("measurements.jsonl"));
    /// Takes the device's memory away when the search begins, and gives it back when it was missed.
    struct Starve(Gpu, u64, Vec<String>);
    impl Listener for Starve {
        fn event(&mut self, event: &Event) {
            match event {
                Event::Begin { phase: run::Phase::Search } => self.0.refuse_allocations_above(self.1),
                Event::Note { text } => self.2.push(text.clone()),
                Event::End { phase: run::Phase::Search, .. } => self.0.refuse_allocations_above(u64::MAX),
                _ => {}
            }
        }
    }
    let starved = |name: &str, bytes: u64| {
        let config = Config { replay: Some(replay.clone()), ..small(name) };
        let gpu = Gpu::open(Options::default()).expect("an adapter");
        let mut starve = Starve(gpu.clone(), bytes, Vec::new());
        let result = run::search(&config, Environment::from(gpu), &mut starve);
        (config, result, starve.2)
    };
    let mut halvings = Vec::new();
    for kilobytes in [8000, 6000, 4000, 1500] {
        let (config, result, notes) = starved(&format!("starved-{kilobytes}"), kilobytes << 10);
        halvings.push(notes.iter().filter(|note| note.contains("networks scored at a time")).count());
        match result {
            Ok(_) => assert_eq!(without_latency(outcome(&config.out)), wanted, "{kilobytes} kB, {notes:?}"),
            Err(error) => assert!(words(&error).contains("no room for"), "{}", words(&error)),
        }
    }
    assert!(halvings.contains(&1) && halvings.contains(&2), "{halvings:?}");
}

fn netadapt(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_netadapt"));
    command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The same search through the program; it is in its own process, so that it can be killed.
fn search_command(scene: &Scene, out: &Path) -> Command {
    let out = out.display().to_string();
    let compare = "initial,uniform,random";
    netadapt(&[
        "search",
        &scene.data,
        "--preset",
        &scene.space,
        "--out",
        &out,
        "--budget",
        "70%MAC",
        "--compare",
        compare,
        "--sampling",
        "balanced",
        "--augment",
        "strong",
    ])
}

/// Killed at random times, the program leaves what it can go on from. A run of ten kills; a hundred such runs
/// with `NETADAPT_LONG`.
#[test]
fn a_killed_program_goes_on_to_the_same_result() {
    let scene = Scene::new();
    let whole = reference(&scene, "70%MAC");
    let wanted = without_latency(outcome(&whole.out));
    for round in 0..if is_long() { 100 } else { 1 } {
        let out = scene.path(&format!("killed-{round}"));
        let path = out.display().to_string();
        for kill in 0..10 {
            let mut child = if out.join("config.toml").exists() {
                netadapt(&["resume", &path]).spawn().expect("the program starts")
            } else {
                search_command(&scene, &out).spawn().expect("the program starts")
            };
            let wait = stream(round, Purpose::Data, 1, kill).random_range(50..1200);
            std::thread::sleep(Duration::from_millis(wait));
            child.kill().expect("it can be killed, even when it is done");
            let end = child.wait_with_output().expect("it ended");
            // By the signal, or done before it.
            let message = String::from_utf8_lossy(&end.stderr).into_owned();
            assert!(end.status.code().is_none_or(|code| code == 0), "{message}");
        }
        let last =
            if out.join("config.toml").exists() { netadapt(&["resume", &path]) } else { search_command(&scene, &out) }
                .output()
                .expect("the program starts");
        assert!(last.status.success(), "{}", String::from_utf8_lossy(&last.stderr));
        assert_eq!(without_latency(outcome(&out)), wanted, "round {round}");
        std::fs::remove_dir_all(&out).unwrap();
    }
}

#[cfg(unix)]
#[test]
fn the_first_interrupt_stops_with_a_checkpoint_and_says_how_to_go_on() {
    let scene = Scene::new();
    let out = scene.path("run");
    let child = search_command(&scene, &out).spawn().expect("the program starts");
    while !out.join("results.csv").exists() {
        std::thread::sleep(Duration::from_millis(5));
    }
    let id = child.id().to_string();
    Command::new("kill").args(["-INT", &id]).status().expect("a signal can be sent");
    let end = child.wait_with_output().expect("it ended");
    let message = String::from_utf8_lossy(&end.stderr);
    assert_eq!(end.status.code(), Some(75), "{message}");
    let command = format!("netadapt resume {}", out.display());
    assert!(message.contains(&command), "{message}");
    let timed = netadapt(&["resume", &out.display().to_string(), "--max-time", "0.01s"]).output().unwrap();
    assert_eq!(timed.status.code(), Some(75), "{}", String::from_utf8_lossy(&timed.stderr));
    let rest = netadapt(&["resume", &out.display().to_string(), "--json"]).output().unwrap();
    assert!(rest.status.success(), "{}", String::from_utf8_lossy(&rest.stderr));
    let events = String::from_utf8(rest.stdout).unwrap();
    assert!(events.lines().last().unwrap().contains(r#""event":"result""#), "{events}");
}

/// A learning rate that no training survives: each time the epoch begins again from where it began, with half
/// of it, and after three times the training gives up.
#[test]
fn a_loss_that_is_not_finite_rolls_back() {
    let gpu = crate::harness::gpu();
    let scene = Scene::new();
    let space = Space::open(&scene.space).unwrap();
    let net = space.supernet(12, 1, 2);
    let graph = lower(&net, &net.full());
    let data = data::open(Path::new(&scene.data), &data::Options { seed: 0, holdout: 16, max_bad: 0.0 }).unwrap();
    let images = Images::load(&data.train, Format { size: 12, channels: 1 }, 1, 1 << 20, &|_, _| ()).unwrap();
    let weights = initial_weights(&graph, 0);
    let options = TrainerOptions {
        net: &net,
        settings: &space.train,
        epochs: 2,
        learning_rate: 1e38,
        sampler: None,
        teacher: None,
        normalisation: images.statistics(),
        images: Arc::new(images),
        augment: space.augment,
        seed: 0,
        threads: 1,
        tuning: Tuning::for_adapter(gpu.adapter()),
        steps_in_flight: 4,
    };
    let mut trainer = Trainer::new(gpu, graph, &weights, options).unwrap();
    let mut factors = Vec::new();
    let error = loop {
        match trainer.advance() {
            Ok(Advance::RolledBack { epoch, rate_factor }) => {
                factors.push((epoch, rate_factor));
                let snapshot = trainer.snapshot().unwrap();
                assert!(snapshot.now.is_none() && snapshot.begun.weights == weights);
                assert_eq!(trainer.weights().unwrap(), weights);
            }
            Ok(advance) => assert_eq!(advance, Advance::Step),
            Err(error) => break error,
        }
    };
    assert_eq!(factors, [(1, 0.5), (1, 0.25), (1, 0.125)]);
    assert!(matches!(error, TrainError::Diverged { epoch: 1, learning_rate: 0.125 }), "{error}");
}
