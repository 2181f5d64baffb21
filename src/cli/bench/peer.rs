//! Another framework beside ours: a process that times the same work when it is its turn.

use crate::data::Sample;
use crate::latency::Layer;
use crate::space::Space;
use anyhow::Context;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// Which framework.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Name {
    /// PyTorch, eager, on the same processor or its own GPU.
    Pytorch,
}

/// Where its scripts lie, from the root of the project.
const SCRIPTS: &str = "benches/peers";

/// A framework that was started.
pub(super) struct Peer {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    /// Its name, version and device.
    pub(super) name: String,
}

/// Work that a peer has prepared.
#[derive(Clone, Copy)]
pub(super) struct Prepared(u64);

impl Peer {
    /// Starts it on the processor, or on a GPU where ours is one.
    ///
    /// # Errors
    /// Where it is not installed or does not start.
    pub(super) fn start(name: Name, gpu: bool) -> anyhow::Result<Self> {
        let Name::Pytorch = name;
        let folder = Path::new(SCRIPTS);
        let script = folder.join("pytorch.py");
        anyhow::ensure!(
            script.exists(),
            "{} is not here: a peer is measured from the project's root",
            script.display()
        );
        let python =
            std::env::var_os("NETADAPT_PEER_PYTHON").map_or_else(|| folder.join(".venv/bin/python"), PathBuf::from);
        anyhow::ensure!(
            python.exists(),
            "{} is not there; {SCRIPTS}/install installs PyTorch, or NETADAPT_PEER_PYTHON names a Python that has it",
            python.display()
        );
        let mut process = Command::new(&python)
            .arg(&script)
            // A driver of its own libraries is for us alone.
            .env_remove("LD_LIBRARY_PATH")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", python.display()))?;
        let input = process.stdin.take().expect("its input is piped");
        let output = BufReader::new(process.stdout.take().expect("its output is piped"));
        let mut peer = Self { process, input, output, name: String::new() };
        let tf32 = std::env::var_os("NETADAPT_PEER_TF32").is_some();
        let hello = peer.ask(&json!({ "gpu": gpu, "tf32": tf32 }))?;
        hello["peer"].as_str().unwrap_or("PyTorch").clone_into(&mut peer.name);
        if tf32 && gpu {
            peer.name.push_str(" with TF32");
        }
        Ok(peer)
    }

    fn ask(&mut self, question: &Value) -> anyhow::Result<Value> {
        let mut line = String::new();
        let asked = writeln!(self.input, "{question}").and_then(|()| self.input.flush());
        let answered = asked.and_then(|()| self.output.read_line(&mut line)).context("the peer does not answer")?;
        anyhow::ensure!(answered > 0, "the peer ended: see its message above");
        serde_json::from_str(&line).with_context(|| format!("the peer said `{}`", line.trim_end()))
    }

    fn prepare(&mut self, kind: &str, arguments: &Value) -> anyhow::Result<Prepared> {
        let answer = self.ask(&json!({ "prepare": [kind, arguments] }))?;
        answer["ready"].as_u64().map(Prepared).context("the peer prepared nothing")
    }

    /// A training step of the space's full network, of a batch at random widths with `masks`.
    pub(super) fn step(&mut self, space: &Space, [size, batch]: [u32; 2], masks: bool) -> anyhow::Result<Prepared> {
        self.prepare("step", &json!({ "space": space, "size": size, "batch": batch, "masks": masks }))
    }

    /// The same pass of a convolution; none for other kernels.
    pub(super) fn kernel(&mut self, kernel: &str, layer: &Layer, batch: u32) -> anyhow::Result<Option<Prepared>> {
        let (side, stride, size, channels, filters, groups) = match *layer {
            Layer::Conv { kernel, stride, size, channels, filters } => (kernel, stride, size, channels, filters, 1),
            Layer::Depthwise { kernel, stride, size, channels } => (kernel, stride, size, channels, channels, channels),
            _ => return Ok(None),
        };
        let Some((_, direction)) = kernel.split_once('/') else { return Ok(None) };
        let arguments = json!({
            "kernel": side, "stride": stride, "size": size, "channels": channels, "filters": filters,
            "groups": groups, "batch": batch, "direction": direction,
        });
        self.prepare("convolution", &arguments).map(Some)
    }

    /// A pass that reads, decodes, resizes and cuts these images, in batches, by so many processes.
    pub(super) fn decoding(
        &mut self,
        samples: &[Sample],
        [size, batch]: [u32; 2],
        workers: usize,
    ) -> anyhow::Result<Prepared> {
        let first = samples.first().context("there is no image")?;
        // A class is a folder of the root.
        let root = first.path.ancestors().nth(2).context("an image is in no class's folder")?;
        let files: Vec<_> = samples.iter().map(|sample| (sample.path.canonicalize(), sample.label)).collect();
        let files: Vec<_> =
            files.into_iter().map(|(path, label)| Ok((path?, label))).collect::<std::io::Result<_>>()?;
        let arguments = json!({ "root": root, "files": files, "size": size, "batch": batch, "workers": workers });
        self.prepare("decoding", &arguments)
    }

    /// Median seconds of prepared work, over `least` seconds or three calls.
    pub(super) fn seconds(&mut self, work: Prepared, least: f64) -> anyhow::Result<f64> {
        let answer = self.ask(&json!({ "time": work.0, "least": least }))?;
        answer["seconds"].as_f64().filter(|s| *s > 0.0).context("the peer measured nothing")
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It ends with its input; a peer that hangs must not keep us.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
