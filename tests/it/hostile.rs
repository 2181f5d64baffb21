//! Files from strangers: whatever is in them, an error or a value comes out, quickly, and never a panic.
//!
//! 2,000 changed files of each format; 50,000 with `NETADAPT_LONG=1`. Exports are in `export.rs`.

use crate::memory::peak;
use crate::scene::Scene;
use netadapt::graph::lower;
use netadapt::latency::Table;
use netadapt::rng::{Purpose, stream};
use netadapt::run::{self, Environment, RunError, Stop};
use netadapt::space::Space;
use rand::{Rng, RngExt};
use std::time::{Duration, Instant};

pub(crate) fn count() -> u64 {
    if std::env::var_os("NETADAPT_LONG").is_some() { 50_000 } else { 2_000 }
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

#[test]
fn spaces() {
    for (index, preset) in ["tiny", "mobile", "plain"].into_iter().enumerate() {
        let text = std::fs::read(format!("{}/assets/spaces/{preset}.toml", env!("CARGO_MANIFEST_DIR"))).unwrap();
        check(index as u64, &text, |bytes| {
            let Ok(text) = std::str::from_utf8(bytes) else { return false };
            let Ok(space) = Space::parse("changed", text) else { return false };
            if space.validate_size("changed", space.size).is_err() {
                return false;
            }
            let net = space.supernet(space.size, 3, 10);
            lower(&net, &net.full());
            net.macs(&net.smallest()) <= net.macs(&net.full())
        });
    }
}

#[test]
fn the_files_of_a_run() {
    let scene = Scene::new();
    let gpu = crate::harness::gpu();
    let config = run::Config { replay: None, ..scene.config("run", "70%MAC") };
    let stop = |at| Environment { stop: Stop::at(at), ..Environment::from(gpu.clone()) };
    // Into the scores, so that every kind of file is there.
    let mut at = 0;
    let state = config.out.join("state");
    let has = |name: &str| std::fs::read(state.join(name)).is_ok_and(|bytes| bytes.len() > 100);
    let mut result = run::search(&config, stop(60), &mut ());
    while !has("scores.jsonl") {
        assert!(matches!(result, Err(RunError::Stopped { .. })), "{result:?}");
        at += 1;
        result = run::resume(&config.out, stop(at), &mut ());
    }
    let table = std::fs::read_dir(config.out.join("latency")).unwrap().next().unwrap().unwrap().path();
    let text = std::fs::read(table).unwrap();
    check(20, &text, |bytes| std::str::from_utf8(bytes).is_ok_and(|text| Table::from_json(text).is_ok()));

    // A run that goes on opens its device and reads its images, so there are fewer tries of each.
    let tries = count() / 100;
    let checkpoint = std::fs::read_dir(&state).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    let checkpoint = checkpoint.filter(|name| name.ends_with(".checkpoint")).max().expect("there is one");
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
    for (index, name) in names.into_iter().chain([format!("state/{checkpoint}").as_str()]).enumerate() {
        let path = config.out.join(name);
        let original = std::fs::read(&path).unwrap();
        for change in 0..tries {
            let bytes = mutated(&original, &mut stream(0, Purpose::Data, 30 + index as u64, change));
            std::fs::write(&path, &bytes).unwrap();
            let result = run::resume(&config.out, stop(0), &mut ());
            assert!(result.is_err(), "it stops before its next piece of work");
            if let Err(error) = result {
                // An error of ours, in words.
                assert!(!error.to_string().is_empty(), "{name}");
            }
        }
        std::fs::write(&path, &original).unwrap();
    }
}
