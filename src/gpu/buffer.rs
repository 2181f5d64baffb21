//! Memory of the device: a range of a buffer, with a name for the messages.

use super::precision::Precision;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A range of device memory. Cloning makes another handle to the same bytes.
#[derive(Clone, Debug)]
pub struct Buf {
    pub(super) raw: wgpu::Buffer,
    pub(super) offset: u64,
    pub(super) bytes: u64,
    pub(super) precision: Precision,
    name: Arc<str>,
    /// Of memory that was allocated for this program.
    _held: Option<Arc<Held>>,
}

impl Buf {
    pub(super) fn new(raw: wgpu::Buffer, bytes: u64, name: &str, held: Option<Arc<Held>>) -> Self {
        Self { raw, offset: 0, bytes, precision: Precision::F32, name: name.into(), _held: held }
    }

    /// Wraps a buffer that another part of the process made; it needs the usage `STORAGE`, and `COPY_SRC` or `COPY_DST`
    /// where it is read back or written from here.
    pub fn from_raw(raw: wgpu::Buffer, name: &str) -> Self {
        let bytes = raw.size();
        Self::new(raw, bytes, name, None)
    }

    /// `bytes` of it from `offset`, which must be a multiple of 256, WebGPU's alignment of bindings.
    pub fn range(&self, offset: u64, bytes: u64, name: &str) -> Self {
        assert!(offset.is_multiple_of(256), "a range starts at a multiple of 256 bytes");
        assert!(offset + bytes <= self.bytes, "a range lies within its buffer");
        Self { offset: self.offset + offset, bytes, name: name.into(), ..self.clone() }
    }

    /// The range as an application's own bind groups take it.
    pub fn binding(&self) -> wgpu::BindingResource<'_> {
        let size = std::num::NonZeroU64::new(self.bytes);
        wgpu::BindingResource::Buffer(wgpu::BufferBinding { buffer: &self.raw, offset: self.offset, size })
    }

    /// The same memory as a map's, whose values have this format. Other memory is what its shader says, f32 mostly.
    pub fn of_precision(&self, precision: Precision) -> Self {
        Self { precision, ..self.clone() }
    }

    /// The format of its values.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// Its length in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What it holds.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether both are parts of one allocation.
    pub fn shares_memory_with(&self, other: &Self) -> bool {
        self.raw == other.raw
    }
}

/// Counts the bytes of an allocation as long as one handle to it is there.
#[derive(Debug)]
pub(super) struct Held {
    counter: Arc<AtomicU64>,
    bytes: u64,
}

impl Held {
    pub(super) fn new(counter: &Arc<AtomicU64>, bytes: u64) -> Arc<Self> {
        counter.fetch_add(bytes, Ordering::Relaxed);
        Arc::new(Self { counter: Arc::clone(counter), bytes })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.counter.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
