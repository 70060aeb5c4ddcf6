//! What a WGSL text binds, read from the text itself by naga, the parser that wgpu uses too.

use naga::valid::{Capabilities, ValidationFlags, Validator};
use naga::{AddressSpace, ImageClass, StorageAccess, TypeInner};

/// One variable that an entry point binds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// Its name in the shader.
    pub name: String,
    /// `@binding(…)` of group 0.
    pub slot: u32,
    /// Whether the shader may write it.
    pub writable: bool,
    /// For a uniform struct: the struct's name and its members with their offsets in bytes.
    pub uniform: Option<(String, Vec<(String, usize)>)>,
}

/// What one entry point asks of the host.
#[derive(Clone, Debug)]
pub struct Reflection {
    /// The variables it uses, by slot.
    pub bindings: Vec<Binding>,
    /// `@workgroup_size`.
    pub workgroup_size: [u32; 3],
    /// Bytes of workgroup memory.
    pub workgroup_bytes: u32,
}

/// Parses and validates WGSL; returns every entry point's name and needs.
///
/// # Errors
/// The parser's or validator's message, with the place in the text.
pub fn reflect(text: &str) -> Result<Vec<(String, Reflection)>, String> {
    let module = naga::front::wgsl::parse_str(text).map_err(|e| e.emit_to_string(text))?;
    let mut validator = Validator::new(ValidationFlags::all(), Capabilities::SUBGROUP);
    validator
        .subgroup_stages(naga::valid::ShaderStages::COMPUTE)
        .subgroup_operations(naga::valid::SubgroupOperationSet::all());
    let info = validator.validate(&module).map_err(|e| e.emit_to_string(text))?;

    let describe = |index: usize| {
        let used = info.get_entry_point(index);
        let mut bindings = Vec::new();
        let mut workgroup_bytes = 0;
        for (handle, variable) in module.global_variables.iter() {
            if variable.space == AddressSpace::WorkGroup && !used[handle].is_empty() {
                workgroup_bytes += module.types[variable.ty].inner.size(module.to_ctx());
            }
            let (Some(binding), Some(name)) = (&variable.binding, &variable.name) else { continue };
            if used[handle].is_empty() {
                continue;
            }
            let uniform = match (&variable.space, &module.types[variable.ty]) {
                (AddressSpace::Uniform, naga::Type { name, inner: TypeInner::Struct { members, .. } }) => {
                    let member = |m: &naga::StructMember| (m.name.clone().unwrap_or_default(), m.offset as usize);
                    Some((name.clone().unwrap_or_default(), members.iter().map(member).collect()))
                }
                _ => None,
            };
            let access = match (variable.space, &module.types[variable.ty].inner) {
                (AddressSpace::Storage { access }, _) => access,
                (_, TypeInner::Image { class: ImageClass::Storage { access, .. }, .. }) => *access,
                _ => StorageAccess::empty(),
            };
            let writable = access.contains(StorageAccess::STORE);
            bindings.push(Binding { name: name.clone(), slot: binding.binding, writable, uniform });
        }
        bindings.sort_by_key(|b| b.slot);
        Reflection { bindings, workgroup_size: module.entry_points[index].workgroup_size, workgroup_bytes }
    };
    Ok(module.entry_points.iter().enumerate().map(|(i, e)| (e.name.clone(), describe(i))).collect())
}
