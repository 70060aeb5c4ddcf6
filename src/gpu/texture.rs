//! Memory that shaders reach as a storage texture: for a software adapter much the cheapest to read.

use super::{Buffer, Gpu, GpuError};

/// Quads in a row of a texture; `texel` in shaders/conv/lanes.wgsl divides by it.
const COLUMNS: u32 = 4096;

/// A row of quads, four `f32` each, that one kernel writes and others read; quad i is the texel (i % 4096, i / 4096).
/// Cheap to clone.
///
/// Mesa's software adapter reads a storage texture in a quarter of the time that a storage buffer takes it, whatever the
/// addresses of the lanes (benches/RESULTS.md): of a buffer, it fetches word by word in a loop over the lanes.
#[derive(Clone, Debug)]
pub struct Texture {
    view: wgpu::TextureView,
    bytes: u64,
}

/// What a kernel binds by name.
pub trait Bindable {
    /// Size in bytes.
    fn bytes(&self) -> u64;
    #[doc(hidden)]
    fn resource(&self) -> wgpu::BindingResource<'_>;
}

/// A name of a shader, and what is bound to it.
pub type Bound<'a> = (&'a str, &'a dyn Bindable);

impl Bindable for Buffer {
    fn bytes(&self) -> u64 {
        Buffer::bytes(self)
    }

    fn resource(&self) -> wgpu::BindingResource<'_> {
        self.raw().as_entire_binding()
    }
}

impl Bindable for Texture {
    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn resource(&self) -> wgpu::BindingResource<'_> {
        wgpu::BindingResource::TextureView(&self.view)
    }
}

impl Gpu {
    /// The largest texture, in bytes.
    pub fn max_texture_bytes(&self) -> u64 {
        let limits = self.device().limits();
        let columns = if limits.max_texture_dimension_2d < COLUMNS { 0 } else { COLUMNS };
        u64::from(columns) * u64::from(limits.max_texture_dimension_2d) * 16
    }

    /// Makes a zeroed texture.
    ///
    /// # Errors
    /// [`GpuError::TooLarge`] beyond the adapter's limit, [`GpuError::OutOfMemory`].
    pub fn texture(&self, label: &str, bytes: u64) -> Result<Texture, GpuError> {
        let adapter = || self.summary().name.clone();
        let height = bytes.div_ceil(u64::from(COLUMNS) * 16).max(1);
        let limit = self.max_texture_bytes();
        if bytes > limit {
            return Err(GpuError::TooLarge { label: label.to_owned(), bytes, limit, adapter: adapter() });
        }
        let scope = self.device().push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let raw = self.device().create_texture(&wgpu::TextureDescriptor {
            label: Some(label),
            size: wgpu::Extent3d { width: COLUMNS, height: height as u32, depth_or_array_layers: 1 },
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format: wgpu::TextureFormat::Rgba32Float,
            usage: wgpu::TextureUsages::STORAGE_BINDING,
            view_formats: &[],
        });
        if pollster::block_on(scope.pop()).is_some() {
            return Err(GpuError::OutOfMemory { label: label.to_owned(), bytes, adapter: adapter() });
        }
        let bytes = u64::from(COLUMNS) * height * 16;
        Ok(Texture { view: raw.create_view(&wgpu::TextureViewDescriptor::default()), bytes })
    }
}
