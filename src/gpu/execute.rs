//! Recordings made ready for a device, and run.

use super::buffer::Buf;
use super::clock::{Elapsed, Stopwatch};
use super::context::Gpu;
use super::error::GpuError;
use super::pipeline::Pipeline;
use super::precision::Precision;
use super::recording::{Launch, Recording, Work};
use super::reflect::Access;
use super::submission::Submission;
use std::iter::Peekable;
use std::sync::Arc;
use std::time::Instant;

/// Alignment of a uniform block in its buffer that every device accepts.
const UNIFORM_STRIDE: u64 = 256;

/// Launches that one compute pass of a submit holds at most.
const PASS_LAUNCHES: usize = 512;

/// A recording with its pipelines, bind groups and parameters, made once and run many times.
pub struct Program {
    gpu: Gpu,
    steps: Vec<Step>,
}

struct Step {
    pipeline: Arc<Pipeline>,
    bindings: wgpu::BindGroup,
    /// What is bound stays held as long as it may be run.
    _bufs: Vec<Buf>,
    groups: [u32; 3],
    label: String,
    kernel: &'static str,
    work: Work,
}

impl Gpu {
    /// Seconds of wall clock that `repeats` copies of `from` to `to` in one submit take, the submit included.
    pub fn copy_seconds(&self, from: &Buf, to: &Buf, repeats: u32) -> Result<f64, GpuError> {
        self.wait()?;
        let start = Instant::now();
        let mut encoder = self.device().create_command_encoder(&Default::default());
        for _ in 0..repeats {
            encoder.copy_buffer_to_buffer(&from.raw, from.offset, &to.raw, to.offset, from.bytes);
        }
        self.queue().submit([encoder.finish()]);
        self.wait()?;
        Ok(start.elapsed().as_secs_f64())
    }

    /// Times a submit from its recording on, the queue empty before.
    fn timed(&self, record: impl FnOnce(&mut Submission<'_>)) -> Result<Elapsed, GpuError> {
        self.wait()?;
        let mut submission = Submission::new(self, 0)?;
        let start = Stopwatch::start();
        record(&mut submission);
        let submitted = submission.submit()?;
        self.wait()?;
        let elapsed = start.elapsed();
        let (_, device) = submitted.collect::<u8>()?;
        Ok(Elapsed { device, ..elapsed })
    }
}

impl Program {
    /// Compiles what is not compiled yet, checks every launch against its shader and makes the bind groups.
    pub fn new(gpu: &Gpu, recording: Recording) -> Result<Self, GpuError> {
        let launches = recording.into_launches();
        let usage = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
        let params = gpu.create("params", (launches.len() as u64).max(1) * UNIFORM_STRIDE, usage)?;
        let mut steps = Vec::with_capacity(launches.len());
        for (index, (label, launch)) in launches.enumerate() {
            let offset = index as u64 * UNIFORM_STRIDE;
            gpu.queue().write_buffer(&params, offset, &launch.params);
            steps.push(Step::new(gpu, label, launch, &params, offset)?);
        }
        gpu.check()?;
        Ok(Self { gpu: gpu.clone(), steps })
    }

    /// Submits all launches once and returns without waiting.
    pub fn run(&self) {
        self.run_repeated(1);
    }

    /// Submits all launches `repeats` times over in one submit and returns without waiting.
    pub fn run_repeated(&self, repeats: u32) {
        let mut encoder = self.gpu.device().create_command_encoder(&Default::default());
        let mut steps = self.repeated(repeats);
        while steps.peek().is_some() {
            record(&mut encoder.begin_compute_pass(&Default::default()), &mut steps);
        }
        self.gpu.queue().submit([encoder.finish()]);
    }

    fn repeated(&self, repeats: u32) -> Peekable<impl Iterator<Item = &Step>> {
        (0..repeats).flat_map(|_| &self.steps).peekable()
    }

    /// Seconds of wall clock that `repeats` runs in one submit take, the submit itself included.
    pub fn seconds(&self, repeats: u32) -> Result<f64, GpuError> {
        Ok(self.elapsed(repeats)?.wall)
    }

    /// The same by all clocks.
    pub fn elapsed(&self, repeats: u32) -> Result<Elapsed, GpuError> {
        self.gpu.timed(|submission| {
            let mut steps = self.repeated(repeats);
            while steps.peek().is_some() {
                record(&mut submission.pass(), &mut steps);
            }
        })
    }

    /// Label, kernel and cost of every launch.
    pub fn launches(&self) -> impl Iterator<Item = (&str, &'static str, Work)> {
        self.steps.iter().map(|step| (step.label.as_str(), step.kernel, step.work))
    }

    /// Seconds of launch `index` alone, `repeats` times in one submit, the submit included.
    pub fn launch_seconds(&self, index: usize, repeats: u32) -> Result<f64, GpuError> {
        Ok(self.launch_elapsed(index, repeats)?.wall)
    }

    /// The same by all clocks.
    pub fn launch_elapsed(&self, index: usize, repeats: u32) -> Result<Elapsed, GpuError> {
        let step = &self.steps[index];
        self.gpu.timed(|submission| {
            let mut pass = submission.pass();
            pass.set_pipeline(&step.pipeline.raw);
            pass.set_bind_group(0, &step.bindings, &[]);
            for _ in 0..repeats {
                pass.dispatch_workgroups(step.groups[0], step.groups[1], step.groups[2]);
            }
        })
    }
}

/// Records the next steps, as many as a pass holds.
fn record<'a>(pass: &mut wgpu::ComputePass<'_>, steps: &mut impl Iterator<Item = &'a Step>) {
    for step in steps.take(PASS_LAUNCHES) {
        pass.set_pipeline(&step.pipeline.raw);
        pass.set_bind_group(0, &step.bindings, &[]);
        pass.dispatch_workgroups(step.groups[0], step.groups[1], step.groups[2]);
    }
}

impl Step {
    fn new(gpu: &Gpu, label: String, launch: Launch, params: &wgpu::Buffer, offset: u64) -> Result<Self, GpuError> {
        let (kernel, precision, overrides) = launch.key();
        let pipeline = gpu.pipelines().get(gpu, kernel, precision, overrides)?;
        let wrong = |problem: String| GpuError::Launch { launch: label.clone(), problem };
        let limit = gpu.limits().workgroups;
        if launch.groups.iter().any(|groups| *groups > limit) {
            return Err(GpuError::TooManyGroups { launch: label.clone(), groups: launch.groups, limit });
        }
        let reflection = &pipeline.reflection;
        if launch.params.len() != reflection.params_bytes as usize {
            return Err(wrong(format!(
                "the host's Params has {} bytes, the shader's {}",
                launch.params.len(),
                reflection.params_bytes
            )));
        }
        let uniforms = reflection.bindings.iter().filter(|(_, access)| *access == Access::Uniform).count();
        if launch.bindings.len() + uniforms != reflection.bindings.len() {
            return Err(wrong(format!("{} buffers for {:?}", launch.bindings.len(), reflection.bindings)));
        }
        let mut entries = Vec::with_capacity(reflection.bindings.len());
        for (binding, (name, access)) in reflection.bindings.iter().enumerate() {
            let resource = if *access == Access::Uniform {
                wgpu::BufferBinding {
                    buffer: params,
                    offset,
                    size: std::num::NonZeroU64::new(u64::from(reflection.params_bytes).next_multiple_of(16)),
                }
            } else {
                let (_, buf) = launch
                    .bindings
                    .iter()
                    .find(|(bound, _)| bound == name)
                    .ok_or_else(|| wrong(format!("nothing is bound to `{name}`")))?;
                if (buf.precision() == Precision::Bf16) != reflection.halves.contains(name) {
                    return Err(wrong(format!("`{name}` is bound to a map of {}", buf.precision())));
                }
                let aliased = *access == Access::ReadWrite
                    && launch.bindings.iter().any(|(other, b)| other != name && b.shares_memory_with(buf));
                if aliased {
                    return Err(wrong(format!("`{name}` is written and also bound under another name")));
                }
                wgpu::BufferBinding { buffer: &buf.raw, offset: buf.offset, size: std::num::NonZeroU64::new(buf.bytes) }
            };
            entries.push(wgpu::BindGroupEntry {
                binding: binding as u32,
                resource: wgpu::BindingResource::Buffer(resource),
            });
        }
        let bindings = gpu.device().create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some(&label),
            layout: &pipeline.layout,
            entries: &entries,
        });
        Ok(Self {
            bindings,
            _bufs: launch.bindings.into_iter().map(|(_, buf)| buf).collect(),
            groups: launch.groups,
            kernel: launch.kernel.name,
            work: launch.work,
            label,
            pipeline,
        })
    }
}
