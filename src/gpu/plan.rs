//! Work as a value: a list of dispatches made once and encoded at every step.

use super::{Gpu, GpuError, Readback};

/// One kernel bound to its buffers, with its grid.
#[derive(Clone)]
pub struct Dispatch {
    pub(super) label: String,
    pub(super) pipeline: wgpu::ComputePipeline,
    pub(super) group: wgpu::BindGroup,
    pub(super) groups: [u32; 3],
}

impl Dispatch {
    /// `file:entry point`.
    pub fn label(&self) -> &str {
        &self.label
    }
}

/// A list of dispatches; each sees what those before it wrote.
#[derive(Clone, Default)]
pub struct Plan {
    dispatches: Vec<Dispatch>,
}

impl Plan {
    /// An empty plan.
    pub fn new() -> Plan {
        Plan::default()
    }

    /// Appends one dispatch.
    pub fn push(&mut self, dispatch: Dispatch) {
        self.dispatches.push(dispatch);
    }

    /// Appends another plan's dispatches.
    pub fn extend(&mut self, other: &Plan) {
        self.dispatches.extend(other.dispatches.iter().cloned());
    }

    /// The dispatches in order.
    pub fn dispatches(&self) -> &[Dispatch] {
        &self.dispatches
    }

    /// Encodes the list and submits it; what each of `readbacks` asks for is copied out after the last dispatch.
    ///
    /// # Errors
    /// [`GpuError::Lost`], [`GpuError::Device`] if the driver reported a fault.
    pub fn submit(&self, gpu: &Gpu, readbacks: &mut [&mut Readback]) -> Result<(), GpuError> {
        gpu.count_submission();
        let mut encoder = gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor { label: None });
        {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            for dispatch in &self.dispatches {
                pass.set_pipeline(&dispatch.pipeline);
                pass.set_bind_group(0, &dispatch.group, &[]);
                pass.dispatch_workgroups(dispatch.groups[0], dispatch.groups[1], dispatch.groups[2]);
            }
        }
        for readback in readbacks.iter_mut() {
            readback.copy(gpu, &mut encoder)?;
        }
        gpu.queue().submit([encoder.finish()]);
        for readback in readbacks {
            readback.map();
        }
        gpu.check_fault()
    }
}

/// A grid for `items` invocations in workgroups of `workgroup`, spread over two axes: one axis ends at 65,535.
/// The shader's index is `id.x + id.y * workgroups.x * workgroup`.
pub fn linear_grid(items: u64, workgroup: u32) -> [u32; 3] {
    let groups = items.div_ceil(u64::from(workgroup)).max(1);
    let rows = groups.div_ceil(65_535);
    [groups.div_ceil(rows) as u32, rows as u32, 1]
}
