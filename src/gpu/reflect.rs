//! What a shader says of itself: bindings, overrides, the layout of its parameters.
//!
//! Host code is checked against this when a kernel is first used, so that the two cannot drift apart.

use super::error::GpuError;
use super::pipeline::Kernel;
use super::precision::{Precision, Words};

/// How a shader uses a binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// A uniform block.
    Uniform,
    /// Storage, read only.
    Read,
    /// Storage, read and written.
    ReadWrite,
}

/// What a quad of bf16 is read as.
const fn pair(words: Words) -> naga::TypeInner {
    match words {
        Words::Short => naga::TypeInner::Vector { size: naga::VectorSize::Bi, scalar: naga::Scalar::U32 },
        Words::Long => naga::TypeInner::Scalar(naga::Scalar::U64),
    }
}

/// A shader's interface.
#[derive(Clone, Debug)]
pub struct Reflection {
    /// Name and access of each binding, by binding number from 0, without gaps.
    pub bindings: Vec<(String, Access)>,
    /// Names of the bindings that are maps of bf16.
    pub halves: Vec<String>,
    /// Names of the overrides.
    pub overrides: Vec<String>,
    /// Name and byte offset of each field of `Params`.
    pub params: Vec<(String, u32)>,
    /// Size of `Params` in bytes.
    pub params_bytes: u32,
}

impl Reflection {
    /// Reads the interface of a kernel for maps of `precision`, or says why naga refuses its source or that it has none.
    pub fn of(kernel: &Kernel, precision: Precision, words: Words) -> Result<Self, GpuError> {
        let fail = |problem: String| GpuError::Shader { kernel: kernel.name.to_owned(), problem };
        let Some(source) = kernel.source(precision, words) else {
            return Err(fail(format!("it has no text for maps of {precision}")));
        };
        let module = naga::front::wgsl::parse_str(&source).map_err(|e| fail(e.emit_to_string(&source)))?;
        let mut bindings = Vec::new();
        let mut halves = Vec::new();
        let mut params = (Vec::new(), 0);
        for (_, variable) in module.global_variables.iter() {
            let Some(binding) = variable.binding else { continue };
            let access = match variable.space {
                naga::AddressSpace::Uniform => Access::Uniform,
                naga::AddressSpace::Storage { access } if access.contains(naga::StorageAccess::STORE) => {
                    Access::ReadWrite
                }
                naga::AddressSpace::Storage { .. } => Access::Read,
                other => return Err(fail(format!("binding {} is in {other:?}", binding.binding))),
            };
            if access == Access::Uniform
                && let naga::TypeInner::Struct { members, span } = &module.types[variable.ty].inner
            {
                let fields = members.iter().map(|m| (m.name.clone().unwrap_or_default(), m.offset)).collect();
                params = (fields, *span);
            }
            if let naga::TypeInner::Array { base, .. } = module.types[variable.ty].inner
                && module.types[base].inner == pair(words)
            {
                halves.push(variable.name.clone().unwrap_or_default());
            }
            bindings.push((binding.binding, variable.name.clone().unwrap_or_default(), access));
        }
        bindings.sort_by_key(|(number, ..)| *number);
        if bindings.iter().enumerate().any(|(index, (number, ..))| *number as usize != index) {
            return Err(fail("binding numbers have a gap".into()));
        }
        Ok(Self {
            bindings: bindings.into_iter().map(|(_, name, access)| (name, access)).collect(),
            halves,
            overrides: module.overrides.iter().filter_map(|(_, o)| o.name.clone()).collect(),
            params: params.0,
            params_bytes: params.1,
        })
    }
}
