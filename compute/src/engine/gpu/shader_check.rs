//! Tests a kernel family's shaders without a device: every text that the host can compose must be valid WGSL, match the
//! host's declarations, and translate to the languages of Vulkan, Metal and DX12. The texts come from
//! [`Text::compose`], as for a device. There, [`Kernel::has`] refuses all other values of the constants.

use std::collections::BTreeSet;

use naga::back::{hlsl, msl, spv};
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use naga::{AddressSpace, Module, ShaderStage, StorageAccess, TypeInner};
use rayon::prelude::*;

use super::Tiling;
use super::shader::{Access, Kernel, Source, Text};

/// A limit that every WebGPU device supports.
const WORKGROUP_BYTES: u32 = 16 << 10;
const WORKGROUP_INVOCATIONS: u32 = 256;
const STORAGES: usize = 8;

/// The kernel families. Each has a folder in shaders/ and one in src/kernels/.
const FAMILIES: [&str; 10] =
    ["adjoint", "glue", "momentum", "pairs", "peak", "prior", "products", "shifts", "tables", "variational"];

/// Checks a family: the folder `folder` of shaders/ must hold the files of these kernels and no others, and all their
/// texts must be valid. `open` kernels are composed with each of the `fillings`, `closed` kernels without.
pub(crate) fn check_family(
    folder: &str,
    open: &[&'static Kernel],
    fillings: &[&'static Source],
    closed: &[&'static Kernel],
) {
    assert!(FAMILIES.contains(&folder), "{folder} is not a family");
    let paths: BTreeSet<String> = open.iter().chain(closed).map(|kernel| kernel.source.path.into()).collect();
    assert_eq!(paths, files(folder), "files of {folder} and kernels of the host");
    for kernel in open {
        fillings.iter().for_each(|filling| check_constants(kernel, Some(filling)));
    }
    closed.iter().for_each(|kernel| check_constants(kernel, None));
}

/// The files of a folder of shaders/, named as in [`Source`]. Each must begin with a comment on its purpose.
pub(crate) fn files(folder: &str) -> BTreeSet<String> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("shaders").join(folder);
    let name = |entry: std::io::Result<std::fs::DirEntry>| {
        let entry = entry.unwrap();
        let (file, text) = (entry.file_name().into_string().unwrap(), std::fs::read_to_string(entry.path()).unwrap());
        assert!(text.starts_with("// "), "{file} does not open with its purpose");
        format!("shaders/{folder}/{file}")
    };
    std::fs::read_dir(root).unwrap().map(name).collect()
}

fn check_constants(kernel: &'static Kernel, filling: Option<&'static Source>) {
    let mut choices: Vec<Vec<u32>> = vec![Vec::new()];
    for (_, values) in kernel.constants {
        let longer = |choice: &Vec<u32>| values.iter().map(|&value| [choice.as_slice(), &[value]].concat()).collect();
        choices = choices.iter().flat_map(|choice| -> Vec<Vec<u32>> { longer(choice) }).collect();
    }
    choices.par_iter().for_each(|constants| {
        let text = Text::compose(kernel, filling, constants);
        let what = format!("{} {:?} {constants:?}", kernel.source.path, filling.map(|filling| filling.path));
        let module = naga::front::wgsl::parse_str(&text.wgsl).unwrap_or_else(|error| {
            let place = error.location(&text.wgsl).map(|location| text.place(location.line_number as usize));
            panic!("{what}: {place:?}: {}", error.message())
        });
        let validated = Validator::new(ValidationFlags::all(), Capabilities::empty()).validate(&module);
        let info = validated.unwrap_or_else(|error| panic!("{what}: {}", error.emit_to_string(&text.wgsl)));
        check_bindings(&what, kernel, &module);
        check_budget(&what, kernel, constants, &module);
        translate(&module, &info).unwrap_or_else(|cause| panic!("{what}: {cause}"));
    });
}

/// Translates a shader for every backend, to the oldest version of its language that the engine supports.
fn translate(module: &Module, info: &ModuleInfo) -> Result<(), String> {
    let to = |language: &'static str| move |cause: &dyn std::fmt::Display| format!("to {language}: {cause}");
    let entry = || (ShaderStage::Compute, "main".to_string());
    // Only what every device has.
    let capabilities = Some([spv::Capability::Shader].into_iter().collect());
    let options = spv::Options { lang_version: (1, 0), capabilities, ..spv::Options::default() };
    let pipeline = spv::PipelineOptions { shader_stage: entry().0, entry_point: entry().1 };
    let words = spv::write_vec(module, info, &options, Some(&pipeline)).map_err(|cause| to("SPIR-V")(&cause))?;
    let options = msl::Options { lang_version: (2, 0), ..msl::Options::default() };
    let pipeline = msl::PipelineOptions { entry_point: Some(entry()), ..msl::PipelineOptions::default() };
    let (metal, _) = msl::write_string(module, info, &options, &pipeline).map_err(|cause| to("MSL")(&cause))?;
    let options = hlsl::Options { shader_model: hlsl::ShaderModel::V6_0, ..hlsl::Options::default() };
    let (pipeline, mut text) = (hlsl::PipelineOptions { entry_point: Some(entry()) }, String::new());
    let reflection = hlsl::Writer::new(&mut text, &options, &pipeline)
        .write(module, info, None)
        .map_err(|cause| to("HLSL")(&cause))?;
    reflection.entry_point_names.into_iter().try_for_each(|name| name.map(drop).map_err(|cause| to("HLSL")(&cause)))?;
    let whole = words.len() > 100 && metal.contains("kernel void") && text.contains("[numthreads(");
    if whole { Ok(()) } else { Err("a translation without its entry point".into()) }
}

fn check_bindings(what: &str, kernel: &Kernel, module: &Module) {
    let mut storages = vec![None; kernel.storages.len()];
    let mut uniforms = 0;
    for (_, variable) in module.global_variables.iter() {
        let Some(binding) = &variable.binding else { continue };
        assert_eq!(binding.group, 0, "{what}");
        match variable.space {
            AddressSpace::Uniform => {
                let TypeInner::Struct { members, .. } = &module.types[variable.ty].inner else {
                    panic!("{what}: the uniform is not a struct")
                };
                let members: Vec<(&str, usize)> =
                    members.iter().map(|m| (m.name.as_deref().unwrap(), m.offset as usize)).collect();
                assert_eq!(members, kernel.uniform, "{what}");
                assert_eq!(binding.binding, 0, "{what}");
                uniforms += 1;
            }
            AddressSpace::Storage { access } => {
                let writes = access.contains(StorageAccess::STORE);
                storages[binding.binding as usize - 1] = Some(if writes { Access::Write } else { Access::Read });
            }
            space => panic!("{what}: unexpected binding in {space:?}"),
        }
    }
    let expected: Vec<Option<Access>> = kernel.storages.iter().copied().map(Some).collect();
    assert_eq!((storages, uniforms), (expected, 1), "{what}");
    assert!(kernel.storages.len() <= STORAGES, "{what}");
}

fn check_budget(what: &str, kernel: &Kernel, constants: &[u32], module: &Module) {
    let [entry] = module.entry_points.as_slice() else { panic!("{what}: not one entry point") };
    assert_eq!(entry.name, "main", "{what}");
    assert!(entry.workgroup_size.iter().product::<u32>() <= WORKGROUP_INVOCATIONS, "{what}");
    let shared = module.global_variables.iter().filter(|(_, variable)| variable.space == AddressSpace::WorkGroup);
    let bytes: u32 = shared
        .map(|(_, variable)| {
            assert!(variable.name.as_ref().is_some_and(|name| name.starts_with("sh_")), "{what}");
            module.types[variable.ty].inner.size(module.to_ctx())
        })
        .sum();
    if kernel.source.imports.iter().any(|import| import.path.ends_with("/held.wgsl")) {
        let constant = |name| constants[kernel.constants.iter().position(|(known, _)| *known == name).unwrap()];
        let (code, blocks) = (constant("TILING"), constant("BLOCKS"));
        let tiling = Tiling { quads: code / 64, lanes: code % 64, blocks: 4, held: true, split: false };
        assert_eq!(bytes, tiling.held_bytes(blocks), "{what}");
    } else {
        assert!(bytes <= WORKGROUP_BYTES, "{what} takes {bytes} bytes of workgroup memory");
    }
}

#[test]
fn every_folder_of_shaders_is_a_family_or_shared() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = std::fs::read_dir(root.join("shaders")).unwrap();
    let folders: BTreeSet<String> = folders.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let expected = FAMILIES.into_iter().chain(["divergence", "lib"]).map(String::from).collect();
    assert_eq!(folders, expected);
    for family in FAMILIES {
        let text = std::fs::read_to_string(root.join(format!("src/kernels/{family}/gpu.rs"))).unwrap();
        assert!(text.contains("check_family(") && text.contains(&format!("\"{family}\"")), "{family} is not checked");
    }
}

#[test]
fn a_text_that_a_backend_rejects_is_detected() {
    let translated = |text: &str| {
        let module = naga::front::wgsl::parse_str(text).unwrap();
        let info = Validator::new(ValidationFlags::all(), Capabilities::all()).validate(&module).unwrap();
        translate(&module, &info)
    };
    assert_eq!(
        translated("@compute @workgroup_size(1) fn main() {}"),
        Err("a translation without its entry point".into())
    );
    let half = "enable f16;
        @group(0) @binding(1) var<storage, read_write> x: array<f16>;
        @compute @workgroup_size(1) fn main() { x[0] = x[0] + 1.0h; }";
    let refused = translated(half).unwrap_err();
    assert!(refused.starts_with("to SPIR-V: "), "{refused}");
}
