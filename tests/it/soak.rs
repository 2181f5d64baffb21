//! A search that goes on and on: neither its memory nor its open files grow.
//!
//! Some seconds; `NETADAPT_SOAK_MINUTES=120` makes it last so long. Linux tells what a process holds, so it is watched
//! there only.
#![cfg(target_os = "linux")]

use crate::scene::Scene;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What a process holds at a moment of one of its phases.
#[derive(Clone, Debug)]
struct Sample {
    phase: String,
    kilobytes: u64,
    files: usize,
}

/// Epochs of the super-network, epochs of the final training, samples of an iteration.
struct Length([u64; 3]);

fn search(scene: &Scene, name: &str, Length([epochs, finals, samples]): &Length) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_netadapt"));
    command.args(["search", &scene.data, "--preset", &scene.space, "--budget", "60%MAC", "--json"]);
    command.arg("--out").arg(scene.path(name));
    for (option, value) in [("--epochs", epochs), ("--final-epochs", finals), ("--samples", samples)] {
        command.args([option, &value.to_string()]);
    }
    command
}

fn held(id: u32) -> Option<(u64, usize)> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some((kilobytes, std::fs::read_dir(format!("/proc/{id}/fd")).ok()?.count()))
}

/// Runs a command that prints events and samples what it holds.
fn watched(mut command: Command, every: Duration) -> Vec<Sample> {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the program starts");
    let phase = Arc::new(Mutex::new(String::new()));
    let output = BufReader::new(child.stdout.take().expect("it was asked for"));
    let told = Arc::clone(&phase);
    let reader = std::thread::spawn(move || {
        for line in output.lines().map_while(Result::ok) {
            let event: serde_json::Value = serde_json::from_str(&line).expect("an event");
            if event["event"] == "begin" {
                *told.lock().expect("nobody panics with it") = event["phase"]["name"].as_str().unwrap_or("").to_owned();
            }
        }
    });
    let (mut samples, begun) = (Vec::new(), Instant::now());
    let end = loop {
        if let Some(end) = child.try_wait().expect("it can be asked") {
            break end;
        }
        if let Some((kilobytes, files)) = held(child.id()) {
            let phase = phase.lock().expect("nobody panics with it").clone();
            if samples.last().is_none_or(|last: &Sample| last.phase != phase) {
                println!("after {:.0} s, {phase}: {kilobytes} kB and {files} files", begun.elapsed().as_secs_f64());
            }
            samples.push(Sample { phase, kilobytes, files });
        }
        std::thread::sleep(every);
    };
    assert!(end.success(), "{end}");
    reader.join().expect("its events can be read");
    samples
}

#[test]
fn memory_and_open_files_stay_flat() {
    let seconds: f64 =
        std::env::var("NETADAPT_SOAK_MINUTES").map_or(9.0, |minutes| 60.0 * minutes.parse::<f64>().expect("minutes"));
    let scene = Scene::new();
    // With more blocks, and several of them changed together, there are more networks than the search can score.
    let text = std::fs::read_to_string(&scene.space).expect("the space is there");
    let deeper =
        text.replace("expansion = 20", "expansion = 20\nrepeat = 6").replace("coordinates = 1", "coordinates = 4");
    assert!(deeper.contains("repeat = 6") && deeper.contains("coordinates = 4"), "{text}");
    std::fs::write(&scene.space, deeper).expect("it can be written");
    // What the longer of two short runs takes more is what its epochs and samples take: the rest is paid once.
    let seconds_of = |name: &str, length: &Length| {
        watched(search(&scene, name, length), Duration::from_millis(20));
        let result: serde_json::Value =
            serde_json::from_slice(&std::fs::read(scene.path(name).join("result.json")).expect("a result"))
                .expect("JSON");
        ["supernet", "final", "search"].map(|phase| result["seconds"][phase].as_f64().expect("seconds"))
    };
    let (short, longer) = ([20, 20, 8], [60, 60, 24]);
    let (once, more) = (seconds_of("short", &Length(short)), seconds_of("longer", &Length(longer)));
    let mut length = Length([0; 3]);
    for phase in 0..3 {
        // A busy machine may make the longer one look faster than it is.
        let each = (more[phase] - once[phase]) / (longer[phase] - short[phase]) as f64;
        let each = each.max(0.2 * more[phase] / longer[phase] as f64).max(1e-4);
        length.0[phase] = (seconds / 3.0 / each).ceil() as u64;
    }
    println!("{:?} epochs, final epochs and samples", length.0);
    let samples = watched(search(&scene, "long", &length), Duration::from_secs_f64((seconds / 600.0).clamp(0.02, 1.0)));
    for phase in ["supernet", "search", "final"] {
        let held: Vec<&Sample> = samples.iter().filter(|sample| sample.phase == phase).collect();
        assert!(held.len() > 20, "{phase}: {} samples", held.len());
        // The first fifth allocates what the phase needs.
        let fifth = held.len() / 5;
        let most = |part: &[&Sample]| {
            let kilobytes = part.iter().map(|sample| sample.kilobytes).max().expect("it is not empty");
            (kilobytes, part.iter().map(|sample| sample.files).max().expect("it is not empty"))
        };
        let (before, after) = (most(&held[fifth..2 * fifth]), most(&held[4 * fifth..]));
        println!("{phase}: {} kB and {} files, then {} kB and {} files", before.0, before.1, after.0, after.1);
        // Logs of what was scored and allocators that round up take some; a leak takes more with each step.
        assert!(after.0 <= before.0 + before.0 / 10 + 4096, "{phase}: {before:?} kB and files, then {after:?}");
        assert!(after.1 <= before.1 + 1, "{phase}: {before:?} kB and files, then {after:?}");
    }
}
