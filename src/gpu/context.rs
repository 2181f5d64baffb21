//! Adapters, a device and its limits.

use super::buffer::{Buf, Held};
use super::error::GpuError;
use super::pipeline::{Kernel, PipelineCache};
use super::precision::Words;
use super::submission::{Stamps, Submission};
use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

/// How to open a device.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Index in `adapters()`; the fastest kind of adapter where nothing is said.
    pub device: Option<usize>,
    /// Only what WebGPU promises everywhere: its default limits and strict compliance.
    pub portable: bool,
}

/// What is known of an adapter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adapter {
    /// The device's name.
    pub name: String,
    /// Driver and version.
    pub driver: String,
    /// `vulkan`, `metal` or `dx12`.
    pub backend: String,
    /// `discrete`, `integrated`, `virtual`, `software` or `other`.
    pub kind: String,
    /// Vendor and device number of PCI.
    pub pci: (u32, u32),
}

impl Adapter {
    fn new(info: &wgpu::AdapterInfo) -> Self {
        Self {
            name: info.name.clone(),
            driver: format!("{} {}", info.driver, info.driver_info).trim().to_owned(),
            backend: info.backend.to_string().to_lowercase(),
            kind: match info.device_type {
                wgpu::DeviceType::DiscreteGpu => "discrete",
                wgpu::DeviceType::IntegratedGpu => "integrated",
                wgpu::DeviceType::VirtualGpu => "virtual",
                wgpu::DeviceType::Cpu => "software",
                wgpu::DeviceType::Other => "other",
            }
            .into(),
            pci: (info.vendor, info.device),
        }
    }

    /// The release of Mesa that its driver is of, if it is.
    pub fn mesa(&self) -> Option<u32> {
        let (_, version) = self.driver.split_once("Mesa ")?;
        version.split('.').next()?.parse().ok()
    }

    /// Whether it is a processor that plays a GPU.
    pub fn is_software(&self) -> bool {
        self.kind == "software"
    }
}

impl std::fmt::Display for Adapter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({}, {}, {})", self.name, self.kind, self.backend, self.driver)
    }
}

/// What a device accepts at most, of what the kernels need.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// Bytes of a buffer that a kernel works on.
    pub buffer_bytes: u64,
    /// Workgroups of a launch in one dimension.
    pub workgroups: u32,
    /// Invocations of a workgroup.
    pub lanes: u32,
    /// Bytes of a workgroup's own memory.
    pub workgroup_bytes: u32,
}

/// A device, its queue, and the kernels compiled for it. Cloning makes another handle.
#[derive(Clone)]
pub struct Gpu(Arc<Inner>);

struct Inner {
    device: wgpu::Device,
    queue: wgpu::Queue,
    adapter: Adapter,
    limits: wgpu::Limits,
    pipelines: PipelineCache,
    stamps: OnceLock<Stamps>,
    fault: Arc<Mutex<Fault>>,
    held_bytes: Arc<AtomicU64>,
    /// `u64::MAX` where none is refused.
    allocations_left: AtomicU64,
    /// Bytes that may be held.
    most_bytes: AtomicU64,
    /// Milliseconds that a wait may take.
    patience_ms: AtomicU64,
}

/// What the device said of itself first, and whether it is gone: after that its errors say little.
#[derive(Default)]
struct Fault {
    error: Option<String>,
    lost: Option<String>,
}

fn lock(fault: &Mutex<Fault>) -> MutexGuard<'_, Fault> {
    fault.lock().expect("no holder of this lock panics")
}

/// A wait that takes longer is one for a driver that hangs.
const PATIENCE: Duration = Duration::from_secs(600);

/// GL has no bounds checks (wgpu #6151), so a kernel's fault could read anything: it is refused.
const BACKENDS: wgpu::Backends = wgpu::Backends::VULKAN.union(wgpu::Backends::METAL).union(wgpu::Backends::DX12);

fn instance(portable: bool) -> wgpu::Instance {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.backends = BACKENDS;
    if portable {
        descriptor.flags |= wgpu::InstanceFlags::STRICT_WEBGPU_COMPLIANCE;
    }
    wgpu::Instance::new(descriptor)
}

/// Real GPUs first, software last; within a kind the driver's order.
fn found(instance: &wgpu::Instance) -> Vec<wgpu::Adapter> {
    let mut adapters = pollster::block_on(instance.enumerate_adapters(BACKENDS));
    adapters.sort_by_key(|adapter| match adapter.get_info().device_type {
        wgpu::DeviceType::DiscreteGpu => 0,
        wgpu::DeviceType::IntegratedGpu => 1,
        wgpu::DeviceType::VirtualGpu => 2,
        wgpu::DeviceType::Other => 3,
        wgpu::DeviceType::Cpu => 4,
    });
    adapters
}

/// What there is to run on, in the order of `Options::device`.
pub fn adapters() -> Vec<Adapter> {
    found(&instance(false)).iter().map(|adapter| Adapter::new(&adapter.get_info())).collect()
}

/// What kernels need and these limits do not give: what WebGPU promises everywhere is enough.
fn lacking(limits: &wgpu::Limits) -> Option<String> {
    let least = wgpu::Limits::defaults();
    let of = |limits: &wgpu::Limits| {
        [
            ("invocations of a workgroup", limits.max_compute_invocations_per_workgroup),
            ("lanes of a workgroup in one dimension", limits.max_compute_workgroup_size_x),
            ("bytes of workgroup memory", limits.max_compute_workgroup_storage_size),
            ("storage buffers of a kernel", limits.max_storage_buffers_per_shader_stage),
        ]
    };
    let mut pairs = of(limits).into_iter().zip(of(&least));
    let ((what, given), (_, needed)) = pairs.find(|((_, given), (_, needed))| given < needed)?;
    Some(format!("it gives {given} {what}, and {needed} are needed"))
}

impl Gpu {
    /// Opens a device of its own.
    pub fn open(options: Options) -> Result<Self, GpuError> {
        let instance = instance(options.portable);
        let adapters = found(&instance);
        let count = adapters.len();
        let adapter = match options.device {
            Some(index) => adapters.into_iter().nth(index).ok_or(GpuError::NoSuchDevice { index, count })?,
            None => adapters
                .into_iter()
                .next()
                .ok_or(GpuError::NoAdapter { reason: "no Vulkan, Metal or DX12 adapter was found".into() })?,
        };
        let limits = if options.portable { wgpu::Limits::defaults() } else { adapter.limits() };
        if let Some(reason) = lacking(&limits) {
            return Err(GpuError::Refused { adapter: adapter.get_info().name, reason });
        }
        let wanted = wgpu::Features::TIMESTAMP_QUERY | wgpu::Features::SHADER_F16 | wgpu::Features::SHADER_INT64;
        let optional = if options.portable { wgpu::Features::empty() } else { wanted };
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("netadapt"),
            required_features: adapter.features() & optional,
            required_limits: limits,
            memory_hints: wgpu::MemoryHints::Performance,
            ..Default::default()
        };
        let (device, queue) = pollster::block_on(adapter.request_device(&descriptor))
            .map_err(|error| GpuError::Refused { adapter: adapter.get_info().name, reason: error.to_string() })?;
        Ok(Self::from_device(device, queue))
    }

    /// Works on a device that the caller already has; its limits are respected as they are.
    pub fn from_device(device: wgpu::Device, queue: wgpu::Queue) -> Self {
        let fault = Arc::new(Mutex::new(Fault::default()));
        let errors = Arc::clone(&fault);
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            lock(&errors).error.get_or_insert_with(|| error.to_string());
        }));
        let losses = Arc::clone(&fault);
        device.set_device_lost_callback(move |reason, message| {
            let text = if message.is_empty() { format!("{reason:?}") } else { message };
            lock(&losses).lost.get_or_insert(text);
        });
        Self(Arc::new(Inner {
            adapter: Adapter::new(&device.adapter_info()),
            limits: device.limits(),
            device,
            queue,
            pipelines: PipelineCache::default(),
            stamps: OnceLock::new(),
            fault,
            held_bytes: Arc::default(),
            allocations_left: AtomicU64::new(u64::MAX),
            most_bytes: AtomicU64::new(u64::MAX),
            patience_ms: AtomicU64::new(PATIENCE.as_millis() as u64),
        }))
    }

    /// What it runs on.
    pub fn adapter(&self) -> &Adapter {
        &self.0.adapter
    }

    pub(super) fn device(&self) -> &wgpu::Device {
        &self.0.device
    }

    pub(super) fn queue(&self) -> &wgpu::Queue {
        &self.0.queue
    }

    pub(super) fn raw_limits(&self) -> &wgpu::Limits {
        &self.0.limits
    }

    /// What it accepts at most.
    pub fn limits(&self) -> Limits {
        let limits = self.raw_limits();
        Limits {
            buffer_bytes: limits.max_storage_buffer_binding_size.min(limits.max_buffer_size),
            workgroups: limits.max_compute_workgroups_per_dimension,
            lanes: limits.max_compute_invocations_per_workgroup,
            workgroup_bytes: limits.max_compute_workgroup_storage_size,
        }
    }

    /// Whether the device has what the kernel's text asks for.
    pub fn runs(&self, kernel: &Kernel) -> bool {
        !kernel.needs_f16() || self.device().features().contains(wgpu::Features::SHADER_F16)
    }

    /// The words that its kernels read and write maps by: long ones where they pay and there are any.
    pub fn words(&self) -> Words {
        let has_long = self.device().features().contains(wgpu::Features::SHADER_INT64);
        if has_long && self.adapter().is_software() { Words::Long } else { Words::Short }
    }

    pub(super) fn pipelines(&self) -> &PipelineCache {
        &self.0.pipelines
    }

    pub(super) fn stamps(&self) -> Result<&Stamps, GpuError> {
        if let Some(stamps) = self.0.stamps.get() {
            return Ok(stamps);
        }
        let stamps = Stamps::new(self)?;
        Ok(self.0.stamps.get_or_init(|| stamps))
    }

    /// Bytes of all buffers that were made on this device by this handle and its clones, and are still held.
    pub fn held_bytes(&self) -> u64 {
        self.0.held_bytes.load(Ordering::Relaxed)
    }

    /// Bytes that the driver's allocations for this device take, alignment and buffers of its own included, from all of its
    /// users in this process; none where the driver's memory is not managed by us (Metal).
    pub fn allocated_bytes(&self) -> Option<u64> {
        self.device().generate_allocator_report().map(|report| report.total_allocated_bytes)
    }

    /// The first error that the device reported, if any: nothing computed after it can be trusted.
    pub fn check(&self) -> Result<(), GpuError> {
        if lock(&self.0.fault).error.is_some() {
            // Errors of a lost device come before the word that it is lost, which takes a poll.
            let _ = self.device().poll(wgpu::PollType::Poll);
        }
        let Fault { error, lost } = &*lock(&self.0.fault);
        match (lost, error) {
            (Some(reason), _) => Err(GpuError::Lost { reason: reason.clone() }),
            (None, Some(reason)) => Err(GpuError::Device { reason: reason.clone() }),
            (None, None) => Ok(()),
        }
    }

    /// Gives the device back at once, whoever still holds it: all that follows on it is an error. For tests
    /// of what a lost device leads to, and for applications that must have it back.
    pub fn destroy(&self) {
        self.device().destroy();
    }

    /// Refuses allocations of which this program would hold more bytes than these, as a smaller device does. For
    /// tests of what fits.
    pub fn refuse_allocations_above(&self, bytes: u64) {
        self.0.most_bytes.store(bytes, Ordering::Relaxed);
    }

    /// New memory of `bytes`, rounded up to whole vectors and filled with zeros.
    pub fn allocate(&self, name: &str, bytes: u64) -> Result<Buf, GpuError> {
        let bytes = bytes.max(16).next_multiple_of(16);
        let limit = self.limits().buffer_bytes;
        if bytes > limit {
            return Err(GpuError::TooLarge { name: name.to_owned(), bytes, limit });
        }
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC;
        let raw = self.create(name, bytes, usage)?;
        Ok(Buf::new(raw, bytes, name, Some(Held::new(&self.0.held_bytes, bytes))))
    }

    /// Makes any buffer: the one place where memory can run out.
    pub(super) fn create(&self, name: &str, size: u64, usage: wgpu::BufferUsages) -> Result<wgpu::Buffer, GpuError> {
        let descriptor = wgpu::BufferDescriptor { label: Some(name), size, usage, mapped_at_creation: false };
        let out_of_memory = || GpuError::OutOfMemory { name: name.to_owned(), bytes: size, held: self.held_bytes() };
        let last = |left: u64| if left == u64::MAX { None } else { left.checked_sub(1) };
        if self.0.allocations_left.try_update(Ordering::Relaxed, Ordering::Relaxed, last) == Err(0) {
            return Err(out_of_memory());
        }
        if self.held_bytes().saturating_add(size) > self.0.most_bytes.load(Ordering::Relaxed) {
            return Err(out_of_memory());
        }
        let scope = self.device().push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let buffer = self.device().create_buffer(&descriptor);
        match pollster::block_on(scope.pop()) {
            Some(_) => Err(out_of_memory()),
            None => Ok(buffer),
        }
    }

    /// Lets this many allocations succeed and refuses all that follow, as a device without memory does. For
    /// tests of what running out leads to.
    pub fn refuse_allocations_after(&self, count: u64) {
        self.0.allocations_left.store(count, Ordering::Relaxed);
    }

    /// Compiles this text in the place of the kernel of its name from now on. For tests of what a device leads to
    /// that computes something else.
    pub fn substitute(&self, kernel: &Kernel) -> Result<(), GpuError> {
        self.pipelines().substitute(self, kernel)
    }

    /// New memory that holds `values`.
    pub fn upload<T: bytemuck::NoUninit>(&self, name: &str, values: &[T]) -> Result<Buf, GpuError> {
        let buf = self.allocate(name, size_of_val(values) as u64)?;
        self.write(&buf, values);
        Ok(buf)
    }

    /// Overwrites the first bytes of `buf` before the next submit.
    pub fn write<T: bytemuck::NoUninit>(&self, buf: &Buf, values: &[T]) {
        let bytes: &[u8] = bytemuck::cast_slice(values);
        assert!(bytes.len() as u64 <= buf.bytes, "{} is too small for what is written", buf.name());
        self.queue().write_buffer(&buf.raw, buf.offset, bytes);
    }

    /// Waits for the device and copies memory back.
    pub fn read<T: bytemuck::Pod>(&self, buf: &Buf) -> Result<Vec<T>, GpuError> {
        let mut submission = Submission::new(self, buf.bytes)?;
        submission.copy(buf);
        Ok(submission.submit()?.collect()?.0)
    }

    /// Waits until all submitted work is done. A driver that does not answer for ten minutes has lost its device: work
    /// is submitted by seconds.
    pub fn wait(&self) -> Result<(), GpuError> {
        let timeout = Duration::from_millis(self.0.patience_ms.load(Ordering::Relaxed));
        let waited = self.device().poll(wgpu::PollType::Wait { submission_index: None, timeout: Some(timeout) });
        if matches!(waited, Err(wgpu::PollError::Timeout)) {
            let reason = format!("its driver did not answer for {:.0} s", timeout.as_secs_f64());
            lock(&self.0.fault).lost.get_or_insert(reason);
            // Whoever closes such a device waits for the driver too, so it stays open.
            std::mem::forget(self.clone());
        }
        self.check()?;
        waited.map(drop).map_err(|error| GpuError::Lost { reason: error.to_string() })
    }

    /// How long a wait may take. For tests of what a driver leads to that does not answer.
    pub fn set_patience(&self, patience: Duration) {
        self.0.patience_ms.store(patience.as_millis() as u64, Ordering::Relaxed);
    }
}
