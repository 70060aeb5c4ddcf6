//! Work as a value: a list of dispatches made once and encoded at every step.

use super::{Gpu, GpuError, Readback};

/// One kernel bound to its buffers, with its grid.
#[derive(Clone)]
pub struct Dispatch {
    pub(super) label: String,
    pub(super) pipeline: wgpu::ComputePipeline,
    pub(super) group: wgpu::BindGroup,
    pub(super) groups: [u32; 3],
    pub(super) work: Work,
}

/// The work of a dispatch, counted from its shapes: what the mathematics asks for, not what a kernel does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Multiplications with additions: two floating-point operations each. None are counted where memory is all that
    /// matters.
    pub multiply_adds: u64,
    /// Bytes that must be read or written at least once.
    pub bytes: u64,
}

impl std::iter::Sum for Work {
    fn sum<I: Iterator<Item = Work>>(all: I) -> Work {
        all.fold(Work::default(), |sum, work| Work {
            multiply_adds: sum.multiply_adds + work.multiply_adds,
            bytes: sum.bytes + work.bytes,
        })
    }
}

impl Dispatch {
    /// `file:entry point`.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// The work: by itself, that of touching all memory that is bound once.
    pub fn work(&self) -> Work {
        self.work
    }

    /// The same with so many multiply-adds.
    pub fn with_multiply_adds(mut self, count: u64) -> Dispatch {
        self.work.multiply_adds = count;
        self
    }

    /// The same with so many bytes, where a dispatch touches a part of what it binds.
    pub fn with_bytes(mut self, bytes: u64) -> Dispatch {
        self.work.bytes = bytes;
        self
    }

    pub(super) fn encode(&self, pass: &mut wgpu::ComputePass) {
        pass.set_pipeline(&self.pipeline);
        pass.set_bind_group(0, &self.group, &[]);
        pass.dispatch_workgroups(self.groups[0], self.groups[1], self.groups[2]);
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

    /// The work of all of it.
    pub fn work(&self) -> Work {
        self.dispatches.iter().map(Dispatch::work).sum()
    }

    /// For each kernel, in the order of their first places, the places of all its dispatches.
    pub fn by_kernel(&self) -> Vec<Vec<usize>> {
        let mut all: Vec<Vec<usize>> = Vec::new();
        for (place, dispatch) in self.dispatches.iter().enumerate() {
            match all.iter_mut().find(|places| self.dispatches[places[0]].label == dispatch.label) {
                Some(places) => places.push(place),
                None => all.push(vec![place]),
            }
        }
        all
    }

    /// The dispatches at these places alone.
    pub fn only(&self, places: &[usize]) -> Plan {
        Plan { dispatches: places.iter().map(|&place| self.dispatches[place].clone()).collect() }
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
            self.dispatches.iter().for_each(|dispatch| dispatch.encode(&mut pass));
        }
        for readback in readbacks.iter_mut() {
            readback.copy(gpu, &mut encoder)?;
        }
        let submission = gpu.queue().submit([encoder.finish()]);
        for readback in readbacks {
            readback.map(&submission);
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
