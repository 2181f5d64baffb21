//! Many small files: 2,000, and 200,000 with `NETADAPT_LONG=1`.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use netadapt::rng::{Purpose, stream};
use rand::RngExt as _;

use super::{Folder, grey};
use crate::harness::is_long;

/// Most memory that a check may take, in bytes.
const MOST: u64 = 500 << 20;

/// Memory that a process took at most so far, in bytes; 0 once it is gone.
fn peak(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok()).map_or(0, |kib| kib << 10)
}

/// Pictures with a dark margin, as digits have them: their difference hashes have much in common.
fn fill(folder: &Folder, count: usize) {
    std::thread::scope(|scope| {
        for class in 0..4 {
            scope.spawn(move || {
                for i in (class..count).step_by(4) {
                    let mut rng = stream(0, Purpose::Data, 1, i as u64);
                    let levels: Vec<u8> = (0..64).map(|_| rng.random()).collect();
                    let image = grey(16, 16, |x, y| match (x, y) {
                        (4..12, 4..12) => levels[(8 * (y - 4) + x - 4) as usize],
                        _ => 0,
                    });
                    folder.image(&format!("{class}/{i}.png"), &image);
                }
            });
        }
    });
}

#[cfg(target_os = "linux")]
#[test]
fn a_check_of_many_files_takes_little_memory() {
    let (folder, count) = (Folder::new(), if is_long() { 200_000 } else { 2_000 });
    fill(&folder, count);
    let begun = Instant::now();
    let mut command = Command::new(env!("CARGO_BIN_EXE_netadapt-data"));
    command.arg("check").arg(folder.root()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut most = 0;
    while child.try_wait().unwrap().is_none() {
        most = most.max(peak(child.id()));
        std::thread::sleep(Duration::from_millis(5));
    }
    let output = child.wait_with_output().unwrap();
    let (text, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{text}{errors}");
    assert!(text.contains(&format!("{count} grey")), "{text}");
    assert!(most > 1 << 20 && most < MOST, "{} MiB", most >> 20);
    let seconds = begun.elapsed().as_secs_f64();
    // With progress and the time left, where it takes longer than a line is waited for.
    assert!(seconds < 60.0 || errors.contains(" left"), "{seconds} s: {errors}");
}
