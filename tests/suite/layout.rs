//! Every kernel is valid WGSL and its `Params` are what the Rust side writes. Needs no GPU.

use fathom_gpu::kernel::{Access, Kernel};
use naga::back::pipeline_constants::process_overrides;
use naga::back::spv;
use naga::front::wgsl;
use naga::valid::{Capabilities, ValidationFlags, Validator};
use naga::{AddressSpace, Module, ShaderStage, StorageAccess, TypeInner};

#[test]
fn every_kernel_is_valid_and_mirrors_its_params() {
    for kernel in fathom_gpu::ALL {
        let module = parse(kernel);
        let mut validator = Validator::new(ValidationFlags::all(), Capabilities::all());
        validator.validate(&module).unwrap_or_else(|e| panic!("{}: {}", kernel.name, e.emit_to_string(kernel.wgsl)));
        let expected: Vec<_> = kernel.params.fields.iter().map(|f| (f.name.to_owned(), f.offset, f.bytes)).collect();
        let (members, span) = members_of_params(&module, kernel);
        assert_eq!(members, expected, "{}", kernel.name);
        assert_eq!(span, kernel.params.bytes, "{}: size of Params", kernel.name);
    }
}

#[test]
fn every_kernel_binds_what_its_launch_half_says() {
    for kernel in fathom_gpu::ALL {
        let module = parse(kernel);
        let mut bindings: Vec<(u32, Access)> = Vec::new();
        for (_, variable) in module.global_variables.iter() {
            let (Some(place), AddressSpace::Storage { access }) = (&variable.binding, variable.space) else { continue };
            assert_eq!(place.group, 0, "{}", kernel.name);
            let access = if access.contains(StorageAccess::STORE) { Access::ReadWrite } else { Access::Read };
            // Entry points may see one binding as words or as quads.
            if !bindings.contains(&(place.binding, access)) {
                bindings.push((place.binding, access));
            }
        }
        bindings.sort_by_key(|(binding, _)| *binding);
        let expected: Vec<_> = kernel.bindings.iter().enumerate().map(|(i, access)| (i as u32 + 1, *access)).collect();
        assert_eq!(bindings, expected, "{}", kernel.name);
    }
}

#[test]
fn every_kernel_of_a_frame_can_begin_at_any_of_its_workgroups() {
    for kernel in fathom_gpu::ALL.iter().filter(|kernel| !kernel.name.starts_with("splat/")) {
        let has = |name: &str| kernel.params.fields.iter().any(|field| field.name == name);
        let axes = ["origin_x", "origin_y", "origin_z"].map(has);
        let expected = match kernel.name {
            // One workgroup; one column of them; one plane.
            "nn/pooled_head" => [false; 3],
            "nn/conv_separable" => [false, true, false],
            "image/preprocess" => [true, true, false],
            _ => [!has("first_group"); 3],
        };
        assert_eq!(axes, expected, "{}", kernel.name);
    }
}

#[test]
fn every_kernel_names_its_twin_and_no_two_share_a_name() {
    let mut names: Vec<&str> = fathom_gpu::ALL.iter().map(|kernel| kernel.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), fathom_gpu::ALL.len());
    for kernel in fathom_gpu::ALL {
        let header: String = kernel.wgsl.lines().take_while(|line| line.starts_with("//")).collect();
        assert!(header.contains("core/src/ops/"), "{} does not say whose twin it is", kernel.name);
    }
}

/// No software device multiplies matrices cooperatively, so this much is held without one: the kernel becomes the instructions
/// of SPV_KHR_cooperative_matrix, four products a step of 16x16 halves.
#[test]
fn the_matrix_kernel_compiles_to_cooperative_instructions() {
    let kernel = &fathom_gpu::nn::conv_matrix::KERNEL;
    let module = parse(kernel);
    let info = Validator::new(ValidationFlags::all(), Capabilities::all()).validate(&module).expect("valid");
    let constants = [("WG_X", 32.0), ("WG_Y", 1.0)].map(|(name, value)| (name.to_owned(), value)).into_iter().collect();
    let (module, info) = process_overrides(&module, &info, Some((ShaderStage::Compute, "main")), &constants).expect("constants");
    let options = spv::Options { lang_version: (1, 6), ..spv::Options::default() };
    let pipeline = spv::PipelineOptions { shader_stage: ShaderStage::Compute, entry_point: "main".into() };
    let words = spv::write_vec(&module, &info, &options, Some(&pipeline)).expect("SPIR-V");
    let mut counts = std::collections::HashMap::<u32, usize>::new();
    let mut at = 5;
    while at < words.len() {
        *counts.entry(words[at] & 0xffff).or_default() += 1;
        at += (words[at] >> 16) as usize;
    }
    let [load, store, multiply] = [4457, 4458, 4459].map(|op| counts.get(&op).copied().unwrap_or(0));
    assert_eq!((load, store, multiply), (4, 4, 4), "OpCooperativeMatrixLoadKHR, StoreKHR, MulAddKHR");
}

/// A kernel is one whole file, so what several share stands in each of them. The copies may not drift apart.
#[test]
fn functions_that_kernels_share_are_the_same_text_in_all_of_them() {
    let bytes = ["conv_depthwise", "conv_dot4", "conv_matrix", "conv_spread", "conv_transpose_bytes"];
    let floats = ["conv_depthwise_f32", "conv_f16", "conv_f32", "conv_transpose_f32"];
    let shared: [(&[&str], &[&str]); 6] = [
        (&["byte_of", "look_up", "look_up_pair", "column_of"], &["conv_dot4", "conv_separable"]),
        (&["byte_of", "look_up", "look_up_pair", "column_of", "finish"], &bytes),
        (&["load", "store", "load_residual", "finish"], &floats),
        (&["steps_of"], &["binary", "byte_pair"]),
        (&["end"], &["matmul_bytes", "pooled_head", "reduce", "softmax"]),
        (&["load", "store"], &["conv_f32", "pool", "unary", "softmax", "layer_norm"]),
    ];
    for (functions, kernels) in shared {
        for function in functions {
            let text = |stem: &str| {
                let kernel = fathom_gpu::ALL.iter().find(|kernel| kernel.name == format!("nn/{stem}")).expect("a kernel of that name");
                let start = kernel.wgsl.find(&format!("\nfn {function}(")).unwrap_or_else(|| panic!("{stem} has no {function}"));
                let text = &kernel.wgsl[start..];
                &text[..text.find("\n}\n").expect("a function ends")]
            };
            for stem in &kernels[1..] {
                assert_eq!(text(stem), text(kernels[0]), "{function} of {stem} and {}", kernels[0]);
            }
        }
    }
}

fn parse(kernel: &Kernel) -> Module {
    wgsl::parse_str(kernel.wgsl).unwrap_or_else(|e| panic!("{}: {}", kernel.name, e.emit_to_string(kernel.wgsl)))
}

fn members_of_params(module: &Module, kernel: &Kernel) -> (Vec<(String, usize, usize)>, usize) {
    let found = module.types.iter().find(|(_, ty)| ty.name.as_deref() == Some("Params"));
    let (_, ty) = found.unwrap_or_else(|| panic!("{}: no struct Params", kernel.name));
    let TypeInner::Struct { members, span } = &ty.inner else { panic!("{}: Params is no struct", kernel.name) };
    let size = |member: &naga::StructMember| module.types[member.ty].inner.size(module.to_ctx()) as usize;
    let members = members.iter().map(|m| (m.name.clone().unwrap_or_default(), m.offset as usize, size(m))).collect();
    (members, *span as usize)
}
