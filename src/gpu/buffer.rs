//! Memory of the device: a range of a buffer, with a name for the messages.

use std::sync::Arc;

/// A range of device memory. Cloning makes another handle to the same bytes.
#[derive(Clone, Debug)]
pub struct Buf {
    pub(super) raw: wgpu::Buffer,
    pub(super) offset: u64,
    pub(super) bytes: u64,
    name: Arc<str>,
}

impl Buf {
    pub(super) fn new(raw: wgpu::Buffer, bytes: u64, name: &str) -> Self {
        Self { raw, offset: 0, bytes, name: name.into() }
    }

    /// Wraps a buffer that another part of the process made; it needs the usages `STORAGE`, `COPY_SRC` and `COPY_DST`.
    pub fn from_raw(raw: wgpu::Buffer, name: &str) -> Self {
        let bytes = raw.size();
        Self::new(raw, bytes, name)
    }

    /// `bytes` of it from `offset`, which must be a multiple of 256, WebGPU's alignment of bindings.
    pub fn range(&self, offset: u64, bytes: u64, name: &str) -> Self {
        assert!(offset.is_multiple_of(256), "a range starts at a multiple of 256 bytes");
        assert!(offset + bytes <= self.bytes, "a range lies within its buffer");
        Self { raw: self.raw.clone(), offset: self.offset + offset, bytes, name: name.into() }
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
