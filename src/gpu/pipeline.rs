//! Compiled kernels, cached by name, precision of maps and overrides.

use super::context::Gpu;
use super::error::GpuError;
use super::precision::{Precision, Words};
use super::reflect::{Access, Reflection};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// The source of a compute shader with one entry point, `main`.
#[derive(Debug, PartialEq, Eq)]
pub struct Kernel {
    /// Its path in `shaders/` without the suffix, such as `conv/forward`.
    pub name: &'static str,
    /// Its own text first, so that naga's line numbers are the file's, then the libraries it uses.
    pub parts: &'static [&'static str],
    /// Whether it reads or writes feature maps: it then has a text for every precision of them.
    pub maps: bool,
}

impl Kernel {
    /// Its parts for maps of this precision, read and written by these words; none where it has no maps and they are not f32.
    pub fn parts_for(&self, precision: Precision, words: Words) -> Option<Vec<&'static str>> {
        match (self.maps, precision) {
            (true, _) => Some([self.parts, &precision.libraries(words)].concat()),
            (false, Precision::F32) => Some(self.parts.to_vec()),
            (false, Precision::Bf16) => None,
        }
    }

    /// The whole text of `parts_for`. Module scope is order-free in WGSL, so libraries may come last.
    pub fn source(&self, precision: Precision, words: Words) -> Option<String> {
        self.parts_for(precision, words).map(|parts| parts.join("\n"))
    }

    /// Precisions of maps that it has a text for.
    pub fn precisions(&self) -> impl Iterator<Item = Precision> {
        let all = Precision::ALL.into_iter().map(|(_, precision)| precision);
        all.filter(|precision| self.maps || *precision == Precision::F32)
    }

    /// What `source` has different texts for.
    pub fn texts(&self) -> impl Iterator<Item = (Precision, Words)> {
        let words: &[Words] = if self.maps { &[Words::Short, Words::Long] } else { &[Words::Short] };
        self.precisions().flat_map(|precision| words.iter().map(move |words| (precision, *words)))
    }

    /// Whether its text asks for 16-bit floats, which not every device has.
    pub fn needs_f16(&self) -> bool {
        self.parts[0].starts_with("enable f16;")
    }
}

/// Values of a kernel's overrides.
pub(super) type Overrides = Vec<(&'static str, u32)>;

/// A kernel made for one device and one set of overrides.
pub(super) struct Pipeline {
    pub(super) raw: wgpu::ComputePipeline,
    pub(super) layout: wgpu::BindGroupLayout,
    pub(super) reflection: Arc<Reflection>,
}

struct Module {
    raw: wgpu::ShaderModule,
    layout: wgpu::BindGroupLayout,
    reflection: Arc<Reflection>,
}

/// The name of a kernel and the precision of its maps.
type Text = (&'static str, Precision);

#[derive(Default)]
pub(super) struct PipelineCache {
    modules: Mutex<HashMap<Text, Arc<Module>>>,
    pipelines: Mutex<HashMap<(Text, Overrides), Arc<Pipeline>>>,
}

impl PipelineCache {
    /// The pipeline of `kernel` for maps of `precision` with `overrides`, compiled at its first use.
    pub(super) fn get(
        &self,
        gpu: &Gpu,
        kernel: &'static Kernel,
        precision: Precision,
        overrides: &Overrides,
    ) -> Result<Arc<Pipeline>, GpuError> {
        let key = ((kernel.name, precision), overrides.clone());
        let mut pipelines = self.pipelines.lock().expect("no holder of this lock panics");
        if let Some(pipeline) = pipelines.get(&key) {
            return Ok(Arc::clone(pipeline));
        }
        let module = self.module(gpu, kernel, precision)?;
        for (name, _) in overrides {
            if !module.reflection.overrides.iter().any(|o| o == name) {
                let problem = format!("the host sets an override `{name}` that the shader does not have");
                return Err(GpuError::Shader { kernel: kernel.name.into(), problem });
            }
        }
        let layout = gpu.device().create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some(kernel.name),
            bind_group_layouts: &[Some(&module.layout)],
            immediate_size: 0,
        });
        let constants: Vec<(&str, f64)> = overrides.iter().map(|(name, value)| (*name, f64::from(*value))).collect();
        let raw = gpu.device().create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(kernel.name),
            layout: Some(&layout),
            module: &module.raw,
            entry_point: Some("main"),
            compilation_options: wgpu::PipelineCompilationOptions {
                constants: &constants,
                zero_initialize_workgroup_memory: false,
            },
            cache: None,
        });
        gpu.check()?;
        let pipeline =
            Arc::new(Pipeline { raw, layout: module.layout.clone(), reflection: Arc::clone(&module.reflection) });
        pipelines.insert(key, Arc::clone(&pipeline));
        Ok(pipeline)
    }

    /// Forgets what was compiled of the kernel of this name and compiles this text in its place.
    pub(super) fn substitute(&self, gpu: &Gpu, kernel: &Kernel) -> Result<(), GpuError> {
        self.pipelines.lock().expect("no holder of this lock panics").retain(|((name, _), _), _| *name != kernel.name);
        self.modules.lock().expect("no holder of this lock panics").retain(|(name, _), _| *name != kernel.name);
        kernel.precisions().try_for_each(|precision| self.module(gpu, kernel, precision).map(drop))
    }

    fn module(&self, gpu: &Gpu, kernel: &Kernel, precision: Precision) -> Result<Arc<Module>, GpuError> {
        let mut modules = self.modules.lock().expect("no holder of this lock panics");
        if let Some(module) = modules.get(&(kernel.name, precision)) {
            return Ok(Arc::clone(module));
        }
        if !gpu.runs(kernel) {
            return Err(GpuError::NoF16 { kernel: kernel.name.into(), adapter: gpu.adapter().to_string() });
        }
        let words = gpu.words();
        let reflection = Reflection::of(kernel, precision, words)?;
        let source = kernel.source(precision, words).expect("it was reflected");
        let descriptor =
            wgpu::ShaderModuleDescriptor { label: Some(kernel.name), source: wgpu::ShaderSource::Wgsl(source.into()) };
        // Loops written by hand end by themselves; bounding them again costs up to 6.5 times on
        // software adapters. Accesses stay checked.
        let checks = wgpu::ShaderRuntimeChecks {
            bounds_checks: true,
            force_loop_bounding: false,
            int_div_checks: false,
            ..wgpu::ShaderRuntimeChecks::checked()
        };
        // SAFETY: the only checks switched off are those of loops, which are bounded by the sizes
        // in `Params`, and of divisions, whose divisors are sizes of at least 1.
        let raw = unsafe { gpu.device().create_shader_module_trusted(descriptor, checks) };
        let entries: Vec<_> = reflection
            .bindings
            .iter()
            .enumerate()
            .map(|(binding, (_, access))| wgpu::BindGroupLayoutEntry {
                binding: binding as u32,
                visibility: wgpu::ShaderStages::COMPUTE,
                ty: wgpu::BindingType::Buffer {
                    ty: match access {
                        Access::Uniform => wgpu::BufferBindingType::Uniform,
                        Access::Read => wgpu::BufferBindingType::Storage { read_only: true },
                        Access::ReadWrite => wgpu::BufferBindingType::Storage { read_only: false },
                    },
                    has_dynamic_offset: false,
                    min_binding_size: None,
                },
                count: None,
            })
            .collect();
        let layout = gpu
            .device()
            .create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: Some(kernel.name), entries: &entries });
        gpu.check()?;
        let module = Arc::new(Module { raw, layout, reflection: Arc::new(reflection) });
        modules.insert((kernel.name, precision), Arc::clone(&module));
        Ok(module)
    }
}
