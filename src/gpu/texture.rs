//! Memory that shaders reach as a storage texture: for a software adapter much the cheapest to read.

use std::sync::Arc;

use super::{Body, Buffer, Gpu, GpuError};

/// Quads in a row of a texture. The shaders' `texel` divides by it, which tests/kernels/copy.rs and conv.rs would notice.
const COLUMNS: u32 = 4096;

/// A row of quads, four `f32` each, that one kernel writes and others read; quad i is the texel (i % 4096, i / 4096).
/// Cheap to clone.
///
/// Mesa's software adapter reads a storage texture in a quarter of the time that a storage buffer takes it, whatever the
/// addresses of the lanes (benches/RESULTS.md): of a buffer, it fetches word by word in a loop over the lanes.
#[derive(Clone, Debug)]
pub struct Texture(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    raw: wgpu::Texture,
    view: wgpu::TextureView,
    bytes: u64,
}

/// Quads in the kind of memory from which the adapter's kernel body reads them: see [`Gpu::quads`].
#[derive(Clone, Debug)]
pub enum Quads {
    /// As [`Body::Tiles`] likes them.
    Buffer(Buffer),
    /// As [`Body::Lanes`] likes them.
    Texture(Texture),
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
        wgpu::BindingResource::Buffer(wgpu::BufferBinding {
            buffer: self.raw(),
            offset: self.offset(),
            size: std::num::NonZeroU64::new(Buffer::bytes(self)),
        })
    }
}

impl Bindable for Texture {
    fn bytes(&self) -> u64 {
        self.0.bytes
    }

    fn resource(&self) -> wgpu::BindingResource<'_> {
        wgpu::BindingResource::TextureView(&self.0.view)
    }
}

impl Bindable for Quads {
    fn bytes(&self) -> u64 {
        match self {
            Quads::Buffer(buffer) => buffer.bytes(),
            Quads::Texture(texture) => texture.0.bytes,
        }
    }

    fn resource(&self) -> wgpu::BindingResource<'_> {
        match self {
            Quads::Buffer(buffer) => buffer.resource(),
            Quads::Texture(texture) => texture.resource(),
        }
    }
}

impl Gpu {
    /// Makes zeroed memory for quads, of the kind that this body reads.
    ///
    /// # Errors
    /// As [`Gpu::buffer`] and [`Gpu::texture`].
    pub fn quads(&self, label: &str, bytes: u64) -> Result<Quads, GpuError> {
        Ok(match self.body() {
            Body::Tiles => Quads::Buffer(self.buffer(label, bytes)?),
            Body::Lanes => Quads::Texture(self.texture(label, bytes)?),
        })
    }

    /// Fills quads from their start; a texture is filled to its end, with zeros.
    pub fn write_quads(&self, quads: &Quads, data: &[u8]) {
        let texture = match quads {
            Quads::Buffer(buffer) => return self.write(buffer, data),
            Quads::Texture(texture) => &texture.0,
        };
        let mut all = data.to_vec();
        all.resize(texture.bytes as usize, 0);
        let layout = wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(COLUMNS * 16), rows_per_image: None };
        self.queue().write_texture(texture.raw.as_image_copy(), &all, layout, texture.raw.size());
    }

    /// Reads quads back, waiting for them; a texture to its end.
    ///
    /// # Errors
    /// [`GpuError::Device`], [`GpuError::OutOfMemory`], [`GpuError::TooLarge`].
    pub fn read_quads<T: bytemuck::Pod>(&self, quads: &Quads) -> Result<Vec<T>, GpuError> {
        let texture = match quads {
            Quads::Buffer(buffer) => return self.read(buffer),
            Quads::Texture(texture) => &texture.0,
        };
        let buffer = self.buffer("readback", texture.bytes)?;
        let mut encoder = self.device().create_command_encoder(&wgpu::CommandEncoderDescriptor { label: None });
        let layout = wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(COLUMNS * 16), rows_per_image: None };
        let target = wgpu::TexelCopyBufferInfo { buffer: buffer.raw(), layout };
        encoder.copy_texture_to_buffer(texture.raw.as_image_copy(), target, texture.raw.size());
        self.queue().submit([encoder.finish()]);
        self.read(&buffer)
    }

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
        let limit = self.max_texture_bytes();
        if bytes > limit {
            return Err(GpuError::TooLarge { label: label.to_owned(), bytes, limit, adapter: adapter() });
        }
        let row = u64::from(COLUMNS) * 16;
        // Mesa's software adapter compiles a kernel again for each pattern of powers of two among its textures' heights,
        // which takes seconds: so no height is one.
        let height = bytes.div_ceil(row).max(3);
        let height = (height + u64::from(height.is_power_of_two())).min(limit / row);
        use wgpu::TextureUsages as Usage;
        let scope = self.device().push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let raw = self.device().create_texture(&wgpu::TextureDescriptor {
            label: Some(label),
            size: wgpu::Extent3d { width: COLUMNS, height: height as u32, depth_or_array_layers: 1 },
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format: wgpu::TextureFormat::Rgba32Float,
            usage: Usage::STORAGE_BINDING | Usage::COPY_SRC | Usage::COPY_DST,
            view_formats: &[],
        });
        if pollster::block_on(scope.pop()).is_some() {
            return Err(GpuError::OutOfMemory { label: label.to_owned(), bytes, adapter: adapter() });
        }
        let bytes = row * height;
        let view = raw.create_view(&wgpu::TextureViewDescriptor::default());
        Ok(Texture(Arc::new(Inner { raw, view, bytes })))
    }
}
