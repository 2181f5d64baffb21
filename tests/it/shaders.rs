//! Every shader against its host and against the back ends; no device is needed.

use naga::back::{PipelineConstants, hlsl, msl, pipeline_constants::process_overrides, spv};
use naga::valid::{Capabilities, GlobalUse, ModuleInfo, ValidationFlags, Validator};
use naga::{Module, ShaderStage};
use netadapt::gpu::{Access, Kernel, Precision, Reflection, Words};
use netadapt::kernels::{self, ALL, optimizer};
use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A text of a kernel: for maps of one precision, read and written by some words.
#[derive(Clone, Copy)]
struct Text {
    kernel: &'static Kernel,
    precision: Precision,
    words: Words,
}

/// Every text of every kernel.
fn texts() -> impl Iterator<Item = Text> {
    let of = |kernel: &'static Kernel| kernel.texts().map(move |(precision, words)| Text { kernel, precision, words });
    ALL.iter().flat_map(move |kernel| of(kernel))
}

impl Text {
    fn usual(kernel: &'static Kernel) -> Self {
        Self { kernel, precision: Precision::F32, words: Words::Short }
    }

    fn parts(self) -> Vec<&'static str> {
        self.kernel.parts_for(self.precision, self.words).expect("it is one of its own texts")
    }

    fn source(self) -> String {
        self.kernel.source(self.precision, self.words).expect("it is one of its own texts")
    }

    fn reflection(self) -> Reflection {
        Reflection::of(self.kernel, self.precision, self.words).expect("a valid shader")
    }

    fn parse(self) -> Module {
        let source = self.source();
        naga::front::wgsl::parse_str(&source)
            .unwrap_or_else(|error| panic!("{}: {}", self.name(), error.emit_to_string(&source)))
    }

    /// Nothing beyond the core of WGSL is allowed, but for f16 where the text asks for it, and words of 64 bits.
    fn validate(self, module: &Module) -> ModuleInfo {
        let mut allowed = Capabilities::empty();
        allowed.set(Capabilities::SHADER_FLOAT16, self.kernel.needs_f16());
        allowed.set(Capabilities::SHADER_INT64, self.words == Words::Long);
        Validator::new(ValidationFlags::all(), allowed)
            .validate(module)
            .unwrap_or_else(|error| panic!("{}: {}", self.name(), error.emit_to_string(&self.source())))
    }

    /// Of a file.
    fn name(self) -> String {
        let precision = if self.precision == Precision::F32 { String::new() } else { format!("-{}", self.precision) };
        let words = if self.words == Words::Short { "" } else { "-long" };
        format!("{}{precision}{words}", self.kernel.name)
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Path in `shaders/` without the suffix, and text, of all files below `folder`.
fn files(folder: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder of shaders") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            let name = path.strip_prefix(root().join("shaders")).expect("a path below shaders/").with_extension("");
            let name = name.to_string_lossy().replace('\\', "/");
            found.push((name, fs::read_to_string(&path).expect("a text file")));
        }
    }
    found
}

#[test]
fn every_file_has_one_host() {
    let mut names = HashSet::new();
    assert!(ALL.iter().all(|kernel| names.insert(kernel.name)), "a kernel is listed twice");
    let files = files(&root().join("shaders"));
    for (name, text) in &files {
        if name.starts_with("lib/") {
            let used = texts().any(|of_a_kernel| of_a_kernel.parts().contains(&text.as_str()));
            assert!(used, "no kernel uses {name}");
        } else {
            let host = ALL.iter().find(|kernel| kernel.name == name);
            let host = host.unwrap_or_else(|| panic!("{name} is not in kernels::ALL"));
            assert_eq!(host.parts[0], text, "{name} is not the first part of its kernel");
        }
    }
    assert_eq!(files.iter().filter(|(name, _)| !name.starts_with("lib/")).count(), ALL.len());
}

#[test]
fn no_kernel_carries_a_library_that_it_does_not_need() {
    for text in texts() {
        let parts = text.parts();
        for left_out in 1..parts.len() {
            let rest: Vec<&str> = (0..parts.len()).filter(|i| *i != left_out).map(|i| parts[i]).collect();
            let compiles = naga::front::wgsl::parse_str(&rest.join("\n")).is_ok();
            assert!(!compiles, "{} does not need\n{}", text.name(), parts[left_out]);
        }
    }
}

#[test]
fn bindings_are_used_and_fit_webgpus_limits() {
    for text in texts() {
        let (kernel, reflection) = (text.kernel, text.reflection());
        assert_eq!(text.precision == Precision::Bf16, !reflection.halves.is_empty(), "{}: maps of bf16", kernel.name);
        let (first, others) = reflection.bindings.split_first().expect("bindings");
        assert_eq!(first, &("params".to_owned(), Access::Uniform), "{}: binding 0", kernel.name);
        assert!(others.iter().all(|(_, access)| *access != Access::Uniform), "{}: two uniforms", kernel.name);
        assert!(others.len() <= 8, "{} binds {} storage buffers", kernel.name, others.len());
        assert!(others.iter().any(|(_, access)| *access == Access::ReadWrite), "{} writes nothing", kernel.name);

        let module = text.parse();
        let info = text.validate(&module);
        assert_eq!(module.entry_points.len(), 1, "{}: one entry point", kernel.name);
        assert_eq!(module.entry_points[0].name, "main", "{}", kernel.name);
        let entry = info.get_entry_point(0);
        for (handle, variable) in module.global_variables.iter() {
            let name = variable.name.as_deref().unwrap_or("?");
            assert!(!entry[handle].is_empty(), "{}: `{name}` is not used", kernel.name);
            if matches!(variable.space, naga::AddressSpace::WorkGroup | naga::AddressSpace::Private) {
                continue;
            }
            let writes = entry[handle].contains(GlobalUse::WRITE);
            let access = reflection.bindings.iter().find(|(bound, _)| bound == name).map(|(_, access)| *access);
            assert_eq!(writes, access == Some(Access::ReadWrite), "{}: access of `{name}`", kernel.name);
        }
    }
}

#[test]
fn overrides_have_names_and_defaults() {
    for text in texts() {
        for (_, constant) in text.parse().overrides.iter() {
            let name = constant.name.as_deref();
            let name = name.unwrap_or_else(|| panic!("{}: an override without a name", text.name()));
            assert!(constant.init.is_some(), "{}: {name} has no default", text.name());
        }
    }
}

/// Sets of overrides that reach all code: the default, and what a GPU would get in a large network.
fn override_sets(module: &Module) -> [PipelineConstants; 2] {
    let rich = [
        ("LANES", 64.0),
        ("SLICES", 16.0),
        ("QUAD_LANES", 8.0),
        ("KERNEL", 7.0),
        ("STRIDE", 2.0),
        ("DEPLOYED", 1.0),
        ("ACTIVATION", 2.0),
        ("SHORTCUT", 2.0),
        ("FILL", 1.0),
        ("AHEAD", 1.0),
        ("CHANNELS", 3.0),
    ];
    let has = |name: &str| module.overrides.iter().any(|(_, o)| o.name.as_deref() == Some(name));
    let rich = rich.into_iter().filter(|(name, _)| has(name)).map(|(name, value)| (name.to_owned(), value));
    [PipelineConstants::default(), rich.collect()]
}

/// `NETADAPT_SHADERS` names a folder that the texts are written to, for other compilers (`scripts/test --portability`).
fn keep(name: &str, text: &str) {
    if let Some(folder) = std::env::var_os("NETADAPT_SHADERS") {
        let path = Path::new(&folder).join(name.replace('/', "-"));
        fs::write(&path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}

#[test]
fn translates_for_every_back_end() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for text in texts() {
        let (kernel, name) = (text.kernel, text.name());
        // Words of 64 bits are none of WGSL's: another front end takes the same text with short ones.
        if text.words == Words::Short {
            keep(&format!("{name}.wgsl"), &text.source());
        }
        let module = text.parse();
        let info = text.validate(&module);
        for (set, constants) in override_sets(&module).into_iter().enumerate() {
            let entry = Some((ShaderStage::Compute, "main"));
            let (module, info) = process_overrides(&module, &info, entry, &constants)
                .unwrap_or_else(|error| panic!("{}: {error}", kernel.name));
            let size = module.entry_points[0].workgroup_size;
            assert!(size.iter().product::<u32>() <= 256, "{}: a workgroup of {size:?}", kernel.name);

            let options = msl::Options { lang_version: (2, 1), ..Default::default() };
            let metal = msl::write_string(&module, &info, &options, &Default::default());
            assert!(metal.is_ok(), "{}: MSL: {:?}", kernel.name, metal.err());

            let (options, pipeline) = (hlsl::Options::default(), hlsl::PipelineOptions::default());
            let mut text = String::new();
            let direct = hlsl::Writer::new(&mut text, &options, &pipeline).write(&module, &info, None);
            assert!(direct.is_ok(), "{}: HLSL: {:?}", kernel.name, direct.err());
            keep(&format!("{name}-{set}.hlsl"), &text);

            let options = spv::Options { lang_version: (1, 3), ..Default::default() };
            let words = spv::write_vec(&module, &info, &options, None)
                .unwrap_or_else(|error| panic!("{}: SPIR-V: {error}", kernel.name));
            check_spirv(kernel, &folder.path().join("shader.spv"), &words);
        }
    }
}

fn check_spirv(kernel: &Kernel, path: &Path, words: &[u32]) {
    fs::write(path, bytemuck::cast_slice(words)).expect("the temporary folder can be written");
    let output = Command::new("spirv-val").args(["--target-env", "vulkan1.1"]).arg(path).output();
    let output = output.expect("this test runs spirv-val: install the package spirv-tools");
    assert!(output.status.success(), "{}: {}", kernel.name, String::from_utf8_lossy(&output.stderr));
}

/// `name: type` of every field of every `struct` in a Rust source, with the struct's name.
fn rust_structs(source: &str) -> Vec<(String, Vec<String>)> {
    let mut structs = Vec::new();
    let mut lines = source.lines();
    while let Some(line) = lines.next() {
        let Some((_, name)) = line.split_once("struct ").filter(|_| line.ends_with('{') && !line.starts_with("//"))
        else {
            continue;
        };
        let body = lines.by_ref().take_while(|line| *line != "}");
        let fields = body.map(str::trim).filter(|line| !line.starts_with("//")).map(|line| {
            let line = line.trim_end_matches(',');
            line.strip_prefix("pub(super) ").or(line.strip_prefix("pub ")).unwrap_or(line).to_owned()
        });
        structs.push((name.trim_end_matches(" {").to_owned(), fields.collect()));
    }
    structs
}

/// The same of a struct of a shader.
fn shader_struct(module: &Module, name: &str) -> Vec<String> {
    let found = module.types.iter().find(|(_, ty)| ty.name.as_deref() == Some(name));
    let (_, ty) = found.unwrap_or_else(|| panic!("no struct {name}"));
    let naga::TypeInner::Struct { members, .. } = &ty.inner else { panic!("{name} is no struct") };
    let scalar = |handle| match module.types[handle].inner {
        naga::TypeInner::Scalar(naga::Scalar::U32) => "u32",
        naga::TypeInner::Scalar(naga::Scalar::F32) => "f32",
        _ => panic!("{name} holds more than u32 and f32"),
    };
    members.iter().map(|m| format!("{}: {}", m.name.as_deref().unwrap_or("?"), scalar(m.ty))).collect()
}

fn host(family: &str) -> Vec<(String, Vec<String>)> {
    let path = root().join("src/kernels").join(family).with_extension("rs");
    rust_structs(&fs::read_to_string(path).expect("a family's host half"))
}

/// Sizes are checked whenever a kernel is launched; this checks order, names and types.
#[test]
fn params_have_the_fields_of_their_host() {
    for kernel in ALL {
        if Text::usual(kernel).reflection().params.len() == 1 {
            continue; // The host passes the number itself, or the table.
        }
        let params = shader_struct(&Text::usual(kernel).parse(), "Params");
        let (family, stem) = kernel.name.split_once('/').expect("a family and a stem");
        let mut structs = host(family);
        let own = format!("{}params", stem.replace('_', ""));
        if structs.iter().any(|(name, _)| name.to_lowercase() == own) {
            structs.retain(|(name, _)| name.to_lowercase() == own);
        } else {
            // Kernels of one family share, and `excite` works on `pool`'s.
            structs.retain(|(name, _)| {
                matches!(name.as_str(), "Params" | "PartsParams" | "WholeParams" | "ElementParams")
            });
            structs.extend(host("pool").into_iter().filter(|_| family == "excite"));
        }
        let found = structs.iter().any(|(_, fields)| *fields == params);
        assert!(found, "{}: Params is {params:#?}, the host has {structs:#?}", kernel.name);
    }
}

#[test]
fn tables_of_the_update_rules_agree() {
    let sgd = Text::usual(&optimizer::SGD).parse();
    let structs = host("optimizer");
    let fields = |name: &str| &structs.iter().find(|(found, _)| found == name).expect("a struct of the host").1;
    assert_eq!(&shader_struct(&sgd, "Tensor"), fields("Tensor"));
    let number = |name: &str| {
        let found = sgd.constants.iter().find(|(_, constant)| constant.name.as_deref() == Some(name));
        match found.map(|(_, constant)| &sgd.global_expressions[constant.init]) {
            Some(naga::Expression::Literal(naga::Literal::U32(value))) => *value,
            other => panic!("{name} is {other:?}"),
        }
    };
    assert_eq!(number("BLOCK"), optimizer::BLOCK);
    assert_eq!(number("FOLD"), kernels::FOLD);
    for (index, field) in fields("Control").iter().enumerate() {
        let (name, _) = field.split_once(':').expect("a field");
        assert_eq!(number(&name.to_uppercase()), index as u32, "place of {name} in control");
    }
}
