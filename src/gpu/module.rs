//! A WGSL source as the device knows it: parsed and validated once, for all its entry points.

use super::{Gpu, GpuError, Reflection, Source, reflect};

/// A shader module, and what each of its entry points asks for.
pub(super) struct Module {
    raw: wgpu::ShaderModule,
    entry_points: Vec<(String, Reflection)>,
}

impl Module {
    /// # Errors
    /// [`GpuError::Shader`] if the text is not valid.
    pub(super) fn new(gpu: &Gpu, source: Source) -> Result<Module, GpuError> {
        let fail = |reason: String| GpuError::Shader { shader: source.name.to_owned(), reason };
        let mut text = source.text();
        if let Some((from, to)) = gpu.edit() {
            if !text.contains(from) {
                return Err(fail(format!("it has no text \"{from}\" to edit")));
            }
            text = text.replace(from, to);
        }
        let entry_points = reflect(&text).map_err(fail)?;
        let descriptor =
            wgpu::ShaderModuleDescriptor { label: Some(source.name), source: wgpu::ShaderSource::Wgsl(text.into()) };
        // SAFETY: the checks left out are those of array bounds and endless loops. The shaders are ours alone; no user's
        // text is ever compiled, every index is derived from the shapes that the kernel families check on the host, and
        // the parity tests run each kernel on odd shapes between guard words.
        #[expect(unsafe_code, reason = "see above")]
        let raw =
            unsafe { gpu.device().create_shader_module_trusted(descriptor, wgpu::ShaderRuntimeChecks::unchecked()) };
        Ok(Module { raw, entry_points })
    }

    pub(super) fn raw(&self) -> &wgpu::ShaderModule {
        &self.raw
    }

    /// What an entry point asks for, if there is one of this name.
    pub(super) fn reflection(&self, entry: &str) -> Option<&Reflection> {
        self.entry_points.iter().find_map(|(name, reflection)| (name == entry).then_some(reflection))
    }
}
