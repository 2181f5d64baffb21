//! Submits that the host waits for.
//!
//! The last dispatch of each writes a number that only the host knows, the *sentinel*: a device that says it is done and
//! has not written it only pretends to work (after a reset some drivers answer, and hand out zeros). Where the device
//! has a clock of its own it is read before the first dispatch and after the last.

use super::buffer::Buf;
use super::context::Gpu;
use super::error::GpuError;
use super::pipeline::Kernel;
use super::precision::Precision;
use std::num::NonZeroU64;
use std::sync::Mutex;

/// `shaders/probe/sentinel.wgsl`.
pub static SENTINEL: Kernel =
    Kernel { name: "probe/sentinel", parts: &[include_str!("../../shaders/probe/sentinel.wgsl")], maps: false };

/// Bytes of the sentinel, and of the clock's two readings.
const SENTINEL_BYTES: u64 = 16;
const CLOCK_BYTES: u64 = 16;

/// What every submission of a device goes through.
pub(super) struct Stamps {
    params: wgpu::Buffer,
    y: wgpu::Buffer,
    /// The number of the last submission.
    number: Mutex<u32>,
    clock: Option<DeviceClock>,
}

/// The device's own clock.
struct DeviceClock {
    queries: wgpu::QuerySet,
    readings: wgpu::Buffer,
    /// Seconds of a tick.
    tick: f64,
}

impl Stamps {
    pub(super) fn new(gpu: &Gpu) -> Result<Self, GpuError> {
        use wgpu::BufferUsages as Usage;
        // Some drivers have the feature and no clock behind it.
        let tick = f64::from(gpu.queue().get_timestamp_period()) * 1e-9;
        let clock = gpu.device().features().contains(wgpu::Features::TIMESTAMP_QUERY) && tick > 0.0;
        let clock = clock.then(|| {
            let descriptor =
                wgpu::QuerySetDescriptor { label: Some("clock"), ty: wgpu::QueryType::Timestamp, count: 2 };
            Ok(DeviceClock {
                queries: gpu.device().create_query_set(&descriptor),
                readings: gpu.create("clock", CLOCK_BYTES, Usage::QUERY_RESOLVE | Usage::COPY_SRC)?,
                tick,
            })
        });
        Ok(Self {
            params: gpu.create("sentinel's params", SENTINEL_BYTES, Usage::UNIFORM | Usage::COPY_DST)?,
            y: gpu.create("sentinel", SENTINEL_BYTES, Usage::STORAGE | Usage::COPY_SRC)?,
            number: Mutex::new(0),
            clock: clock.transpose()?,
        })
    }
}

/// Work on its way to the device.
pub(super) struct Submission<'a> {
    gpu: &'a Gpu,
    stamps: &'a Stamps,
    encoder: wgpu::CommandEncoder,
    is_begun: bool,
    /// What the host gets: what is copied, the sentinel, the clock.
    staging: wgpu::Buffer,
    copied: u64,
}

/// Work that the device has.
pub(super) struct Submitted<'a> {
    gpu: &'a Gpu,
    stamps: &'a Stamps,
    staging: wgpu::Buffer,
    copied: u64,
    number: u32,
}

impl<'a> Submission<'a> {
    /// Nothing yet, with room for `copied` bytes of results.
    pub(super) fn new(gpu: &'a Gpu, copied: u64) -> Result<Self, GpuError> {
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let staging = gpu.create("readback", copied + SENTINEL_BYTES + CLOCK_BYTES, usage)?;
        let encoder = gpu.device().create_command_encoder(&Default::default());
        Ok(Self { gpu, stamps: gpu.stamps()?, encoder, is_begun: false, staging, copied })
    }

    /// The next pass; the clock is read before the first one.
    pub(super) fn pass(&mut self) -> wgpu::ComputePass<'_> {
        self.timed_pass(false)
    }

    /// Copies memory to where the host finds it.
    pub(super) fn copy(&mut self, buf: &Buf) {
        self.encoder.copy_buffer_to_buffer(&buf.raw, buf.offset, &self.staging, 0, buf.bytes);
    }

    /// Hands it to the device, with the sentinel as its last dispatch.
    pub(super) fn submit(mut self) -> Result<Submitted<'a>, GpuError> {
        let stamps = self.stamps;
        let pipeline = self.gpu.pipelines().get(self.gpu, &SENTINEL, Precision::F32, &Vec::new())?;
        let binding = |buffer| {
            let size = NonZeroU64::new(SENTINEL_BYTES);
            wgpu::BindingResource::Buffer(wgpu::BufferBinding { buffer, offset: 0, size })
        };
        let bindings = self.gpu.device().create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some(SENTINEL.name),
            layout: &pipeline.layout,
            entries: &[
                wgpu::BindGroupEntry { binding: 0, resource: binding(&stamps.params) },
                wgpu::BindGroupEntry { binding: 1, resource: binding(&stamps.y) },
            ],
        });
        {
            let mut pass = self.timed_pass(true);
            pass.set_pipeline(&pipeline.raw);
            pass.set_bind_group(0, &bindings, &[]);
            pass.dispatch_workgroups(1, 1, 1);
        }
        self.encoder.copy_buffer_to_buffer(&stamps.y, 0, &self.staging, self.copied, SENTINEL_BYTES);
        if let Some(clock) = &stamps.clock {
            let to = self.copied + SENTINEL_BYTES;
            self.encoder.resolve_query_set(&clock.queries, 0..2, &clock.readings, 0);
            self.encoder.copy_buffer_to_buffer(&clock.readings, 0, &self.staging, to, CLOCK_BYTES);
        }
        let Self { gpu, encoder, staging, copied, .. } = self;
        // No other thread's number may come between this one and its submit.
        let mut number = stamps.number.lock().expect("no holder of this lock panics");
        *number = number.wrapping_add(1);
        gpu.queue().write_buffer(&stamps.params, 0, bytemuck::bytes_of(&*number));
        gpu.queue().submit([encoder.finish()]);
        Ok(Submitted { gpu, stamps, staging, copied, number: *number })
    }

    fn timed_pass(&mut self, is_last: bool) -> wgpu::ComputePass<'_> {
        let is_first = !std::mem::replace(&mut self.is_begun, true);
        let timestamp_writes = self.stamps.clock.as_ref().filter(|_| is_first || is_last);
        let timestamp_writes = timestamp_writes.map(|clock| wgpu::ComputePassTimestampWrites {
            query_set: &clock.queries,
            beginning_of_pass_write_index: is_first.then_some(0),
            end_of_pass_write_index: is_last.then_some(1),
        });
        self.encoder.begin_compute_pass(&wgpu::ComputePassDescriptor { label: None, timestamp_writes })
    }
}

impl Submitted<'_> {
    /// Waits for the device, and hands out what was copied and the seconds that its own clock says; none where it has
    /// no clock, or the clock says nothing.
    ///
    /// # Errors
    /// `GpuError::Lost` where the sentinel is missing.
    pub(super) fn collect<T: bytemuck::Pod>(self) -> Result<(Vec<T>, Option<f64>), GpuError> {
        let lost = |what: &str| GpuError::Lost { reason: what.to_owned() };
        self.staging.slice(..).map_async(wgpu::MapMode::Read, |_| {});
        self.gpu.wait()?;
        let slice = |from: u64, bytes: u64| {
            let mapped = self.staging.slice(from..from + bytes).get_mapped_range();
            mapped.map_err(|error| lost(&format!("what it left cannot be read: {error}")))
        };
        if slice(self.copied, SENTINEL_BYTES)?.first_chunk() != Some(&self.number.to_ne_bytes()) {
            return Err(lost("it says that it is done, and what its last dispatch writes is missing"));
        }
        let values = if self.copied == 0 { Vec::new() } else { bytemuck::pod_collect_to_vec(&slice(0, self.copied)?) };
        let seconds = match &self.stamps.clock {
            None => None,
            Some(clock) => {
                let ticks: Vec<u64> = bytemuck::pod_collect_to_vec(&slice(self.copied + SENTINEL_BYTES, CLOCK_BYTES)?);
                // A clock that was not read says 0.
                let passed = ticks[1].checked_sub(ticks[0]).filter(|passed| ticks[0] > 0 && *passed > 0);
                passed.map(|ticks| ticks as f64 * clock.tick)
            }
        };
        self.staging.unmap();
        Ok((values, seconds))
    }
}
