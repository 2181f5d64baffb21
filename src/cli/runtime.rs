//! Another runtime for `netadapt export --cross-check`: a Python script that times `model.onnx` there.

use crate::export::CrossCheck;
use crate::gpu::Gpu;
use crate::graph::Deployed;
use crate::kernels::Tuning;
use crate::latency::alternate;
use crate::model::Network;
use crate::run::RunError;
use anyhow::Context;
use serde::Deserialize;
use std::path::Path;
use std::process::Command;

/// Which runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Runtime {
    /// onnxruntime on the processor, through Python.
    Onnxruntime,
}

/// Names the Python that has the runtime.
const PYTHON: &str = "NETADAPT_PYTHON";
const SCRIPT: &str = include_str!("../../assets/export/onnxruntime_latency.py");
/// Seconds that each of the two is measured for.
const SECONDS: f64 = 5.0;

/// What the script prints.
#[derive(Deserialize)]
struct Timed {
    runtime: String,
    median_ms: f64,
}

/// Times `network` here with these tile sizes and its file `onnx` there, one after the other, in batches of `batch`.
///
/// # Errors
/// Where there is no such Python, or it says why it cannot; `RunError` where the device fails.
pub(super) fn cross_check(
    Runtime::Onnxruntime: Runtime,
    gpu: &Gpu,
    tuning: &Tuning,
    network: &Network,
    (onnx, batch): (&[u8], u32),
) -> anyhow::Result<CrossCheck> {
    let path = std::env::temp_dir().join(format!("netadapt-{}.onnx", std::process::id()));
    std::fs::write(&path, onnx).with_context(|| format!("cannot write {}", path.display()))?;
    let timed = there(&path, batch);
    // Nothing is lost by a file that stays in a folder for such files.
    let _ = std::fs::remove_file(&path);
    let Timed { runtime, median_ms } = timed?;
    let deployed = Deployed::new(gpu, &network.graph, &network.weights, tuning, batch);
    let program = deployed.map_err(RunError::from)?.into_program();
    let here = alternate(gpu, &[&program], SECONDS).map_err(RunError::from)?[0];
    let device = format!("{} ({})", gpu.adapter().name, gpu.adapter().driver);
    Ok(CrossCheck { runtime, runtime_ms: median_ms, engine_ms: here.median_ms, device, batch })
}

fn there(onnx: &Path, batch: u32) -> anyhow::Result<Timed> {
    let python = std::env::var_os(PYTHON).unwrap_or_else(|| "python3".into());
    let (name, advice) = (python.to_string_lossy(), format!("{PYTHON} names a Python that has onnxruntime and numpy"));
    let mut command = Command::new(&python);
    command.args(["-c", SCRIPT]).arg(onnx).args([batch.to_string(), SECONDS.to_string()]);
    let output = command.output().with_context(|| format!("cannot start `{name}` ({advice})"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it did not say why");
    anyhow::ensure!(output.status.success(), "cannot measure in onnxruntime with `{name}`: {last} ({advice})");
    serde_json::from_slice(&output.stdout)
        .with_context(|| format!("`{name}` printed no latency: {}", String::from_utf8_lossy(&output.stdout).trim()))
}
