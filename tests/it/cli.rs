//! The programs as a user runs them: exit codes, messages, and one search from end to end.

use crate::harness::gpu;
use crate::scene::{Scene, dataset};
use netadapt::data::Normalisation;
use netadapt::model::Architecture;
use netadapt::space::Space;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn netadapt(arguments: &[&str]) -> Output {
    // Not the tile sizes that whoever runs the tests has kept.
    let cache = concat!(env!("CARGO_TARGET_TMPDIR"), "/no-cache");
    Command::new(env!("CARGO_BIN_EXE_netadapt"))
        .env("NETADAPT_CACHE", cache)
        .args(arguments)
        .output()
        .expect("the program starts")
}

/// The program must end with `code` and a message that has all of `words`, and never panic.
fn fails(output: &Output, code: i32, words: &[&str]) {
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{message}");
    assert!(!message.contains("panicked"), "{message}");
    for word in words {
        assert!(message.contains(word), "`{word}` is not in: {message}");
    }
}

fn search(data: &str, space: &str, out: &Path, more: &[&str]) -> Output {
    let out = out.display().to_string();
    let mut arguments = vec!["search", data, "--preset", space, "--out", &out];
    arguments.extend(more);
    netadapt(&arguments)
}

#[test]
fn a_search_from_a_folder_to_its_result() {
    let Scene { dir, data, space } = Scene::new();
    let run = |name: &str| {
        let out = dir.path().join(name);
        let output =
            search(&data, &space, &out, &["--budget", "70%MAC", "--compare", "initial,uniform,random", "--json"]);
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(0), "{message}");
        let events = String::from_utf8(output.stdout).expect("events are text");
        (out, events)
    };
    let (out, events) = run("first");
    let last: serde_json::Value = serde_json::from_str(events.lines().last().expect("there are events")).expect("JSON");
    assert_eq!(last["event"], "result");
    let result: serde_json::Value =
        serde_json::from_slice(&std::fs::read(out.join("result.json")).expect("the result is there")).expect("JSON");
    let network = &result["networks"][0];
    let (macs, full) = (network["macs"].as_f64().unwrap(), result["initial"]["macs"].as_f64().unwrap());
    assert!(macs <= 0.7 * full && macs > 0.4 * full, "{macs} of {full}");
    assert!(network["accuracy"]["test"].as_f64().unwrap() > 0.9, "two halves are easily told apart: {network}");
    for trained in [network, &result["compare"][2]] {
        let classes = trained["classes"].as_array().unwrap();
        assert_eq!(classes.iter().map(|class| &class["name"]).collect::<Vec<_>>(), ["left", "right"]);
        assert!(classes.iter().all(|class| class["images"] == 60), "{trained}");
        let mean = classes.iter().map(|class| class["accuracy"].as_f64().unwrap()).sum::<f64>() / 2.0;
        let balanced = trained["accuracy"]["balanced"].as_f64().unwrap();
        assert!((balanced - mean).abs() < 1e-12, "{trained}");
    }
    assert!(network["latency_ms"].as_f64().unwrap() > 0.0);
    assert_eq!(result["compare"].as_array().unwrap().len(), 3);
    for file in [
        "config.toml",
        "env.json",
        "data.json",
        "events.jsonl",
        "results.csv",
        "measurements.jsonl",
        "candidates.csv",
        "initial/architecture.json",
        "initial/model.safetensors",
        "networks/0/architecture.json",
        "networks/0/model.safetensors",
        "networks/0/metrics.json",
        "report.html",
        "report.json",
    ] {
        assert!(out.join(file).exists(), "{file} is missing");
    }

    let (again, _) = run("second");
    let candidates = |out: &Path| std::fs::read(out.join("candidates.csv")).expect("the candidates are there");
    assert_eq!(candidates(&out), candidates(&again), "the same seed scores the same candidates, bit for bit");

    let report = |arguments: &[&str], name: &str| {
        let page = dir.path().join(name).display().to_string();
        let output = netadapt(&[&["report"][..], arguments, &["--out", &page]].concat());
        (String::from_utf8_lossy(&output.stdout).into_owned(), page, output)
    };
    let [first, second] = ["first", "second"].map(|name| dir.path().join(name).display().to_string());
    let (_, page, _) = report(&[&first], "one.html");
    let pages = [PathBuf::from(page), out.join("report.html")].map(|page| std::fs::read(page).unwrap());
    assert_eq!(pages[0], pages[1], "the page of a run is made again");
    let (text, page, _) = report(&[&first, &second], "both.html");
    assert!(text.contains("2 networks of 2 runs"), "{text}");
    assert!(std::fs::read_to_string(page).unwrap().contains("<section id=\"curve\">"));
    fails(&report(&[&first], "both.html").2, 1, &["both.html exists already", "--out"]);
    std::fs::remove_file(out.join("report.json")).unwrap();
    fails(&report(&[&first], "none.html").2, 1, &["has not ended", "netadapt resume"]);
    fails(&report(&[&data], "none.html").2, 1, &["report.json"]);

    let occupied = search(&data, &space, &out, &["--budget", "70%MAC"]);
    fails(&occupied, 1, &["holds a run already", "--out"]);
    // Nor over files that are no run's: they would be written over.
    let mine = dir.path().join("mine");
    std::fs::create_dir(&mine).unwrap();
    std::fs::write(mine.join("report.html"), "mine").unwrap();
    fails(&search(&data, &space, &mine, &["--budget", "70%MAC"]), 1, &["holds report.html", "--out"]);
    assert_eq!(std::fs::read_to_string(mine.join("report.html")).unwrap(), "mine");
}

#[test]
fn a_latency_budget_is_kept_or_refused_before_any_training() {
    let Scene { dir, data, space } = Scene::new();
    let start = std::time::Instant::now();
    let refused = search(&data, &space, &dir.path().join("refused"), &["--budget", "1ns"]);
    fails(&refused, 2, &["1ns"]);
    // A folder that was there stays, and so does what is hidden in it.
    let (mine, kept) = (dir.path().join("mine"), dir.path().join("mine/.keep"));
    std::fs::create_dir(&mine).unwrap();
    std::fs::write(&kept, "").unwrap();
    for out in [dir.path().join("refused"), mine.clone()] {
        fails(&search(&data, &space, &out, &["--budget", "0.1us"]), 3, &["out of reach"]);
    }
    assert!(!dir.path().join("refused").exists(), "nothing was trained, and the folder is free for the next try");
    assert_eq!(std::fs::read_dir(&mine).unwrap().count(), 1);
    assert!(kept.exists());
    assert!(start.elapsed().as_secs() < 60);

    let out = dir.path().join("run");
    let output = search(&data, &space, &out, &["--budget", "90%", "--epochs", "1", "--final-epochs", "1"]);
    // So small a network takes a GPU about as long at any width: launches alone.
    if !gpu().adapter().is_software() && output.status.code() == Some(3) {
        return fails(&output, 3, &["out of reach", "the least that can be asked for"]);
    }
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let iterates = std::fs::read_to_string(out.join("iterates.csv")).expect("the iterates are there");
    let measured: f64 = iterates.lines().last().unwrap().split(',').nth(3).unwrap().parse().unwrap();
    let result: serde_json::Value = serde_json::from_slice(&std::fs::read(out.join("result.json")).unwrap()).unwrap();
    let limit = result["networks"][0]["budget"]["latency_ms"].as_f64().unwrap();
    assert!(measured <= limit, "{measured} ms is over {limit} ms");
    let network = &result["networks"][0];
    let twice = network["measured_ms"].as_array().unwrap();
    assert!(twice.len() == 2 && twice.iter().all(|ms| ms.as_f64().unwrap() <= limit), "{twice:?} of {limit} ms");
    assert_eq!(network["latency_ms"].as_f64(), twice.iter().map(|ms| ms.as_f64().unwrap()).reduce(f64::max));
}

#[test]
fn two_budgets_hold_together() {
    let Scene { dir, data, space } = Scene::new();
    let out = dir.path().join("run");
    let budgets = ["--budget", "80%MAC", "--budget", "60%B", "--budget", "90%Bpeak"];
    let short = ["--epochs", "1", "--final-epochs", "1", "--compare", "uniform,random"];
    let output = search(&data, &space, &out, &[&budgets[..], &short].concat());
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let result: serde_json::Value = serde_json::from_slice(&std::fs::read(out.join("result.json")).unwrap()).unwrap();
    let network = &result["networks"][0];
    assert_eq!(network["budget"]["text"], "80%MAC + 60%B + 90%Bpeak");
    let others = network["budget"]["others"].as_array().unwrap();
    assert_eq!(others.len(), 2);
    let holds = |other: &serde_json::Value| other["value"].as_f64().unwrap() <= other["limit"].as_f64().unwrap();
    assert!(others.iter().all(holds) && network["macs"].as_f64() <= network["budget"]["limit"].as_f64(), "{network}");
    for rival in result["compare"].as_array().unwrap() {
        assert!(rival["weight_bytes"].as_f64() <= others[0]["limit"].as_f64(), "{rival}");
        assert!(rival["activation_bytes"].as_f64() <= others[1]["limit"].as_f64(), "{rival}");
    }
    // What is counted is what is there: the exported weights have as many bytes.
    let exported = dir.path().join("export");
    let run = out.display().to_string();
    let output =
        netadapt(&["export", &run, "--budget", "80%MAC + 60%B + 90%Bpeak", "--out", &exported.display().to_string()]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let bytes = std::fs::read(exported.join("model.safetensors")).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let weights: usize = tensors.tensors().iter().map(|(_, tensor)| tensor.data().len()).sum();
    assert_eq!(Some(weights as u64), network["weight_bytes"].as_u64());

    let refused = search(&data, &space, &dir.path().join("refused"), &["--budget", "8ms", "--budget", "4ms"]);
    fails(&refused, 2, &["`8ms` and `4ms` both limit the latency"]);
    let refused = search(&data, &space, &dir.path().join("refused"), &["--budget", "80%MAC", "--budget", "1B"]);
    fails(&refused, 3, &["1B is out of reach", "904B"]);
    assert!(!dir.path().join("refused").exists(), "nothing was trained");
}

/// What a search is compared with is told apart by its budget; the initial network is one for all, and trained once.
#[test]
fn each_of_two_budgets_has_its_rivals() {
    let Scene { dir, data, space } = Scene::new();
    let out = dir.path().join("run");
    let output = search(&data, &space, &out, &["--budget", "85%MAC,70%MAC", "--compare", "initial,uniform"]);
    let remarks = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && remarks.contains("16 held-out images are few to choose networks by"),
        "{remarks}"
    );
    let text = String::from_utf8_lossy(&output.stdout);
    let lines = |begin: &str| text.lines().filter(|line| line.starts_with(begin)).count();
    let begins = [
        "initial, shared ",
        "initial ",
        "uniform for 85%MAC ",
        "uniform for 70%MAC ",
        "found for 85%MAC - initial: ",
        "found for 70%MAC - initial: ",
        "found for 70%MAC - uniform for 70%MAC: ",
    ];
    assert_eq!(begins.map(lines), [1; 7], "{text}");
    let results = std::fs::read_to_string(out.join("results.csv")).unwrap();
    assert_eq!(results.lines().filter(|line| line.starts_with("initial")).count(), 3, "{results}");
    let report: serde_json::Value = serde_json::from_slice(&std::fs::read(out.join("report.json")).unwrap()).unwrap();
    assert!(report["command"].as_str().is_some_and(|command| command.contains(" search ")), "{}", report["command"]);
    assert_eq!(report["comparison"].as_array().map(Vec::len), Some(4));
    let names: Vec<_> = report["trainings"].as_array().unwrap().iter().map(|curve| &curve["name"]).collect();
    assert_eq!(names, ["supernet", "network-0", "network-1", "initial", "uniform-0", "uniform-1"]);
}

#[test]
fn bad_sets_end_with_code_5_and_name_the_file() {
    let Scene { dir, data, space } = Scene::new();
    let out = dir.path().join("run");
    let missing = search(&dir.path().join("nowhere").display().to_string(), &space, &out, &["--budget", "50%MAC"]);
    fails(&missing, 5, &["nowhere"]);

    let spoil = |name: &str, change: &dyn Fn(&Path)| {
        let root = dir.path().join(name);
        dataset(&root, 30);
        change(&root);
        search(&root.display().to_string(), &space, &out, &["--budget", "50%MAC", "--max-bad", "0%"])
    };
    let empty = spoil("empty", &|root| std::fs::create_dir(root.join("train/middle")).unwrap());
    fails(&empty, 5, &["middle"]);
    let one = spoil("one", &|root| {
        std::fs::remove_dir_all(root.join("train/right")).unwrap();
        std::fs::remove_dir_all(root.join("test/right")).unwrap();
    });
    fails(&one, 5, &["class"]);
    let text = spoil("text", &|root| std::fs::write(root.join("train/left/note.png"), "not an image").unwrap());
    fails(&text, 5, &["note.png"]);
    let nothing = spoil("nothing", &|root| std::fs::write(root.join("train/left/zero.jpg"), "").unwrap());
    fails(&nothing, 5, &["zero.jpg"]);
    let truncated = spoil("truncated", &|root| {
        let whole = image::open(root.join("train/left/0.png")).unwrap();
        let path = root.join("train/left/cut.jpg");
        whole.save(&path).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() * 3 / 4]).unwrap();
    });
    fails(&truncated, 5, &["cut.jpg"]);
    assert!(!out.exists(), "a refused set leaves no run behind");
    assert!(Path::new(&data).exists());
}

/// 240 images and two that are none: one in a hundred is left out and told.
#[test]
fn a_few_bad_files_are_left_out_of_a_search() {
    let Scene { dir, data, space } = Scene::new();
    let out = dir.path().join("run");
    let whole = std::fs::read(Path::new(&data).join("train/left/0.png")).unwrap();
    std::fs::write(Path::new(&data).join("train/left/cut.png"), &whole[..whole.len() * 3 / 4]).unwrap();
    std::fs::write(Path::new(&data).join("test/right/empty.png"), b"").unwrap();
    let arguments = ["--budget", "70%MAC", "--epochs", "1", "--final-epochs", "1"];
    fails(
        &search(&data, &space, &out, &[&arguments[..], &["--max-bad", "0.5%"]].concat()),
        5,
        &["2 files", "--max-bad"],
    );
    let output = search(&data, &space, &out, &arguments);
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert!(
        told.contains("note: 2 files that are no usable images are left out") && told.contains("empty.png"),
        "{told}"
    );
    let record: serde_json::Value = serde_json::from_slice(&std::fs::read(out.join("data.json")).unwrap()).unwrap();
    let count = |split: &str| record[split].as_u64().unwrap();
    assert_eq!(count("train") + count("holdout") + count("test"), 240);
}

#[test]
fn a_device_too_noisy_to_measure_ends_with_code_6() {
    let Scene { dir, data, space } = Scene::new();
    let strict = std::fs::read_to_string(&space).unwrap().replace("latency_tolerance = 1.0", "latency_tolerance = 0.0");
    // No clock is that exact.
    let strict = strict.replace("latency_seconds = 0.1", "latency_seconds = 0.0");
    std::fs::write(&space, strict).unwrap();
    let noisy = search(&data, &space, &dir.path().join("run"), &["--budget", "90%"]);
    fails(&noisy, 6, &["too noisy", "latency_seconds", "end what else runs"]);
}

#[test]
fn bad_arguments_end_with_code_2() {
    let Scene { dir, data, space } = Scene::new();
    let out = dir.path().join("run");
    fails(&search(&data, &space, &out, &["--budget", "8parsecs"]), 2, &["8parsecs", "8ms"]);
    fails(&search(&data, "no-such-space", &out, &["--budget", "50%"]), 2, &["no-such-space", "tiny"]);
    let text = std::fs::read_to_string(&space).unwrap().replace("size = 12", "size = 12\ncolour = 3");
    let unknown = dir.path().join("unknown.toml");
    std::fs::write(&unknown, text).unwrap();
    fails(&search(&data, &unknown.display().to_string(), &out, &["--budget", "50%"]), 2, &["colour", "unknown"]);
    fails(&search(&data, &space, &out, &["--budget", "50%", "--size", "1"]), 2, &["size", "2"]);
}

#[test]
fn without_a_device_the_code_is_4() {
    let Scene { dir, data, space } = Scene::new();
    let out = dir.path().join("run");
    fails(&search(&data, &space, &out, &["--budget", "50%", "--device", "99"]), 4, &["99", "netadapt devices"]);
    if cfg!(target_os = "linux") {
        let out = out.display().to_string();
        let output = Command::new(env!("CARGO_BIN_EXE_netadapt"))
            .args(["search", &data, "--preset", &space, "--out", &out, "--budget", "50%"])
            .env("VK_DRIVER_FILES", "/nowhere.json")
            .env("VK_ICD_FILENAMES", "/nowhere.json")
            .output()
            .expect("the program starts");
        fails(&output, 4, &["no usable GPU", "mesa-vulkan-drivers"]);
    }
}

/// `train.distillation` as a run's configuration has resolved it, of a run that stops before its first step.
fn distillation(scene: &Scene, name: &str, variable: Option<&str>, flags: &[&str]) -> f64 {
    let out = scene.path(name);
    let output = Command::new(env!("CARGO_BIN_EXE_netadapt"))
        .args(["search", &scene.data, "--preset", &scene.space, "--out", &out.display().to_string()])
        .args(["--budget", "70%MAC", "--max-time", "0s"])
        .args(flags)
        .envs(variable.map(|value| ("NETADAPT_TEACHER", value)))
        .output()
        .expect("the program starts");
    fails(&output, 75, &["netadapt resume"]);
    let config = std::fs::read_to_string(out.join("config.toml")).expect("it was written first");
    let line = config.lines().find_map(|line| line.strip_prefix("# distillation = ")).expect("the space is in it");
    line.parse().expect("a number")
}

#[test]
fn a_flag_goes_before_the_environment_before_the_file_before_the_default() {
    let scene = Scene::new();
    let teacher = |name: &str, variable: Option<&str>, flags: &[&str]| distillation(&scene, name, variable, flags);
    assert_eq!(teacher("default", None, &[]), 0.0);
    assert_eq!(teacher("asked", None, &["--teacher", "supernet"]), 0.5);
    assert_eq!(teacher("asked-initial", None, &["--teacher", "initial"]), 0.5);
    let text = std::fs::read_to_string(&scene.space).unwrap();
    std::fs::write(&scene.space, text.replace("label_smoothing", "distillation = 0.25\nlabel_smoothing")).unwrap();
    assert_eq!(teacher("file", None, &[]), 0.25);
    assert_eq!(teacher("environment", Some("none"), &[]), 0.0);
    assert_eq!(teacher("flag", Some("none"), &["--teacher", "supernet"]), 0.25, "the share is the space's");

    let output = Command::new(env!("CARGO_BIN_EXE_netadapt"))
        .args(["search", &scene.data, "--budget", "50%"])
        .env("NETADAPT_TEACHER", "parrot")
        .output()
        .expect("the program starts");
    fails(&output, 2, &["parrot", "supernet, initial, none"]);
}

#[test]
fn quiet_is_quiet_and_colours_can_be_refused() {
    let scene = Scene::new();
    let remarks = |name: &str, flags: &[&str], variables: &[(&str, &str)]| {
        let out = scene.path(name).display().to_string();
        let output = Command::new(env!("CARGO_BIN_EXE_netadapt"))
            .args(["search", &scene.data, "--preset", &scene.space, "--out", &out, "--budget", "90%MAC"])
            .args(["--epochs", "1", "--final-epochs", "1"])
            .args(flags)
            // A driver may remark that there is none.
            .env("XDG_RUNTIME_DIR", scene.dir.path())
            .envs(variables.iter().copied())
            .output()
            .expect("the program starts");
        assert_eq!(output.status.code(), Some(0));
        assert!(!output.stdout.is_empty(), "the result is printed");
        String::from_utf8(output.stderr).expect("text")
    };
    assert!(remarks("loud", &[], &[("NETADAPT_QUIET", "0")]).contains("epoch 1 of 1"));
    assert_eq!(remarks("quiet", &["--quiet"], &[]), "");
    assert_eq!(remarks("also quiet", &[], &[("NETADAPT_QUIET", "1")]), "");

    let help = |variables: &[(&str, &str)]| {
        let output = Command::new(env!("CARGO_BIN_EXE_netadapt"))
            .args(["search", "--help"])
            .env("CLICOLOR_FORCE", "1")
            .envs(variables.iter().copied())
            .output()
            .expect("the program starts");
        String::from_utf8(output.stdout).expect("text").contains('\u{1b}')
    };
    assert!(help(&[]), "colours are there to be refused");
    assert!(!help(&[("NO_COLOR", "1")]));
}

/// What `netadapt completions SHELL PROGRAM` prints.
fn completions(shell: &str, program: &str) -> String {
    let output = netadapt(&["completions", shell, program]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn shells_complete_all_three_programs() {
    for (program, word) in [("netadapt", "--final-epochs"), ("netadapt-bench", "--dropout"), ("netadapt-data", "stats")]
    {
        for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
            let script = completions(shell, program);
            assert!(script.contains(program) && script.contains(word.trim_start_matches("--")), "{shell} {program}");
        }
    }
    if cfg!(target_os = "linux") {
        // What a person has typed, and what the script makes of it.
        let asks =
            "COMP_WORDS=(netadapt search --fin) COMP_CWORD=2; _netadapt netadapt --fin search; echo ${COMPREPLY[@]}";
        let script = format!("{}\n{asks}", completions("bash", "netadapt"));
        let output = Command::new("bash").args(["-c", &script]).output().expect("there is a bash");
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "--final-epochs --final");
    }
    fails(&netadapt(&["completions", "csh"]), 2, &["csh", "bash"]);
}

#[test]
fn every_command_has_a_manual_page() {
    let dir = tempfile::tempdir().expect("a folder can be made");
    let folder = dir.path().join("man");
    let output = netadapt(&["man", &folder.display().to_string()]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    for (page, word) in [
        ("netadapt.1", "resume"),
        ("netadapt-search.1", "NETADAPT_TEACHER"),
        ("netadapt-latency-build.1", "SPACE"),
        ("netadapt-bench.1", "kernels"),
        ("netadapt-bench-step.1", "kernel"),
        ("netadapt-data-check.1", "duplicates"),
    ] {
        let text = std::fs::read_to_string(folder.join(page)).unwrap_or_else(|error| panic!("{page}: {error}"));
        assert!(text.contains(".TH") && text.contains(word), "{page}: {text}");
    }
    std::fs::write(dir.path().join("file"), "").unwrap();
    let below = dir.path().join("file/man").display().to_string();
    fails(&netadapt(&["man", &below]), 1, &["cannot write", "file/man"]);
}

#[test]
fn devices_are_listed() {
    let output = netadapt(&["devices", "--json"]);
    assert_eq!(output.status.code(), Some(0));
    let adapters: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert!(adapters[0]["name"].is_string() && adapters[0]["backend"] != "gl");
}

fn bench(arguments: &[&str]) -> Output {
    let cache = concat!(env!("CARGO_TARGET_TMPDIR"), "/no-cache");
    Command::new(env!("CARGO_BIN_EXE_netadapt-bench"))
        .env("NETADAPT_CACHE", cache)
        .args(arguments)
        .output()
        .expect("the program starts")
}

/// Two networks in turn: the smaller one is the faster one, and the last line is an object that says so.
#[test]
fn the_benchmark_tells_which_of_two_networks_is_faster() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let space = Space::open("tiny").expect("a preset");
    let net = space.supernet(28, 1, 10);
    let smallest = net.coordinates().iter().map(|coordinate| coordinate.choices[0]).collect();
    let networks = [("large", net.full()), ("small", net.arch(smallest).expect("choices of every coordinate"))];
    let folder = |name: &str| dir.path().join(name).display().to_string();
    for (name, arch) in &networks {
        let normalisation = Normalisation { mean: [0.5; 3], std: [0.25; 3] };
        let classes: Vec<String> = (0..10).map(|class| class.to_string()).collect();
        let architecture = Architecture::new(&space, &net, arch, &classes, normalisation);
        std::fs::create_dir_all(folder(name)).expect("a folder");
        let text = serde_json::to_string(&architecture).expect("JSON");
        std::fs::write(Path::new(&folder(name)).join("architecture.json"), text).expect("it is written");
    }
    let output = bench(&["model", &folder("large"), &folder("small"), "--seconds", "0.5", "--json"]);
    let text = String::from_utf8_lossy(&output.stdout);
    let result: serde_json::Value = serde_json::from_str(text.lines().last().expect("a line")).expect("JSON");
    let ms = |which: &str| result[which]["latency"]["median_ms"].as_f64().unwrap();
    assert!(result["ratio"].as_f64().unwrap() > 2.0, "{result}");
    assert_eq!(result["ratio"].as_f64().unwrap(), ms("a") / ms("b"));

    let saved = dir.path().join("kept").display().to_string();
    let output = bench(&["model", &folder("small"), "--seconds", "0.5", "--save", &saved]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("head.conv.norm conv/forward") && text.contains("kept in"), "{text}");
    assert!(text.contains("batch 1: ") && text.contains(" fps"), "{text}");
    let file = text.lines().last().expect("a line").trim_start_matches("kept in ").to_owned();
    let output = bench(&["model", &folder("small"), "--seconds", "0.5", "--baseline", &file]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("beside `netadapt-bench model") && text.contains("were not measured then"), "{text}");

    fails(&bench(&["model", &dir.path().display().to_string()]), 1, &["neither an exported network nor a run"]);
    let stream = |more: &[&str]| bench(&[&["model", &folder("small"), "--mode", "single-stream"][..], more].concat());
    fails(&stream(&["--batch", "2"]), 1, &["one image at a time"]);
    // MLPerf's rule takes a minute.
    if std::env::var_os("NETADAPT_LONG").is_some() {
        let output = stream(&["--json"]);
        let text = String::from_utf8_lossy(&output.stdout);
        let result: serde_json::Value = serde_json::from_str(text.lines().last().expect("a line")).expect("JSON");
        assert!(result["queries"].as_u64() >= Some(1024) && result["seconds"].as_f64() >= Some(60.0), "{result}");
        assert!(result["p90_ms"].as_f64() >= result["latency"]["median"].as_f64(), "{result}");
    }
}

#[test]
fn the_benchmark_of_kernels_names_its_bounds_and_what_it_knows() {
    let output = bench(&["kernels", "pool", "--dropout", "--rounds", "1", "--batch", "4", "--json"]);
    let result: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let rows = result["kernels"].as_array().unwrap();
    assert!(rows.iter().any(|row| row["kernel"] == "pool/backward"), "{result}");
    for row in rows {
        assert!(row["share"].as_f64().unwrap() > 0.0 && row["dropout"]["ideal"].as_f64().unwrap() < 1.0, "{row}");
        let software = cfg!(unix) && result["adapter"]["kind"] == "software";
        assert_eq!(row["processor_ms"]["median"].as_f64().is_some_and(|ms| ms > 0.0), software, "{row}");
        assert_eq!(result["shares_by"], if software { "processor time" } else { "wall clock" });
    }
    fails(&bench(&["kernels", "pols"]), 1, &["`pols`", "conv, convert, depthwise, norm"]);
}

#[test]
fn the_benchmark_of_data_tells_what_decoding_and_an_epoch_take() {
    let scene = Scene::new();
    let output = bench(&["data", &scene.data, "--preset", &scene.space, "--rounds", "2", "--json"]);
    let result: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let number = |pointer: &str| result.pointer(pointer).and_then(serde_json::Value::as_f64).expect("a number");
    assert_eq!(number("/images"), 120.0);
    assert_eq!(number("/epoch_s/count"), 2.0);
    let rate = number("/images") / number("/decode_s/median");
    assert!((number("/images_per_second") / rate - 1.0).abs() < 1e-9, "{result}");
    assert!(number("/cached_epoch_s/median") > 0.0 && number("/ratio/median") > 0.0, "{result}");
    fails(&bench(&["data", &scene.path("nowhere").display().to_string()]), 5, &["nowhere"]);
}

/// Memory is predicted to a tenth of what the driver gives, and no step moves fewer bytes than it must.
#[test]
fn the_benchmark_of_a_step_tells_of_memory_and_bytes() {
    let output = bench(&["step", "tiny", "--rounds", "1", "--batch", "16", "--json"]);
    let step: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let bytes = |name: &str| step[name].as_f64().unwrap_or_else(|| panic!("{name} is told: {step}"));
    // Metal does not tell what it gave.
    let given = if step["allocated_bytes"].is_null() { "held_bytes" } else { "allocated_bytes" };
    let over = bytes(given) / bytes("predicted_bytes");
    assert!((0.99..1.1).contains(&over), "the driver gave {over} of what was predicted");
    let moved = bytes("moved_bytes") / bytes("least_bytes");
    // A GPU's gradients have many parts, which count where images are few.
    let most = if step["adapter"]["kind"] == "software" { 4.0 } else { 5.0 };
    assert!((1.0..most).contains(&moved), "{moved} times the fewest bytes");
}
