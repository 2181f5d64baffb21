//! Rules of the house that a machine can check.

use netadapt::gpu::Precision;
use netadapt::kernels::{ALL, Tuning};
use netadapt::latency::LAYERS;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Paths from the root, with forward slashes, of all files below a folder that end so.
fn files(folder: &str, suffix: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root().join(folder)).expect("a folder of the project") {
        let entry = entry.expect("an entry");
        let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            found.extend(files(&path, suffix));
        } else if path.ends_with(suffix) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Lines outside comments that contain `needle`, where `allowed` does not hold.
fn offenders(needle: &str, allowed: impl Fn(&str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for path in files("src", ".rs").into_iter().filter(|path| !allowed(path)) {
        let text = fs::read_to_string(root().join(&path)).expect("a source file");
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"));
        found.extend(lines.filter(|(_, line)| line.contains(needle)).map(|(i, _)| format!("{path}:{}", i + 1)));
    }
    found
}

#[test]
fn only_the_gpu_module_names_wgpu() {
    assert_eq!(offenders("wgpu::", |path| path.starts_with("src/gpu/")), [""; 0]);
}

#[test]
fn only_reflection_names_naga() {
    assert_eq!(offenders("naga::", |path| path == "src/gpu/reflect.rs"), [""; 0]);
}

#[test]
fn only_the_command_line_prints() {
    for needle in ["println!", "print!(", "dbg!"] {
        let allowed = |path: &str| path.starts_with("src/cli/") || path.starts_with("src/bin/");
        assert_eq!(offenders(needle, allowed), [""; 0], "{needle}");
    }
}

/// `shaders/conv/`, and `conv.rs` in `src/kernels/`, `src/reference/`, `src/check/` and `tests/it/kernels/`.
#[test]
fn a_kernel_family_has_one_stem_everywhere() {
    let stems = |folder: &str| -> Vec<String> {
        let other = ["mod", "tuning", "agreement", "operands"];
        let stem = |path: String| Path::new(&path).file_stem().expect("a stem").to_string_lossy().into_owned();
        files(folder, ".rs").into_iter().map(stem).filter(|stem| !other.contains(&stem.as_str())).collect()
    };
    let families = stems("src/kernels");
    assert!(families.len() > 1);
    assert_eq!(stems("src/reference"), families);
    assert_eq!(stems("src/check"), families);
    assert_eq!(stems("tests/it/kernels"), families);
    let mut shaders: Vec<String> =
        files("shaders", ".wgsl").iter().filter_map(|path| path.split('/').nth(1).map(str::to_owned)).collect();
    shaders.dedup();
    shaders.retain(|folder| folder != "lib");
    assert_eq!(shaders, families);
}

/// Every kernel's test is a module of the one binary: a file that nobody declares would never run.
#[test]
fn every_test_file_is_declared() {
    for folder in ["tests/it", "tests/it/kernels"] {
        let main = if folder == "tests/it" { "main.rs" } else { "mod.rs" };
        let text = fs::read_to_string(root().join(folder).join(main)).expect("the list of modules");
        for path in
            files(folder, ".rs").iter().filter(|path| path.matches('/').count() == folder.matches('/').count() + 1)
        {
            let stem = Path::new(path).file_stem().expect("a stem").to_string_lossy();
            let declared = text.lines().any(|line| line.starts_with(&format!("mod {stem};")));
            assert!(declared || path.ends_with(main), "{path} is not in {folder}/{main}");
        }
    }
}

/// Each format that is read has a fuzz target of its name that feeds its reader, and there are no others.
#[test]
fn every_format_has_a_fuzz_target() {
    let names: Vec<&str> = netadapt::formats::FORMATS.iter().map(|format| format.name).collect();
    let text = fs::read_to_string(root().join("fuzz/Cargo.toml")).expect("the targets' manifest");
    let manifest: toml::Table = text.parse().expect("TOML");
    let bins = manifest["bin"].as_array().expect("a list of targets");
    let targets: Vec<&str> = bins.iter().map(|bin| bin["name"].as_str().expect("a name")).collect();
    assert_eq!(targets, names);
    let mut paths: Vec<String> = names.iter().map(|name| format!("fuzz/targets/{name}.rs")).collect();
    for (path, name) in paths.iter().zip(&names) {
        let target = fs::read_to_string(root().join(path)).expect("a target");
        assert!(target.contains(&format!("format(\"{name}\").reads(bytes)")), "{path} feeds another reader");
    }
    paths.sort();
    assert_eq!(files("fuzz/targets", ".rs"), paths);
}

/// A kernel that `netadapt-bench kernels` does not run is one whose speed nobody sees.
#[test]
fn every_kernel_has_a_row_in_the_benchmark() {
    let gpu = crate::harness::gpu();
    let tuning = Tuning::for_adapter(gpu.adapter());
    let mut measured = Vec::new();
    for layer in LAYERS {
        let recorded = layer.record(gpu, &tuning, 2, Precision::F32).expect("operands fit");
        for launch in recorded.recording.launches() {
            assert!(launch.work.bytes > 0, "{} at {layer} says that it moves nothing", launch.kernel.name);
            measured.push(launch.kernel.name);
        }
    }
    let missing: Vec<&str> = ALL.iter().map(|kernel| kernel.name).filter(|name| !measured.contains(name)).collect();
    assert_eq!(missing, [""; 0]);
}

/// What the table of imports in ARCHITECTURE.md lets each module use.
fn allowed_imports() -> BTreeMap<String, BTreeSet<String>> {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("it is there");
    let rows = text.lines().skip_while(|line| *line != "| module | may use |").skip(2);
    let rows: Vec<[Vec<String>; 2]> = rows
        .map_while(|line| line.strip_prefix("| ")?.strip_suffix(" |")?.split_once(" | "))
        .map(|(modules, uses)| {
            // Remarks are in brackets or after a semicolon.
            let uses: Vec<&str> = uses.split(';').next().expect("there is a first").split('(').collect();
            let uses: String = uses.iter().map(|part| part.split_once(')').map_or(*part, |(_, rest)| rest)).collect();
            [modules.to_owned(), uses].map(|list| list.split(',').map(|name| name.trim().to_owned()).collect())
        })
        .collect();
    let all =
        |rows: &[[Vec<String>; 2]]| rows.iter().flat_map(|[modules, _]| modules).cloned().collect::<BTreeSet<_>>();
    let mut allowed = BTreeMap::new();
    for (index, [modules, uses]) in rows.iter().enumerate() {
        let mut names = BTreeSet::new();
        for name in uses {
            match name.as_str() {
                "nothing of ours" => {}
                "each other" => names.extend(modules.iter().cloned()),
                "everything above but check" => names.extend(all(&rows[..index]).into_iter().filter(|n| n != "check")),
                "everything but cli" => names.extend(all(&rows).into_iter().filter(|n| n != "cli")),
                "everything" => names.extend(all(&rows)),
                name => drop(names.insert(name.to_owned())),
            }
        }
        modules.iter().for_each(|module| drop(allowed.insert(module.clone(), names.clone())));
    }
    allowed
}

#[test]
fn modules_use_what_the_table_of_imports_lets_them() {
    let allowed = allowed_imports();
    let mut offenders = Vec::new();
    for path in files("src", ".rs") {
        let module = path.split('/').nth(1).expect("a file is in the folder").trim_end_matches(".rs");
        if ["bin", "lib"].contains(&module) {
            continue;
        }
        let may = allowed.get(module).unwrap_or_else(|| panic!("{module} is not in the table"));
        let text = fs::read_to_string(root().join(&path)).expect("a source file");
        let own = text.split("#[cfg(test)]").next().expect("there is a first");
        let lines = own.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"));
        for (number, line) in lines {
            for used in line.split("crate::").skip(1) {
                let name = used.split(|c: char| !c.is_ascii_lowercase()).next().expect("there is a first");
                if name != module && !may.contains(name) {
                    offenders.push(format!("{path}:{}: {name}", number + 1));
                }
            }
        }
    }
    assert_eq!(offenders, [""; 0]);
    assert!(allowed["kernels"].contains("gpu") && !allowed["kernels"].contains("graph"), "{allowed:?}");
}
