//! Finding the machine's adapters, choosing one, and opening it.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::module::Module;
use super::{Buffer, GpuError, Kernel, Source};

/// Which bodies of the heavy kernels run: both read and write the same buffers and pass the same tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Body {
    /// Tiles in workgroup memory: the shape that a GPU wants.
    Tiles,
    /// Eight lanes that load different weights and share them by `subgroupBroadcast`: on Mesa's software adapter a load
    /// whose address differs between lanes costs some 20 ns and a broadcast under 2, and barriers are dear.
    Lanes,
}

/// One adapter as `glowworm devices` shows it.
#[derive(Clone, Debug, serde::Serialize)]
pub struct AdapterSummary {
    /// The name the driver gives.
    pub name: String,
    /// "discrete GPU", "integrated GPU", "virtual GPU", "software" or "other".
    pub kind: &'static str,
    /// Vulkan, Metal or DirectX 12.
    pub backend: String,
    /// Driver name and version.
    pub driver: String,
    /// Most bytes that one binding may show a shader.
    pub max_binding_bytes: u64,
    /// Most bytes of one buffer.
    pub max_buffer_bytes: u64,
    /// Workgroup memory, in bytes.
    pub workgroup_bytes: u32,
    /// Smallest and largest subgroup, in lanes.
    pub subgroup: (u32, u32),
}

/// An opened adapter: everything that runs shaders is reached through it. Cheap to clone.
#[derive(Clone)]
pub struct Gpu {
    inner: Arc<Inner>,
}

struct Inner {
    device: wgpu::Device,
    queue: wgpu::Queue,
    summary: AdapterSummary,
    body: Body,
    edit: Option<(&'static str, &'static str)>,
    modules: Mutex<HashMap<&'static str, Arc<Module>>>,
    kernels: Mutex<HashMap<(&'static str, &'static str), Arc<Kernel>>>,
    fault: Arc<Mutex<Option<Fault>>>,
    /// Submissions that are left until the device is lost on purpose.
    left: Option<AtomicU32>,
}

/// What the driver reported.
#[derive(Clone)]
struct Fault {
    reason: String,
    lost: bool,
}

fn instance() -> wgpu::Instance {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.backends = wgpu::Backends::VULKAN | wgpu::Backends::METAL | wgpu::Backends::DX12;
    descriptor.flags = wgpu::InstanceFlags::empty();
    wgpu::Instance::new(descriptor)
}

fn rank(kind: wgpu::DeviceType) -> u32 {
    match kind {
        wgpu::DeviceType::DiscreteGpu => 0,
        wgpu::DeviceType::IntegratedGpu => 1,
        wgpu::DeviceType::VirtualGpu => 2,
        wgpu::DeviceType::Other => 3,
        wgpu::DeviceType::Cpu => 4,
    }
}

fn summarize(adapter: &wgpu::Adapter) -> AdapterSummary {
    let info = adapter.get_info();
    let limits = adapter.limits();
    AdapterSummary {
        kind: match info.device_type {
            wgpu::DeviceType::DiscreteGpu => "discrete GPU",
            wgpu::DeviceType::IntegratedGpu => "integrated GPU",
            wgpu::DeviceType::VirtualGpu => "virtual GPU",
            wgpu::DeviceType::Cpu => "software",
            wgpu::DeviceType::Other => "other",
        },
        backend: format!("{:?}", info.backend),
        driver: format!("{} {}", info.driver, info.driver_info).trim().to_owned(),
        max_binding_bytes: limits.max_storage_buffer_binding_size,
        max_buffer_bytes: limits.max_buffer_size,
        workgroup_bytes: limits.max_compute_workgroup_storage_size,
        subgroup: (info.subgroup_min_size, info.subgroup_max_size),
        name: info.name,
    }
}

/// Keeps the first fault, except that a loss says more than the errors that it brings.
fn note(fault: &Mutex<Option<Fault>>, reason: String, lost: bool) {
    let mut slot = fault.lock().unwrap_or_else(PoisonError::into_inner);
    if slot.as_ref().is_none_or(|first| lost && !first.lost) {
        *slot = Some(Fault { reason, lost });
    }
}

/// The adapters in order of preference: discrete GPUs, integrated ones, virtual ones, software.
fn ranked() -> Vec<wgpu::Adapter> {
    let mut found = pollster::block_on(instance().enumerate_adapters(wgpu::Backends::all()));
    found.retain(|adapter| adapter.get_downlevel_capabilities().flags.contains(wgpu::DownlevelFlags::COMPUTE_SHADERS));
    found.sort_by_key(|adapter| rank(adapter.get_info().device_type));
    found
}

/// Every adapter of the machine, the one that would be chosen first.
pub fn adapters() -> Vec<AdapterSummary> {
    ranked().iter().map(summarize).collect()
}

fn install_command() -> &'static str {
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default().to_lowercase();
    if release.contains("fedora") || release.contains("rhel") {
        "sudo dnf install mesa-vulkan-drivers"
    } else if release.contains("id=arch") {
        "sudo pacman -S vulkan-swrast"
    } else {
        "sudo apt-get update && sudo apt-get install -y mesa-vulkan-drivers"
    }
}

impl Gpu {
    /// Opens the adapter whose name contains `name` (any case), or the best one.
    ///
    /// # Errors
    /// [`GpuError::NoAdapter`] with the command that brings one, [`GpuError::NoSuchAdapter`], [`GpuError::NoDevice`].
    pub fn open(name: Option<&str>) -> Result<Gpu, GpuError> {
        let mut found = ranked();
        if found.is_empty() {
            return Err(GpuError::NoAdapter { install: install_command() });
        }
        let index = match name {
            None => 0,
            Some(wanted) => {
                let matches = |a: &wgpu::Adapter| a.get_info().name.to_lowercase().contains(&wanted.to_lowercase());
                found.iter().position(matches).ok_or_else(|| GpuError::NoSuchAdapter {
                    wanted: wanted.to_owned(),
                    found: found.iter().map(|a| a.get_info().name).collect::<Vec<_>>().join("; "),
                })?
            }
        };
        Gpu::from_adapter(&found.swap_remove(index))
    }

    fn from_adapter(adapter: &wgpu::Adapter) -> Result<Gpu, GpuError> {
        let summary = summarize(adapter);
        let features = adapter.features() & (wgpu::Features::SUBGROUP | wgpu::Features::TIMESTAMP_QUERY);
        let request = adapter.request_device(&wgpu::DeviceDescriptor {
            label: Some("glowworm"),
            required_features: features,
            required_limits: adapter.limits(),
            experimental_features: wgpu::ExperimentalFeatures::disabled(),
            memory_hints: wgpu::MemoryHints::Performance,
            trace: wgpu::Trace::Off,
        });
        let (device, queue) = pollster::block_on(request)
            .map_err(|e| GpuError::NoDevice { adapter: summary.name.clone(), reason: e.to_string() })?;
        let fault = Arc::new(Mutex::new(None));
        let noted = fault.clone();
        device.on_uncaptured_error(Arc::new(move |error| note(&noted, error.to_string(), false)));
        let noted = fault.clone();
        device.set_device_lost_callback(move |reason, text| {
            let text = if text.is_empty() { format!("{reason:?}").to_lowercase() } else { text };
            note(&noted, text, true);
        });
        let eight_lanes = summary.subgroup == (8, 8) && features.contains(wgpu::Features::SUBGROUP);
        let body = if summary.kind == "software" && eight_lanes { Body::Lanes } else { Body::Tiles };
        Ok(Gpu {
            inner: Arc::new(Inner {
                device,
                queue,
                summary,
                body,
                edit: None,
                modules: Mutex::default(),
                kernels: Mutex::default(),
                fault,
                left: None,
            }),
        })
    }

    /// The same device with the given kernel bodies: the tests run both wherever they can.
    pub fn with_body(&self, body: Body) -> Gpu {
        self.variant(body, None)
    }

    /// The same device, with `from` replaced by `to` in the text of every shader: the tests break a kernel on purpose to
    /// see that they notice. A shader without `from` in its text is an error.
    #[doc(hidden)]
    pub fn with_edit(&self, from: &'static str, to: &'static str) -> Gpu {
        self.variant(self.body(), Some((from, to)))
    }

    /// The same device, lost after so many more submissions: for tests of what happens then.
    #[doc(hidden)]
    pub fn lost_after(&self, submissions: u32) -> Gpu {
        let mut inner = self.parts();
        inner.left = Some(AtomicU32::new(submissions));
        Gpu { inner: Arc::new(inner) }
    }

    /// The same device, which binds no more than this: for tests of what does not fit.
    #[doc(hidden)]
    pub fn with_limit(&self, bytes: u64) -> Gpu {
        let mut inner = self.parts();
        inner.summary.max_binding_bytes = bytes;
        Gpu { inner: Arc::new(inner) }
    }

    /// The same device with so much workgroup memory: for tests of kernels for those that have little.
    #[doc(hidden)]
    pub fn with_workgroup_memory(&self, bytes: u32) -> Gpu {
        let mut inner = self.parts();
        inner.summary.workgroup_bytes = bytes;
        Gpu { inner: Arc::new(inner) }
    }

    fn variant(&self, body: Body, edit: Option<(&'static str, &'static str)>) -> Gpu {
        Gpu { inner: Arc::new(Inner { body, edit, ..self.parts() }) }
    }

    fn parts(&self) -> Inner {
        Inner {
            device: self.inner.device.clone(),
            queue: self.inner.queue.clone(),
            summary: self.inner.summary.clone(),
            body: self.inner.body,
            edit: self.inner.edit,
            modules: Mutex::default(),
            kernels: Mutex::default(),
            fault: self.inner.fault.clone(),
            left: None,
        }
    }

    /// To be called before each submission.
    pub(super) fn count_submission(&self) {
        if self.inner.left.as_ref().is_some_and(|left| left.fetch_sub(1, Ordering::Relaxed) == 0) {
            self.inner.device.destroy();
        }
    }

    pub(super) fn edit(&self) -> Option<(&'static str, &'static str)> {
        self.inner.edit
    }

    /// Which bodies of the heavy kernels this adapter runs.
    pub fn body(&self) -> Body {
        self.inner.body
    }

    /// Name, kind, driver and limits.
    pub fn summary(&self) -> &AdapterSummary {
        &self.inner.summary
    }

    /// The largest buffer that a kernel can see whole, in bytes.
    pub fn max_tensor_bytes(&self) -> u64 {
        self.inner.summary.max_binding_bytes.min(self.inner.summary.max_buffer_bytes)
    }

    /// Bytes that are allocated on the device now, where the backend keeps count (Vulkan and DirectX 12 do).
    pub fn allocated_bytes(&self) -> Option<u64> {
        self.inner.device.generate_allocator_report().map(|report| report.total_allocated_bytes)
    }

    /// The kernel of `source` with this entry point, compiled at its first use.
    ///
    /// # Errors
    /// [`GpuError::Shader`] if the text is not valid.
    pub fn kernel(&self, source: Source, entry: &'static str) -> Result<Arc<Kernel>, GpuError> {
        let mut kernels = self.inner.kernels.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kernel) = kernels.get(&(source.name, entry)) {
            return Ok(kernel.clone());
        }
        let kernel = Arc::new(Kernel::new(self, source, entry)?);
        kernels.insert((source.name, entry), kernel.clone());
        Ok(kernel)
    }

    /// The module of `source`, parsed at its first use.
    pub(super) fn module(&self, source: Source) -> Result<Arc<Module>, GpuError> {
        let mut modules = self.inner.modules.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(module) = modules.get(source.name) {
            return Ok(module.clone());
        }
        let module = Arc::new(Module::new(self, source)?);
        modules.insert(source.name, module.clone());
        Ok(module)
    }

    /// Waits until the device has done everything submitted so far.
    ///
    /// # Errors
    /// [`GpuError::Lost`], [`GpuError::Device`] if it reported a fault meanwhile.
    pub fn wait(&self) -> Result<(), GpuError> {
        self.poll_for(wgpu::PollType::wait_indefinitely())
    }

    /// Waits until the device has done this submission and all before it.
    pub(super) fn wait_for(&self, submission: &wgpu::SubmissionIndex) -> Result<(), GpuError> {
        self.poll_for(wgpu::PollType::Wait { submission_index: Some(submission.clone()), timeout: None })
    }

    /// Lets finished work call back, without waiting.
    pub(super) fn poll(&self) -> Result<(), GpuError> {
        self.poll_for(wgpu::PollType::Poll)
    }

    fn poll_for(&self, how: wgpu::PollType) -> Result<(), GpuError> {
        // wgpu panics if the driver reports here, of all places, that the device was lost.
        let polled = catch_unwind(AssertUnwindSafe(|| self.inner.device.poll(how)));
        self.reported()?;
        match polled {
            Ok(polled) => polled.map(|_| ()).map_err(|e| self.fault(e.to_string())),
            Err(_) => Err(self.lost("the driver gave up waiting for it".to_owned())),
        }
    }

    /// Writes bytes at the start of a buffer, in order with the submissions.
    pub fn write(&self, buffer: &Buffer, bytes: &[u8]) {
        self.write_at(buffer, 0, bytes);
    }

    /// Writes bytes into a buffer from `offset` on, a multiple of four, in order with the submissions.
    pub fn write_at(&self, buffer: &Buffer, offset: u64, bytes: &[u8]) {
        self.inner.queue.write_buffer(buffer.raw(), buffer.offset() + offset, bytes);
    }

    /// Hands over what was written so far and waits for it: until then, the driver keeps a copy.
    ///
    /// # Errors
    /// As [`Gpu::wait`].
    pub fn flush(&self) -> Result<(), GpuError> {
        self.inner.queue.submit([]);
        self.wait()
    }

    pub(super) fn device(&self) -> &wgpu::Device {
        &self.inner.device
    }

    pub(super) fn queue(&self) -> &wgpu::Queue {
        &self.inner.queue
    }

    /// Why something failed: what the driver reported, or failing that, `reason`.
    pub(super) fn failure(&self, reason: String) -> GpuError {
        self.poll().err().unwrap_or_else(|| self.fault(reason))
    }

    fn fault(&self, reason: String) -> GpuError {
        GpuError::Device { adapter: self.inner.summary.name.clone(), reason }
    }

    fn lost(&self, reason: String) -> GpuError {
        GpuError::Lost { adapter: self.inner.summary.name.clone(), reason }
    }

    /// The first fault that the driver reported, if any.
    pub(super) fn check_fault(&self) -> Result<(), GpuError> {
        let is_fault = self.inner.fault.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        // A loss is called back at the next poll only, later than the errors that it brings.
        if is_fault { self.poll() } else { Ok(()) }
    }

    fn reported(&self) -> Result<(), GpuError> {
        let slot = self.inner.fault.lock().unwrap_or_else(PoisonError::into_inner);
        match slot.clone() {
            None => Ok(()),
            Some(Fault { reason, lost: true }) => Err(self.lost(reason)),
            Some(Fault { reason, lost: false }) => Err(self.fault(reason)),
        }
    }
}
