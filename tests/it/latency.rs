//! Latency tables as files: built, stopped, killed, reused and refused.

use crate::scene::Scene;
use netadapt::latency::{Entry, Spread, Table, WholeNetwork};
use netadapt::run::{
    self, Config, Environment, RunError, Stop, TableRequest, TargetTable, build_table, fit_table, read_table,
};
use netadapt::space::{Operation, OperationKind};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

fn environment(stop: Stop) -> Environment {
    Environment { stop, ..Environment::from(crate::harness::gpu().clone()) }
}

fn request(scene: &Scene, out: &str) -> TableRequest {
    TableRequest {
        space: scene.space.clone(),
        size: Some(12),
        channels: 1,
        classes: 2,
        batch: None,
        device: None,
        out: scene.path(out),
    }
}

fn write(path: &Path, table: &Table) {
    let text = serde_json::to_string(table).expect("a table is JSON");
    std::fs::write(path, text).expect("the scene's folder can be written");
}

#[test]
fn a_build_that_is_stopped_again_and_again_measures_each_operation_once() {
    let scene = Scene::new();
    let request = request(&scene, "table.json");
    let journal = scene.path("table.json.part");
    let mut measured: Vec<String> = Vec::new();
    let mut stops = 0;
    let built = loop {
        // Seven operations a try.
        match build_table(&request, &environment(Stop::at(7)), &mut ()) {
            Ok(built) => break built,
            Err(error) => {
                assert!(matches!(error, RunError::TableStopped { .. }), "{error}");
                assert_eq!(error.exit_code(), 75);
            }
        }
        stops += 1;
        let lines: Vec<String> = std::fs::read_to_string(&journal).unwrap().lines().map(str::to_owned).collect();
        assert_eq!(lines.len(), 1 + 7 * stops);
        assert!(lines.starts_with(&measured), "what was measured stays as it was");
        measured = lines;
        // A kill in the middle of a line.
        let text = std::fs::read_to_string(&journal).unwrap();
        std::fs::write(&journal, format!("{text}{{\"operation\":{{\"ki")).unwrap();
    };
    assert!(stops > 2 && !journal.exists());
    assert_eq!(read_table(&request.out).unwrap(), built.table);
    assert_eq!(built.measured + 7 * stops, built.table.all().count() + built.table.networks.len());
    assert_eq!(built.table.networks.len(), 11, "the initial one and ten drawn");
    assert!(built.table.all().all(|entry| entry.ms.count >= 5 && entry.ms.median > 0.0));

    // The device's own clock runs within what the wall's shows.
    let share = built.table.timestamps().expect("the software driver has timestamps");
    assert!(share > 0.1 && share < 1.05, "{share}");
    assert!(built.table.clock().contains("the wall clock's"));

    // A table that is whole is not measured again; what it lacks is.
    assert_eq!(build_table(&request, &environment(Stop::at(0)), &mut ()).unwrap().measured, 0);
    let mut less = built.table.clone();
    let missing = less.entries.split_off(less.entries.len() - 3);
    write(&request.out, &less);
    let again = build_table(&request, &environment(Stop::default()), &mut ()).unwrap();
    // Other answers may lead to further questions.
    assert!(again.measured >= 3 && missing.iter().all(|entry| again.table.entry(&entry.operation).is_some()));
    assert!(less.entries.iter().all(|entry| again.table.entry(&entry.operation) == Some(entry)));
}

#[test]
fn a_table_of_another_device_or_build_is_refused_by_name() {
    let scene = Scene::new();
    let request = request(&scene, "table.json");
    let built = build_table(&request, &environment(Stop::default()), &mut ()).unwrap();
    let mut other = built.table.clone();
    other.origin.adapter.name = "Another Device".into();
    write(&request.out, &other);
    let error = build_table(&request, &environment(Stop::default()), &mut ()).unwrap_err();
    assert_eq!((error.exit_code(), error.to_string().contains("Another Device")), (2, true), "{error}");

    let config = Config { latency: Some(request.out.clone()), ..scene.config("run", "90%") };
    let error = run::search(&config, environment(Stop::default()), &mut ()).unwrap_err();
    assert_eq!((error.exit_code(), error.to_string().contains("Another Device")), (2, true), "{error}");
    assert!(!config.out.exists(), "nothing is left of a run that was refused");

    let mut other = built.table;
    other.origin.shaders = "00".into();
    write(&request.out, &other);
    let error = run::search(&config, environment(Stop::default()), &mut ()).unwrap_err();
    assert!(error.to_string().contains("shaders"), "{error}");
    std::fs::write(&request.out, "[]").unwrap();
    let error = run::search(&config, environment(Stop::default()), &mut ()).unwrap_err();
    assert!(error.to_string().contains("no latency table"), "{error}");
    std::fs::write(&request.out, [0xff]).unwrap();
    let error = run::search(&config, environment(Stop::default()), &mut ()).unwrap_err();
    assert_eq!((error.exit_code(), error.to_string().contains("utf-8")), (2, true), "{error}");
    std::fs::OpenOptions::new().write(true).open(&request.out).unwrap().set_len(1 << 30).unwrap();
    let error = run::search(&config, environment(Stop::default()), &mut ()).unwrap_err();
    assert_eq!((error.exit_code(), error.to_string().contains("larger than")), (2, true), "{error}");
}

#[test]
fn a_search_takes_the_entries_of_its_table_and_measures_no_operation() {
    let scene = Scene::new();
    let request = request(&scene, "table.json");
    let mut built = build_table(&request, &environment(Stop::default()), &mut ()).unwrap().table;
    // Twice as long, all of them: the same questions, and no answer that was measured.
    built.entries.iter_mut().chain(&mut built.beside).for_each(|entry| entry.ms = entry.ms.scaled(2.0));
    write(&request.out, &built);
    let config = Config { latency: Some(request.out.clone()), ..scene.config("run", "90%MAC") };
    // The initial network is measured and the super-network begins: there is no place to stop between the two.
    let stopped = run::search(&config, environment(Stop::at(0)), &mut ());
    assert!(matches!(stopped, Err(RunError::Stopped { .. })), "{stopped:?}");
    let mut files = std::fs::read_dir(config.out.join("latency")).unwrap();
    let table = read_table(&files.next().unwrap().unwrap().path()).unwrap();
    assert!(
        built.entries.iter().all(|entry| table.entry(&entry.operation) == Some(entry)),
        "they are those of the file"
    );
}

/// Killed at any time, the program goes on: entries stay as they were measured.
#[test]
fn a_killed_build_goes_on() {
    let scene = Scene::new();
    let (out, journal) = (scene.path("table.json"), scene.path("table.json.part"));
    let build = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_netadapt"));
        command.args(["latency", "build", &scene.space, "--channels", "1", "--classes", "2", "--out"]).arg(&out);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    };
    let mut before = String::new();
    for kill in 0..6 {
        let mut child = build().spawn().expect("the program starts");
        std::thread::sleep(Duration::from_millis(150 + 170 * kill));
        child.kill().expect("it can be killed, even when it is done");
        child.wait().expect("it ended");
        if out.exists() {
            break;
        }
        let text = std::fs::read_to_string(&journal).unwrap_or_default();
        let whole = text.rfind('\n').map_or("", |end| &text[..=end]).to_owned();
        assert!(whole.starts_with(&before), "{whole} goes on from {before}");
        before = whole;
    }
    let end = build().arg("--json").output().expect("the program starts");
    assert!(end.status.success(), "{}", String::from_utf8_lossy(&end.stderr));
    let table = read_table(&out).unwrap();
    for line in before.lines().skip(1) {
        match serde_json::from_str::<Entry>(line) {
            Ok(entry) => assert_eq!(table.entry(&entry.operation), Some(&entry)),
            Err(_) => assert!(table.networks.contains(&serde_json::from_str(line).unwrap())),
        }
    }
    let events = String::from_utf8(end.stdout).unwrap();
    let last: serde_json::Value = serde_json::from_str(events.lines().last().unwrap()).unwrap();
    assert_eq!(last["event"], "table");
    assert_eq!(last["entries"], table.all().count());
}

#[test]
fn a_check_says_how_far_predictions_are_off_and_how_far_repeats() {
    let scene = Scene::new();
    let out = scene.path("table.json");
    let mut command = Command::new(env!("CARGO_BIN_EXE_netadapt"));
    command.args(["latency", "check", &scene.space, "--networks", "4", "--json", "--out"]).arg(&out);
    let end = command.output().expect("the program starts");
    assert!(end.status.success(), "{}", String::from_utf8_lossy(&end.stderr));
    let events = String::from_utf8(end.stdout).unwrap();
    let last: serde_json::Value = serde_json::from_str(events.lines().last().unwrap()).unwrap();
    assert_eq!(last["networks"], 4);
    for of in [&last, &last["repeat"]] {
        let number = |key: &str| of[key].as_f64().unwrap_or_else(|| panic!("{key} is not in {of}"));
        assert!((0.0..=1.0).contains(&number("within_10_percent")) && number("median_error") >= 0.0);
        assert!((-1.0..=1.0).contains(&number("kendall_tau")));
    }
    for pairs in ["pairs", "repeats"] {
        let pairs = last[pairs].as_array().unwrap();
        assert_eq!(pairs.len(), 4);
        assert!(pairs.iter().all(|pair| pair[0].as_f64() > Some(0.0) && pair[1].as_f64() > Some(0.0)), "{pairs:?}");
    }
    assert!(out.exists(), "the table is kept");
}

#[test]
fn tables_are_compared_by_how_they_rank_networks() {
    let scene = Scene::new();
    let request = request(&scene, "a.json");
    let built = build_table(&request, &environment(Stop::default()), &mut ()).unwrap().table;
    let (slower, backwards, partial) = (scene.path("slower"), scene.path("backwards"), scene.path("partial"));
    let changed = |change: &dyn Fn(f64) -> f64| {
        let mut table = built.clone();
        table.entries.iter_mut().for_each(|entry| entry.ms.median = change(entry.ms.median));
        table
    };
    write(&slower, &changed(&|ms| 2.0 * ms));
    // Every operation as much cheaper as it was dearer: small networks become the slow ones.
    write(&backwards, &changed(&|ms| 1e-6 / ms));
    let mut less = built.clone();
    less.entries.truncate(3);
    write(&partial, &less);
    let compare = |b: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_netadapt"));
        command.args(["latency", "compare", "--json", "--space", &scene.space, "--channels", "1", "--classes", "2"]);
        command.arg(&request.out).arg(b).output().expect("the program starts")
    };
    let tau = |b: &Path| {
        let json: serde_json::Value = serde_json::from_slice(&compare(b).stdout).unwrap();
        json["kendall_tau"].as_f64().unwrap()
    };
    assert!((tau(&slower) - 1.0).abs() < 1e-9);
    assert!(tau(&backwards) < 0.9, "{}", tau(&backwards));
    assert_eq!(compare(&partial).status.code(), Some(2));
}

/// A table of this device, with one more operation whose time at 24 neighbouring widths is `ms`.
fn with_sweep(table: &Table, ms: impl Fn(u32) -> f64) -> Table {
    let mut table = table.clone();
    let operation = Operation { kind: OperationKind::Depthwise, size: 5, kernel: 5, ..table.entries[0].operation };
    table.beside.extend((1..=24).map(|quad| {
        let operation = Operation { input: 4 * quad, output: 4 * quad, ..operation };
        Entry::new(operation, Spread::of(&[0.99, 1.0, 1.01].map(|noise| noise * ms(4 * quad))))
    }));
    table
}

#[test]
fn show_prints_and_plots_the_staircase_and_finds_its_step() {
    let scene = Scene::new();
    let request = request(&scene, "table.json");
    let built = build_table(&request, &environment(Stop::default()), &mut ()).unwrap().table;
    let show = |table: &Table, more: &[&str]| {
        write(&request.out, table);
        let mut command = Command::new(env!("CARGO_BIN_EXE_netadapt"));
        let end = command.args(["latency", "show"]).arg(&request.out).args(more).output().expect("the program starts");
        assert!(end.status.success(), "{}", String::from_utf8_lossy(&end.stderr));
        String::from_utf8(end.stdout).expect("text")
    };
    let step = |table: &Table| -> u64 {
        let json: serde_json::Value = serde_json::from_str(&show(table, &["--json"])).unwrap();
        assert_eq!(json["operations"].as_array().map(Vec::len), Some(table.curves().len()));
        json["width_step"].as_u64().unwrap()
    };
    assert_eq!(step(&built), 4, "no operation is wide enough to say");
    assert!(show(&built, &[]).contains("width step: not known"));
    assert_eq!(step(&with_sweep(&built, |width| 1e-3 * f64::from(width))), 4);
    let stairs = with_sweep(&built, |width| 1.0 + 1e-3 * f64::from(width.next_multiple_of(16)));
    assert_eq!(step(&stairs), 16);

    let page = scene.path("page.html");
    let text = show(&stairs, &["-o", &page.display().to_string()]);
    for words in ["steps of 16, 100 % of the rise", "4 to 96", "▁▁▁▁▂", "width step: 16 channels", "page.html"]
    {
        assert!(text.contains(words), "`{words}` is not in: {text}");
    }
    assert!(text.lines().count() < 24, "a screen");
    let html = std::fs::read_to_string(page).unwrap();
    assert!(html.contains("steps of <b>16 channels</b>") && html.matches("<circle").count() > 24);
    let mut hostile = stairs;
    hostile.origin.adapter.name = "<script>alert(1)</script>".into();
    assert!(!netadapt::report::table_page(&hostile).contains("<script>alert"));
}

#[test]
fn a_search_keeps_to_the_step_that_is_given() {
    let scene = Scene::new();
    let text = std::fs::read_to_string(&scene.space).unwrap();
    std::fs::write(&scene.space, text.replace("[search]", "[search]\nwidth_step = 8")).unwrap();
    let config = Config { epochs: Some(1), final_epochs: Some(1), ..scene.config("run", "60%MAC") };
    run::search(&config, environment(Stop::default()), &mut ()).unwrap();
    let rows = std::fs::read_to_string(config.out.join("candidates.csv")).unwrap();
    let header: Vec<&str> = rows.lines().next().unwrap().split(',').collect();
    let expansion = header.iter().position(|name| name.ends_with(".expansion")).unwrap();
    let widths: Vec<u32> =
        rows.lines().skip(1).map(|row| row.split(',').nth(expansion).unwrap().parse().unwrap()).collect();
    assert!(widths.len() > 4 && widths.iter().all(|width| [8, 16].contains(width)), "{widths:?}");
    for wrong in ["6", "0", "\"wide\""] {
        let wrong = text.replace("[search]", &format!("[search]\nwidth_step = {wrong}"));
        std::fs::write(&scene.space, wrong).unwrap();
        let error = run::search(&scene.config("wrong", "60%MAC"), environment(Stop::default()), &mut ()).unwrap_err();
        assert!(error.exit_code() == 2 && error.to_string().contains("width_step"), "{error}");
    }
}

/// The table of a device on which depthwise operations take 200 times as long, and all others 40 times: no load of
/// this machine makes up for that.
fn of_another_device(table: &Table) -> Table {
    let mut other = table.clone();
    other.origin.adapter.name = "Another Device".into();
    for entry in other.entries.iter_mut().chain(&mut other.beside) {
        let factor = if entry.operation.kind == OperationKind::Depthwise { 200.0 } else { 40.0 };
        entry.ms = entry.ms.scaled(factor);
    }
    other.networks.clear();
    other
}

#[test]
fn the_table_of_another_device_is_fitted_to_this_one() {
    let scene = Scene::new();
    let built = build_table(&request(&scene, "table.json"), &environment(Stop::default()), &mut ()).unwrap().table;
    let other = scene.path("other.json");
    write(&other, &of_another_device(&built));
    // It predicts what was measured here better than the table of where all takes so much longer.
    let net = netadapt::space::Space::open(&scene.space).unwrap().supernet(12, 1, 2);
    let error = |table: &Table, networks: &[WholeNetwork]| {
        let of = |whole: &WholeNetwork| {
            let arch = net.arch(whole.network.clone()).unwrap();
            (table.network_ms(&net, &arch).unwrap() / whole.ms).ln().abs()
        };
        Spread::of(&networks.iter().map(of).collect::<Vec<_>>()).median
    };
    let request = request(&scene, "fitted.json");
    let fitted = fit_table(&other, &request, 12, &environment(Stop::default()), &mut ()).unwrap();
    let [here, there] = [&fitted, &read_table(&other).unwrap()].map(|table| error(table, &fitted.networks));
    assert!(
        there > 2.0 && here < there / 4.0,
        "the fit is off by a factor of e^{here}, the other device's table by e^{there}"
    );
    assert_eq!(read_table(&request.out).unwrap(), fitted);
    let about = fitted.fitted.as_ref().expect("it says what it is");
    assert!(about.from.contains("Another Device") && about.networks == 12 && fitted.networks.len() == 12);
    assert!(fitted.clock().contains("not measured"), "{}", fitted.clock());
    // It is one of this device: searches take it.
    let config = Config { latency: Some(request.out.clone()), ..scene.config("run", "90%MAC") };
    let stopped = run::search(&config, environment(Stop::at(0)), &mut ());
    assert!(matches!(stopped, Err(RunError::Stopped { .. })), "{stopped:?}");

    let mut less = of_another_device(&built);
    less.entries.truncate(3);
    write(&other, &less);
    let error = fit_table(&other, &request, 12, &environment(Stop::default()), &mut ()).unwrap_err();
    assert!(error.exit_code() == 2 && error.to_string().contains("every operation"), "{error}");
    assert_eq!(read_table(&request.out).unwrap(), fitted, "what is there stays");
    let few = Command::new(env!("CARGO_BIN_EXE_netadapt"))
        .args(["latency", "fit", "t.json", &scene.space, "--networks", "4"])
        .output()
        .expect("the program starts");
    assert_eq!(few.status.code(), Some(2));
}

#[test]
fn a_search_for_another_device_keeps_to_what_its_table_predicts() {
    let scene = Scene::new();
    let built = build_table(&request(&scene, "table.json"), &environment(Stop::default()), &mut ()).unwrap().table;
    let path = scene.path("other.json");
    write(&path, &of_another_device(&built));
    let config = |name: &str, budget: &str| Config {
        target: Some(TargetTable::open(&path).unwrap()),
        epochs: Some(1),
        final_epochs: Some(1),
        ..scene.config(name, budget)
    };
    let run = config("run", "60%");
    let result = run::search(&run, environment(Stop::default()), &mut ()).unwrap();
    assert_eq!(result.target.as_ref().map(|device| device.name.as_str()), Some("Another Device"));
    let (initial, found) = (result.initial.target_ms.unwrap(), &result.networks[0]);
    assert!(found.target_ms.unwrap() <= 0.6 * initial, "{found:?}, {initial}");
    assert!(found.budget.resource.contains("predicted") && found.budget.latency_ms.is_none());
    let net = netadapt::space::Space::open(&scene.space).unwrap().supernet(12, 1, 2);
    let table = read_table(&path).unwrap();
    assert!((initial - table.network_ms(&net, &net.full()).unwrap()).abs() < 1e-9 * initial);
    let page = std::fs::read_to_string(run.out.join("report.html")).unwrap();
    assert!(page.contains("predicted for the target"));

    // Out of reach there, whatever it takes here.
    let error = run::search(&config("far", "0.001us"), environment(Stop::default()), &mut ()).unwrap_err();
    assert!(error.exit_code() == 3 && error.to_string().contains("out of reach"), "{error}");
    // Another table is another run.
    let stopped = config("stopped", "60%");
    run::search(&stopped, environment(Stop::at(3)), &mut ()).unwrap_err();
    write(&path, &built);
    let error = run::resume(&stopped.out, environment(Stop::default()), &mut ()).unwrap_err();
    assert!(error.to_string().contains("--target"), "{error}");
    let mut less = built;
    less.entries.truncate(3);
    write(&path, &less);
    let error = run::search(&config("less", "60%"), environment(Stop::default()), &mut ()).unwrap_err();
    assert!(error.exit_code() == 2 && error.to_string().contains("another space or size"), "{error}");
}
