//! One entry point of a shader, compiled, and bound to memory by name.

use super::{Bound, Dispatch, Gpu, GpuError, Reflection, UniformStruct, Work};

/// The WGSL of a kernel family: the texts are joined in order, so that two bodies can share what they have in common.
#[derive(Clone, Copy, Debug)]
pub struct Source {
    /// Where to find it, relative to `shaders/`.
    pub name: &'static str,
    /// The texts.
    pub parts: &'static [&'static str],
}

impl Source {
    /// The whole text.
    pub fn text(&self) -> String {
        self.parts.join("\n")
    }
}

/// A compiled entry point that knows what it binds.
pub struct Kernel {
    label: String,
    pipeline: wgpu::ComputePipeline,
    layout: wgpu::BindGroupLayout,
    reflection: Reflection,
}

impl Kernel {
    pub(super) fn new(gpu: &Gpu, source: Source, entry: &'static str) -> Result<Kernel, GpuError> {
        let label = format!("{}:{entry}", source.name);
        let fail = |reason: String| GpuError::Shader { shader: label.clone(), reason };
        let module = gpu.module(source)?;
        let reflection =
            module.reflection(entry).cloned().ok_or_else(|| fail("it has no such entry point".to_owned()))?;
        // wgpu does not look at this sum, and a driver given too much may hang.
        let (own, limit) = (reflection.workgroup_bytes, gpu.summary().workgroup_bytes);
        if own > limit {
            return Err(fail(format!("it needs {own} bytes of workgroup memory, and the adapter has {limit}")));
        }
        let pipeline = gpu.device().create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(&label),
            layout: None,
            module: module.raw(),
            entry_point: Some(entry),
            compilation_options: wgpu::PipelineCompilationOptions {
                constants: &[],
                zero_initialize_workgroup_memory: false,
            },
            cache: None,
        });
        gpu.check_fault()?;
        Ok(Kernel { layout: pipeline.get_bind_group_layout(0), label, pipeline, reflection })
    }

    /// Threads along each axis of a workgroup.
    pub fn workgroup_size(&self) -> [u32; 3] {
        self.reflection.workgroup_size
    }

    /// Binds a uniform struct and memory by their names in the shader, for `groups` workgroups.
    ///
    /// # Errors
    /// [`GpuError::Shader`] if a name is missing or unknown, or the struct's members differ from the shader's.
    pub fn bind<T: UniformStruct>(
        &self,
        gpu: &Gpu,
        uniform: (&str, &T),
        memory: &[Bound],
        groups: [u32; 3],
    ) -> Result<Dispatch, GpuError> {
        let parameters = gpu.uniform(uniform.1)?;
        self.check_members::<T>(uniform.0)?;
        let parameters: Bound = (uniform.0, &parameters);
        let all: Vec<_> = std::iter::once(parameters).chain(memory.iter().copied()).collect();
        self.bind_all(gpu, &all, groups)
    }

    /// Holds the members of a uniform of the shader against the Rust struct.
    ///
    /// # Errors
    /// [`GpuError::Shader`] if they differ.
    pub fn check_members<T: UniformStruct>(&self, name: &str) -> Result<(), GpuError> {
        let fail = |reason: String| GpuError::Shader { shader: self.label.clone(), reason };
        let binding = self.reflection.bindings.iter().find(|b| b.name == name);
        let (found, members) = binding
            .and_then(|b| b.uniform.as_ref())
            .ok_or_else(|| fail(format!("it uses no uniform struct called {name}")))?;
        let same = members.iter().map(|(n, o)| (n.as_str(), *o)).eq(T::MEMBERS.iter().copied());
        if found != T::NAME || !same {
            return Err(fail(format!("{name} is {found} {members:?} there, but {} {:?} here", T::NAME, T::MEMBERS)));
        }
        Ok(())
    }

    /// Binds memory by name; every name of the shader must be given, and no other.
    ///
    /// # Errors
    /// [`GpuError::Shader`] if a name is missing or unknown.
    pub fn bind_all(&self, gpu: &Gpu, memory: &[Bound], groups: [u32; 3]) -> Result<Dispatch, GpuError> {
        let fail = |reason: String| GpuError::Shader { shader: self.label.clone(), reason };
        if let Some((name, _)) = memory.iter().find(|(n, _)| !self.reflection.bindings.iter().any(|b| b.name == *n)) {
            return Err(fail(format!("it uses no variable called {name}")));
        }
        let mut entries = Vec::with_capacity(memory.len());
        for binding in &self.reflection.bindings {
            let (_, bound) = memory
                .iter()
                .find(|(name, _)| *name == binding.name)
                .ok_or_else(|| fail(format!("{} was not bound", binding.name)))?;
            entries.push(wgpu::BindGroupEntry { binding: binding.slot, resource: bound.resource() });
        }
        let limit = gpu.device().limits().max_compute_workgroups_per_dimension;
        if groups.iter().any(|&g| g == 0 || g > limit) {
            return Err(fail(format!("a grid of {groups:?} workgroups; the adapter takes 1 to {limit} along an axis")));
        }
        let group = gpu.device().create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some(&self.label),
            layout: &self.layout,
            entries: &entries,
        });
        gpu.check_fault()?;
        let bytes = memory.iter().map(|(_, memory)| memory.bytes()).sum();
        let work = Work { multiply_adds: 0, bytes };
        Ok(Dispatch { label: self.label.clone(), pipeline: self.pipeline.clone(), group, groups, work })
    }
}
